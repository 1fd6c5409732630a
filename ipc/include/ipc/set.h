/* Shared sets: Python's set, for all processes at once.
 *
 * Members are what may be the key of a dict (dict.h).  They stay in the order
 * in which they came.  Errors, lifetime, arenas and crash as in list.h. */
#ifndef IPC_SET_H
#define IPC_SET_H

#include <ipc/any.h>
#include <ipc/arena.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* ---- storage: as for lists ---- */

IPC_API IPC_MUST_USE int ipc_set_new(ipc_arena *arena, ipc_set **out)
    IPC_NONNULL(2);
IPC_API int ipc_set_free(ipc_set *set);
IPC_API int ipc_set_close(ipc_set *set);

/* ---- one member ---- */

/* 1: it is new; 0: it was there. */
IPC_API IPC_MUST_USE int ipc_set_add(ipc_set *set, ipc_any member)
    IPC_NONNULL(1);

/* -ENOENT it is not there. */
IPC_API IPC_MUST_USE int ipc_set_remove(ipc_set *set, ipc_any member)
    IPC_NONNULL(1);

/* 1: it was there; 0: it was not. */
IPC_API IPC_MUST_USE int ipc_set_discard(ipc_set *set, ipc_any member)
    IPC_NONNULL(1);

/* Take out the one that came last; -ENOENT the set is empty. */
IPC_API IPC_MUST_USE int ipc_set_pop(ipc_set *set, ipc_any *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_set_contains(ipc_set *set, ipc_any member)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int64_t ipc_set_length(ipc_set *set) IPC_NONNULL(1);

/* ---- many ---- */

/* Add count members, in one step. */
IPC_API IPC_MUST_USE int ipc_set_update(ipc_set *set, const ipc_any *members,
                                        size_t count) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_set_members(ipc_set *set, ipc_anys *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_set_clear(ipc_set *set) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_set_copy(ipc_set *set, ipc_set **out)
    IPC_NONNULL(1, 2);

/* ---- two sets of one arena, in one step ---- */

IPC_API IPC_MUST_USE int ipc_set_union(ipc_set *set, ipc_set *other)
    IPC_NONNULL(1, 2); /* set |= other */
IPC_API IPC_MUST_USE int ipc_set_intersect(ipc_set *set, ipc_set *other)
    IPC_NONNULL(1, 2); /* set &= other */
IPC_API IPC_MUST_USE int ipc_set_subtract(ipc_set *set, ipc_set *other)
    IPC_NONNULL(1, 2); /* set -= other */
IPC_API IPC_MUST_USE int ipc_set_is_subset(ipc_set *set, ipc_set *other)
    IPC_NONNULL(1, 2); /* set <= other: 1 or 0 */

/* ---- going through it, waiting for a change: as with dicts and lists ---- */

typedef struct ipc_set_cursor {
    uint64_t after;
} ipc_set_cursor;

IPC_API IPC_MUST_USE int ipc_set_next(ipc_set *set, ipc_set_cursor *cursor,
                                      ipc_any *out) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_set_watch(ipc_set *set, uint64_t *version,
                                       ipc_deadline deadline) IPC_NONNULL(1, 2);

IPC_END_DECLS

#endif
