/* Sleeping, never for longer than the re-check period. */
#ifndef IPC_CORE_WAITING_H
#define IPC_CORE_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/time.h>

/* How long anybody sleeps before it looks again whether those it waits for
 * are alive: turns every hole that a protocol may have, and whatever the
 * kernel could not tell, into a delay instead of a hang. */
#define IPC__RECHECK_NS ((int64_t)100 * 1000 * 1000)

/* When the next thorough look is due; 0 before the first sleep.  Kept over
 * several sleeps, so that signals and idle wake-ups do not put it off. */
struct ipc__pace {
    ipc_deadline due;
};

/* Sleep while *word == value and, if life is not NULL, *life == life_value;
 * until the deadline at most.  True when a thorough look is due. */
bool ipc__sleep(struct ipc__pace *pace, const uint32_t *word, uint32_t value,
                const uint32_t *life, uint32_t life_value,
                ipc_deadline deadline);

#endif
