/* Kinds: what those of managed objects have in common. */
#ifndef IPC_MANAGER_KINDS_H
#define IPC_MANAGER_KINDS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "server/server.h"

/* ---- waiting ---- */

/* It cannot be had now: IPCM__WAITS, or -EAGAIN (ns is 0), or -ETIMEDOUT (the
 * time is over), with a detail that names the object and says why. */
int ipcm__would_wait(const struct ipcm__call *call, int64_t ns,
                     const char *why);

/* ns, the argument at a place: 0, positive, or -1. */
int ipcm__arg_ns(const struct ipcm__call *call, size_t place, int64_t *out);

/* Is it this call's turn: does no other that came before it wait for the
 * same, which operations from first to last do? */
bool ipcm__is_next(const struct ipcm__call *call, uint32_t first,
                   uint32_t last);

/* ---- options of OPEN ---- */

/* What comes behind type and name: string, value, string, value, ... until
 * "items", which takes all that follows. */
struct ipcm__options {
    const ipc_any *args;
    size_t count;
    size_t at;
};

struct ipcm__option {
    const char *name;
    size_t bytes;         /* of the name */
    const ipc_any *value; /* items: the first of them */
    size_t count;         /* items: how many; else 1 */
};

/* The next one: 1; 0: no more; -EINVAL.  durability and served are passed
 * over. */
int ipcm__option_next(struct ipcm__options *options, struct ipcm__option *out);

/* There are none: of kinds that have no options. */
int ipcm__no_options(const struct ipcm__object *object, const ipc_any *args,
                     size_t count);
bool ipcm__option_is(const char *name, size_t bytes, const char *is);

/* -EINVAL, and the option in the detail. */
int ipcm__option_fail(const struct ipcm__object *object, const char *name,
                      size_t bytes);
int ipcm__option_i64(const ipc_any *value, int64_t low, int64_t high,
                     int64_t *out);

/* ---- values ---- */

/* nil to bytes: what managed objects hold.  Else -EINVAL. */
int ipcm__plain_value(const ipc_any *value);

/* Bytes that it takes beside the ipc_any. */
size_t ipcm__value_bytes(const ipc_any *value);

/* ---- holds ---- */

/* So many bytes, all zero, that begin with a hold of the session's; and its
 * end.  NULL: no memory. */
void *ipcm__hold_new(size_t bytes, struct ipcm__session *session,
                     struct ipcm__object *object);
void ipcm__hold_end(struct ipcm__hold *hold);

/* ---- the rest ---- */

int ipcm__fail_no_operation(const struct ipcm__call *call);
static inline int ipcm__fail_no_memory(void)
{
    return ipcm__fail(-ENOMEM, "no memory");
}

/* One number as result; the status, 0. */
int ipcm__answer_i64(struct ipcm__call *call, int64_t value);
int ipcm__answer_u64(struct ipcm__call *call, uint64_t value);

/* The first token of a lock or queue: higher than those of its name before a
 * restart, as long as the clock is not set back and there are no more than a
 * million owners a second. */
uint64_t ipcm__first_token(void);

/* So long after the time of this turn. */
ipc_deadline ipcm__later(const struct ipcm__object *object, int64_t ns);

/* How many calls wait for the object. */
size_t ipcm__waiting_count(const struct ipcm__object *object);

#endif
