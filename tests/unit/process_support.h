/* What the tests of processes have in common. */
#ifndef PROCESS_SUPPORT_H
#define PROCESS_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/process.h>

enum {
    LIMIT_MS = 10000
}; /* it hangs */

/* Some things cannot be done under sanitizers. */
#if defined(__SANITIZE_THREAD__)
enum {
    SANITIZED = 1,
    THREAD_SANITIZED = 1
};
#elif defined(__SANITIZE_ADDRESS__)
enum {
    SANITIZED = 1,
    THREAD_SANITIZED = 0
};
#else
enum {
    SANITIZED = 0,
    THREAD_SANITIZED = 0
};
#endif

/* The call gives this result. */
#define CHECK(call, expected)                                                  \
    expect_result(__FILE__, __LINE__, #call, (call), (expected))

static inline void expect_result(const char *file, int line, const char *call,
                                 int rc, int expected)
{
    if (rc != expected)
        test_fail_at(file, line, "%s gave %d (%s: %s), expected %d", call, rc,
                     ipc_strerror(rc), ipc_error_detail(), expected);
}

static inline void start_with(ipc_process *process, int (*target)(void *arg),
                              void *arg, const ipc_process_options *options)
{
    CHECK(ipc_process_init(process, target, arg, options), 0);
    CHECK(ipc_process_start(process), 0);
}

static inline void start(ipc_process *process, int (*target)(void *arg),
                         void *arg)
{
    start_with(process, target, arg, NULL);
}

static inline void start_daemon(ipc_process *process, int (*target)(void *arg),
                                void *arg)
{
    const ipc_process_options options = {.size = sizeof options,
                                         .daemon = true};
    start_with(process, target, arg, &options);
}

/* Wait for its end, close it, and return its exit code. */
static inline int end_of(ipc_process *process)
{
    int code = 0;
    CHECK(ipc_process_join_until(process, ipc_after_ms(LIMIT_MS)), 0);
    CHECK(ipc_process_exitcode(process, &code), 0);
    CHECK(ipc_process_close(process), 0);
    return code;
}

static inline int run(int (*target)(void *arg), void *arg)
{
    ipc_process process;
    start(&process, target, arg);
    return end_of(&process);
}

static inline int run_daemon(int (*target)(void *arg), void *arg)
{
    ipc_process process;
    start_daemon(&process, target, arg);
    return end_of(&process);
}

/* ---- targets ---- */

/* Until it is killed. */
static inline int sleep_for_good(void *unused)
{
    (void)unused;
    while (pause() != 0)
        continue;
    return 0;
}

/* arg: two words from test_shared().  Says that it is there, and returns when
 * the second one is raised. */
static inline int come_and_stay(void *arg)
{
    uint32_t *words = arg;
    meet_signal(&words[0]);
    meet_wait(&words[1], 1, LIMIT_MS);
    return 0;
}

/* exit() in the middle of everything is what is tested. */
static inline _Noreturn void leave(int code)
{
    exit(code); /* NOLINT(concurrency-mt-unsafe): as above */
}

static inline int return_it(void *arg)
{
    return *(int *)arg;
}

static inline int return_zero(void *unused)
{
    (void)unused;
    return 0;
}

/* ---- looking around ---- */

/* The library keeps one for the memory of the family. */
static inline bool is_of_family(int dir, const char *number)
{
    static const char name[] = "/memfd:libipc ";
    char target[64] = "";
    return readlinkat(dir, number, target, sizeof target - 1) > 0 &&
           strncmp(target, name, sizeof name - 1) == 0;
}

/* Descriptors of this process, but that and the one used for looking. */
static inline int count_fds(void)
{
    int count = -1;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count +=
            entry->d_name[0] != '.' && !is_of_family(dirfd(dir), entry->d_name);
    (void)closedir(dir);
    return count;
}

static inline void comm_of(pid_t pid, char out[64])
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(out, 64, file));
    (void)fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

static inline int64_t ms_since(int64_t start_ns)
{
    return (test_now_ns() - start_ns) / 1000000;
}

#endif
