/* Tables: all entries at once. */
#include <stdlib.h>

#include "object/table.h"

/* ---- copies for the user ---- */

static int get_row(const struct ipc__view *t, const struct ipc__row *row,
                   enum ipc__part part, ipc_anys *out)
{
    if ((part & IPC__KEYS) != 0) {
        if (ipc__item_get(t->v, &row->key, &out->items[out->count]) < 0)
            return t->v->rc;
        out->count++;
    }
    if ((part & IPC__VALUES) != 0) {
        if (ipc__item_get(t->v, &row->value, &out->items[out->count]) < 0)
            return t->v->rc;
        out->count++;
    }
    return 0;
}

static int get_rows(const struct ipc__view *t, enum ipc__part part,
                    ipc_anys *out)
{
    uint64_t left = t->count;
    const struct ipc__row *row;
    for (uint64_t at = t->first;
         left > 0 && (row = ipc__view_live(t, &at)) != NULL; at++, left--)
        if (get_row(t, row, part, out) < 0)
            break;
    return t->v->rc;
}

int ipc__table_list(struct ipc__visit *v, struct ipc__object *object,
                    enum ipc__part part, ipc_anys *out)
{
    struct ipc__view t;
    ipc_anys found = {NULL, 0};
    if (v->rc < 0 || !ipc__view_open(&t, v, object))
        return v->rc;
    const size_t room = t.count * (part == IPC__ITEMS ? 2 : 1);
    if (room == 0) {
        *out = found;
        return v->rc;
    }
    found.items = malloc(room * sizeof *found.items);
    if (found.items == NULL)
        return ipc__visit_fail(v, -ENOMEM, "no memory for %zu values", room);
    if (get_rows(&t, part, &found) < 0)
        ipc_anys_free(&found);
    else
        *out = found;
    return v->rc;
}

/* ---- into another table ---- */

static void merge_row(struct ipc__view *to, const struct ipc__row *from,
                      bool is_new)
{
    struct ipc__visit *v = to->v;
    struct ipc__key key;
    struct ipc__item value;
    if (ipc__journal_room(v, 0, 0) < 0 || ipc__key_of_row(v, from, &key) < 0)
        return;
    struct ipc__row *row = is_new ? NULL : ipc__view_find(to, &key);
    if (v->rc < 0)
        return;
    if (ipc__view_is_set(to)) {
        if (row == NULL)
            ipc__view_add(to, &key, NULL);
        return;
    }
    if (ipc__item_copy(v, to->object, &from->value, &value) < 0)
        return;
    if (row != NULL)
        ipc__view_set(to, row, &value);
    else
        ipc__view_add(to, &key, &value);
}

void ipc__table_merge(struct ipc__view *to, const struct ipc__view *from)
{
    const bool all_new = to->count == 0;
    const struct ipc__row *row;
    if (to->object == from->object)
        return;
    ipc__view_reserve(to, from->count);
    for (uint64_t at = from->first;
         to->v->rc >= 0 && (row = ipc__view_live(from, &at)) != NULL; at++)
        merge_row(to, row, all_new);
}
