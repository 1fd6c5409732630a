#include "kernel/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <time.h>

#include "base/atomic.h"
#include "kernel/syscall.h"

/* The store that the kernel makes for us is a release: ThreadSanitizer sees
 * only the system call. */
#if defined(__SANITIZE_THREAD__)
#    include <sanitizer/tsan_interface.h>
#else
/* NOLINTNEXTLINE(readability-identifier-naming): the sanitizer's name */
#    define __tsan_release(address) ((void)(address))
#endif

#ifndef SYS_futex_waitv
#    define SYS_futex_waitv 449
#endif

/* The kernel's struct futex_waitv, which old headers lack. */
struct waitv {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};

#define WAITV_SIZE_U32 2u /* FUTEX_32, shared */

static struct timespec *to_timespec(ipc_deadline deadline,
                                    struct timespec *storage)
{
    if (deadline == IPC_TIME_FOREVER)
        return NULL;
    if (deadline < 0)
        deadline = 0;
    storage->tv_sec = deadline / 1000000000;
    storage->tv_nsec = deadline % 1000000000;
    return storage;
}

int ipc__futex_wait(const uint32_t *word, uint32_t expected,
                    ipc_deadline deadline)
{
    struct timespec storage;
    const long rc = ipc__syscall6(
        SYS_futex, (long)word, FUTEX_WAIT_BITSET, (long)expected,
        (long)to_timespec(deadline, &storage), 0, (long)FUTEX_BITSET_MATCH_ANY);
    return rc == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

int ipc__futex_wait_many(const struct ipc__futex *words, uint32_t count,
                         ipc_deadline deadline)
{
    static uint32_t unavailable;

    if (count > 1 && !load_relaxed(&unavailable)) {
        struct waitv items[IPC__FUTEX_MANY];
        struct timespec storage;
        if (count > IPC__FUTEX_MANY)
            count = IPC__FUTEX_MANY;
        for (uint32_t i = 0; i < count; i++)
            items[i] = (struct waitv){words[i].expected,
                                      (uint64_t)(uintptr_t)words[i].word,
                                      WAITV_SIZE_U32, 0};
        const long rc =
            ipc__syscall5(SYS_futex_waitv, items, count, 0,
                          to_timespec(deadline, &storage), CLOCK_MONOTONIC);
        if (rc != -ENOSYS && rc != -EPERM)
            return rc == -ETIMEDOUT ? -ETIMEDOUT : 0;
        store_relaxed(&unavailable, 1);
    }
    return ipc__futex_wait(words[0].word, words[0].expected, deadline);
}

void ipc__futex_wake(const uint32_t *word, int count)
{
    (void)ipc__syscall3(SYS_futex, word, FUTEX_WAKE, count);
}

int ipc__futex_sleepers(uint32_t *word, uint32_t value)
{
    /* Move all of them from the word to itself: the kernel says how many. */
    return (int)ipc__syscall6(SYS_futex, (long)word, FUTEX_CMP_REQUEUE, 0,
                              INT_MAX, (long)word, (long)value);
}

/* FUTEX_WAKE_OP: change a word, wake sleepers of another one, and then those
 * of the changed one too if its old value passes a comparison with 0. */
static unsigned encode(unsigned change, int operand, unsigned comparison)
{
    return (change << 28) | (comparison << 24) |
           (((unsigned)operand & 0xfffu) << 12);
}

int ipc__futex_change_and_wake(uint32_t *word, enum ipc__futex_change change,
                               int operand, int count)
{
    __tsan_release(word);
    /* "Equal 0" it never is. */
    return (int)ipc__syscall6(SYS_futex, (long)word, FUTEX_WAKE_OP, count, 0,
                              (long)word,
                              (long)encode(change, operand, FUTEX_OP_CMP_EQ));
}

int ipc__futex_free_and_wake(uint32_t *word, const uint32_t *other, int count)
{
    __tsan_release(word);
    const long rc = ipc__syscall6(
        SYS_futex, (long)other, FUTEX_WAKE_OP, count, 1, (long)word,
        (long)encode(FUTEX_OP_SET, 0, FUTEX_OP_CMP_LT));
    return rc < 0 ? (int)rc : 0;
}
