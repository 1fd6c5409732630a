/* Shared dicts: Python's dict, for all processes at once.
 *
 *     ipc_dict *stock;
 *     ipc_dict_new(NULL, &stock);                   // before the fork
 *     ... in any process: ipc_dict_incr(stock, ipc_str("apples"), -1, &left);
 *
 * Keys are nil, booleans, integers, doubles (not NaN), strings and bytes, of
 * one type or mixed; values are of any type (any.h).  Items stay in the order
 * in which their keys came, as in Python.  Each call takes the same time
 * however large the dict is.
 *
 * The same calls work on dicts of a manager (manager.h).
 *
 * Errors of all calls: as in list.h; -ENOENT the key is not there; -EINVAL also
 * a key of a type that none has.
 *
 * Lifetime, arenas, threads, processes, fork, crash: see arena.h.  Each call is
 * done whole or not at all. */
#ifndef IPC_DICT_H
#define IPC_DICT_H

#include <ipc/any.h>
#include <ipc/arena.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* ---- storage: as for lists ---- */

IPC_API IPC_MUST_USE int ipc_dict_new(ipc_arena *arena, ipc_dict **out)
    IPC_NONNULL(2);
IPC_API int ipc_dict_free(ipc_dict *dict);
IPC_API int ipc_dict_close(ipc_dict *dict);

/* ---- one item ---- */

/* The value of the key, new or in place of the old one. */
IPC_API IPC_MUST_USE int ipc_dict_set(ipc_dict *dict, ipc_any key,
                                      ipc_any value) IPC_NONNULL(1);

/* A copy, or a handle: ipc_any_free() in the end.  -ENOENT. */
IPC_API IPC_MUST_USE int ipc_dict_get(ipc_dict *dict, ipc_any key, ipc_any *out)
    IPC_NONNULL(1, 3);

/* What is there; if nothing is, value is put there first and the call returns
 * 1.  out may be NULL. */
IPC_API IPC_MUST_USE int ipc_dict_setdefault(ipc_dict *dict, ipc_any key,
                                             ipc_any value, ipc_any *out)
    IPC_NONNULL(1);

/* Take it out; out may be NULL.  -ENOENT.  Of a container that nothing else
 * held see ipc_list_pop(); the same is true of popitem. */
IPC_API IPC_MUST_USE int ipc_dict_pop(ipc_dict *dict, ipc_any key, ipc_any *out)
    IPC_NONNULL(1);

/* Take out the item that came last; -ENOENT the dict is empty. */
IPC_API IPC_MUST_USE int ipc_dict_popitem(ipc_dict *dict, ipc_any *key,
                                          ipc_any *value) IPC_NONNULL(1, 2, 3);

/* 1 or 0, or an error. */
IPC_API IPC_MUST_USE int ipc_dict_contains(ipc_dict *dict, ipc_any key)
    IPC_NONNULL(1);

/* How many items: 0 or more, or an error.  (len()) */
IPC_API IPC_MUST_USE int64_t ipc_dict_length(ipc_dict *dict) IPC_NONNULL(1);

/* ---- look and change in one step ---- */

/* Add by to an integer, which is 0 if the key is not there, and store the sum
 * in *out (may be NULL).  -EOVERFLOW nothing has changed; -EINVAL it is not an
 * integer. */
IPC_API IPC_MUST_USE int ipc_dict_incr(ipc_dict *dict, ipc_any key, int64_t by,
                                       int64_t *out) IPC_NONNULL(1);

/* Set the key to value if it has the value expected; expected NULL: if it is
 * not there; value NULL: take it out.  Returns 1: done; 0: it has another. */
IPC_API IPC_MUST_USE int ipc_dict_cas(ipc_dict *dict, ipc_any key,
                                      const ipc_any *expected,
                                      const ipc_any *value) IPC_NONNULL(1);

/* Wait until the key was set, or taken out, since *version; then store there
 * which version it is now, and in *out (may be NULL) its value, nil if it is
 * not there.  Begin with UINT64_MAX: that returns at once.  A key that is not
 * there has version 0.
 *
 * Errors: -ETIMEDOUT; -EAGAIN for IPC_TIME_NOW; -EBUSY in a transaction. */
IPC_API IPC_MUST_USE int ipc_dict_watch(ipc_dict *dict, ipc_any key,
                                        uint64_t *version, ipc_any *out,
                                        ipc_deadline deadline)
    IPC_NONNULL(1, 3);

/* ---- many ---- */

typedef struct ipc_dict_item {
    ipc_any key;
    ipc_any value;
} ipc_dict_item;

/* Set count items, in one step. */
IPC_API IPC_MUST_USE int ipc_dict_update(ipc_dict *dict,
                                         const ipc_dict_item *items,
                                         size_t count) IPC_NONNULL(1);

/* Set all items of another dict of the same arena, in one step.  (dict |=) */
IPC_API IPC_MUST_USE int ipc_dict_merge(ipc_dict *dict, ipc_dict *other)
    IPC_NONNULL(1, 2);

/* Copies, all of one moment.  items: key, value, key, value, ... */
IPC_API IPC_MUST_USE int ipc_dict_keys(ipc_dict *dict, ipc_anys *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_dict_values(ipc_dict *dict, ipc_anys *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_dict_items(ipc_dict *dict, ipc_anys *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_dict_clear(ipc_dict *dict) IPC_NONNULL(1);

/* A new dict, as ipc_dict_new() in the same arena, with the same items. */
IPC_API IPC_MUST_USE int ipc_dict_copy(ipc_dict *dict, ipc_dict **out)
    IPC_NONNULL(1, 2);

/* ---- going through it ----
 *
 * As through a list: ipc_dict_cursor at = {0}.  What is there all the time is
 * seen exactly once; what comes or goes meanwhile is seen, once, or not. */
typedef struct ipc_dict_cursor {
    uint64_t after; /* the number of the last one */
} ipc_dict_cursor;

/* 1: the next item; 0: there are no more; or an error.  key, value may be
 * NULL. */
IPC_API IPC_MUST_USE int ipc_dict_next(ipc_dict *dict, ipc_dict_cursor *cursor,
                                       ipc_any *key, ipc_any *value)
    IPC_NONNULL(1, 2);

/* ---- with strings as keys, and the type in the name ---- */

IPC_API IPC_MUST_USE int ipc_dict_set_i64(ipc_dict *dict, const char *key,
                                          int64_t value) IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_dict_set_f64(ipc_dict *dict, const char *key,
                                          double value) IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_dict_set_str(ipc_dict *dict, const char *key,
                                          const char *text)
    IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_dict_get_i64(ipc_dict *dict, const char *key,
                                          int64_t *out) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_dict_get_f64(ipc_dict *dict, const char *key,
                                          double *out) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_dict_get_str(ipc_dict *dict, const char *key,
                                          char *out, size_t room)
    IPC_NONNULL(1, 2, 3);

/* The container at a key, made empty and put there if there is nothing; close
 * the handle in the end.  -EINVAL something else is there. */
IPC_API IPC_MUST_USE int ipc_dict_list(ipc_dict *dict, const char *key,
                                       ipc_list **out) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_dict_dict(ipc_dict *dict, const char *key,
                                       ipc_dict **out) IPC_NONNULL(1, 2, 3);

IPC_END_DECLS

#endif
