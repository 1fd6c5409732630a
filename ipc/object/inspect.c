/* Objects and items, for ipc_arena_check().
 *
 * What holds what may go deep: so what is found is put into a line, and whoever
 * was called first works it off. */
#include <errno.h>
#include <stdlib.h>

#include "object/found.h"
#include "object/object.h"

#define FLAGS (IPC__OBJECT_TYPE | IPC__OBJECT_OWNED | IPC__OBJECT_WATCHED)

static int fail(struct ipc__visit *v, const char *what, uint64_t offset)
{
    return ipc__visit_fail(v, -EUCLEAN, "the arena is not whole: %s, at 0x%llx",
                           what, (unsigned long long)offset);
}

/* ---- objects ---- */

static void look_at(struct ipc__inspection *in, uint64_t offset)
{
    struct ipc__visit *v = in->v;
    if (!ipc__block_is_object(v, offset)) {
        fail(v, "an object where none is", offset);
        return;
    }
    if (ipc__inspect_block(in, offset) != 0)
        return;
    const struct ipc__object *object = ipc__object_at(v, offset);
    if (object == NULL)
        return;
    in->objects++;
    if ((object->type & ~(uint64_t)FLAGS) != 0)
        fail(v, "an object's flags", offset);
    if (object->version == 0)
        fail(v, "an object's version", offset);
    const uint64_t body = object->body;
    if (body == 0 || v->rc < 0)
        return;
    if ((object->type & IPC__OBJECT_TYPE) == IPC_TYPE_LIST)
        (void)ipc__inspect_list(in, body);
    else
        (void)ipc__inspect_table(in, body);
}

int ipc__inspect_object(struct ipc__inspection *in, uint64_t offset)
{
    struct ipc__visit *v = in->v;
    struct ipc__found *found = in->found;
    if (v->rc < 0)
        return v->rc;
    if (found == NULL) {
        found = in->found = calloc(1, sizeof *found);
        if (found == NULL)
            return ipc__visit_fail(v, -ENOMEM,
                                   "no memory to check the arena with");
    }
    uint64_t next = found->count;
    const bool working = in->working;
    if (ipc__found_add(v, found, offset) == NULL || working)
        return v->rc;
    in->working = true;
    for (; next < found->count && v->rc >= 0; next++)
        look_at(in, found->all[next].offset);
    in->working = false;
    return v->rc;
}

int ipc__inspect_refs(struct ipc__inspection *in)
{
    struct ipc__visit *v = in->v;
    const struct ipc__found *found = in->found;
    for (uint64_t i = 0; found != NULL && i < found->count && v->rc >= 0; i++) {
        const struct ipc__found_one *one = &found->all[i];
        const struct ipc__object *object = ipc__object_at(v, one->offset);
        if (object != NULL && object->refs != one->times)
            ipc__visit_fail(
                v, -EUCLEAN,
                "the arena is not whole: %llu hold a %s that counts %llu, at "
                "0x%llx",
                (unsigned long long)one->times,
                ipc_type_name((uint32_t)(object->type & IPC__OBJECT_TYPE)),
                (unsigned long long)object->refs,
                (unsigned long long)one->offset);
    }
    return v->rc;
}

void ipc__inspect_end(struct ipc__inspection *in)
{
    if (in->found != NULL)
        ipc__found_fini(in->found);
    free(in->found);
    in->found = NULL;
}

/* ---- items ---- */

static int inspect_long(struct ipc__inspection *in,
                        const struct ipc__item *item)
{
    struct ipc__visit *v = in->v;
    const uint32_t type = item->tag_word & ~(uint32_t)IPC__ITEM_LONG;
    if ((type != IPC_TYPE_STR && type != IPC_TYPE_BYTES) ||
        item->size <= IPC__ITEM_SHORT || item->size > IPC_ANY_BYTES_MAX)
        return fail(v, "a long string", ipc__offset(v, item));
    if (ipc__block_size(v, item->value) < item->size)
        return fail(v, "a long string's block", item->value);
    return ipc__inspect_block(in, item->value);
}

static bool is_short_fine(const struct ipc__item *item)
{
    uint8_t rest = 0;
    if (item->length > IPC__ITEM_SHORT)
        return false;
    for (uint32_t i = item->length; i < IPC__ITEM_SHORT; i++)
        rest |= item->text[i];
    return rest == 0;
}

static bool is_number_fine(const struct ipc__item *item)
{
    switch (item->words[0]) { /* the size is 0 too */
    case IPC_TYPE_NIL:
        return item->value == 0;
    case IPC_TYPE_BOOL:
        return item->value <= 1;
    case IPC_TYPE_U64:
        return item->value > INT64_MAX;
    default:
        return item->words[0] <= IPC_TYPE_F64;
    }
}

static int inspect_handle(struct ipc__inspection *in,
                          const struct ipc__item *item)
{
    struct ipc__visit *v = in->v;
    const struct ipc__object *object = ipc__object_at(v, item->value);
    if (object == NULL)
        return v->rc;
    if (item->words[0] != (object->type & IPC__OBJECT_TYPE))
        return fail(v, "an item of another type than its object",
                    ipc__offset(v, item));
    return ipc__inspect_object(in, item->value);
}

int ipc__inspect_item(struct ipc__inspection *in, const struct ipc__item *item)
{
    struct ipc__visit *v = in->v;
    if (v->rc < 0)
        return v->rc;
    if ((item->tag & IPC__ITEM_LONG) != 0)
        return inspect_long(in, item);
    if (ipc__item_is_handle(item))
        return inspect_handle(in, item);
    if (item->tag == IPC_TYPE_STR || item->tag == IPC_TYPE_BYTES
            ? is_short_fine(item)
            : is_number_fine(item))
        return 0;
    return fail(v, "an item", ipc__offset(v, item));
}
