/* Names: what is in an arena by name.  A dict, the arena's root, holds it. */
#include <errno.h>
#include <string.h>

#include <ipc/arena.h>

#include "core/error.h"
#include "object/object.h"
#include "object/table.h"

#define NAME_BYTES 255

static int check_name(const char *name, ipc_any *key)
{
    const size_t bytes = strnlen(name, NAME_BYTES + 1);
    *key = ipc_strn(name, bytes);
    if (bytes != 0 && bytes <= NAME_BYTES)
        return 0;
    return ipc__fail(-EINVAL, "a name in an arena has 1 to %d bytes",
                     NAME_BYTES);
}

/* NULL: there is none yet, or v->rc. */
static struct ipc__object *root_of(struct ipc__visit *v)
{
    const uint64_t root = v->arena->root;
    return root != 0 ? ipc__object_at(v, root) : NULL;
}

static struct ipc__object *root_made(struct ipc__visit *v)
{
    if (v->arena->root != 0)
        return root_of(v);
    struct ipc__object *root = ipc__object_make(v, IPC_TYPE_DICT);
    if (root == NULL)
        return NULL;
    ipc__object_hold(v, root);
    ipc__put64(v, &v->arena->root, ipc__offset(v, root));
    return root;
}

/* The object of that name, new if there is none; NULL, and v->rc. */
static struct ipc__object *find_or_make(struct ipc__visit *v,
                                        const ipc_any *name, uint32_t type)
{
    struct ipc__object *root = root_made(v);
    if (root == NULL)
        return NULL;
    const struct ipc__item *item = ipc__table_find(v, root, name);
    if (item != NULL && item->tag != type)
        (void)ipc__visit_fail(v, -EINVAL, "\"%s\" is a %s, not a %s", name->str,
                              ipc_type_name(item->tag), ipc_type_name(type));
    if (v->rc < 0)
        return NULL;
    if (item != NULL)
        return ipc__object_at(v, item->value);
    struct ipc__object *made = ipc__object_make(v, type);
    if (made == NULL)
        return NULL;
    const struct ipc__item its = ipc__item_of_object(v, made);
    ipc__table_put(v, root, name, &its);
    return v->rc < 0 ? NULL : made;
}

static struct ipc__handle *get(ipc_arena *arena, const char *name,
                               uint32_t type, int *rc)
{
    struct ipc__visit v;
    ipc_any key;
    *rc = check_name(name, &key);
    if (*rc == 0)
        *rc = ipc__arena_enter(&v, arena);
    if (*rc != 0)
        return NULL;
    struct ipc__handle *handle = NULL;
    const struct ipc__object *object = find_or_make(&v, &key, type);
    if (object != NULL)
        handle = ipc__handle_make(&v, object);
    *rc = ipc__arena_leave(&v);
    if (*rc == 0)
        return handle;
    if (handle != NULL)
        (void)ipc__handle_close(handle);
    return NULL;
}

static struct ipc__handle *find(struct ipc__visit *v, const ipc_any *name,
                                uint32_t type)
{
    struct ipc__object *root = root_of(v);
    const struct ipc__item *item =
        root != NULL ? ipc__table_find(v, root, name) : NULL;
    if (v->rc < 0)
        return NULL;
    if (item == NULL) {
        (void)ipc__visit_fail(
            v, -ENOENT, "nothing in the arena is named \"%s\"", name->str);
        return NULL;
    }
    if (type != 0 && item->tag != type) {
        (void)ipc__visit_fail(v, -EINVAL, "\"%s\" is a %s, not a %s", name->str,
                              ipc_type_name(item->tag), ipc_type_name(type));
        return NULL;
    }
    const struct ipc__object *object = ipc__object_at(v, item->value);
    return object != NULL ? ipc__handle_make(v, object) : NULL;
}

int ipc_arena_find(ipc_arena *arena, const char *name, uint32_t type,
                   ipc_any *out)
{
    struct ipc__visit v;
    ipc_any key;
    int rc = check_name(name, &key);
    if (rc == 0)
        rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        return rc;
    struct ipc__handle *handle = find(&v, &key, type);
    rc = ipc__arena_leave_unchanged(&v);
    if (rc != 0 || handle == NULL) {
        if (handle != NULL)
            (void)ipc__handle_close(handle);
        return rc;
    }
    *out = ipc_any_with_type(handle->type);
    out->list = (ipc_list *)handle;
    return 0;
}

int ipc_arena_list(ipc_arena *arena, const char *name, ipc_list **out)
{
    int rc;
    struct ipc__handle *handle = get(arena, name, IPC_TYPE_LIST, &rc);
    if (rc == 0)
        *out = (ipc_list *)handle;
    return rc;
}

int ipc_arena_dict(ipc_arena *arena, const char *name, ipc_dict **out)
{
    int rc;
    struct ipc__handle *handle = get(arena, name, IPC_TYPE_DICT, &rc);
    if (rc == 0)
        *out = (ipc_dict *)handle;
    return rc;
}

int ipc_arena_set(ipc_arena *arena, const char *name, ipc_set **out)
{
    int rc;
    struct ipc__handle *handle = get(arena, name, IPC_TYPE_SET, &rc);
    if (rc == 0)
        *out = (ipc_set *)handle;
    return rc;
}

int ipc_arena_namespace(ipc_arena *arena, const char *name, ipc_namespace **out)
{
    int rc;
    struct ipc__handle *handle = get(arena, name, IPC_TYPE_NAMESPACE, &rc);
    if (rc == 0)
        *out = (ipc_namespace *)handle;
    return rc;
}

int ipc_arena_remove(ipc_arena *arena, const char *name)
{
    struct ipc__visit v;
    ipc_any key;
    int removed = 0;
    int rc = check_name(name, &key);
    if (rc == 0)
        rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        return rc;
    struct ipc__object *root = root_of(&v);
    if (root != NULL)
        removed = ipc__table_remove(&v, root, &key);
    rc = ipc__arena_leave(&v);
    if (rc != 0)
        return rc;
    return removed == 1 ? 0
                        : ipc__fail(-ENOENT,
                                    "nothing in the arena is named "
                                    "\"%s\"",
                                    name);
}

int ipc_arena_names(ipc_arena *arena, ipc_anys *out)
{
    struct ipc__visit v;
    const int rc = ipc__arena_enter(&v, arena);
    *out = (ipc_anys){NULL, 0};
    if (rc != 0)
        return rc;
    struct ipc__object *root = root_of(&v);
    if (root != NULL)
        (void)ipc__table_list(&v, root, IPC__KEYS, out);
    return ipc__arena_leave_unchanged(&v);
}
