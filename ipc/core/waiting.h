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

/* Sleep while *word == value and, if life is not NULL, *life == life_value;
 * until the deadline at most.  True when the period or the deadline passed
 * with no news: look thoroughly then. */
bool ipc__sleep(const uint32_t *word, uint32_t value, const uint32_t *life,
                uint32_t life_value, ipc_deadline deadline);

#endif
