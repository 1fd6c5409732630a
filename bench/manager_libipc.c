/* libipc's manager: a served list, for which each call is a request, the same
 * list kept on disk, and one in the arena that the server hands out. */
#include "manager_peer.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/list.h>
#include <ipc/manager.h>
#include <ipc/remote.h>

#define STORE "store"

/* Members are forked later: each has a connection of its own from its first
 * call on. */
struct own_manager {
    ipc_manager *manager;
    ipc_list *list;
    ipc_any handle;
    ipc_calls *calls;
};

static void check(int rc, const char *call)
{
    if (rc < 0)
        errx(EXIT_FAILURE, "%s: %s %s", call, ipc_strerror(rc),
             ipc_error_detail());
}

static ipc_manager *start(uint32_t durability)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    ipc_manager *manager;

    if (durability != IPC_DURABLE_NONE)
        options.store = STORE;
    check(ipc_manager_start(&options, &manager), "ipc_manager_start");
    return manager;
}

static void *make(uint32_t flags, uint32_t durability)
{
    struct own_manager *own = calloc(1, sizeof *own);
    ipc_manager_object_options options = IPC_MANAGER_OBJECT_OPTIONS_INIT;

    if (own == NULL)
        err(EXIT_FAILURE, "calloc");
    own->manager = start(durability);
    options.flags = flags;
    options.durability = durability;
    check(ipc_manager_open(own->manager, IPC_TYPE_LIST, "list", &options,
                           &own->handle),
          "ipc_manager_open");
    if (ipc_manager_is_direct(own->manager, &own->handle) != (flags == 0))
        errx(EXIT_FAILURE, "the list is in the other arena");
    own->list = own->handle.list;
    check(ipc_calls_new(own->manager, &own->calls), "ipc_calls_new");
    return own;
}

static void *make_served(size_t members)
{
    (void)members;
    return make(IPC_MANAGER_SERVED, IPC_DURABLE_NONE);
}

static void *make_direct(size_t members)
{
    (void)members;
    return make(0, IPC_DURABLE_NONE);
}

static void *make_always(size_t members)
{
    (void)members;
    return make(IPC_MANAGER_SERVED, IPC_DURABLE_ALWAYS);
}

static void *make_interval(size_t members)
{
    (void)members;
    return make(IPC_MANAGER_SERVED, IPC_DURABLE_INTERVAL);
}

static void drop(void *object)
{
    struct own_manager *own = object;

    check(ipc_calls_free(own->calls), "ipc_calls_free");
    ipc_any_free(&own->handle);
    check(ipc_manager_close(own->manager), "ipc_manager_close");
    free(own);
}

/* ---- one by one ---- */

static uint64_t append(void *object, size_t member,
                       const struct object_item *items, size_t count)
{
    struct own_manager *own = object;

    (void)member;
    for (size_t i = 0; i < count; i++)
        check(ipc_list_append_i64(own->list, (int64_t)items[i].number),
              "ipc_list_append_i64");
    return 0;
}

static uint64_t get(void *object, size_t member,
                    const struct object_item *items, size_t count)
{
    struct own_manager *own = object;
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

static uint64_t length(void *object, enum object_op op)
{
    const struct own_manager *own = object;

    (void)op;
    return (uint64_t)ipc_list_length(own->list);
}

/* ---- many at once ---- */

static void add_calls(struct own_manager *own, uint32_t op,
                      const struct object_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ipc_any number = ipc_i64((int64_t)items[i].number);

        check(ipc_calls_add(own->calls, own->handle, op, &number, 1),
              "ipc_calls_add");
    }
}

/* The sum of the results that are numbers. */
static uint64_t run_calls(struct own_manager *own, size_t count)
{
    const ipc_anys *results;
    uint64_t sum = 0;

    check(ipc_calls_run(own->calls, 0), "ipc_calls_run");
    for (size_t i = 0; i < count; i++) {
        check(ipc_calls_result(own->calls, i, &results), "ipc_calls_result");
        if (results->count > 0)
            sum += (uint64_t)results->items[0].i64;
    }
    check(ipc_calls_clear(own->calls), "ipc_calls_clear");
    return sum;
}

static uint64_t run(void *object, uint32_t op, const struct object_item *items,
                    size_t count)
{
    uint64_t sum = 0;

    for (size_t done = 0; done < count; done += MANAGER_PIPELINE) {
        size_t left = count - done;
        size_t n = left < MANAGER_PIPELINE ? left : MANAGER_PIPELINE;

        add_calls(object, op, &items[done], n);
        sum += run_calls(object, n);
    }
    return sum;
}

static uint64_t append_many(void *object, size_t member,
                            const struct object_item *items, size_t count)
{
    (void)member;
    return run(object, IPC_OP_LIST_APPEND, items, count);
}

static uint64_t get_many(void *object, size_t member,
                         const struct object_item *items, size_t count)
{
    (void)member;
    return run(object, IPC_OP_LIST_GET, items, count);
}

/* ---- the peers ---- */

#define ONE_BY_ONE(make_it)                                                    \
    {                                                                          \
        .make = (make_it), .drop = drop,                                       \
        .run = {[LIST_APPEND] = append, [LIST_GET] = get}, .length = length    \
    }

#define MANY(make_it)                                                          \
    {                                                                          \
        .make = (make_it), .drop = drop,                                       \
        .run = {[LIST_APPEND] = append_many, [LIST_GET] = get_many},           \
        .length = length                                                       \
    }

static const struct object_peer served[MANAGER_WAYS] = {
    [MANAGER_SYNC] = ONE_BY_ONE(make_served),
    [MANAGER_PIPE] = MANY(make_served),
    [MANAGER_SYNC_ALWAYS] = ONE_BY_ONE(make_always),
    [MANAGER_PIPE_ALWAYS] = MANY(make_always),
    [MANAGER_SYNC_INTERVAL] = ONE_BY_ONE(make_interval),
    [MANAGER_PIPE_INTERVAL] = MANY(make_interval),
};

static const struct object_peer direct = ONE_BY_ONE(make_direct);

const struct manager_peer manager_libipc = {.name = "libipc",
                                            .ways = {&served[0], &served[1],
                                                     &served[2], &served[3],
                                                     &served[4], &served[5]}};

const struct manager_peer manager_direct = {.name = "libipc-direct",
                                            .ways = {[MANAGER_SYNC] = &direct}};

/* ---- connecting ---- */

static void *make_server(void)
{
    return start(IPC_DURABLE_NONE);
}

static void drop_server(void *server)
{
    check(ipc_manager_close(server), "ipc_manager_close");
}

static void *call_with(const ipc_manager *server, uint32_t flags)
{
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    ipc_manager *manager;
    size_t bytes;
    const void *key = ipc_manager_key(server, &bytes);

    options.flags = flags;
    check(ipc_manager_connect(ipc_manager_address(server), key, bytes, &options,
                              &manager),
          "ipc_manager_connect");
    return manager;
}

static void *call(void *server)
{
    return call_with(server, 0);
}

static void *call_without_arena(void *server)
{
    return call_with(server, IPC_MANAGER_NO_ARENA);
}

const struct manager_caller manager_callers_libipc[] = {
    {"libipc", make_server, drop_server, call_without_arena, drop_server},
    {"libipc-direct", make_server, drop_server, call, drop_server},
    {0},
};
