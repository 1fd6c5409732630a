/* Shared lists: Python's list, for all processes at once.
 *
 *     ipc_list *list;
 *     ipc_list_new(NULL, &list);                    // before the fork
 *     ... in any process: ipc_list_append_i64(list, 111);
 *     ... in any process: ipc_list_get_i64(list, -1, &last);
 *     ipc_list_free(list);
 *
 * Values are of any type, mixed as one likes (any.h); 16 bytes each, and
 * strings longer than 14 bytes have memory of their own.  append, pop at either
 * end, get and set take the same time however long the list is; insert and pop
 * elsewhere move what is behind, or before, whichever is less.
 *
 * Indexes are Python's: from 0, and from the end as -1, -2, ...; those of a
 * single item that are out of range are -ERANGE, those of slices and of insert
 * are moved to the nearest end.
 *
 * The same calls work on lists of a manager (manager.h).
 *
 * Errors of all calls: -ESTALE the list is no more; -EUCLEAN its memory was
 * spoilt; -ENOSPC, -ENOMEM (of those that put something in; nothing has changed
 * then); -EINVAL a type that no value has, or a string that is too long;
 * -EXDEV a handle of another arena; -ELOOP the list would be part of itself.
 *
 * Lifetime, arenas, threads, processes, fork, crash: see arena.h.  Each call is
 * done whole or not at all. */
#ifndef IPC_LIST_H
#define IPC_LIST_H

#include <ipc/any.h>
#include <ipc/arena.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* ---- storage ---- */

/* An empty list in an arena; NULL: in the family's own. */
IPC_API IPC_MUST_USE int ipc_list_new(ipc_arena *arena, ipc_list **out)
    IPC_NONNULL(2);

/* End it, and close the handle.  If a container holds it too it lives on
 * there.  NULL is fine.  Errors: -EINVAL it was not made by ipc_list_new(), or
 * ended before. */
IPC_API int ipc_list_free(ipc_list *list);

/* Close a handle: of ipc_arena_list(), of a value that was got.  NULL is
 * fine. */
IPC_API int ipc_list_close(ipc_list *list);

/* ---- one value ---- */

IPC_API IPC_MUST_USE int ipc_list_append(ipc_list *list, ipc_any value)
    IPC_NONNULL(1);

/* Before the item that is at index now. */
IPC_API IPC_MUST_USE int ipc_list_insert(ipc_list *list, int64_t index,
                                         ipc_any value) IPC_NONNULL(1);

/* A copy, or a handle: ipc_any_free() in the end.  -ERANGE. */
IPC_API IPC_MUST_USE int ipc_list_get(ipc_list *list, int64_t index,
                                      ipc_any *out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_list_set(ipc_list *list, int64_t index,
                                      ipc_any value) IPC_NONNULL(1);

/* Take it out; out may be NULL.  -ERANGE, also of an empty list.
 *
 * A container that nothing else held is no more then, with all that is in it:
 * *out is a handle whose calls say -ESTALE.  Who wants to keep it puts it
 * somewhere else first, in one transaction with the pop (arena.h). */
IPC_API IPC_MUST_USE int ipc_list_pop(ipc_list *list, int64_t index,
                                      ipc_any *out) IPC_NONNULL(1);

/* Take out the first one that is equal; -ENOENT there is none. */
IPC_API IPC_MUST_USE int ipc_list_remove(ipc_list *list, ipc_any value)
    IPC_NONNULL(1);

/* Where the first equal one is, from start up to before stop (as in slices:
 * 0, INT64_MAX for all of it); -ENOENT. */
IPC_API IPC_MUST_USE int ipc_list_index(ipc_list *list, ipc_any value,
                                        int64_t start, int64_t stop,
                                        uint64_t *out) IPC_NONNULL(1, 5);

/* How many are equal to it: 0 or more, or an error. */
IPC_API IPC_MUST_USE int64_t ipc_list_count(ipc_list *list, ipc_any value)
    IPC_NONNULL(1);

/* 1 or 0, or an error. */
IPC_API IPC_MUST_USE int ipc_list_contains(ipc_list *list, ipc_any value)
    IPC_NONNULL(1);

/* How many items: 0 or more, or an error.  (len()) */
IPC_API IPC_MUST_USE int64_t ipc_list_length(ipc_list *list) IPC_NONNULL(1);

/* ---- many ---- */

/* Append count values, in one step. */
IPC_API IPC_MUST_USE int ipc_list_extend(ipc_list *list, const ipc_any *values,
                                         size_t count) IPC_NONNULL(1);

/* list[start:stop:step], step not 0: a copy.  -EINVAL. */
IPC_API IPC_MUST_USE int ipc_list_slice(ipc_list *list, int64_t start,
                                        int64_t stop, int64_t step,
                                        ipc_anys *out) IPC_NONNULL(1, 5);

/* list[start:stop] = values, in one step; count 0 deletes. */
IPC_API IPC_MUST_USE int ipc_list_replace(ipc_list *list, int64_t start,
                                          int64_t stop, const ipc_any *values,
                                          size_t count) IPC_NONNULL(1);

#define IPC_LIST_DESCENDING 1u

/* In the order of ipc_any_compare(), equal ones as they were. */
IPC_API IPC_MUST_USE int ipc_list_sort(ipc_list *list, uint32_t flags)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_list_reverse(ipc_list *list) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_list_clear(ipc_list *list) IPC_NONNULL(1);

/* A new list, as ipc_list_new() in the same arena, with the same items: what
 * they hold is not copied.  End it with ipc_list_free(). */
IPC_API IPC_MUST_USE int ipc_list_copy(ipc_list *list, ipc_list **out)
    IPC_NONNULL(1, 2);

/* ---- going through it ----
 *
 *     ipc_list_cursor at = {0};
 *     ipc_any item;
 *     int rc;
 *     while ((rc = ipc_list_next(list, &at, &item)) == 1) {
 *         ...
 *         ipc_any_free(&item);
 *     }
 *
 * Goes by index, as Python does: what others append meanwhile is seen; when
 * they insert or remove before the place reached, items are seen twice or not
 * at all.  slice() gives a picture of one moment. */
typedef struct ipc_list_cursor {
    uint64_t index; /* of the next one */
} ipc_list_cursor;

/* 1: *out is the next item; 0: there are no more; or an error. */
IPC_API IPC_MUST_USE int ipc_list_next(ipc_list *list, ipc_list_cursor *cursor,
                                       ipc_any *out) IPC_NONNULL(1, 2, 3);

/* ---- waiting for a change ---- */

/* Wait until the list has changed since *version, then store there which
 * version it is now.  Begin with 0: that returns at once.
 *
 * Errors: -ETIMEDOUT; -EAGAIN for IPC_TIME_NOW; -EBUSY in a transaction. */
IPC_API IPC_MUST_USE int ipc_list_watch(ipc_list *list, uint64_t *version,
                                        ipc_deadline deadline)
    IPC_NONNULL(1, 2);

/* ---- with the type in the name ----
 *
 * get and pop of another type than asked for are -EINVAL and take nothing
 * out. */
IPC_API IPC_MUST_USE int ipc_list_append_i64(ipc_list *list, int64_t value)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_list_append_f64(ipc_list *list, double value)
    IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_list_append_str(ipc_list *list, const char *text)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_list_set_i64(ipc_list *list, int64_t index,
                                          int64_t value) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_list_set_f64(ipc_list *list, int64_t index,
                                          double value) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_list_set_str(ipc_list *list, int64_t index,
                                          const char *text) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_list_get_i64(ipc_list *list, int64_t index,
                                          int64_t *out) IPC_NONNULL(1, 3);

/* An integer is fine too. */
IPC_API IPC_MUST_USE int ipc_list_get_f64(ipc_list *list, int64_t index,
                                          double *out) IPC_NONNULL(1, 3);

/* Into room bytes at out, a zero byte at the end.  -EMSGSIZE it does not fit. */
IPC_API IPC_MUST_USE int ipc_list_get_str(ipc_list *list, int64_t index,
                                          char *out, size_t room)
    IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_list_pop_i64(ipc_list *list, int64_t index,
                                          int64_t *out) IPC_NONNULL(1, 3);

/* A new, empty container as the last item, in one step; close the handle in
 * the end. */
IPC_API IPC_MUST_USE int ipc_list_append_list(ipc_list *list, ipc_list **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_list_append_dict(ipc_list *list, ipc_dict **out)
    IPC_NONNULL(1, 2);

IPC_END_DECLS

#endif
