/* Once: do something exactly once, whoever comes first; as pthread_once() and
 * C11's call_once(), for threads and processes alike.
 *
 *     static int fill_table(void *arg) { ... return 0; }
 *
 *     rc = ipc_once_run(&shared->once, fill_table, shared);
 *
 * When the call returns 0 or more the function has been run to its end, by
 * somebody, and what it wrote is seen.  If it returns a negative errno it has
 * not been done: the next who comes runs it.  If who runs it dies, the next
 * one runs it, from the beginning, and gets IPC_OWNER_DIED: what the dead one
 * had begun is still there, so the function has to cope with that.
 *
 * Zero-filled memory is a valid once.  Done, it costs one load.
 *
 * Threads: any.  Processes: any that see the memory, of one pid namespace.
 * Crash: robust. */
#ifndef IPC_ONCE_H
#define IPC_ONCE_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* 64 bytes. */
typedef struct ipc_once {
    uint64_t word_; /* who is doing it, as of ipc_lock */
    int64_t since_ns_;
    char label_[24]; /* empty */
    uint32_t done_;
    uint32_t reserved_[5];
} __attribute__((aligned(8))) ipc_once;

/* Run fn(arg) unless it was run; wait for whoever is running it as long as it
 * takes, not at all, or until a deadline.
 *
 * Returns 0: it is done; IPC_OWNER_DIED: this call has done it, and one who
 * tried before died.
 * Errors: what fn returned; -EAGAIN (_nowait) and -ETIMEDOUT (_until) somebody
 * is doing it; -EDEADLK called from within fn; -EUCLEAN; -EXDEV; -ENOMEM. */
IPC_API IPC_MUST_USE int ipc_once_run(ipc_once *once, int (*fn)(void *arg),
                                      void *arg) IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_once_run_nowait(ipc_once *once,
                                             int (*fn)(void *arg), void *arg)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_once_run_until(ipc_once *once,
                                            int (*fn)(void *arg), void *arg,
                                            ipc_deadline deadline)
    IPC_NONNULL(1, 2);

IPC_API bool ipc_once_is_done(const ipc_once *once) IPC_NONNULL(1);

/* Forget that it was done, so that the next call does it again.  Errors:
 * -EBUSY somebody is doing it. */
IPC_API int ipc_once_reset(ipc_once *once) IPC_NONNULL(1);

IPC_END_DECLS

#endif
