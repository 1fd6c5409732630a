/* Bridge: a thread that looks after objects in memory for those who can sleep
 * on descriptors only, and makes a descriptor readable when one is ready. */
#ifndef IPC_WAIT_BRIDGE_H
#define IPC_WAIT_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/wait.h>

enum {
    IPC__BRIDGE_ARMED, /* it is looked after */
    IPC__BRIDGE_SAID   /* one of its items was ready */
};

/* What it looks after.  Zeroed but for items, count and fd, which are the
 * caller's; none of the items is a descriptor. */
struct ipc__bridged {
    struct ipc__bridged *next, **link;
    ipc_wait_item *items;
    size_t count;
    int fd;         /* an eventfd, nonblocking */
    uint32_t state; /* see bridge.c */
    bool is_object; /* it is a descriptor of ipc_..._fd() */
    bool is_told;   /* by the kernel; there is nothing to look at */
};

/* A new eventfd, or -EMFILE, -ENFILE, -ENOMEM. */
int ipc__bridge_eventfd(void);

/* Have it looked after from now on, until one of its items is ready: then fd
 * becomes readable, and no more is done.  0; -ENOMEM, -ENOSYS. */
int ipc__bridge_add(struct ipc__bridged *bridged);

/* Was that so?  Then make fd unreadable, and begin again. */
void ipc__bridge_again(struct ipc__bridged *bridged);

/* When it returns, nothing of it is touched any more, and no wake-up is lost
 * that came for it. */
void ipc__bridge_remove(struct ipc__bridged *bridged);

/* ---- those of objects ---- */

/* Before anything is added with the lock: 0, -ENOMEM, -ENOSYS. */
int ipc__bridge_prepare(void);

/* With this lock, of all that is added and removed: the next that is so;
 * behind NULL, the first. */
void ipc__bridge_lock(void);
void ipc__bridge_unlock(void);
bool ipc__bridge_is_locked(void); /* by the calling thread */
struct ipc__bridged *ipc__bridge_find(struct ipc__bridged *behind,
                                      bool (*is)(const struct ipc__bridged *b,
                                                 const void *arg),
                                      const void *arg);

/* The same as without, with the lock; which removing gives up. */
int ipc__bridge_add_locked(struct ipc__bridged *bridged);
void ipc__bridge_again_locked(struct ipc__bridged *bridged);
void ipc__bridge_say(struct ipc__bridged *bridged); /* one is ready */
void ipc__bridge_remove_unlocking(struct ipc__bridged *bridged);

#endif
