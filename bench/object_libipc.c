/* libipc's lists and dicts, in an arena of their own. */
#include "object_peer.h"

#include <err.h>
#include <stdlib.h>

#include <ipc/arena.h>
#include <ipc/dict.h>
#include <ipc/error.h>
#include <ipc/list.h>

struct own_object {
    ipc_arena *arena;
    ipc_list *list;
    ipc_dict *dict;
    double used; /* while they are empty */
};

static void check(int rc, const char *call)
{
    if (rc != 0)
        errx(EXIT_FAILURE, "%s: %s %s", call, ipc_strerror(rc),
             ipc_error_detail());
}

/* What the arena took before it held anything counts as present. */
static void measure(void *object, struct object_memory *out)
{
    const struct own_object *own = object;
    ipc_arena_info info = IPC_ARENA_INFO_INIT;

    check(ipc_arena_query(own->arena, &info), "ipc_arena_query");
    out->used = (double)info.used_bytes - own->used;
    out->present = (double)info.present_bytes;
}

static void *make(size_t members)
{
    struct own_object *own = calloc(1, sizeof *own);
    struct object_memory empty;

    (void)members;
    if (own == NULL)
        err(EXIT_FAILURE, "calloc");
    check(ipc_arena_new(NULL, &own->arena), "ipc_arena_new");
    check(ipc_list_new(own->arena, &own->list), "ipc_list_new");
    check(ipc_dict_new(own->arena, &own->dict), "ipc_dict_new");
    measure(own, &empty);
    own->used = empty.used;
    return own;
}

static void drop(void *object)
{
    struct own_object *own = object;

    check(ipc_dict_free(own->dict), "ipc_dict_free");
    check(ipc_list_free(own->list), "ipc_list_free");
    check(ipc_arena_free(own->arena), "ipc_arena_free");
    free(own);
}

static uint64_t append(void *object, size_t member,
                       const struct object_item *items, size_t count)
{
    struct own_object *own = object;

    (void)member;
    for (size_t i = 0; i < count; i++)
        check(ipc_list_append_i64(own->list, (int64_t)items[i].number),
              "ipc_list_append_i64");
    return 0;
}

static uint64_t list_get(void *object, size_t member,
                         const struct object_item *items, size_t count)
{
    struct own_object *own = object;
    uint64_t sum = 0;
    int64_t value;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        check(ipc_list_get_i64(own->list, (int64_t)items[i].number, &value),
              "ipc_list_get_i64");
        sum += (uint64_t)value;
    }
    return sum;
}

static uint64_t set(void *object, size_t member,
                    const struct object_item *items, size_t count)
{
    struct own_object *own = object;

    (void)member;
    for (size_t i = 0; i < count; i++)
        check(
            ipc_dict_set_i64(own->dict, items[i].key, (int64_t)items[i].number),
            "ipc_dict_set_i64");
    return 0;
}

static uint64_t dict_get(void *object, size_t member,
                         const struct object_item *items, size_t count)
{
    struct own_object *own = object;
    uint64_t sum = 0;
    int64_t value;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        check(ipc_dict_get_i64(own->dict, items[i].key, &value),
              "ipc_dict_get_i64");
        sum += (uint64_t)value;
    }
    return sum;
}

static uint64_t add_two(void *object, size_t member,
                        const struct object_item *items, size_t count)
{
    struct own_object *own = object;

    (void)member;
    (void)items;
    for (size_t i = 0; i < count; i++) {
        check(ipc_atomic_begin(own->arena), "ipc_atomic_begin");
        check(ipc_dict_incr(own->dict, ipc_str(OBJECT_LEFT), 1, NULL),
              "ipc_dict_incr");
        check(ipc_dict_incr(own->dict, ipc_str(OBJECT_RIGHT), 1, NULL),
              "ipc_dict_incr");
        check(ipc_atomic_commit(own->arena), "ipc_atomic_commit");
    }
    return 0;
}

static uint64_t length(void *object, enum object_op op)
{
    struct own_object *own = object;
    int64_t left;
    int64_t right;

    switch (op) {
    case LIST_APPEND:
    case LIST_GET:
        return (uint64_t)ipc_list_length(own->list);
    case DICT_ADD_TWO:
        check(ipc_dict_get_i64(own->dict, OBJECT_LEFT, &left),
              "ipc_dict_get_i64");
        check(ipc_dict_get_i64(own->dict, OBJECT_RIGHT, &right),
              "ipc_dict_get_i64");
        return left == right ? (uint64_t)left : UINT64_MAX;
    default:
        return (uint64_t)ipc_dict_length(own->dict);
    }
}

const struct object_peer object_peers_libipc[] = {
    {.name = "libipc",
     .grow_max = UINT64_MAX,
     .make = make,
     .drop = drop,
     .run = {append, list_get, set, dict_get, add_two},
     .length = length,
     .measure = measure},
    {0},
};
