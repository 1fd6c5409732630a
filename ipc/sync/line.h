/* Line: those who wait, in the order in which they came.
 *
 * It lies in shared memory: at the beginning of a condition, and behind a fair
 * lock.  Who waits has a place, and sleeps on the state of that place; he is
 * called by name, so nobody else wakes up.  All-zero is an empty line. */
#ifndef IPC_SYNC_LINE_H
#define IPC_SYNC_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/guard.h"
#include "core/waiting.h"

#define IPC__LINE_PLACES 61

enum ipc__place_state {
    IPC__PLACE_FREE = 0,
    IPC__PLACE_AWAKE = 1,  /* waits, and looks at its state */
    IPC__PLACE_ASLEEP = 2, /* waits, and sleeps on its state */
    IPC__PLACE_CALLED = 3  /* or any value with IPC__CALLED_LATER in it */
};

struct ipc__place {
    uint64_t owner;  /* identity; written by its owner under the guard */
    uint32_t ticket; /* when it came; the same */
    uint32_t state;  /* see line.c; a futex word */
};

struct ipc__line {
    struct ipc__guard guard;
    uint32_t tickets;  /* given out; under the guard */
    uint32_t used;     /* places that were ever taken; under the guard */
    int64_t lock;      /* its distance, of a condition; under the guard */
    uint64_t reserved; /* 0 */
    struct ipc__place places[IPC__LINE_PLACES];
};

/* As ipc__guard_lock(): 0, or a negative errno and it is not held. */
int ipc__line_lock(struct ipc__line *line);
void ipc__line_unlock(struct ipc__line *line);

/* Is nobody in it?  Without the guard: as of this moment. */
bool ipc__line_is_empty(struct ipc__line *line);

/* ---- with the guard ---- */

/* Take a place at the end.  NULL: all are taken, some by the dead perhaps. */
struct ipc__place *ipc__line_enter(struct ipc__line *line);

/* The one who has waited longest; NULL.  The dead are passed over, and their
 * places freed; but unless it has to be sure, a single one is not looked at:
 * nobody else would be called in its place. */
struct ipc__place *ipc__line_first(struct ipc__line *line, bool sure);

/* The one who came just before, called or not; NULL: nobody. */
struct ipc__place *ipc__line_before(struct ipc__line *line,
                                    const struct ipc__place *place);

/* Call one who waits; all of them. */
void ipc__line_call(struct ipc__place *place);
void ipc__line_call_all(struct ipc__line *line);

/* Call one who waits, and unlock the line, as one step. */
void ipc__line_call_and_unlock(struct ipc__line *line,
                               struct ipc__place *place);

/* Call the n who have waited longest, and unlock the line.  If the caller holds
 * the lock that they will want, the last of them sleeps on until it has let go
 * of that. */
void ipc__line_notify_and_unlock(struct ipc__line *line, uint32_t n);

/* Those who died after they were called: call others instead. */
void ipc__line_pass_on(struct ipc__line *line);

/* Free the places of all the dead, also of those who were called. */
void ipc__line_bury(struct ipc__line *line);

/* The owner was called, and it was for nothing: it waits again. */
void ipc__line_uncall(struct ipc__place *place);

/* Give the place back.  Was it called? */
bool ipc__line_leave(struct ipc__place *place);

/* How many wait and live. */
uint32_t ipc__line_count(struct ipc__line *line);

/* ---- without the guard, by the owner of the place ---- */

static inline bool ipc__line_is_called(const struct ipc__place *place)
{
    return load_acquire(&place->state) >= IPC__PLACE_CALLED; /* [call→wait] */
}

/* Is it still the caller's?  If not, somebody has written over it. */
bool ipc__line_is_mine(const struct ipc__place *place);

/* Sleep until it is called, the deadline passes, or *life changes (NULL: no
 * such); at once on a first call, as it spins.  May return for no reason.
 * True: time for a thorough look. */
bool ipc__line_wait(struct ipc__place *place, struct ipc__pace *pace,
                    const uint32_t *life, uint32_t life_if_alive,
                    ipc_deadline deadline);

#endif
