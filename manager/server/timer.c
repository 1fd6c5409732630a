/* Timers: a binary heap.
 *
 * Invariant: heap[i]->place == i, heap[i / 2]->at <= heap[i]->at, and there is
 * room for all that were made. */
#include "server/timer.h"

#include <errno.h>
#include <stdlib.h>

#include "fail.h"

#define ROOM_LEAST 64

int ipcm__timer_make(struct ipcm__timers *timers, struct ipcm__timer *timer,
                     void (*fire)(struct ipcm__timer *timer))
{
    if (timers->made + 1 >= timers->room) {
        const size_t room = timers->room != 0 ? timers->room * 2 : ROOM_LEAST;
        struct ipcm__timer **heap =
            realloc(timers->heap, room * sizeof(struct ipcm__timer *));
        if (heap == NULL)
            return ipcm__fail(-ENOMEM, "no memory for %zu timers", room);
        timers->heap = heap;
        timers->room = room;
    }
    timers->made++;
    *timer = (struct ipcm__timer){IPC_TIME_FOREVER, 0, fire};
    return 0;
}

void ipcm__timer_end(struct ipcm__timers *timers, struct ipcm__timer *timer)
{
    if (timer->fire == NULL)
        return;
    ipcm__timer_clear(timers, timer);
    timer->fire = NULL;
    timers->made--;
}

static void put(struct ipcm__timers *timers, size_t place,
                struct ipcm__timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

/* Find the place of a timer, from a place that is free. */
static void sift(struct ipcm__timers *timers, size_t place,
                 struct ipcm__timer *timer)
{
    while (place > 1 && timers->heap[place / 2]->at > timer->at) {
        put(timers, place, timers->heap[place / 2]);
        place /= 2;
    }
    for (size_t below = place * 2; below <= timers->count; below = place * 2) {
        if (below < timers->count &&
            timers->heap[below + 1]->at < timers->heap[below]->at)
            below++;
        if (timers->heap[below]->at >= timer->at)
            break;
        put(timers, place, timers->heap[below]);
        place = below;
    }
    put(timers, place, timer);
}

void ipcm__timer_clear(struct ipcm__timers *timers, struct ipcm__timer *timer)
{
    const size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct ipcm__timer *last = timers->heap[timers->count--];
    if (last != timer)
        sift(timers, place, last);
}

void ipcm__timer_set(struct ipcm__timers *timers, struct ipcm__timer *timer,
                     ipc_deadline at)
{
    if (at == IPC_TIME_FOREVER) {
        ipcm__timer_clear(timers, timer);
        return;
    }
    timer->at = at;
    sift(timers, timer->place != 0 ? timer->place : ++timers->count, timer);
}

ipc_deadline ipcm__timers_next(const struct ipcm__timers *timers)
{
    return timers->count != 0 ? timers->heap[1]->at : IPC_TIME_FOREVER;
}

void ipcm__timers_run(struct ipcm__timers *timers, ipc_deadline now)
{
    size_t most = timers->count;
    while (most-- > 0 && timers->count != 0 && timers->heap[1]->at <= now) {
        struct ipcm__timer *timer = timers->heap[1];
        ipcm__timer_clear(timers, timer);
        timer->fire(timer);
    }
}

void ipcm__timers_free(struct ipcm__timers *timers)
{
    free(timers->heap);
    *timers = (struct ipcm__timers){NULL, 0, 0, 0};
}
