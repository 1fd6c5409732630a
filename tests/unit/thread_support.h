/* What the tests of threads have in common, beside what those of processes
 * have. */
#ifndef THREAD_SUPPORT_H
#define THREAD_SUPPORT_H

#include "unit/process_support.h"

#include <pthread.h>

#include <ipc/thread.h>

/* meet_signal(), in a way that ThreadSanitizer understands: what was done before
 * is seen by those who have waited. */
#if defined(__SANITIZE_THREAD__)
#    include <sanitizer/tsan_interface.h>
#else
/* NOLINTNEXTLINE(readability-identifier-naming): the sanitizer's name */
#    define __tsan_release(address) ((void)(address))
#endif

static inline void say(uint32_t *word)
{
    __tsan_release(word);
    meet_signal(word);
}

/* ThreadSanitizer does not know that the threads of a process are gone in its
 * forks, and takes a new one there for one of them. */
static inline void skip_threads_after_fork(void)
{
    if (THREAD_SANITIZED)
        test_skip("ThreadSanitizer has no threads in forks of threads");
}

/* For a process that ends by exit() in another thread than main's, or in a
 * child of such a thread: what main() had on its stack is lost for
 * LeakSanitizer. */
#if defined(__SANITIZE_ADDRESS__)
#    include <sanitizer/lsan_interface.h>

static int leaks_are_fine;

/* NOLINTNEXTLINE(readability-identifier-naming): the sanitizer's name */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
    return leaks_are_fine;
}

static inline void look_for_no_leaks(void)
{
    leaks_are_fine = 1;
}
#else
static inline void look_for_no_leaks(void)
{
}
#endif

static inline void start_thread_with(ipc_thread *thread,
                                     int (*target)(void *arg), void *arg,
                                     const ipc_thread_options *options)
{
    CHECK(ipc_thread_init(thread, target, arg, options), 0);
    CHECK(ipc_thread_start(thread), 0);
}

static inline void start_thread(ipc_thread *thread, int (*target)(void *arg),
                                void *arg)
{
    start_thread_with(thread, target, arg, NULL);
}

static inline void start_daemon_thread(ipc_thread *thread,
                                       int (*target)(void *arg), void *arg)
{
    const ipc_thread_options options = {.size = sizeof options, .daemon = true};
    start_thread_with(thread, target, arg, &options);
}

/* Wait for its end, close it, and return its exit code. */
static inline int end_of_thread(ipc_thread *thread)
{
    int code = 0;
    CHECK(ipc_thread_join_until(thread, ipc_after_ms(LIMIT_MS)), 0);
    CHECK(ipc_thread_exitcode(thread, &code), 0);
    CHECK(ipc_thread_close(thread), 0);
    return code;
}

static inline int run_thread(int (*target)(void *arg), void *arg)
{
    ipc_thread thread;
    start_thread(&thread, target, arg);
    return end_of_thread(&thread);
}

/* Threads of this process that the kernel knows.  A sanitizer has its own, at
 * times: look at the differences. */
static inline int count_kernel_threads(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static inline void name_in_kernel(int tid, char out[64])
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(out, 64, file));
    (void)fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

#endif
