/* Timers: what is to happen at some time, in a heap by that time.
 *
 * A timer lies in what it is for.  Its place in the heap is paid for when it is
 * made, so that setting it cannot fail. */
#ifndef IPC_MANAGER_TIMER_H
#define IPC_MANAGER_TIMER_H

#include <stddef.h>

#include <ipc/time.h>

struct ipcm__timer {
    ipc_deadline at;
    size_t place; /* in the heap, from 1; 0: it is not set */
    void (*fire)(struct ipcm__timer *timer);
};

/* Zero-filled is empty. */
struct ipcm__timers {
    struct ipcm__timer **heap; /* [1 .. count] */
    size_t count;
    size_t room;
    size_t made;
};

int ipcm__timer_make(struct ipcm__timers *timers, struct ipcm__timer *timer,
                     void (*fire)(struct ipcm__timer *timer));

/* The opposite; one that was never made (zero-filled) is fine. */
void ipcm__timer_end(struct ipcm__timers *timers, struct ipcm__timer *timer);

/* IPC_TIME_FOREVER: never.  Set already: the new time counts. */
void ipcm__timer_set(struct ipcm__timers *timers, struct ipcm__timer *timer,
                     ipc_deadline at);
void ipcm__timer_clear(struct ipcm__timers *timers, struct ipcm__timer *timer);

/* The next time something is due; IPC_TIME_FOREVER: never. */
ipc_deadline ipcm__timers_next(const struct ipcm__timers *timers);

/* Fire those whose time has come: each once, also if it sets itself again. */
void ipcm__timers_run(struct ipcm__timers *timers, ipc_deadline now);

void ipcm__timers_free(struct ipcm__timers *timers);

#endif
