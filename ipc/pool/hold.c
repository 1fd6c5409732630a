/* Holds: who keeps a pool from ending.  See hold.h. */
#include "pool/hold.h"

#include <errno.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/peers.h"
#include "kernel/futex.h"
#include "pool/death.h"
#include "pool/maker.h"

bool ipc__hold_is_dead(struct ipc_pool *pool, uint64_t hold, bool thorough)
{
    struct ipc__peer peer = {.dead = false};
    ipc__peer_look(pool, hold & IPC__OWNER_MASK, thorough, &peer);
    return peer.dead;
}

/* One that is free; if there is none, one of the dead. */
static uint64_t *claim_hold(struct ipc_pool *pool, uint64_t *holds)
{
    const uint64_t id = ipc__self.id;
    for (uint32_t n = 0; n < 2 * IPC__HOLDS; n++) {
        uint64_t *hold = &holds[((uint32_t)id + n) % IPC__HOLDS];
        const uint64_t seen = load_relaxed(hold);
        const bool is_free = seen == 0 || (n >= IPC__HOLDS &&
                                           ipc__hold_is_dead(pool, seen, true));
        if (is_free && cas64_acquire(hold, seen, id))
            return hold;
    }
    return NULL;
}

static bool is_closed(const struct ipc_pool *pool)
{
    return (load_relaxed(&pool->tail) & IPC__LINE_CLOSED) != 0;
}

uint64_t *ipc__hold_begin(struct ipc_pool *pool, uint64_t *holds)
{
    if (!ipc__self_is_ready(pool) && ipc__self_register(pool) != 0)
        return NULL;
    uint64_t *hold = claim_hold(pool, holds);
    full_barrier(); /* [hold→close] */
    if (hold != NULL && is_closed(pool)) {
        ipc__hold_end(hold);
        return NULL;
    }
    return hold;
}

void ipc__hold_follow(struct ipc_pool *pool, uint64_t *hold)
{
    uint64_t seen = load_relaxed(hold);
    if ((ipc__self_is_known() && (seen & IPC__OWNER_MASK) == ipc__self.id) ||
        (!ipc__self_is_ready(pool) && ipc__self_register(pool) != 0))
        return;
    while (!cas64_relaxed(hold, seen, (seen & ~IPC__OWNER_MASK) | ipc__self.id))
        seen = load_relaxed(hold);
}

/* The word may belong to nobody any more when it is woken: a wake-up too
 * many. */
void ipc__hold_end(uint64_t *hold)
{
    if (hold != NULL && (exchange_release(hold, 0) & IPC__HOLD_WATCHED) != 0)
        ipc__futex_wake((uint32_t *)(void *)hold, 1);
}

int ipc__hold_check(struct ipc_pool *pool, const uint64_t *hold)
{
    if (load_acquire(&pool->broken) != 0)
        return ipc__fail(-ENOTRECOVERABLE, "%s is broken: %s", pool->name,
                         ipc__pool_reason(pool));
    if (load_acquire(&ipc__holds_of(pool)->request) >= IPC__ASK_CANCEL)
        return ipc__fail(
            -ECANCELED, "%s was %s: what is pending is cancelled", pool->name,
            load_relaxed(&pool->interrupts) != 0 ? "interrupted" : "shut down");
    if (hold == NULL || (load_relaxed(hold) & IPC__HOLD_RELEASED) != 0)
        return ipc__fail(-EPIPE, "%s was shut down", pool->name);
    return 0;
}

/* holder: whose; 0: all. */
static void release(uint64_t *holds, uint64_t holder)
{
    for (uint32_t i = 0; i < IPC__HOLDS; i++) {
        uint64_t seen = load_relaxed(&holds[i]);
        while (seen != 0 &&
               (holder == 0 || (seen & IPC__OWNER_MASK) == holder) &&
               !cas64_relaxed(&holds[i], seen, seen | IPC__HOLD_RELEASED))
            seen = load_relaxed(&holds[i]);
    }
}

void ipc__holds_release_own(struct ipc_pool *pool)
{
    if (!ipc__self_is_known())
        return;
    release(ipc__holds_of(pool)->maps, ipc__self.id);
    release(ipc__holds_of(pool)->imaps, ipc__self.id);
}

void ipc__holds_release_imaps(struct ipc_pool *pool)
{
    release(ipc__holds_of(pool)->imaps, 0);
}
