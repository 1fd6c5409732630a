/* Locks: one that a holder of a session has, for kind_lock.c and
 * kind_condition.c, whose lock may be its own or another object's. */
#ifndef IPC_MANAGER_LOCK_H
#define IPC_MANAGER_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "server/server.h"

struct ipcm__lock_hold;

struct ipcm__lock {
    struct ipcm__object *object; /* whose it is: a lock, or a condition */
    bool recursive;
    bool died; /* the last owner's session ended while it held it */
    uint32_t levels;
    int64_t holder;
    uint64_t token;               /* of the last owner */
    struct ipcm__lock_hold *hold; /* NULL: it is free */
    struct list line;             /* who waits: ipcm__lock_place */
};

/* A place in the line, from malloc().  The call knows its place by scratch[0]. */
struct ipcm__lock_place {
    struct list of_line;
    struct ipcm__object *object; /* to be rung when it is his turn */
};

int ipcm__lock_new(struct ipcm__object *object, bool recursive,
                   struct ipcm__lock **out);
void ipcm__lock_free(struct ipcm__lock *lock);

/* The operations of locks. */
int ipcm__lock_call(struct ipcm__lock *lock, struct ipcm__call *call);

/* For this call, so many levels: 0, or 1 IPC_OWNER_DIED, with *token; or
 * IPCM__WAITS, the call being in the line then; or -EDEADLK, -EOVERFLOW,
 * -ENOMEM, and what ipcm__would_wait() says. */
int ipcm__lock_take(struct ipcm__lock *lock, struct ipcm__call *call,
                    int64_t holder, uint32_t levels, int64_t ns,
                    uint64_t *token);

/* It waits no more.  NULL is fine. */
void ipcm__lock_leave_line(struct ipcm__lock *lock,
                           struct ipcm__lock_place *place);

/* A call that waited for it is over.  Fine for one that has no place. */
void ipcm__lock_withdraw(struct ipcm__lock *lock, struct ipcm__call *call);

/* The owner's; NULL: it is free. */
struct ipcm__hold *ipcm__lock_hold_of(const struct ipcm__lock *lock);

bool ipcm__lock_is_of(const struct ipcm__lock *lock,
                      const struct ipcm__session *session, int64_t holder);

/* It is the holder's: give up all levels, and tell how many. */
uint32_t ipcm__lock_give(struct ipcm__lock *lock);

/* The session of its owner has ended. */
void ipcm__lock_lost(struct ipcm__hold *hold);

int ipcm__lock_describe(const struct ipcm__lock *lock, char *out, size_t size);

#endif
