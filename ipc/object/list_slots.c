/* Lists: many slots at once, as runs of those that lie side by side.
 *
 * State, invariants, death: see list_ring.c. */
#include "object/list.h"

#include <string.h>

/* ---- runs ---- */

static uint64_t ring_of(const struct ipc__list *l)
{
    return l->capacity < IPC__LIST_CHUNK ? l->capacity : IPC__LIST_CHUNK;
}

struct ipc__item *ipc__list_run(const struct ipc__list *l, uint64_t index,
                                uint64_t *items)
{
    const uint64_t ring = ring_of(l);
    const uint64_t left = ring - ((l->first + index) & (ring - 1));
    if (*items > left)
        *items = left;
    return ipc__list_slot(l, index);
}

/* The same of those before an index. */
static struct ipc__item *run_before(const struct ipc__list *l, uint64_t end,
                                    uint64_t *items)
{
    const uint64_t ring = ring_of(l);
    const uint64_t left = ((l->first + end - 1) & (ring - 1)) + 1;
    if (*items > left)
        *items = left;
    return ipc__list_slot(l, end - *items);
}

bool ipc__list_save(const struct ipc__list *l, uint64_t index, uint64_t items)
{
    if (items == 0)
        return true;
    if (ipc__journal_room(l->v, 2 * items, items / IPC__LIST_CHUNK + 2) < 0)
        return false;
    while (items > 0) {
        uint64_t n = items;
        const struct ipc__item *run = ipc__list_run(l, index, &n);
        if (run == NULL)
            return false;
        ipc__save(l->v, run, 2 * n);
        index += n;
        items -= n;
    }
    return l->v->rc >= 0;
}

bool ipc__list_move_down(const struct ipc__list *l, uint64_t from, uint64_t to,
                         uint64_t items)
{
    while (items > 0) {
        uint64_t n = items;
        const struct ipc__item *source = ipc__list_run(l, from, &n);
        struct ipc__item *target = ipc__list_run(l, to, &n);
        if (source == NULL || target == NULL)
            return false;
        memmove(target, source, n * sizeof *target);
        from += n;
        to += n;
        items -= n;
    }
    return true;
}

bool ipc__list_move_up(const struct ipc__list *l, uint64_t from, uint64_t to,
                       uint64_t items)
{
    while (items > 0) {
        uint64_t n = items;
        (void)run_before(l, from + items, &n);
        struct ipc__item *target = run_before(l, to + items, &n);
        const struct ipc__item *source = run_before(l, from + items, &n);
        if (source == NULL || target == NULL)
            return false;
        memmove(target, source, n * sizeof *target);
        items -= n;
    }
    return true;
}

bool ipc__list_fetch(const struct ipc__list *l, uint64_t index, uint64_t items,
                     struct ipc__item *out)
{
    while (items > 0) {
        uint64_t n = items;
        const struct ipc__item *run = ipc__list_run(l, index, &n);
        if (run == NULL)
            return false;
        memcpy(out, run, n * sizeof *out);
        out += n;
        index += n;
        items -= n;
    }
    return true;
}

bool ipc__list_store(const struct ipc__list *l, uint64_t index, uint64_t items,
                     const struct ipc__item *from)
{
    while (items > 0) {
        uint64_t n = items;
        struct ipc__item *run = ipc__list_run(l, index, &n);
        if (run == NULL)
            return false;
        memcpy(run, from, n * sizeof *run);
        from += n;
        index += n;
        items -= n;
    }
    return true;
}
