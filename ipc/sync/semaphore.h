/* What the kinds of semaphores share.
 *
 * Behind an ipc_semaphore lie, as its flags say: for a fair one the turnstile,
 * a fair lock and its line; for a tracked one the holders. */
#ifndef IPC_SYNC_SEMAPHORE_H
#define IPC_SYNC_SEMAPHORE_H

#include <ipc/lock.h>
#include <ipc/semaphore.h>

#include "sync/line.h"
#include "sync/object.h"

/* word_ */
#define SEMAPHORE_SLEEPERS 1u /* somebody may sleep on this value */
#define SEMAPHORE_MANY     2u /* and want more than one, see below */
#define SEMAPHORE_MARKS    3u
#define SEMAPHORE_ONE      4u          /* a permit */
#define SEMAPHORE_LIMIT    0x40000000u /* all words are below it */

struct ipc__turnstile {
    ipc_lock lock;
    struct ipc__line line;
};

/* Who holds permits of a tracked one. */
struct ipc__holder {
    uint64_t owner; /* its identity; 0: nobody */
    uint32_t held;
    uint32_t reserved;
};

static inline uint32_t ipc__semaphore_bound(const ipc_semaphore *semaphore)
{
    const uint32_t bound = semaphore->bound_;
    return bound != 0 ? bound : IPC_SEMAPHORE_MAX;
}

static inline bool ipc__is_tracked(const ipc_semaphore *semaphore)
{
    return (load_relaxed(&semaphore->flags_) & IPC_SEMAPHORE_TRACKED) != 0;
}

static inline struct ipc__turnstile *
ipc__semaphore_turnstile(ipc_semaphore *semaphore)
{
    return (struct ipc__turnstile *)(semaphore + 1);
}

static inline struct ipc__holder *
ipc__semaphore_holders(ipc_semaphore *semaphore)
{
    char *behind = (char *)(semaphore + 1);
    if ((semaphore->flags_ & IPC_SEMAPHORE_FAIR) != 0)
        behind += sizeof(struct ipc__turnstile);
    return (struct ipc__holder *)(void *)behind;
}

/* Could we have made this? */
bool ipc__is_semaphore(const ipc_semaphore *semaphore);

/* Fail with what is the matter with it. */
int ipc__semaphore_fail(ipc_semaphore *semaphore, int error, uint32_t n);

/* With its guard: add n permits to the word and wake those who may go on. */
int ipc__semaphore_add(ipc_semaphore *semaphore, uint32_t n);

/* Tracked ones: n is 1 or more. */
int ipc__tracked_acquire(ipc_semaphore *semaphore, uint32_t n,
                         ipc_deadline deadline);
int ipc__tracked_release(ipc_semaphore *semaphore, uint32_t n);

/* Free permits, once the dead have given back theirs. */
int ipc__tracked_value(ipc_semaphore *semaphore, uint32_t *out);

/* How many permits living threads hold. */
uint32_t ipc__tracked_held(ipc_semaphore *semaphore);

#endif
