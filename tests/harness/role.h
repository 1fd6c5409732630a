/* Roles: plain forked processes that play a part in a case, and how they
 * meet without sleeping.
 *
 *     static void holder(void *arg)
 *     {
 *         struct stage *stage = arg;             // from test_shared()
 *         take(&stage->lock);
 *         meet_signal(&stage->held);
 *         pause();
 *     }
 *
 *     struct role r;
 *     role_start(&r, holder, stage);
 *     meet_wait(&stage->held, 1, 1000);
 *     role_kill(&r);
 *
 * A role ends with code 0 when its function returns.  It is killed when the
 * thread that started it ends, so start roles from a thread that stays.  A
 * failed assertion in a role kills it with SIGABRT: look at its end with
 * role_wait_ok().
 *
 * Limits are generous bounds that mean "it hangs", in milliseconds.  When one
 * is reached, role_wait_...(), meet_wait() and wait_until_...() fail the case
 * at the line of their caller; ..._within() return false. */
#ifndef HARNESS_ROLE_H
#define HARNESS_ROLE_H

#include "harness/harness.h"

#include <sys/types.h>

struct role {
    pid_t pid; /* 0: none, or waited for */
};

void role_start(struct role *role, void (*fn)(void *arg), void *arg);

/* In a role: end it with this exit code. */
_Noreturn void role_exit(int code);

/* Wait for its end; returns the status as of waitpid(2). */
#define role_wait_dead(role, limit_ms)                                         \
    role_wait_dead_at((role), (limit_ms), __FILE__, __LINE__)
int role_wait_dead_at(struct role *role, int limit_ms, const char *file,
                      int line);

/* Wait until it has ended with code 0.  If it has skipped, so does the
 * case. */
#define role_wait_ok(role, limit_ms)                                           \
    role_wait_ok_at((role), (limit_ms), __FILE__, __LINE__)
void role_wait_ok_at(struct role *role, int limit_ms, const char *file,
                     int line);

/* Wait for its end, or the limit.  True: it has ended, *status is set. */
bool role_dead_within(struct role *role, int limit_ms, int *status);

/* SIGKILL it and wait.  Returns the status.  Nothing when it has been waited
 * for. */
int role_kill(struct role *role);

/* SIGSTOP, and wait until it has stopped; SIGCONT. */
void role_stop(struct role *role);
void role_cont(struct role *role);

/* SIGSTOP, at a moment when it does not own the guard, whose first half names
 * its owner: with that in its hands it would hold up everybody. */
void role_stop_outside(struct role *role, const void *guard);

/* Run fn in a fresh process.  Returns its exit code, or ROLE_HUNG when it was
 * killed at the limit, or ROLE_SIGNAL + n when signal n killed it. */
int role_try(void (*fn)(void *arg), void *arg, int limit_ms);

enum {
    ROLE_HUNG = -1,
    ROLE_SIGNAL = 256
};

/* ---- meeting: words in shared memory, see test_shared() ---- */

/* Add 1 and wake all who wait.  Also while being killed: a signal is given or
 * not, never half. */
void meet_signal(uint32_t *word);

/* Wait until *word has reached value. */
#define meet_wait(word, value, limit_ms)                                       \
    meet_wait_at((word), (value), (limit_ms), __FILE__, __LINE__)
void meet_wait_at(uint32_t *word, uint32_t value, int limit_ms,
                  const char *file, int line);
bool meet_within(uint32_t *word, uint32_t value, int limit_ms);

/* ---- watching a thread of any process: pid or tid ---- */

/* Is it asleep in a futex wait?  And, where the kernel tells: on this word,
 * for a thread that sees the word at the same address?  Where the kernel does
 * not tell (another user's process), any sleep counts for both. */
bool asleep_in_futex(pid_t tid);
bool asleep_on(pid_t tid, const void *word);

/* Is it asleep in any system call? */
bool asleep(pid_t tid);

/* Wait until it is.  Fails at once when the thread has ended. */
#define wait_until_sleeping(tid, limit_ms)                                     \
    wait_until_at((tid), asleep_in_futex, (limit_ms), __FILE__, __LINE__)
#define wait_until_blocked(tid, limit_ms)                                      \
    wait_until_at((tid), asleep, (limit_ms), __FILE__, __LINE__)
void wait_until_at(pid_t tid, bool (*is)(pid_t tid), int limit_ms,
                   const char *file, int line);

/* Has it ended (or is it a zombie)? */
bool thread_ended(pid_t tid);

/* The pause between two looks of a loop that must poll. */
void poll_pause(void);

#endif
