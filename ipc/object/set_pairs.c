/* Sets: two of one arena. */
#include <ipc/set.h>

#include "object/dict.h"

int ipc_set_union(ipc_set *set, ipc_set *other)
{
    return ipc__map_merge(&set->handle, &other->handle, IPC_TYPE_SET,
                          IPC_OP_SET_UNION);
}

/* Is the member of a row in another set?  0, 1 or v->rc. */
static int is_in(const struct ipc__row *row, struct ipc__view *other)
{
    struct ipc__visit *v = other->v;
    struct ipc__key key;
    if (ipc__key_of_row(v, row, &key) < 0)
        return v->rc;
    const bool found = ipc__view_find(other, &key) != NULL;
    return v->rc < 0 ? v->rc : found;
}

/* Take out those that are in the other one, or those that are not. */
static uint64_t take_out(struct ipc__view *t, struct ipc__view *other,
                         int those)
{
    struct ipc__visit *v = t->v;
    struct ipc__row *row;
    uint64_t removed = 0;
    for (uint64_t at = t->first; (row = ipc__view_live(t, &at)) != NULL; at++) {
        if (is_in(row, other) == those && ipc__journal_room(v, 0, 0) >= 0 &&
            ipc__view_pick(t, at) != NULL) {
            ipc__view_remove(t, row);
            removed++;
        }
        if (v->rc < 0)
            break;
    }
    return removed;
}

/* The same, where the other one is small. */
static uint64_t take_out_all(struct ipc__view *t, const struct ipc__view *other)
{
    struct ipc__visit *v = t->v;
    const struct ipc__row *row;
    uint64_t removed = 0;
    for (uint64_t at = other->first; (row = ipc__view_live(other, &at)) != NULL;
         at++) {
        struct ipc__key key;
        if (ipc__journal_room(v, 0, 0) < 0 || ipc__key_of_row(v, row, &key) < 0)
            break;
        struct ipc__row *mine = ipc__view_find(t, &key);
        if (mine != NULL) {
            ipc__view_remove(t, mine);
            removed++;
        }
        if (v->rc < 0)
            break;
    }
    return removed;
}

int ipc_set_intersect(ipc_set *set, ipc_set *other)
{
    if (ipc__is_remote(&set->handle))
        return ipc__map_remote_other(&set->handle, IPC_OP_SET_INTERSECT,
                                     &other->handle, false);
    struct ipc__visit v;
    struct ipc__view t[2];
    const int rc =
        ipc__map_enter_both(&v, &set->handle, &other->handle, IPC_TYPE_SET, t);
    if (rc != 0)
        return rc;
    if (t[0].object != t[1].object)
        ipc__view_settle(&t[0], take_out(&t[0], &t[1], 0));
    return ipc__arena_leave(&v);
}

int ipc_set_subtract(ipc_set *set, ipc_set *other)
{
    if (ipc__is_remote(&set->handle))
        return ipc__map_remote_other(&set->handle, IPC_OP_SET_SUBTRACT,
                                     &other->handle, false);
    struct ipc__visit v;
    struct ipc__view t[2];
    const int rc =
        ipc__map_enter_both(&v, &set->handle, &other->handle, IPC_TYPE_SET, t);
    if (rc != 0)
        return rc;
    if (t[0].object == t[1].object)
        ipc__table_clear(&v, t[0].object);
    else if (t[1].count < t[0].count)
        ipc__view_settle(&t[0], take_out_all(&t[0], &t[1]));
    else
        ipc__view_settle(&t[0], take_out(&t[0], &t[1], 1));
    return ipc__arena_leave(&v);
}

int ipc_set_is_subset(ipc_set *set, ipc_set *other)
{
    if (ipc__is_remote(&set->handle))
        return ipc__map_remote_other(&set->handle, IPC_OP_SET_IS_SUBSET,
                                     &other->handle, true);
    struct ipc__visit v;
    struct ipc__view t[2];
    int rc =
        ipc__map_enter_both(&v, &set->handle, &other->handle, IPC_TYPE_SET, t);
    if (rc != 0)
        return rc;
    const struct ipc__row *row;
    int all = t[0].count <= t[1].count;
    for (uint64_t at = t[0].first;
         all == 1 && (row = ipc__view_live(&t[0], &at)) != NULL; at++)
        all = is_in(row, &t[1]);
    rc = ipc__arena_leave_unchanged(&v);
    return rc < 0 ? rc : all;
}
