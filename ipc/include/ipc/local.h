/* Thread-local values: each thread has its own, as Python's threading.local().
 *
 *     static ipc_local requests;
 *     ipc_local_init(&requests, sizeof(struct request), NULL);
 *
 *     struct request *r = ipc_local_get(&requests);   // in any thread
 *
 * The first ipc_local_get() of a thread makes its value: a block of bytes,
 * zero-filled, and then given to init, if there is one.  When the thread ends
 * (returns, calls pthread_exit() or is cancelled; whoever started it) fini is
 * called with the value, and the block freed.  What fini looks up in other
 * locals is there; what is gone already is made anew, and destroyed soon
 * after.  The main thread's values live until the process ends: fini is not
 * called for them by exit().
 *
 * Unlike with _Thread_local, there may be any number of them, made at run
 * time, and all values of one can be destroyed at once.  A value that somebody
 * else owns: sizeof(void *) bytes.
 *
 * Threads: any.
 * Fork: the child's only thread keeps its own values, as copies.  Those of its
 * parent's other threads are gone: no fini is called for them.
 * Signals: not for signal handlers.
 * Crash: private memory, which dies with its process. */
#ifndef IPC_LOCAL_H
#define IPC_LOCAL_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

/* 64 bytes, in private memory.  The fields are shown for debuggers; use the
 * functions. */
typedef struct ipc_local {
    uint64_t key_;     /* one that no other has; 0: not init'ed */
    uint64_t process_; /* in which busy_ counts */
    size_t bytes_;
    int (*init_)(void *value, void *arg);
    void (*fini_)(void *value, void *arg);
    void *arg_;
    uint32_t busy_; /* threads that are destroying a value */
    uint32_t state_;
    uint64_t reserved_;
} ipc_local;

typedef struct ipc_local_options {
    uint32_t size; /* of this structure: IPC_LOCAL_OPTIONS_INIT */

    /* Called in the thread whose value it is, which is zero-filled.  A result
     * other than 0 is a negative errno: there is no value then, and the next
     * call tries again.  May be NULL. */
    int (*init)(void *value, void *arg);

    /* Called in the thread whose value it is, or in the one that calls
     * ipc_local_fini().  May be NULL. */
    void (*fini)(void *value, void *arg);

    void *arg; /* for both */
} ipc_local_options;

#define IPC_LOCAL_OPTIONS_INIT                                                 \
    {                                                                          \
        sizeof(ipc_local_options), NULL, NULL, NULL                            \
    }

/* Make it ready for use; no thread has a value yet.
 *
 * Errors: -EINVAL bytes is 0; -EAGAIN the program has used up all keys of the
 * system (PTHREAD_KEYS_MAX; the library takes one, for all locals); -E2BIG;
 * -ENOSYS the kernel is too old. */
IPC_API int ipc_local_init(ipc_local *local, size_t bytes,
                           const ipc_local_options *options) IPC_NONNULL(1);

/* Destroy the values of all threads, which must not use them any more, and end
 * the use of the local.  Waits for threads that are just destroying theirs.
 *
 * Errors: -EINVAL it was not init'ed; -EDEADLK called from its own init or
 * fini. */
IPC_API int ipc_local_fini(ipc_local *local) IPC_NONNULL(1);

/* The calling thread's own value, aligned for any type.
 *
 * Returns NULL when there is no memory, when init has failed, when called from
 * its own init, or when it was not init'ed; ipc_error_detail() says which.
 * Owns: the local, until the thread ends. */
IPC_API void *ipc_local_get(ipc_local *local) IPC_NONNULL(1);

/* Has the calling thread a value?  Makes none. */
IPC_API bool ipc_local_is_set(const ipc_local *local) IPC_NONNULL(1);

/* Destroy the calling thread's value now, as at its end; the next
 * ipc_local_get() makes a new one.  Does nothing where there is none.
 *
 * Errors: -EINVAL it was not init'ed; -EDEADLK called from its own init. */
IPC_API int ipc_local_clear(ipc_local *local) IPC_NONNULL(1);

IPC_END_DECLS

#endif
