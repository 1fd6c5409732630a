/* What each thread has of its own, and the last steps of a thread. */
#ifndef IPC_THREAD_CONTEXT_H
#define IPC_THREAD_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/local.h"

struct ipc__thread;
struct ipc__values;

/* The values of the threads, for those who destroy them: see local.c. */
struct ipc__values_list {
    uint32_t lock; /* private */
    uint32_t idle; /* futex: those who wait for others' fini sleep on it */
    uint32_t sleepers;
    struct ipc__values *first;
};

struct ipc__context {
    uint64_t process;           /* for which record holds */
    struct ipc__thread *record; /* NULL: none yet */
    struct ipc__values *values; /* a coroutine will have its own here */
    uint32_t rounds;            /* of its end */
};

extern __thread struct ipc__context ipc__context
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* A number that neither the processes that this one was forked from have, nor
 * those that are forked from it.  0: the kernel cannot wipe pages. */
static inline uint64_t ipc__process_number(void)
{
    const uint64_t number = load_relaxed(&ipc__local.process);
    if (likely(number != 0))
        return number;
    return ipc__local_epoch() == 0 ? 0 : load_relaxed(&ipc__local.process);
}

/* The calling thread's record, if it has one already. */
static inline struct ipc__thread *ipc__context_record(void)
{
    struct ipc__thread *record = ipc__context.record;
    return record != NULL && ipc__context.process == ipc__process_number()
               ? record
               : NULL;
}

/* Is the caller the main thread of its process? */
bool ipc__is_main_thread(void);

/* Get what threads need for their end.  0, -EAGAIN when the system has no key
 * left, or -ENOMEM. */
int ipc__context_prepare(void);

/* Have the calling thread's values destroyed and its record closed when it
 * ends.  The same. */
int ipc__context_arm(void);

/* Has the calling thread taken its last steps?  What it begins now would have
 * no end. */
bool ipc__context_is_over(void);

/* Destroy the calling thread's values.  last: also those that are made
 * meanwhile, without fini.  True if none are left. */
bool ipc__values_end(bool last);

#endif
