/* What the parts of an arena do for each other: journal.c, heap.c, visit.c,
 * arena.c. */
#ifndef IPC_OBJECT_PARTS_H
#define IPC_OBJECT_PARTS_H

#include "object/arena.h"

/* The journal lies between the header and the heap. */
#define IPC__JOURNAL_AT 4096u

/* Words that have memory from the beginning, and are never given back. */
#define IPC__JOURNAL_LEAST (4 * (uint64_t)IPC__SAVED_MAX)

#define IPC__ARENA_HEADER 8u /* of each block */
#define IPC__BLOCK_LEAST  32u

/* Bits of a block's header; the rest is its size. */
#define IPC__BLOCK_USED   1u
#define IPC__BLOCK_BEFORE 2u /* the one before it is used */
#define IPC__BLOCK_OBJECT 4u
#define IPC__BLOCK_BITS   15u

static inline uint64_t ipc__block_bytes(uint64_t header)
{
    return header & ~(uint64_t)IPC__BLOCK_BITS;
}

_Static_assert(sizeof(struct ipc_arena) <= IPC__JOURNAL_AT,
               "the journal starts behind the header");

static inline uint64_t ipc__journal_max(const ipc_arena *arena)
{
    return (arena->heap - IPC__ARENA_HEADER - IPC__JOURNAL_AT) /
           sizeof(uint64_t);
}

/* Undo what was saved since the journal had `to` words.  -EUCLEAN: what it says
 * makes no sense. */
int ipc__journal_undo(struct ipc__visit *v, uint64_t to);

/* Give back what a long visit took. */
void ipc__journal_shrink(struct ipc__visit *v);

/* The same of the heap, behind its top. */
void ipc__heap_shrink(ipc_arena *arena);

/* Which list a free block of so many bytes is in. */
uint32_t ipc__bin_of(uint64_t bytes);

/* Look again where things end, at the beginning of a visit. */
int ipc__visit_begin(struct ipc__visit *v, ipc_arena *arena);

/* The lock is held by a thread whose owner before died. */
int ipc__arena_recover(ipc_arena *arena);

/* With the lock: it all holds from now on.  Frees what is parked, tells those
 * who watch, unlocks. */
void ipc__arena_commit(struct ipc__visit *v);

#endif
