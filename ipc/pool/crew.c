/* Crew: a pool's workers as processes or threads of its maker. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/error.h"
#include "pool/maker.h"
#include "pool/table.h"
#include "pool/worker.h"
#include "process/internal.h"

/* ---- the worker ---- */

/* What the program does about a signal is not for its workers to do. */
static void no_handler(int sig)
{
    struct sigaction action;
    if (sigaction(sig, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        (void)signal(sig, SIG_DFL);
}

static int worker_process(void *arg)
{
    const struct ipc__worker_start *start = arg;
    no_handler(SIGTERM);
    no_handler(SIGINT);
    if ((start->pool->flags & IPC_POOL_KEEP_INTERRUPT) == 0)
        (void)signal(SIGINT, SIG_IGN);
    (void)pthread_sigmask(SIG_SETMASK, &start->mask, NULL);
    return ipc__worker_run(start->pool, start->worker);
}

IPC_ENTRY(worker_process);

static int worker_thread(void *arg)
{
    const struct ipc__worker_start *start = arg;
    return ipc__worker_run(start->pool, start->worker);
}

/* ---- starting ---- */

static int start_process(struct ipc__maker *maker, struct ipc__hand *hand,
                         const char *name)
{
    const ipc_pool_options *given = &maker->options;
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    options.daemon = true;
    options.name = name;
    options.arg_bytes = sizeof hand->start;
    options.cpus = maker->cpus;
    options.cpu_count = given->cpu_count;
    if (given->spread && given->cpu_count != 0) {
        options.cpus = &maker->cpus[hand->start.worker % given->cpu_count];
        options.cpu_count = 1;
    }
    options.nice = given->nice;
    options.rlimits = maker->rlimits;
    options.rlimit_count = given->rlimit_count;
    options.start_method = maker->pool->start_method;
    int rc = ipc_process_init(&hand->process, worker_process, &hand->start,
                              &options);
    if (rc == 0)
        rc = ipc_process_start(&hand->process);
    if (rc != 0)
        (void)ipc_process_close(&hand->process);
    return rc;
}

static int start_thread(struct ipc__maker *maker, struct ipc__hand *hand,
                        const char *name)
{
    const ipc_pool_options *given = &maker->options;
    ipc_thread_options options = IPC_THREAD_OPTIONS_INIT;
    options.daemon = true;
    options.name = name;
    options.cpus = maker->cpus;
    options.cpu_count = given->cpu_count;
    if (given->spread && given->cpu_count != 0) {
        options.cpus = &maker->cpus[hand->start.worker % given->cpu_count];
        options.cpu_count = 1;
    }
    options.nice = given->nice;
    int rc =
        ipc_thread_init(&hand->thread, worker_thread, &hand->start, &options);
    if (rc == 0)
        rc = ipc_thread_start(&hand->thread);
    if (rc != 0)
        (void)ipc_thread_close(&hand->thread);
    return rc;
}

int ipc__crew_start(struct ipc__maker *maker, uint32_t i)
{
    struct ipc_pool *pool = maker->pool;
    struct ipc__hand *hand = &maker->hands[i];
    char name[32];
    snprintf(name, sizeof name, "%.24s-%u", pool->name, i + 1);
    memset(hand, 0, sizeof *hand);
    hand->start.pool = pool;
    hand->start.worker = i;
    hand->start.mask = maker->mask;
    ipc__table_enter(pool, i);
    const int rc = pool->kind == IPC_POOL_THREADS
                       ? start_thread(maker, hand, name)
                       : start_process(maker, hand, name);
    hand->started = rc == 0;
    if (rc != 0)
        ipc__table_bury_worker(pool, i);
    return rc;
}

/* ---- ending ---- */

bool ipc__crew_join(struct ipc__maker *maker, uint32_t i, ipc_deadline until)
{
    struct ipc__hand *hand = &maker->hands[i];
    const int rc = maker->pool->kind == IPC_POOL_THREADS
                       ? ipc_thread_join_until(&hand->thread, until)
                       : ipc_process_join_until(&hand->process, until);
    return rc == 0;
}

void ipc__crew_close(struct ipc__maker *maker, uint32_t i)
{
    struct ipc__hand *hand = &maker->hands[i];
    if (maker->pool->kind == IPC_POOL_PROCESSES)
        (void)ipc_process_close(&hand->process);
    else
        (void)ipc_thread_close(&hand->thread);
    hand->started = false;
}

void ipc__crew_signal(struct ipc__maker *maker, uint32_t i, int sig)
{
    if (maker->pool->kind == IPC_POOL_PROCESSES && maker->hands[i].started)
        (void)ipc_process_signal(&maker->hands[i].process, sig);
}

/* ---- how it ended ---- */

/* Of all machines: nobody counts them for us alone. */
uint64_t ipc__oom_kills(void)
{
    static const char key[] = "\noom_kill ";
    char text[16384];
    char path[1024];
    snprintf(path, sizeof path, "%s/proc/vmstat", ipc__system_root);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size_t used = 0;
    ssize_t n;
    while (used < sizeof text - 1 &&
           (n = read(fd, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)n;
    (void)close(fd);
    text[used] = '\0';
    const char *found = strstr(text, key);
    return found == NULL ? 0 : strtoull(found + sizeof key - 1, NULL, 10);
}

void ipc__crew_describe(const struct ipc__maker *maker, uint32_t i,
                        struct ipc_future *future)
{
    const struct ipc__hand *hand = &maker->hands[i];
    int code = -1; /* nobody saw how */
    future->pid = maker->pool->workers[i].pid;
    future->signal = 0;
    future->exitcode = 0;
    future->core = 0;
    future->maybe_oom = 0;
    if (maker->pool->kind == IPC_POOL_THREADS)
        return;
    const int rc =
        ipc_process_exitcode((ipc_process *)(uintptr_t)&hand->process, &code);
    if (rc == 0 && code < 0)
        future->signal = -code;
    else
        future->exitcode = code;
    if (rc != 0)
        return;
    future->core = hand->process.child_->core; /* it was joined */
    future->maybe_oom = code == -SIGKILL && !hand->was_signaled &&
                        ipc__oom_kills() > maker->oom_kills;
}
