/* Visits: one at a time, whole or not at all; and transactions, which are
 * several in one.
 *
 * State
 *   lock            the arena's; everything else is under it
 *   saved           see journal.c: to store 0 in it is the commit
 *   in_transaction  its holder is a user, between two visits or in one
 *   parked          what is to be freed, one behind the other: linked by the
 *                   first word of each block
 *   ring, bell      something watched was changed; and what its watchers sleep
 *                   on
 *   owner, owner_place   whose it is, if it is somebody's.  Written once, by
 *                   him; read by all who have the lock: his slot's life word
 *                   is what the kernel changes when he ends
 *
 * Invariants
 *   1  nobody holds the lock: saved is 0, in_transaction is 0;
 *   2  what is parked is in use for the heap, and for nobody else.
 *
 * Order
 *   By the lock.  What is parked is freed after the commit, in steps that are
 *   visits of their own: so a block that an undo may have to bring back is never
 *   given to anybody else, and nothing is lost wherever it stops.
 *   The bell is rung with the step that unlocks.
 *
 * Death
 *   Who takes the lock then undoes what was not committed and rings, for the
 *   dead may not have come to that.  What is parked stays parked for the next
 *   one who leaves.  Of the owner: all who enter later, or commit, get -ESTALE;
 *   nothing is undone or drained any more. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/error.h"
#include "core/owner.h"
#include "object/object.h"
#include "object/parts.h"
#include "sync/lock.h"

#define DRAIN_STEPS 64 /* with the lock held all the time */

/* ---- errors ---- */

int ipc__visit_fail(struct ipc__visit *v, int error, const char *format, ...)
{
    char line[160];
    va_list args;
    if (v->rc < 0)
        return v->rc;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    v->rc = ipc__fail(error, "%s", line);
    return v->rc;
}

static int fail_spoilt(const ipc_arena *arena)
{
    char name[IPC__NAME_BYTES];
    return ipc__fail(
        -EUCLEAN, "the memory of %s was spoilt",
        ipc__object_name("arena", arena->lock.label_, arena, name));
}

/* Of an owner who has ended: nobody needs what is in it any more. */
static bool is_over(const ipc_arena *arena)
{
    const uint32_t place = load_relaxed(&arena->owner_place);
    return unlikely(place != 0) &&
           unlikely(!ipc__peer_is_at(ipc__arena_region(arena), place,
                                     load_relaxed(&arena->owner)));
}

static SLOW_PATH int fail_over(const ipc_arena *arena)
{
    char name[IPC__NAME_BYTES];
    return ipc__fail(
        -ESTALE, "%s is no more: its owner has ended",
        ipc__object_name("arena", arena->lock.label_, arena, name));
}

int ipc__visit_spoilt(struct ipc__visit *v, const char *what)
{
    char name[IPC__NAME_BYTES];
    store_relaxed(&v->arena->spoilt, 1);
    return ipc__visit_fail(
        v, -EUCLEAN, "the memory of %s was spoilt: %s",
        ipc__object_name("arena", v->arena->lock.label_, v->arena, name), what);
}

SLOW_PATH void *ipc__at_fails(struct ipc__visit *v, uint64_t offset)
{
    char text[48];
    (void)snprintf(text, sizeof text, "offset 0x%llx",
                   (unsigned long long)offset);
    (void)ipc__visit_spoilt(v, text);
    return NULL;
}

/* ---- unlocking ---- */

static void unlock(ipc_arena *arena)
{
    if (unlikely(load_relaxed(&arena->ring) != 0)) {
        store_relaxed(&arena->ring, 0);
        store_release(&arena->bell, arena->bell + 1);
        ipc__owner_release_waking_also(&arena->lock.word_, &arena->bell,
                                       INT_MAX);
        return;
    }
    if (likely(cas64_release(&arena->lock.word_, ipc__self.id, 0)))
        return; /* [release→acquire] */
    (void)ipc_lock_release(&arena->lock);
}

/* ---- entering ---- */

/* Does what the arena says of itself lie inside?  Memory ends at the region's
 * end, whatever it says. */
static bool makes_sense(const struct ipc__visit *v, const ipc_arena *arena)
{
    const uint64_t heap = arena->heap;
    const uint64_t end = arena->heap_end;
    return heap > IPC__JOURNAL_AT && heap % 16 == IPC__ARENA_HEADER &&
           heap <= end && end <= v->limit && v->end >= heap &&
           v->end % 16 == IPC__ARENA_HEADER && v->end <= arena->heap_present &&
           arena->heap_present <= end && v->room <= ipc__journal_max(arena) &&
           v->savepoint <= v->room;
}

int ipc__visit_begin(struct ipc__visit *v, ipc_arena *arena)
{
    v->arena = arena;
    v->journal = (uint64_t *)(void *)((char *)arena + IPC__JOURNAL_AT);
    v->end = arena->top;
    v->limit = ipc__self.lo + ipc__self.span - (uintptr_t)arena;
    v->savepoint = arena->saved;
    v->room = arena->journal_present;
    v->rc = 0;
    if (unlikely(!makes_sense(v, arena))) {
        v->room = 0; /* nothing is read from the journal */
        return ipc__visit_spoilt(v, "its header");
    }
    if (unlikely(load_relaxed(&arena->spoilt) != 0))
        v->rc = fail_spoilt(arena);
    else if (is_over(arena))
        v->rc = fail_over(arena);
    return v->rc;
}

int ipc__arena_recover(ipc_arena *arena)
{
    struct ipc__visit v = {.outer = true};
    if (ipc__visit_begin(&v, arena) == 0 && ipc__journal_undo(&v, 0) != 0)
        (void)ipc__visit_spoilt(&v, "its journal");
    store_relaxed(&arena->saved, 0);
    store_relaxed(&arena->in_transaction, 0);
    store_relaxed(&arena->recoveries, arena->recoveries + 1);
    store_relaxed(&arena->ring, 1);
    return ipc_lock_consistent(&arena->lock);
}

/* The lock, from whoever has it. */
static int lock(ipc_arena *arena, ipc_deadline deadline)
{
    const int rc = ipc__lock_acquire_form(&arena->lock, deadline);
    if (rc != IPC_OWNER_DIED)
        return rc;
    const int recovered = ipc__arena_recover(arena);
    if (recovered < 0)
        (void)ipc_lock_release(&arena->lock);
    return recovered;
}

/* The beginning of a visit of one who has the lock, or has not any more. */
static int begin(struct ipc__visit *v, ipc_arena *arena)
{
    int rc = ipc__visit_begin(v, arena);
    if (unlikely(v->room - v->savepoint < IPC__SAVED_MAX) && rc == 0)
        rc = ipc__journal_room(v, 0, 0);
    if (unlikely(rc != 0) && v->outer)
        unlock(arena);
    return rc;
}

static int enter_again(struct ipc__visit *v, ipc_arena *arena)
{
    v->outer = false;
    if (arena->in_transaction == 0)
        return ipc__fail(-EDEADLK, "the calling thread is in the arena: this "
                                   "is a signal handler");
    return begin(v, arena);
}

SLOW_PATH int ipc__arena_enter_slow(struct ipc__visit *v, ipc_arena *arena)
{
    int rc = ipc__self_is_ready(arena) ? 0 : ipc__self_register(arena);
    if (rc != 0)
        return rc;
    if (ipc_lock_is_mine(&arena->lock))
        return enter_again(v, arena);
    rc = lock(arena, IPC_TIME_FOREVER);
    if (rc != 0)
        return rc;
    v->outer = true;
    return begin(v, arena);
}

int ipc__arena_enter(struct ipc__visit *v, ipc_arena *arena)
{
    if (unlikely(!ipc__self_is_ready(arena)) ||
        unlikely(!ipc__owner_try(&arena->lock.word_, ipc__self.id)))
        return ipc__arena_enter_slow(v, arena);
    store_relaxed(&arena->lock.since_ns_, 0);
    v->outer = true;
    return begin(v, arena);
}

/* ---- draining ---- */

/* One thing that is parked, or a part of it. */
static void drain_one(struct ipc__visit *v)
{
    const uint64_t link = v->arena->parked;
    const uint64_t offset = link & ~(uint64_t)7;
    bool done;
    switch ((enum ipc__parked)(link & 7)) {
    case IPC__PARKED_BLOCK:
        done = true;
        break;
    case IPC__PARKED_LIST:
        done = ipc__list_drain(v, offset);
        break;
    case IPC__PARKED_TABLE:
        done = ipc__table_drain(v, offset);
        break;
    default:
        (void)ipc__visit_spoilt(v, "what is parked");
        return;
    }
    /* What it held may have been parked before it. */
    const uint64_t *next = done ? ipc__at(v, offset, sizeof *next) : NULL;
    if (next == NULL || v->rc < 0 || v->arena->parked != link)
        return;
    ipc__put64(v, &v->arena->parked, *next);
    ipc__free_now(v, offset);
}

/* False: it cannot go on. */
static bool drain_step(ipc_arena *arena)
{
    struct ipc__visit v = {.outer = true};
    if (ipc__visit_begin(&v, arena) != 0)
        return false;
    drain_one(&v);
    if (v.rc < 0) {
        if (ipc__journal_undo(&v, 0) != 0)
            store_relaxed(&arena->spoilt, 1);
        return false;
    }
    store_release(&arena->saved, 0);
    return true;
}

/* With the lock.  True: there is more. */
static bool drain_some(ipc_arena *arena)
{
    for (int i = 0; i < DRAIN_STEPS && arena->parked != 0; i++)
        if (!drain_step(arena))
            return false;
    return arena->parked != 0;
}

/* Whoever has the lock goes on when he leaves. */
SLOW_PATH void ipc__arena_drain(ipc_arena *arena)
{
    bool more = true;
    while (more && lock(arena, IPC_TIME_NOW) == 0) {
        more = drain_some(arena);
        ipc__heap_shrink(arena);
        unlock(arena);
    }
}

/* ---- leaving ---- */

static SLOW_PATH void tidy_up(struct ipc__visit *v)
{
    ipc_arena *arena = v->arena;
    const bool more = drain_some(arena);
    ipc__journal_shrink(v);
    ipc__heap_shrink(arena);
    unlock(arena);
    if (more)
        ipc__arena_drain(arena);
}

void ipc__arena_commit(struct ipc__visit *v)
{
    ipc_arena *arena = v->arena;
    store_release(&arena->saved, 0);
    if (unlikely(arena->parked != 0 || v->room > IPC__JOURNAL_LEAST))
        tidy_up(v);
    else
        unlock(arena);
}

static SLOW_PATH int leave_badly(struct ipc__visit *v)
{
    if (ipc__journal_undo(v, v->savepoint) != 0) {
        store_relaxed(&v->arena->spoilt, 1);
        v->rc = -EUCLEAN;
    }
    if (v->outer) {
        ipc__journal_shrink(v);
        ipc__heap_shrink(v->arena);
        unlock(v->arena);
    }
    return v->rc;
}

int ipc__arena_leave(struct ipc__visit *v)
{
    if (unlikely(v->rc < 0))
        return leave_badly(v);
    if (likely(v->outer))
        ipc__arena_commit(v);
    return v->rc;
}

int ipc__arena_leave_unchanged(struct ipc__visit *v)
{
    if (unlikely(!v->outer))
        return v->rc;
    if (unlikely(v->arena->parked != 0))
        tidy_up(v);
    else
        unlock(v->arena);
    return v->rc;
}

/* ---- transactions ---- */

static int begin_transaction(ipc_arena *arena, ipc_deadline deadline)
{
    int rc = ipc__arena_or_default(arena, &arena);
    if (rc == 0 && !ipc__self_is_ready(arena))
        rc = ipc__self_register(arena);
    if (rc != 0)
        return rc;
    if (ipc_lock_is_mine(&arena->lock))
        return ipc__fail(-EALREADY,
                         "the calling thread is in a transaction of the arena");
    rc = lock(arena, deadline);
    if (rc != 0)
        return rc;
    if (load_relaxed(&arena->spoilt) != 0 || is_over(arena)) {
        unlock(arena);
        return is_over(arena) ? fail_over(arena) : fail_spoilt(arena);
    }
    store_relaxed(&arena->in_transaction, 1);
    return 0;
}

int ipc_atomic_begin(ipc_arena *arena)
{
    return begin_transaction(arena, IPC_TIME_FOREVER);
}

int ipc_atomic_begin_nowait(ipc_arena *arena)
{
    return begin_transaction(arena, IPC_TIME_NOW);
}

int ipc_atomic_begin_until(ipc_arena *arena, ipc_deadline deadline)
{
    return begin_transaction(arena, deadline > 0 ? deadline : 1);
}

/* Whoever ends it: a visit that began with an empty journal. */
static int end_transaction(struct ipc__visit *v, ipc_arena *arena)
{
    int rc = ipc__arena_or_default(arena, &arena);
    if (rc != 0)
        return rc;
    if (!ipc_lock_is_mine(&arena->lock) || arena->in_transaction == 0)
        return ipc__fail(
            -EPERM, "the calling thread is in no transaction of the arena");
    if (!ipc__self_is_ready(arena) && (rc = ipc__self_register(arena)) != 0)
        return rc;
    v->outer = true;
    (void)ipc__visit_begin(v, arena);
    v->savepoint = 0;
    return 0;
}

int ipc_atomic_commit(ipc_arena *arena)
{
    struct ipc__visit v;
    const int rc = end_transaction(&v, arena);
    if (rc != 0)
        return rc;
    if (v.rc < 0)
        return ipc_atomic_abort(arena), v.rc;
    store_release(&v.arena->saved, 0);
    store_relaxed(&v.arena->in_transaction, 0);
    ipc__arena_commit(&v);
    ipc__handles_settle(v.arena);
    return 0;
}

int ipc_atomic_abort(ipc_arena *arena)
{
    struct ipc__visit v;
    const int rc = end_transaction(&v, arena);
    if (rc != 0)
        return rc;
    if (ipc__journal_undo(&v, 0) != 0)
        store_relaxed(&v.arena->spoilt, 1);
    store_relaxed(&v.arena->saved, 0);
    store_relaxed(&v.arena->in_transaction, 0);
    ipc__journal_shrink(&v);
    ipc__heap_shrink(v.arena);
    unlock(v.arena);
    ipc__handles_settle(v.arena);
    return 0;
}
