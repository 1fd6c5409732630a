/* Lists: sort and reverse.
 *
 * Items are sorted in memory of the process, and written back in the end. */
#include "core/error.h"
#include "object/list.h"

#include <stdlib.h>
#include <string.h>

/* ---- sort ---- */

struct sorting {
    struct ipc__visit *v;
    bool descending;
};

/* Has b to go before a, which is before it now? */
static bool is_misplaced(const struct sorting *s, const struct ipc__item *a,
                         const struct ipc__item *b)
{
    int order;
    if (likely(a->words[0] == IPC_TYPE_I64 && b->words[0] == IPC_TYPE_I64)) {
        const int64_t x = (int64_t)a->value;
        const int64_t y = (int64_t)b->value;
        order = (x > y) - (x < y);
    } else {
        order = ipc__item_compare(s->v, a, b);
    }
    return s->descending ? order < 0 : order > 0;
}

/* Merge from[low, middle) and from[middle, high) into to[low, high). */
static void merge(const struct sorting *s, const struct ipc__item *from,
                  struct ipc__item *to, size_t low, size_t middle, size_t high)
{
    size_t a = low;
    size_t b = middle;
    if (middle >= high || !is_misplaced(s, &from[middle - 1], &from[middle])) {
        memcpy(to + low, from + low, (high - low) * sizeof *to);
        return;
    }
    for (size_t i = low; i < high; i++)
        if (b == high || (a < middle && !is_misplaced(s, &from[a], &from[b])))
            to[i] = from[a++];
        else
            to[i] = from[b++];
}

/* Stable, from the bottom up; returns which of the two has the result. */
static struct ipc__item *sort(const struct sorting *s, struct ipc__item *items,
                              struct ipc__item *other, size_t count)
{
    for (size_t width = 1; width < count && s->v->rc >= 0; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            const size_t middle = low + width < count ? low + width : count;
            const size_t high =
                low + 2 * width < count ? low + 2 * width : count;
            merge(s, items, other, low, middle, high);
        }
        struct ipc__item *const swap = items;
        items = other;
        other = swap;
    }
    return items;
}

/* Only what differs is saved and written. */
static void write_back(const struct ipc__list *l, const struct ipc__item *items)
{
    uint64_t first = 0;
    uint64_t end = l->count;
    struct ipc__item old;
    while (first < end && ipc__list_read(l, first, &old) &&
           memcmp(&old, &items[first], sizeof old) == 0)
        first++;
    while (end > first && ipc__list_read(l, end - 1, &old) &&
           memcmp(&old, &items[end - 1], sizeof old) == 0)
        end--;
    if (first < end && ipc__list_save(l, first, end - first) &&
        ipc__list_store(l, first, end - first, items + first))
        ipc__object_changed(l->v, l->object);
}

static void sort_list(const struct ipc__list *l, const struct sorting *how)
{
    const size_t count = l->count;
    if (count < 2)
        return;
    struct ipc__item *items = NULL;
    if (count <= SIZE_MAX / sizeof *items / 2)
        items = malloc(2 * count * sizeof *items);
    if (items == NULL) {
        (void)ipc__visit_fail(l->v, -ENOMEM, "no memory to sort %zu items",
                              count);
        return;
    }
    if (ipc__list_fetch(l, 0, count, items)) {
        const struct ipc__item *sorted = sort(how, items, items + count, count);
        if (l->v->rc >= 0)
            write_back(l, sorted);
    }
    free(items);
}

static void reverse_list(const struct ipc__list *l)
{
    if (l->count < 2 || !ipc__list_save(l, 0, l->count))
        return;
    for (uint64_t i = 0; i < l->count / 2; i++) {
        struct ipc__item *a = ipc__list_slot(l, i);
        struct ipc__item *b = ipc__list_slot(l, l->count - 1 - i);
        if (a == NULL || b == NULL)
            return;
        const struct ipc__item item = *a;
        *a = *b;
        *b = item;
    }
    ipc__object_changed(l->v, l->object);
}

/* ---- the calls ---- */

int ipc_list_sort(ipc_list *list, uint32_t flags)
{
    if ((flags & ~IPC_LIST_DESCENDING) != 0)
        return ipc__fail(-EINVAL, "flags of sort: 0x%x", flags);
    if (ipc__is_remote(&list->handle)) {
        const ipc_any arg = ipc_i64(flags);
        return ipc__remote_call(&list->handle, IPC_OP_LIST_SORT, &arg, 1, NULL,
                                0);
    }
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    const struct sorting how = {
        .v = &v, .descending = (flags & IPC_LIST_DESCENDING) != 0};
    struct ipc__list l;
    if (ipc__list_look(&v, object, &l))
        sort_list(&l, &how);
    return ipc__arena_leave(&v);
}

int ipc_list_reverse(ipc_list *list)
{
    if (ipc__is_remote(&list->handle))
        return ipc__remote_call(&list->handle, IPC_OP_LIST_REVERSE, NULL, 0,
                                NULL, 0);
    struct ipc__visit v;
    struct ipc__object *object;
    const int rc = ipc__handle_enter(&v, &list->handle, IPC_TYPE_LIST, &object);
    if (rc != 0)
        return rc;
    struct ipc__list l;
    if (ipc__list_look(&v, object, &l))
        reverse_list(&l);
    return ipc__arena_leave(&v);
}
