/* Futexes on memory that processes share: sleep on a word, wake who sleeps.
 *
 * Deadlines are absolute, on the monotonic clock.  Every wait may return for
 * no reason; callers look at their words again. */
#ifndef IPC_KERNEL_FUTEX_H
#define IPC_KERNEL_FUTEX_H

#include <stdint.h>

#include <ipc/time.h>

/* Bits of a word whose owner the kernel looks after (robust futexes). */
#define FUTEX_BIT_WAITERS    0x80000000u
#define FUTEX_BIT_OWNER_DIED 0x40000000u
#define FUTEX_BITS_TID       0x3fffffffu

/* Sleep while *word == expected.  Returns 0 (woken, or the value differs, or
 * a signal came) or -ETIMEDOUT. */
int ipc__futex_wait(const uint32_t *word, uint32_t expected,
                    ipc_deadline deadline);

/* The same on two words at once: sleeps while both have the expected values.
 * Where the kernel has no FUTEX_WAITV (before 5.16, or forbidden by a seccomp
 * filter) it sleeps on the first word alone: the caller's re-check covers the
 * second. */
int ipc__futex_wait_two(const uint32_t *word, uint32_t expected,
                        const uint32_t *other, uint32_t other_expected,
                        ipc_deadline deadline);

/* Wake up to count sleepers of the word. */
void ipc__futex_wake(const uint32_t *word, int count);

/* Store value in *word and wake up to count of its sleepers, as one step that
 * SIGKILL cannot split.  value is -2048..2047 and sign-extended; the word is
 * not 0 before.  Returns 0 or a negative errno, with nothing done then. */
int ipc__futex_set_and_wake(uint32_t *word, int value, int count);

#endif
