/* Lists: many items in one step. */
#include "core/error.h"
#include "object/list.h"

#include <stdlib.h>

/* ---- put in ---- */

/* Make items of values; returns how many of them are handles. */
static uint64_t make(const struct ipc__list *l, const ipc_any *values,
                     uint64_t count, struct ipc__item *out)
{
    uint64_t nested = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct ipc__item item;
        if (ipc__item_make(l->v, l->object, &values[i], &item) != 0)
            return 0;
        out[i] = item;
        nested += ipc__item_is_handle(&item);
    }
    return nested;
}

/* Into slots that are free, or saved. */
static void make_in_place(const struct ipc__list *l, uint64_t index,
                          const ipc_any *values, uint64_t count)
{
    uint64_t nested = 0;
    while (count > 0 && l->v->rc >= 0) {
        uint64_t n = count;
        struct ipc__item *run = ipc__list_run(l, index, &n);
        if (run == NULL)
            return;
        nested += make(l, values, n, run);
        index += n;
        values += n;
        count -= n;
    }
    ipc__list_nested(l, nested, 0);
}

/* Give up what some items hold. */
static bool drop(const struct ipc__list *l, uint64_t index, uint64_t count)
{
    uint64_t nested = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct ipc__item item;
        if (!ipc__list_read(l, index + i, &item))
            return false;
        ipc__item_drop(l->v, &item);
        nested += ipc__item_is_handle(&item);
    }
    if (nested != 0)
        ipc__list_nested(l, 0, nested);
    return l->v->rc >= 0;
}

/* What goes may be what comes, and held by nobody else: so the items are made
 * before others are given up. */
static void exchange(struct ipc__list *l, uint64_t index, uint64_t removed,
                     const ipc_any *values, uint64_t count)
{
    struct ipc__item *made = NULL;
    if (count <= SIZE_MAX / sizeof *made)
        made = malloc(count * sizeof *made);
    if (made == NULL) {
        (void)ipc__visit_fail(l->v, -ENOMEM, "no memory for %llu items",
                              (unsigned long long)count);
        return;
    }
    const uint64_t nested = make(l, values, count, made);
    if (l->v->rc >= 0 && drop(l, index, removed) &&
        ipc__list_splice(l, index, removed, count) &&
        ipc__list_store(l, index, count, made))
        ipc__list_nested(l, nested, 0);
    free(made);
}

int ipc__list_put_many(struct ipc__list *l, uint64_t index, uint64_t removed,
                       const ipc_any *values, uint64_t count)
{
    if (removed == 0 && count == 0)
        return l->v->rc;
    if (removed != 0 && count != 0)
        exchange(l, index, removed, values, count);
    else if (drop(l, index, removed) &&
             ipc__list_splice(l, index, removed, count))
        make_in_place(l, index, values, count);
    ipc__object_changed(l->v, l->object);
    return l->v->rc;
}

int ipc_list_extend(ipc_list *list, const ipc_any *values, size_t count)
{
    if (ipc__is_remote(&list->handle))
        return ipc__remote_call(&list->handle, IPC_OP_LIST_EXTEND, values,
                                count, NULL, 0);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    if (ipc__list_look(&v, object, &l))
        (void)ipc__list_put_many(&l, l.count, 0, values, count);
    return ipc__arena_leave(&v);
}

int ipc_list_replace(ipc_list *list, int64_t start, int64_t stop,
                     const ipc_any *values, size_t count)
{
    if (ipc__is_remote(&list->handle))
        return ipc__list_remote_replace(list, start, stop, values, count);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    if (ipc__list_look(&v, object, &l)) {
        const uint64_t from = ipc__list_clamp(l.count, start);
        const uint64_t to = ipc__list_clamp(l.count, stop);
        (void)ipc__list_put_many(&l, from, to > from ? to - from : 0, values,
                                 count);
    }
    return ipc__arena_leave(&v);
}

/* ---- slice ---- */

struct range {
    uint64_t start;
    uint64_t step; /* modulo 2^64 */
    uint64_t count;
};

/* Python's indices of a slice that goes down: -1 is before the first item. */
static int64_t clamp_down(uint64_t count, int64_t index)
{
    const int64_t n = (int64_t)count;
    if (index < 0)
        return index < -n ? -1 : index + n;
    return index < n ? index : n - 1;
}

static struct range range_of(uint64_t count, int64_t start, int64_t stop,
                             int64_t step)
{
    struct range range = {.step = (uint64_t)step};
    if (step > 0) {
        range.start = ipc__list_clamp(count, start);
        const uint64_t end = ipc__list_clamp(count, stop);
        if (range.start < end)
            range.count = (end - range.start - 1) / (uint64_t)step + 1;
        return range;
    }
    const int64_t first = clamp_down(count, start);
    const int64_t end = clamp_down(count, stop);
    range.start = (uint64_t)first;
    if (first > end && step < 0)
        range.count = (uint64_t)(first - end - 1) / (0 - (uint64_t)step) + 1;
    return range;
}

static void get_range(const struct ipc__list *l, const struct range *range,
                      ipc_anys *out)
{
    if (range->count == 0)
        return;
    out->items = calloc(range->count, sizeof *out->items);
    if (out->items == NULL) {
        (void)ipc__visit_fail(l->v, -ENOMEM, "no memory for %llu values",
                              (unsigned long long)range->count);
        return;
    }
    uint64_t at = range->start;
    for (uint64_t i = 0; i < range->count; i++, at += range->step) {
        struct ipc__item item;
        if (!ipc__list_read(l, at, &item) ||
            ipc__item_get(l->v, &item, &out->items[i]) != 0)
            return;
        out->count = i + 1;
    }
}

static int remote_slice(ipc_list *list, int64_t start, int64_t stop,
                        int64_t step, ipc_anys *out)
{
    const ipc_any args[] = {ipc_i64(start), ipc_i64(stop), ipc_i64(step)};
    return ipc__remote_call_many(&list->handle, IPC_OP_LIST_SLICE, args, 3,
                                 out);
}

int ipc_list_slice(ipc_list *list, int64_t start, int64_t stop, int64_t step,
                   ipc_anys *out)
{
    if (step == 0)
        return ipc__fail(-EINVAL, "a slice with a step of 0");
    if (ipc__is_remote(&list->handle))
        return remote_slice(list, start, stop, step, out);
    struct ipc__visit v;
    struct ipc__object *object;
    int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    ipc_anys got = {NULL, 0};
    if (ipc__list_look(&v, object, &l)) {
        const struct range range = range_of(l.count, start, stop, step);
        get_range(&l, &range, &got);
    }
    rc = ipc__arena_leave_unchanged(&v);
    if (rc == 0)
        *out = got;
    else
        ipc_anys_free(&got);
    return rc;
}

/* ---- clear ---- */

int ipc_list_clear(ipc_list *list)
{
    if (ipc__is_remote(&list->handle))
        return ipc__remote_call(&list->handle, IPC_OP_LIST_CLEAR, NULL, 0, NULL,
                                0);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    const uint64_t body = load_relaxed(&object->body);
    if (body != 0) {
        ipc__put64(&v, &object->body, 0);
        ipc__park(&v, body, IPC__PARKED_LIST);
        ipc__object_changed(&v, object);
    }
    return ipc__arena_leave(&v);
}
