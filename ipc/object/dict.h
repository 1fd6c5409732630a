/* Maps: what dicts and namespaces have in common, and what sets take from it.
 * The type is that of the handle. */
#ifndef IPC_OBJECT_DICT_H
#define IPC_OBJECT_DICT_H

#include <ipc/dict.h>

#include "object/table.h"

/* ---- in the arena ---- */

/* A key that was looked for, in a visit. */
struct ipc__sought {
    struct ipc__visit v;
    struct ipc__key key;
    struct ipc__view t;
    struct ipc__row *row; /* NULL: it is not there */
};

/* Enter, and see the table.  0, or an error, and nothing was entered. */
int ipc__map_enter(struct ipc__visit *v, const struct ipc__handle *handle,
                   uint32_t type, struct ipc__view *t);
int ipc__map_seek(struct ipc__sought *s, const struct ipc__handle *handle,
                  uint32_t type, const ipc_any *key);

/* The object of another handle that must be of this type and in this arena;
 * NULL, and v->rc: -EXDEV, -EINVAL, -ESTALE. */
struct ipc__object *ipc__map_other(struct ipc__visit *v,
                                   const struct ipc__handle *other,
                                   uint32_t type);

/* Enter, and see two tables. */
int ipc__map_enter_both(struct ipc__visit *v, const struct ipc__handle *handle,
                        const struct ipc__handle *other, uint32_t type,
                        struct ipc__view t[2]);

/* Make the value that was looked for be this one. */
void ipc__map_put(struct ipc__sought *s, const ipc_any *value);

/* ---- calls ---- */

int ipc__map_set(struct ipc__handle *handle, uint32_t type, const ipc_any *key,
                 const ipc_any *value);
int ipc__map_get(struct ipc__handle *handle, uint32_t type, const ipc_any *key,
                 ipc_any *out);
int ipc__map_pop(struct ipc__handle *handle, uint32_t type, const ipc_any *key,
                 ipc_any *out);
int ipc__map_contains(struct ipc__handle *handle, uint32_t type,
                      const ipc_any *key);
int ipc__map_list(struct ipc__handle *handle, uint32_t type,
                  enum ipc__part part, ipc_anys *out);
int ipc__map_get_i64(struct ipc__handle *handle, uint32_t type,
                     const ipc_any *key, int64_t *out);
int64_t ipc__map_length(struct ipc__handle *handle, uint32_t type,
                        enum ipc_op op);
int ipc__map_clear(struct ipc__handle *handle, uint32_t type, enum ipc_op op);
int ipc__map_merge(struct ipc__handle *handle, struct ipc__handle *other,
                   uint32_t type, enum ipc_op op);
int ipc__map_copy(struct ipc__handle *from, uint32_t type, enum ipc_op op,
                  struct ipc__handle **out);

/* ---- remote ---- */

/* With one number as the result, at least 0; with 0 or 1. */
int ipc__map_remote_number(struct ipc__handle *handle, enum ipc_op op,
                           const ipc_any *args, size_t count, int64_t *out);
int ipc__map_remote_flag(struct ipc__handle *handle, enum ipc_op op,
                         const ipc_any *args, size_t count);

/* With a handle of this type. */
int ipc__map_remote_handle(struct ipc__handle *handle, enum ipc_op op,
                           const ipc_any *args, size_t count, uint32_t type,
                           struct ipc__handle **out);

/* On another one of the same kind. */
int ipc__map_remote_other(struct ipc__handle *handle, enum ipc_op op,
                          struct ipc__handle *other, bool flag);

/* The next of some values: after -> after and count others in out; 1, 0. */
int ipc__map_remote_next(struct ipc__handle *handle, enum ipc_op op,
                         uint64_t *after, ipc_any *out, size_t count);

/* key, version, nanoseconds -> version, value; without key and value if they
 * are NULL. */
int ipc__map_remote_watch(struct ipc__handle *handle, enum ipc_op op,
                          const ipc_any *key, uint64_t *version, ipc_any *out,
                          ipc_deadline deadline);

int ipc__dict_remote_setdefault(struct ipc__handle *handle, const ipc_any *key,
                                const ipc_any *value, ipc_any *out);
int ipc__dict_remote_incr(struct ipc__handle *handle, const ipc_any *key,
                          int64_t by, int64_t *out);
int ipc__dict_remote_cas(struct ipc__handle *handle, const ipc_any *key,
                         const ipc_any *expected, const ipc_any *value);
int ipc__dict_remote_popitem(struct ipc__handle *handle, ipc_any *key,
                             ipc_any *value);

#endif
