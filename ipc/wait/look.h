/* A look at what ipc_wait() waits for: is it ready, and if not, which words
 * change when it is? */
#ifndef IPC_WAIT_LOOK_H
#define IPC_WAIT_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/wait.h>

#include "core/waiting.h"

struct ipc__look {
    bool marks;     /* those who make it ready are to wake us; collect words */
    bool thorough;  /* ask /proc too about the owners of things */
    bool on_behalf; /* of another thread of this process */
    bool is_first;  /* the first look of ipc_wait() */
    ipc_deadline deadline; /* of that; 0: nobody waits */
    ipc_deadline until;    /* something may be ready by itself then */
    ipc_wait_item *item;   /* looked at just now */

    /* To sleep on.  Words whose wake-ups may be meant for others come first,
   * each with an item that it belongs to; then the lives of owners. */
    uint32_t count;
    uint32_t lives_at;
    uint32_t lives;
    struct ipc__futex words[IPC__FUTEX_MANY];
    ipc_wait_item *owners[IPC__FUTEX_MANY];
    struct ipc__futex life[IPC__FUTEX_MANY];
};

/* Begin a look at any number of items; with marks, to sleep afterwards. */
void ipc__look_begin(struct ipc__look *look, bool marks);

/* What a look finds to sleep on.  More words than fit are left to the
 * re-check. */
void ipc__look_add(struct ipc__look *look, const uint32_t *word,
                   uint32_t value);
void ipc__look_add_life(struct ipc__look *look, const uint32_t *life,
                        uint32_t value);

/* Of an item that is no descriptor (see below).  1: it is ready; 0: it is not;
 * negative: it cannot be waited for. */
int ipc__look_at(struct ipc__look *look, ipc_wait_item *item);

/* Sleep until a word changes, or the deadline.  Then ask whether to look
 * thoroughly. */
void ipc__look_sleep(struct ipc__look *look, struct ipc__pace *pace,
                     ipc_deadline deadline);

/* After a sleep: what woke us may have been meant for others who wait for the
 * same.  Of items whose words have changed; and then, once each was looked at
 * again, of those that are ready.  leaves: it is not waited for any more. */
void ipc__look_pass_on_changed(const struct ipc__look *look);
void ipc__look_pass_on_found(ipc_wait_item *item, bool ready, bool leaves);

/* Is it one to poll?  And which, and what for; or a negative errno. */
bool ipc__look_is_fd(const ipc_wait_item *item);
int ipc__look_fd(const ipc_wait_item *item, int *fd, short *events);

/* ---- what the objects' own sources answer ---- */

/* As ipc__look_at().  room: for a message of item->bytes, else a message. */
int ipc__queue_look(ipc_queue *queue, struct ipc__look *look);
int ipc__tracked_look(ipc_semaphore *semaphore, struct ipc__look *look);
int ipc__thread_look(const ipc_thread *thread, struct ipc__look *look);
int ipc__timer_look(const ipc_timer *timer, struct ipc__look *look);
int ipc__future_look_for(ipc_future *future, struct ipc__look *look);

/* The queue's own descriptor, if it is of a kind that has one; or -1. */
int ipc__queue_descriptor(const ipc_queue *queue);

#endif
