/* The word of an event: see event.c. */
#ifndef IPC_SYNC_EVENT_H
#define IPC_SYNC_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/event.h>

#define IPC__EVENT_SET      1u
#define IPC__EVENT_SLEEPERS 2u
#define IPC__EVENT_CLEARED  4u /* one more time */
#define IPC__EVENT_COUNT    0x7ffffffcu
#define IPC__EVENT_FOREIGN  0x80000000u

/* Is it set, or was it since its word was first? */
static inline bool ipc__event_was_set(uint32_t now, uint32_t first)
{
    return (now & IPC__EVENT_SET) != 0 ||
           (now & IPC__EVENT_COUNT) != (first & IPC__EVENT_COUNT);
}

#endif
