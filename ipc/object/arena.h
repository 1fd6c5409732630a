/* Arena: an allocator and a journal under one lock.  What lists and dicts are
 * made of is plain data-structure code on top of it.
 *
 * Somebody visits an arena: enters, reads and changes, leaves.  Until he leaves
 * well, every change can be undone, and is, if he dies or leaves with an error:
 *
 *     struct ipc__visit v;
 *     int rc = ipc__arena_enter(&v, arena);
 *     if (rc != 0)
 *         return rc;
 *     ... ipc__put64(&v, &list->count, list->count + 1); ...
 *     return ipc__arena_leave(&v);         // v.rc
 *
 * Positions in an arena are offsets from its beginning, 0 is none.  They are
 * believed by ipc__at() only, which looks whether they lie inside.
 *
 * Errors stick: the first one is v->rc, calls that meet it do nothing, and
 * leaving with it undoes everything.  So a sequence of changes needs one look
 * at the end; but what ipc__at() and ipc__alloc() return has to be looked at,
 * for it may be NULL or 0.
 *
 * Rules for what is done inside
 *   1  memory that existed before this visit is changed by ipc__put64(), or
 *      after ipc__save(); what ipc__alloc() returned in this visit may be
 *      written freely;
 *   2  no block is freed but by ipc__park(): it can be had again after this
 *      visit (and the user's transaction) only, so what an undo brings back is
 *      untouched;
 *   3  between two looks at the journal's room a visit saves at most
 *      IPC__SAVED_MAX / 2 words by ipc__put64(): who needs more, or saves ranges,
 *      calls ipc__journal_room() first. */
#ifndef IPC_OBJECT_ARENA_H
#define IPC_OBJECT_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/arena.h>
#include <ipc/lock.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/peers.h"

#define IPC__BINS      272
#define IPC__SAVED_MAX 2048 /* words of the journal */

/* What is on its way to be freed. */
enum ipc__parked {
    IPC__PARKED_BLOCK = 0, /* memory and nothing else */
    IPC__PARKED_LIST = 1,  /* the body of a list, with all that it holds */
    IPC__PARKED_TABLE = 2  /* of a dict, set or namespace */
};

struct ipc_arena {
    ipc_lock lock;

    /* Never changes once others see it. */
    uint64_t heap;        /* the first block's header; the journal is before */
    uint64_t heap_end;    /* the heap ends here at most */
    uint64_t hash_key[2]; /* random */

    /* Journalled. */
    uint64_t top;     /* blocks lie below */
    uint64_t objects; /* alive */
    uint64_t used;    /* bytes of blocks in use */
    uint64_t parked;  /* the first thing on its way to be freed */
    uint64_t root;    /* the table of names, or 0 */

    /* Not journalled. */
    uint64_t saved;           /* words in the journal: 0 commits */
    uint64_t heap_present;    /* memory up to this offset */
    uint64_t journal_present; /* words that have memory */
    uint64_t recoveries;
    uint64_t serial;         /* of the last object: none is given twice */
    uint32_t in_transaction; /* of a user, who holds the lock */
    uint32_t ring;           /* something that is watched has changed */
    uint32_t bell;           /* who watches sleeps on it */
    uint32_t spoilt;         /* -EUCLEAN for everybody from now on */
    uint64_t owner;          /* whose it is, or 0: see ipc_arena_own() */
    uint32_t owner_place;    /* his slot in the region, from 1; 0: no owner */
    uint32_t reserved_32;
    uint64_t reserved[5];

    /* Journalled: free blocks by size. */
    uint64_t bitmap[(IPC__BINS + 63) / 64];
    uint64_t bins[IPC__BINS];
};

struct ipc__visit {
    ipc_arena *arena;
    uint64_t *journal;
    uint64_t end;       /* offsets below may be looked at */
    uint64_t limit;     /* and this is where its memory ends, in any case */
    uint64_t savepoint; /* of the journal when it began */
    uint64_t room;      /* words that the journal has memory for */
    int rc;
    bool outer; /* it took the lock: not in a transaction */
};

/* The region of an arena that has a name or a descriptor. */
static inline struct ipc__region *ipc__arena_region(const ipc_arena *arena)
{
    return (struct ipc__region *)((uintptr_t)arena - IPC__REGION_TABLE);
}

/* ---- visits ---- */

/* Take the lock, undo what somebody dead has begun.  0, or why not: -EUCLEAN,
 * -ENOMEM, -EXDEV.  In a transaction of the calling thread: without a lock. */
int ipc__arena_enter_slow(struct ipc__visit *v, ipc_arena *arena);
int ipc__arena_enter(struct ipc__visit *v, ipc_arena *arena);

/* Undo it all if v->rc is negative, else make it hold (in a transaction: when
 * that commits).  Returns v->rc. */
int ipc__arena_leave(struct ipc__visit *v);

/* Leave after having only looked. */
int ipc__arena_leave_unchanged(struct ipc__visit *v);

/* Set v->rc if it is not negative yet, with a detail line.  Returns v->rc. */
int ipc__visit_fail(struct ipc__visit *v, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Memory that makes no sense: v->rc is -EUCLEAN, and so it is for everybody
 * from now on. */
int ipc__visit_spoilt(struct ipc__visit *v, const char *what);

/* ---- looking ---- */

static inline uint64_t ipc__offset(const struct ipc__visit *v, const void *at)
{
    return (uint64_t)((const char *)at - (const char *)v->arena);
}

/* bytes at an offset; NULL, and v->rc is -EUCLEAN, if they are not all inside,
 * or the offset is not a multiple of 8. */
void *ipc__at_fails(struct ipc__visit *v, uint64_t offset);
static inline void *ipc__at(struct ipc__visit *v, uint64_t offset,
                            uint64_t bytes)
{
    if (likely(offset >= sizeof(struct ipc_arena) && offset % 8 == 0 &&
               bytes <= v->end && offset <= v->end - bytes))
        return (char *)v->arena + offset;
    return ipc__at_fails(v, offset);
}

/* ---- changing ---- */

void ipc__save_slow(struct ipc__visit *v, const void *at, uint64_t words);

/* Have room in the journal for ranges of so many words in all (and some few
 * words more for each).  0 or v->rc: -ENOMEM, -ENOSPC. */
int ipc__journal_room(struct ipc__visit *v, uint64_t words, uint64_t ranges);

/* Save words from an address on, before they are changed: ipc__journal_room()
 * was called for more than one. */
static inline void ipc__save(struct ipc__visit *v, const void *at,
                             uint64_t words)
{
    ipc__save_slow(v, at, words);
}

static inline void ipc__put64(struct ipc__visit *v, uint64_t *at,
                              uint64_t value)
{
    ipc_arena *arena = v->arena;
    const uint64_t saved = load_relaxed(&arena->saved);
    if (unlikely(saved > v->room - 2)) {
        ipc__save_slow(v, at, 1);
        if (v->rc >= 0)
            store_relaxed(at, value);
        return;
    }
    uint64_t *journal = v->journal + saved;
    journal[0] = *at;
    journal[1] = ipc__offset(v, at) / 8 | (uint64_t)1 << 40;
    compiler_barrier();
    store_relaxed(&arena->saved, saved + 2);
    compiler_barrier();
    store_relaxed(at, value);
}

/* ---- memory ---- */

/* At least so many bytes, aligned to 16, not cleared.  Its offset, or 0: then
 * v->rc is -ENOSPC or -ENOMEM. */
uint64_t ipc__alloc(struct ipc__visit *v, uint64_t bytes);

/* How many bytes a block can hold: at least what was asked for.  0, and v->rc,
 * if there is no block. */
uint64_t ipc__block_size(struct ipc__visit *v, uint64_t offset);

/* The block is that of an object, which ipc__block_is_object() then knows: for
 * ipc__object_make(). */
void ipc__block_mark_object(struct ipc__visit *v, uint64_t offset);
bool ipc__block_is_object(struct ipc__visit *v, uint64_t offset);

/* Free it, after this visit and its transaction.  The first word of a block is
 * overwritten (and journalled) now. */
void ipc__park(struct ipc__visit *v, uint64_t offset, enum ipc__parked kind);

/* Free a block in this visit: allowed where nothing is allocated in the same
 * one, that is while draining. */
void ipc__free_now(struct ipc__visit *v, uint64_t offset);

/* ---- draining: freeing what is parked ----
 *
 * Bodies are freed in steps, each of which holds or does not.  The functions
 * take some items off a body, from the end; true: nothing is left but the body's
 * own block. */
bool ipc__list_drain(struct ipc__visit *v, uint64_t body);
bool ipc__table_drain(struct ipc__visit *v, uint64_t body);

/* Free all that is parked, in as many visits as it takes, as long as nobody else
 * wants the lock. */
void ipc__arena_drain(ipc_arena *arena);

/* ---- watching ---- */

/* Something that is watched was changed: wake those who watch when it holds. */
static inline void ipc__visit_ring(struct ipc__visit *v)
{
    v->arena->ring = 1;
}

/* ---- checking: ipc_arena_check() ---- */

/* Each block that is found in use is told once. */
struct ipc__inspection {
    struct ipc__visit *v;
    uint64_t heap;
    uint64_t bits;
    uint64_t *marks; /* a bit for every 16 bytes of the heap */
    uint64_t objects;
    uint64_t used;
    struct ipc__found *found; /* the objects, at first NULL: see inspect.c */
    bool working;             /* them off */
};

/* The block is in use by what is being checked: 0, or v->rc when it is none, or
 * was told before. */
int ipc__inspect_block(struct ipc__inspection *in, uint64_t offset);
int ipc__inspect_list(struct ipc__inspection *in, uint64_t body);
int ipc__inspect_table(struct ipc__inspection *in, uint64_t body);

/* ---- the arena of NULL ---- */

/* The family's own arena, made if there is none. */
int ipc__arena_default(ipc_arena **out);
static inline int ipc__arena_or_default(ipc_arena *arena, ipc_arena **out)
{
    *out = arena;
    return arena != NULL ? 0 : ipc__arena_default(out);
}

#endif
