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

/* A word to sleep on, and the value that it must have. */
struct ipc__futex {
    const uint32_t *word;
    uint32_t expected;
};

/* As many words as the kernel takes at once. */
#define IPC__FUTEX_MANY 128

/* The same on several words at once: sleeps while all have the expected
 * values.  Where the kernel has no FUTEX_WAITV (before 5.16, or forbidden by a
 * seccomp filter) it sleeps on the first word alone: the caller's re-check
 * covers the others. */
int ipc__futex_wait_many(const struct ipc__futex *words, uint32_t count,
                         ipc_deadline deadline);

/* How many sleep on the word, which has this value.  Nobody is woken.  -EAGAIN:
 * it has another one. */
int ipc__futex_sleepers(uint32_t *word, uint32_t value);

/* Wake up to count sleepers of the word. */
void ipc__futex_wake(const uint32_t *word, int count);

/* Change *word, which is not 0, and wake up to count of its sleepers, as one
 * step that SIGKILL cannot split.  operand is -2048..2047.  Returns how many
 * were woken, or a negative errno, with nothing done then. */
enum ipc__futex_change {
    IPC__FUTEX_SET = 0,    /* to operand, sign-extended */
    IPC__FUTEX_ADD = 1,    /* operand to it */
    IPC__FUTEX_OR = 2,     /* operand into it */
    IPC__FUTEX_SET_BIT = 8 /* to 1 << operand */
};
int ipc__futex_change_and_wake(uint32_t *word, enum ipc__futex_change change,
                               int operand, int count);

/* Store 0 in *word and wake one of its sleepers if bit 31 was set, and up to
 * count of those of *other, as one step.  Returns 0 or a negative errno, with
 * nothing done then. */
int ipc__futex_free_and_wake(uint32_t *word, const uint32_t *other, int count);

/* Store value in *word and wake up to count of its sleepers.  Returns 0 or a
 * negative errno. */
static inline int ipc__futex_set_and_wake(uint32_t *word, int value, int count)
{
    const int rc =
        ipc__futex_change_and_wake(word, IPC__FUTEX_SET, value, count);
    return rc < 0 ? rc : 0;
}

#endif
