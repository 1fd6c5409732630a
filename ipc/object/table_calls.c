/* Tables: what is done to them in a visit, by key. */
#include "object/table.h"

const struct ipc__item *ipc__table_find(struct ipc__visit *v,
                                        struct ipc__object *object,
                                        const ipc_any *key)
{
    struct ipc__key made;
    struct ipc__view t;
    if (ipc__key_make_in(v, key, &made) < 0)
        return NULL;
    const struct ipc__row *row = ipc__view_open_at(&t, v, object, &made);
    return row != NULL ? &row->value : NULL;
}

void ipc__table_put(struct ipc__visit *v, struct ipc__object *object,
                    const ipc_any *key, const struct ipc__item *value)
{
    struct ipc__key made;
    struct ipc__view t;
    if (ipc__key_make_in(v, key, &made) < 0 || !ipc__view_open(&t, v, object))
        return;
    struct ipc__row *row = ipc__view_find(&t, &made);
    if (row != NULL)
        ipc__view_set(&t, row, value);
    else
        ipc__view_add(&t, &made, value);
}

int ipc__table_remove(struct ipc__visit *v, struct ipc__object *object,
                      const ipc_any *key)
{
    struct ipc__key made;
    struct ipc__view t;
    if (ipc__key_make_in(v, key, &made) < 0 || !ipc__view_open(&t, v, object))
        return v->rc;
    struct ipc__row *row = ipc__view_find(&t, &made);
    if (row == NULL)
        return v->rc < 0 ? v->rc : 0;
    ipc__view_remove(&t, row);
    ipc__view_settle(&t, 1);
    return v->rc < 0 ? v->rc : 1;
}

void ipc__table_clear(struct ipc__visit *v, struct ipc__object *object)
{
    const uint64_t body = object->body;
    if (v->rc < 0 || body == 0)
        return;
    ipc__object_changed(v, object);
    ipc__put64(v, &object->body, 0);
    ipc__park(v, body, IPC__PARKED_TABLE);
}

uint64_t ipc__table_count(struct ipc__visit *v,
                          const struct ipc__object *object)
{
    const uint64_t body = load_relaxed(&object->body);
    const struct ipc__body *head =
        body != 0 ? ipc__at(v, body, sizeof *head) : NULL;
    return head != NULL ? load_relaxed(&head->count) : 0;
}
