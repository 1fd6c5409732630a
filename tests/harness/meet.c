/* Meeting without sleeping: words in shared memory, and a look at threads. */
#include "harness/role.h"

#include "harness/internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- words ---- */

/* ThreadSanitizer sees only the system call. */
#if defined(__SANITIZE_THREAD__)
#    include <sanitizer/tsan_interface.h>
#else
/* NOLINTNEXTLINE(readability-identifier-naming): the sanitizer's name */
#    define __tsan_release(address) ((void)(address))
#endif

void meet_signal(uint32_t *word)
{
    /* The kernel adds and wakes in one step that no death can split. */
    __tsan_release(word);
    unsigned add_one = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_LT, 0);
    (void)syscall(SYS_futex, word, FUTEX_WAKE_OP, INT_MAX, 0, word, add_one);
}

bool meet_within(uint32_t *word, uint32_t value, int limit_ms)
{
    int64_t end = test_now_ns() + (int64_t)limit_ms * 1000000;
    struct timespec until = {end / 1000000000, end % 1000000000};
    for (;;) {
        uint32_t seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
        if (seen >= value)
            return true;
        if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &until, NULL,
                    FUTEX_BITSET_MATCH_ANY) != 0 &&
            errno == ETIMEDOUT)
            return __atomic_load_n(word, __ATOMIC_SEQ_CST) >= value;
    }
}

void meet_wait_at(uint32_t *word, uint32_t value, int limit_ms,
                  const char *file, int line)
{
    if (!meet_within(word, value, limit_ms))
        test_fail_at(file, line, "nobody came: word is %u, not %u, after %d ms",
                     __atomic_load_n(word, __ATOMIC_SEQ_CST), value, limit_ms);
}

/* ---- threads ---- */

/* 'R', 'S', ... 'X': it does not exist. */
static char state_of(pid_t tid)
{
    char state;
    pid_t parent;
    if (!test__proc_state(tid, &state, &parent))
        state = 'X';
    return state;
}

bool thread_ended(pid_t tid)
{
    char state = state_of(tid);
    return state == 'X' || state == 'Z';
}

bool asleep(pid_t tid)
{
    char state = state_of(tid);
    return state == 'S' || state == 'D';
}

#ifndef SYS_futex_waitv
#    define SYS_futex_waitv 449
#endif

/* word NULL: any.  The number of the call and its arguments are there only
 * while the thread is blocked; "running" otherwise. */
static bool sleeps_on(pid_t tid, const void *word)
{
    if (!asleep(tid))
        return false;
    char text[256];
    if (!test__proc_read(tid, "syscall", text, sizeof text))
        return true;
    char *rest;
    long number = test__number(text, 10, &rest);
    if (number != SYS_futex && number != SYS_futex_waitv)
        return false;
    /* futex_waitv() names its words in memory: not to be seen from here. */
    return word == NULL || number == SYS_futex_waitv ||
           test__number(rest, 16, NULL) == (long)(intptr_t)word;
}

bool asleep_in_futex(pid_t tid)
{
    return sleeps_on(tid, NULL);
}

bool asleep_on(pid_t tid, const void *word)
{
    return sleeps_on(tid, word);
}

void poll_pause(void)
{
    (void)nanosleep(&(struct timespec){0, 50000}, NULL);
}

void wait_until_at(pid_t tid, bool (*is)(pid_t tid), int limit_ms,
                   const char *file, int line)
{
    int64_t end = test_now_ns() + (int64_t)limit_ms * 1000000;
    while (!is(tid)) {
        if (thread_ended(tid))
            test_fail_at(file, line, "thread %d has ended instead of sleeping",
                         (int)tid);
        if (test_now_ns() > end)
            test_fail_at(file, line, "thread %d does not sleep after %d ms",
                         (int)tid, limit_ms);
        poll_pause();
    }
}
