/* Thread-local values.
 *
 * State
 *   values   of each thread that has any: a table from keys to values, and its
 *            place in the list of the process.  On the heap, so that the list
 *            never leads to a stack that is gone.
 *   slot     key 0: never used; GONE: its value was destroyed; the rest.
 *            Written under the list's lock, by the thread or by one that
 *            destroys the values of a local; the thread itself looks without
 *            the lock.  That is fine: what others do there concerns locals
 *            that it must not use any more, whose keys it is not looking for.
 *   busy_    of a local: threads that have taken their value out of the table
 *            and are in its fini.
 *
 * Invariants
 *   1  the list has all tables of this process but, in a child, that of the
 *      thread that has forked, until it uses a local again;
 *   2  while a table holds a value, or busy_ counts it, the local is there:
 *      ipc_local_fini() takes the values out and waits for the others.
 *
 * Fork
 *   The list is wiped, and so is its lock.  The thread that forked was not
 *   changing its own table; another one may have been taking a value out: the
 *   value is cleared first and the key last, so the slot is good for a value
 *   made anew.  The copies of other threads' tables are never seen again.  The
 *   main thread's values are not destroyed at its end, so neither are those
 *   of a child that are not in its list. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/local.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "kernel/futex.h"
#include "thread/internal.h"

_Static_assert(sizeof(ipc_local) == 64, "local layout");

/* ipc_local.state_: nothing that lies about in memory by chance. */
#define READY 0x6c6f6361u

#define GONE        UINT64_MAX
#define TABLE_FIRST 8 /* slots; a power of two */

struct value {
    ipc_local *local;
    struct value *next; /* of those that are being destroyed */
    bool is_made;       /* init has returned */
    _Alignas(max_align_t) unsigned char bytes[];
};

struct slot {
    uint64_t key;
    struct value *value;
};

/* A local whose init or fini is being called by this thread. */
struct calling {
    const ipc_local *local;
    struct calling *outer;
};

struct ipc__values {
    struct ipc__values *next, **link;
    uint64_t process; /* in whose list it is */
    struct slot *slots;
    uint64_t mask;
    uint64_t used; /* slots whose key is not 0 */
    struct calling *calling;
};

/* Keys already given out.  In ordinary memory: a child goes on counting. */
static uint64_t last_key;

/* Ready for use since the first ipc_local_init(). */
static struct ipc__values_list *const list = &ipc__the_threads.values;

/* ---- tables ---- */

/* Where a key is, or where it would go. */
static struct slot *place_of(const struct ipc__values *values, uint64_t key)
{
    uint64_t i = key & values->mask; /* they are given out one by one */
    for (;; i = (i + 1) & values->mask) {
        struct slot *slot = &values->slots[i];
        const uint64_t found = load_relaxed(&slot->key);
        if (found == key || found == 0)
            return slot;
    }
}

static struct value *find(const struct ipc__values *values, uint64_t key)
{
    if (unlikely(values == NULL) || unlikely(values->slots == NULL))
        return NULL;
    return load_relaxed(&place_of(values, key)->value);
}

/* With the lock: a larger table, or the same size without those that are
 * gone. */
static int grow(struct ipc__values *values)
{
    struct slot *old = values->slots;
    const uint64_t old_count = old != NULL ? values->mask + 1 : 0;
    uint64_t live = 0;
    for (uint64_t i = 0; i < old_count; i++)
        live += old[i].value != NULL;
    uint64_t count = TABLE_FIRST;
    while (count < 4 * (live + 1))
        count *= 2;
    struct slot *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return ipc__fail(-ENOMEM, "no memory for a thread-local value");
    store_relaxed(&values->slots, slots); /* or gcc's analyzer loses it */
    values->mask = count - 1;
    values->used = live;
    for (uint64_t i = 0; i < old_count; i++)
        if (old[i].value != NULL)
            *place_of(values, old[i].key) = old[i];
    free(old);
    return 0;
}

/* With the lock: there is no value of that key yet. */
static int put(struct ipc__values *values, uint64_t key, struct value *value)
{
    if (values->slots == NULL || 2 * (values->used + 1) > values->mask) {
        const int rc = grow(values);
        if (rc != 0)
            return rc;
    }
    struct slot *slot = place_of(values, key);
    values->used += slot->key == 0;
    store_relaxed(&slot->value, value);
    store_relaxed(&slot->key, key);
    return 0;
}

/* With the lock. */
static struct value *take(struct slot *slot)
{
    struct value *value = slot->value;
    if (value != NULL) {
        store_relaxed(&slot->value, NULL);
        store_release(&slot->key, GONE); /* see: Fork */
    }
    return value;
}

static struct value *take_key(const struct ipc__values *values, uint64_t key)
{
    return values->slots != NULL ? take(place_of(values, key)) : NULL;
}

/* ---- the list ---- */

/* With the lock: have a table in the list of this process. */
static void enlist(struct ipc__values *values)
{
    const uint64_t process = ipc__process_number();
    if (values == NULL || values->process == process)
        return;
    values->process = process;
    values->next = list->first;
    values->link = &list->first;
    if (list->first != NULL)
        list->first->link = &values->next;
    list->first = values;
}

static void delist(struct ipc__values *values)
{
    *values->link = values->next;
    if (values->next != NULL)
        values->next->link = values->link;
}

/* The calling thread's table, in the list. */
static struct ipc__values *my_values(void)
{
    struct ipc__values *values = ipc__context.values;
    if (values == NULL) {
        if (ipc__context_is_over()) {
            ipc__set_detail("the thread has ended");
            return NULL;
        }
        if (ipc__context_arm() != 0)
            return NULL;
        values = calloc(1, sizeof *values);
        if (values == NULL) {
            ipc__set_detail("no memory for a thread-local value");
            return NULL;
        }
        ipc__context.values = values;
    }
    ipc__private_lock(&list->lock);
    enlist(values);
    ipc__private_unlock(&list->lock);
    return values;
}

/* ---- init and fini of values ---- */

static bool is_calling(const ipc_local *local)
{
    const struct ipc__values *values = ipc__context.values;
    const struct calling *at = values != NULL ? values->calling : NULL;
    while (at != NULL && at->local != local)
        at = at->outer;
    return at != NULL;
}

/* The count is this process's: what was counted in its parent does not end
 * here. */
static void add_busy(ipc_local *local, int by)
{
    const uint64_t process = ipc__process_number();
    if (local->process_ != process) {
        local->process_ = process;
        local->busy_ = 0;
    }
    local->busy_ += (uint32_t)by;
}

static void destroy(struct value *value)
{
    const ipc_local *local = value->local;
    struct ipc__values *values = ipc__context.values;
    if (local->fini_ != NULL && value->is_made) {
        struct calling calling = {local, NULL};
        if (values != NULL) {
            calling.outer = values->calling;
            values->calling = &calling;
        }
        local->fini_(value->bytes, local->arg_);
        if (values != NULL)
            values->calling = calling.outer;
    }
    free(value);
}

/* Destroy a value that was taken out with busy_ counted. */
static void destroy_mine(struct value *value)
{
    ipc_local *local = value->local;
    destroy(value);
    ipc__private_lock(&list->lock);
    add_busy(local, -1);
    if (list->sleepers != 0) {
        (void)add_relaxed(&list->idle, 1);
        ipc__futex_wake(&list->idle, INT_MAX);
    }
    ipc__private_unlock(&list->lock);
}

/* ---- the end of a thread ---- */

/* One pass over the table.  True if it was empty. */
static bool destroy_all(const struct ipc__values *values)
{
    bool empty = true;
    /* fini may make values: slots is read anew each time. */
    for (uint64_t i = 0; values->slots != NULL && i <= values->mask; i++) {
        ipc__private_lock(&list->lock);
        struct value *value = take(&values->slots[i]);
        if (value != NULL)
            add_busy(value->local, 1);
        ipc__private_unlock(&list->lock);
        if (value == NULL)
            continue;
        empty = false;
        destroy_mine(value);
    }
    return empty;
}

static void free_table(struct ipc__values *values)
{
    ipc__context.values = NULL;
    ipc__private_lock(&list->lock);
    delist(values);
    for (uint64_t i = 0; values->slots != NULL && i <= values->mask; i++)
        free(values->slots[i].value);
    ipc__private_unlock(&list->lock);
    free(values->slots);
    free(values);
}

bool ipc__values_end(bool last)
{
    struct ipc__values *values = ipc__context.values;
    if (values == NULL)
        return true;
    values->calling = NULL; /* what called pthread_exit() is gone */
    const bool empty = destroy_all(values);
    if (empty || last)
        free_table(values);
    return empty || last;
}

/* ---- get ---- */

static int check_ready(const ipc_local *local)
{
    return local->state_ == READY
               ? 0
               : ipc__fail(-EINVAL, "the local was not init'ed");
}

static int call_init(const ipc_local *local, struct ipc__values *values,
                     struct value *value)
{
    if (local->init_ == NULL)
        return 0;
    struct calling calling = {local, values->calling};
    values->calling = &calling;
    const int rc = local->init_(value->bytes, local->arg_);
    values->calling = calling.outer;
    return rc;
}

/* The value is in the table while init runs: should that end the thread, the
 * memory is found, and should it look for its own value, it finds out that
 * there is none yet. */
static struct value *make_value(ipc_local *local)
{
    struct ipc__values *values = my_values();
    if (values == NULL)
        return NULL;
    struct value *value = NULL;
    if (local->bytes_ <= PTRDIFF_MAX - sizeof *value)
        value = calloc(1, sizeof *value + local->bytes_);
    if (value == NULL) {
        ipc__set_detail("no memory for %zu thread-local bytes", local->bytes_);
        return NULL;
    }
    value->local = local;
    ipc__private_lock(&list->lock);
    int rc = put(values, local->key_, value);
    ipc__private_unlock(&list->lock);
    if (rc == 0) {
        rc = call_init(local, values, value);
        ipc__private_lock(&list->lock);
        value->is_made = rc == 0;
        if (rc != 0)
            (void)take_key(values, local->key_);
        ipc__private_unlock(&list->lock);
        if (rc == 0)
            return value;
        ipc__set_detail("init of the thread-local value gave %d (%s)", rc,
                        ipc_strerror(rc));
    }
    free(value);
    return NULL;
}

static SLOW_PATH void *get_slow(ipc_local *local)
{
    if (check_ready(local) != 0)
        return NULL;
    struct value *value = find(ipc__context.values, local->key_);
    if (value != NULL) {
        ipc__set_detail("the thread-local value is being made");
        return NULL;
    }
    value = make_value(local);
    return value != NULL ? value->bytes : NULL;
}

void *ipc_local_get(ipc_local *local)
{
    struct value *value = find(ipc__context.values, local->key_);
    if (likely(value != NULL) && likely(value->is_made))
        return value->bytes;
    return get_slow(local);
}

bool ipc_local_is_set(const ipc_local *local)
{
    const struct value *value = find(ipc__context.values, local->key_);
    return value != NULL && value->is_made;
}

int ipc_local_clear(ipc_local *local)
{
    const struct ipc__values *values = ipc__context.values;
    const int rc = check_ready(local);
    const struct value *value = find(values, local->key_);
    if (rc != 0 || value == NULL)
        return rc;
    if (!value->is_made)
        return ipc__fail(-EDEADLK, "the thread-local value is being made");
    ipc__private_lock(&list->lock);
    struct value *mine = take_key(values, local->key_);
    add_busy(local, 1);
    ipc__private_unlock(&list->lock);
    destroy_mine(mine);
    return 0;
}

/* ---- init and fini ---- */

int ipc_local_init(ipc_local *local, size_t bytes,
                   const ipc_local_options *options)
{
    ipc_local_options given;
    int rc = ipc__options_read(&given, sizeof given, options);
    if (rc != 0)
        return ipc__fail(rc, "local options of a size that is not known");
    if (bytes == 0)
        return ipc__fail(-EINVAL, "a thread-local value of 0 bytes");
    if (ipc__threads() == NULL)
        return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");
    rc = ipc__context_prepare();
    if (rc != 0)
        return rc;
    *local = (ipc_local){.key_ = add_relaxed(&last_key, 1) + 1,
                         .process_ = ipc__process_number(),
                         .bytes_ = bytes,
                         .init_ = given.init,
                         .fini_ = given.fini,
                         .arg_ = given.arg,
                         .state_ = READY};
    return 0;
}

/* Take all values of a local out of their tables, when nobody is destroying
 * one of them any more.  From now on nobody makes one: fini might. */
static struct value *take_all(ipc_local *local)
{
    struct value *taken = NULL;
    ipc__private_lock(&list->lock);
    enlist(ipc__context.values);
    local->state_ = 0;
    for (const struct ipc__values *values = list->first; values != NULL;
         values = values->next) {
        struct value *value = take_key(values, local->key_);
        if (value == NULL)
            continue;
        value->next = taken;
        taken = value;
    }
    add_busy(local, 0);
    while (local->busy_ != 0) {
        const uint32_t seen = load_relaxed(&list->idle);
        list->sleepers++;
        ipc__private_unlock(&list->lock);
        (void)ipc__futex_wait(&list->idle, seen, IPC_TIME_FOREVER);
        ipc__private_lock(&list->lock);
        list->sleepers--;
    }
    ipc__private_unlock(&list->lock);
    return taken;
}

int ipc_local_fini(ipc_local *local)
{
    const int rc = check_ready(local);
    if (rc != 0)
        return rc;
    if (is_calling(local))
        return ipc__fail(-EDEADLK, "called from the init or fini of a value");
    struct value *taken = take_all(local);
    while (taken != NULL) {
        struct value *value = taken;
        taken = value->next;
        destroy(value);
    }
    memset(local, 0, sizeof *local);
    return 0;
}
