/* Lists: what others do with the body of one.  It is freed in steps, checked,
 * and gone through for what it holds.
 *
 * State, invariants, death: see list_ring.c.  A body that is being drained has
 * no object, fewer and fewer items, and in the end no slots: capacity is 0. */
#include "object/list.h"

#define AT_A_TIME 32 /* items that are given up in a step */

/* ---- drain ---- */

/* The last chunk, if nothing is left in it. */
static void free_chunk(const struct ipc__list *l, uint64_t left)
{
    uint64_t *entry = ipc__list_entry(l, l->first + left);
    const uint64_t at = load_relaxed(entry);
    ipc__put64(l->v, entry, 0);
    ipc__free_now(l->v, at);
}

static void free_slots(struct ipc__visit *v, struct ipc__list_body *body)
{
    const uint64_t spare = load_relaxed(&body->spare);
    const uint64_t slots = load_relaxed(&body->slots);
    ipc__put64(v, &body->spare, 0);
    ipc__put64(v, &body->slots, 0);
    ipc__put64(v, &body->capacity, 0);
    if (spare != 0)
        ipc__free_now(v, spare);
    if (slots != 0)
        ipc__free_now(v, slots);
}

bool ipc__list_drain(struct ipc__visit *v, uint64_t body)
{
    struct ipc__list_body *at = ipc__at(v, body, sizeof *at);
    struct ipc__list l;
    if (at == NULL)
        return false;
    if (load_relaxed(&at->capacity) == 0)
        return true;
    if (!ipc__list_look_at(v, body, &l))
        return false;
    uint64_t nested = 0;
    uint64_t left = l.count;
    for (int i = 0; i < AT_A_TIME && left > 0; i++) {
        struct ipc__item item;
        if (!ipc__list_read(&l, --left, &item))
            return false;
        ipc__item_drain(v, &item);
        nested += ipc__item_is_handle(&item);
        if (!ipc__list_is_small(&l) &&
            (left == 0 || ((l.first + left) & (IPC__LIST_CHUNK - 1)) == 0))
            free_chunk(&l, left);
    }
    ipc__list_nested(&l, 0, nested);
    ipc__put64(v, &at->head.count, left);
    if (left > 0)
        return false;
    free_slots(v, at);
    return true;
}

/* ---- check ---- */

static void fail(struct ipc__visit *v, const char *what, uint64_t body)
{
    (void)ipc__visit_fail(v, -EUCLEAN, "the arena is not whole: %s, at 0x%llx",
                          what, (unsigned long long)body);
}

static void inspect_directory(struct ipc__inspection *in,
                              const struct ipc__list *l)
{
    const uint64_t entries = l->capacity >> IPC__LIST_CHUNK_BITS;
    const uint64_t chunks = ipc__list_chunks(l->first, l->count);
    if (chunks > entries)
        fail(in->v, "a list has both ends in a chunk",
             ipc__offset(in->v, l->body));
    for (uint64_t i = 0; i < entries && in->v->rc >= 0; i++) {
        const uint64_t at = load_relaxed(
            ipc__list_entry(l, l->first + (i << IPC__LIST_CHUNK_BITS)));
        if (i >= chunks && at != 0)
            fail(in->v, "a list has a chunk without items", at);
        else if (i < chunks &&
                 ipc__block_size(in->v, at) < IPC__LIST_CHUNK_BYTES)
            fail(in->v, "the chunk of a list is small", at);
        else if (i < chunks)
            (void)ipc__inspect_block(in, at);
    }
}

static void inspect_items(struct ipc__inspection *in, const struct ipc__list *l)
{
    uint64_t nested = 0;
    for (uint64_t i = 0; i < l->count && in->v->rc >= 0; i++) {
        const struct ipc__item *item = ipc__list_slot(l, i);
        if (item == NULL)
            return;
        nested += ipc__item_is_handle(item);
        (void)ipc__inspect_item(in, item);
    }
    if (nested != load_relaxed(&l->body->head.nested))
        fail(in->v, "how many handles a list has", ipc__offset(in->v, l->body));
}

int ipc__inspect_list(struct ipc__inspection *in, uint64_t body)
{
    struct ipc__visit *v = in->v;
    const struct ipc__list_body *at = ipc__at(v, body, sizeof *at);
    struct ipc__list l;
    if (at == NULL || ipc__inspect_block(in, body) < 0)
        return v->rc;
    if (load_relaxed(&at->capacity) == 0) {
        if (at->head.count != 0 || at->slots != 0 || at->spare != 0)
            fail(v, "the body of a list that was drained", body);
        return v->rc;
    }
    if (!ipc__list_look_at(v, body, &l) ||
        ipc__inspect_block(in, load_relaxed(&at->slots)) < 0)
        return v->rc;
    const uint64_t spare = load_relaxed(&at->spare);
    if (spare != 0)
        (void)ipc__inspect_block(in, spare);
    if (spare != 0 && ipc__block_size(v, spare) < IPC__LIST_CHUNK_BYTES)
        fail(v, "the spare chunk of a list is small", spare);
    if (ipc__block_size(v, load_relaxed(&at->slots)) <
        ipc__list_slots_bytes(l.capacity))
        fail(v, "the slots of a list are few", body);
    if (!ipc__list_is_small(&l))
        inspect_directory(in, &l);
    inspect_items(in, &l);
    return v->rc;
}

/* ---- what it holds ---- */

bool ipc__list_each_nested(struct ipc__visit *v, uint64_t body,
                           bool (*fn)(struct ipc__visit *v, uint64_t object,
                                      void *arg),
                           void *arg)
{
    struct ipc__list l;
    if (!ipc__list_look_at(v, body, &l))
        return false;
    uint64_t left = load_relaxed(&l.body->head.nested);
    for (uint64_t i = 0; i < l.count && left > 0; i++) {
        struct ipc__item item;
        if (!ipc__list_read(&l, i, &item))
            return false;
        if (!ipc__item_is_handle(&item))
            continue;
        if (fn(v, item.value, arg))
            return true;
        left--;
    }
    return false;
}
