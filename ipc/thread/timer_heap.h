/* A heap of timers: the one whose moment comes first is on top.
 *
 * A pairing heap, which lives in the timers themselves: to insert one costs
 * O(1), to remove any of them O(log n) on average over many.  The links of a
 * timer that is in no heap mean nothing. */
#ifndef IPC_THREAD_TIMER_HEAP_H
#define IPC_THREAD_TIMER_HEAP_H

#include <ipc/timer.h>

/* *top is NULL for an empty heap. */
void ipc__timer_heap_insert(ipc_timer **top, ipc_timer *timer);

/* timer is in it. */
void ipc__timer_heap_remove(ipc_timer **top, ipc_timer *timer);

#endif
