/* What the kernel and glibc offer, down to a thread. */
#include "process_peer.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char true_path[] = "/bin/true";

static pid_t start_fork(void)
{
    pid_t pid = fork();

    if (pid < 0)
        err(EXIT_FAILURE, "fork");
    if (pid == 0)
        _exit(EXIT_SUCCESS);
    return pid;
}

static void wait_for(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        err(EXIT_FAILURE, "waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
        errx(EXIT_FAILURE, "a child failed");
}

static void one_fork(void)
{
    wait_for(start_fork());
}

static void many_forks(void)
{
    pid_t pids[PROCESS_MANY];

    for (int i = 0; i < PROCESS_MANY; i++)
        pids[i] = start_fork();
    for (int i = 0; i < PROCESS_MANY; i++)
        wait_for(pids[i]);
}

static bool has_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static void one_pidfd(void)
{
    siginfo_t info;
    int fd = (int)syscall(SYS_pidfd_open, start_fork(), 0);

    if (fd < 0)
        err(EXIT_FAILURE, "pidfd_open");
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED) != 0)
        err(EXIT_FAILURE, "waitid");
    if (info.si_code != CLD_EXITED || info.si_status != EXIT_SUCCESS)
        errx(EXIT_FAILURE, "a child failed");
    close(fd);
}

static bool has_true(void)
{
    return access(true_path, X_OK) == 0;
}

static void one_spawn(void)
{
    char *const argv[] = {true_path, NULL};
    pid_t pid;

    errno = posix_spawn(&pid, true_path, NULL, NULL, argv, environ);
    if (errno != 0)
        err(EXIT_FAILURE, "posix_spawn");
    wait_for(pid);
}

static void *thread_body(void *arg)
{
    return arg;
}

static void one_thread(void)
{
    pthread_t thread;

    errno = pthread_create(&thread, NULL, thread_body, NULL);
    if (errno != 0)
        err(EXIT_FAILURE, "pthread_create");
    pthread_join(thread, NULL);
}

const struct process_peer process_peers_system[] = {
    {"fork-waitpid", NULL, one_fork, many_forks},
    {"fork-pidfd-waitid", has_pidfd, one_pidfd, NULL},
    {"posix_spawn-true", has_true, one_spawn, NULL},
    {"pthread-create-join", NULL, one_thread, NULL},
    {0},
};
