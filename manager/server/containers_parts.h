/* What the files of containers.h have in common. */
#ifndef IPC_MANAGER_CONTAINERS_PARTS_H
#define IPC_MANAGER_CONTAINERS_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>
#include <ipc/dict.h>

#include "server/containers.h"

#define IPCM__ANY_NUMBER SIZE_MAX /* of arguments */

/* An operation on a type of containers. */
struct ipcm__container_op {
    size_t least; /* arguments */
    size_t most;
    int (*call)(const ipc_any *handle, const ipc_any *args, size_t count,
                ipc_anys *results);
};

/* By the number of the operation, less that of the first. */
extern const struct ipcm__container_op ipcm__list_ops[], ipcm__dict_ops[],
    ipcm__namespace_ops[], ipcm__set_ops[];
extern const size_t ipcm__list_op_count, ipcm__dict_op_count,
    ipcm__namespace_op_count, ipcm__set_op_count;

/* ---- results ---- */

/* Room for so many, all nil, count set.  -ENOMEM. */
int ipcm__results_room(ipc_anys *results, size_t count);

/* One result, or two; they are moved, and ended if that fails. */
int ipcm__result_one(ipc_anys *results, ipc_any value);
int ipcm__result_two(ipc_anys *results, ipc_any first, ipc_any second);

/* rc: an error, or a number that is the result. */
int ipcm__result_number(ipc_anys *results, int64_t rc);

/* ---- arguments ---- */

int ipcm__take_i64(const ipc_any *arg, int64_t *out);
int ipcm__take_u64(const ipc_any *arg, uint64_t *out);
int ipcm__take_bool(const ipc_any *arg, bool *out);

/* The handle of one of this type. */
int ipcm__take_handle(const ipc_any *arg, uint32_t type);

/* Key, value, key, value, ... as it is for ipc_dict_update(). */
int ipcm__take_items(const ipc_any *args, size_t count,
                     const ipc_dict_item **out);

/* A string without zero bytes, and with one behind it: to be ended by
 * ipcm__end_text(). */
int ipcm__take_text(const ipc_any *arg, char **out);
void ipcm__end_text(char *text);

/* ---- saving ---- */

int ipcm__save_namespace(const ipc_any *handle, uint64_t *at, size_t most,
                         uint32_t *op, ipc_anys *args);

#endif
