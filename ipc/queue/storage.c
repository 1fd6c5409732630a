/* Queues: where they are stored. */
#include <errno.h>
#include <fcntl.h>

#include <ipc/queue.h>

#include "core/error.h"
#include "queue/posix.h"
#include "queue/ring.h"
#include "queue/store.h"
#include "queue/users.h"
#include "sync/object.h"

#define NOUN "queue"

#define CAPACITY 1024u
#define BYTES    ((size_t)16 << 20)

/* Of memory, if all of it is used: 32 GiB.  Rings take less in any case. */
#define ROOM_MAX ((size_t)32 << 30)

#define FLAGS                                                                  \
    (IPC_QUEUE_RELAXED | IPC_QUEUE_LIFO | IPC_QUEUE_PRIORITY |                 \
     IPC_QUEUE_LEASES | IPC_QUEUE_POSIX)

#define STORED (IPC_QUEUE_LIFO | IPC_QUEUE_PRIORITY | IPC_QUEUE_LEASES)

static int check_flags(uint32_t flags)
{
    if ((flags & IPC_QUEUE_LIFO) != 0 && (flags & IPC_QUEUE_PRIORITY) != 0)
        return ipc__fail(-EINVAL,
                         "a queue goes by priority, or last in, first out");
    return 0;
}

static int check_leases(const ipc_queue *made)
{
    if (made->lease_ns < 0)
        return ipc__fail(-EINVAL, "a lease of %lld ns",
                         (long long)made->lease_ns);
    if ((made->flags & IPC_QUEUE_LEASES) == 0 &&
        (made->lease_ns != 0 || made->max_deliveries != 0))
        return ipc__fail(-EINVAL, "lease_ns and max_deliveries are for a queue "
                                  "with IPC_QUEUE_LEASES");
    return 0;
}

static int check_bounds(const ipc_queue *made)
{
    if (made->capacity > IPC_QUEUE_CAPACITY_MAX ||
        made->bytes > IPC_QUEUE_BYTES_MAX)
        return ipc__fail(-EINVAL,
                         "a queue of %u messages, %zu bytes: %u and %zu are "
                         "the most",
                         made->capacity, (size_t)made->bytes,
                         IPC_QUEUE_CAPACITY_MAX, IPC_QUEUE_BYTES_MAX);
    return check_leases(made);
}

static int check_room(const ipc_queue *made, const struct ipc__room *room)
{
    if (room->needed <= ROOM_MAX)
        return 0;
    return ipc__fail(-EINVAL,
                     "a queue of %u messages, %zu bytes, in this order takes "
                     "up to %zu bytes of memory: %zu are the most",
                     made->capacity, (size_t)made->bytes, room->needed,
                     ROOM_MAX);
}

static bool is_store(const ipc_queue *queue)
{
    return load_relaxed(&queue->kind) == IPC__QUEUE_STORE;
}

static size_t bytes_of(const void *object)
{
    const ipc_queue *queue = object;
    return is_store(queue) ? ipc__store_bytes(queue) : ipc__ring_bytes(queue);
}

/* Its kind is known. */
static void plan(ipc_queue *made, struct ipc__room *room)
{
    if (is_store(made))
        ipc__store_plan(made);
    else
        ipc__ring_plan(made);
    room->needed = bytes_of(made);
    room->present =
        is_store(made) ? ipc__store_present(made) : ipc__ring_present(made);
}

static int prepare(ipc_queue *made, struct ipc__room *room,
                   const ipc_queue_options *options)
{
    ipc_queue_options given;
    int rc = ipc__object_options(NOUN, &given, sizeof given, options, FLAGS);
    if (rc == 0)
        rc = check_flags(given.flags);
    if (rc != 0)
        return rc;
    made->kind =
        (given.flags & STORED) != 0 ? IPC__QUEUE_STORE : IPC__QUEUE_RING;
    made->flags = given.flags;
    made->capacity = given.capacity != 0 ? given.capacity : CAPACITY;
    made->bytes = given.bytes != 0 ? given.bytes : BYTES;
    made->max_deliveries = given.max_deliveries;
    made->lease_ns = given.lease_ns;
    rc = check_bounds(made);
    if (rc != 0)
        return rc;
    ipc__object_label(made->label, given.label);
    plan(made, room);
    return check_room(made, room);
}

static int finish(void *object)
{
    ipc_queue *queue = object;
    return is_store(queue) ? ipc__store_ops.fini(queue) : ipc__ring_fini(queue);
}

int ipc_queue_new(const ipc_queue_options *options, ipc_queue **out)
{
    ipc_queue made = {0};
    void *object;
    struct ipc__image image = {
        .noun = NOUN, .data = &made, .size = sizeof made, .least = sizeof made};
    if (ipc__posix_is_meant(NULL, options))
        return ipc__fail(-ENOTSUP, "a POSIX message queue has a name: see "
                                   "ipc_queue_create()");
    int rc = prepare(&made, &image.room, options);
    if (rc == 0)
        rc = ipc__object_new(&image, &object);
    if (rc == 0)
        *out = object;
    return rc;
}

int ipc_queue_free(ipc_queue *queue)
{
    return ipc__object_free(queue, sizeof *queue, NOUN, finish);
}

static int get_by_name(ipc__named_getter *get, const char *name,
                       const ipc_queue_options *options, ipc_queue **out)
{
    ipc_queue made = {0};
    void *object;
    struct ipc__image image = {
        .noun = NOUN, .data = &made, .size = sizeof made, .least = sizeof made};
    int rc = prepare(&made, &image.room, options);
    if (rc == 0)
        rc = ipc__object_get(get, IPC__REGION_QUEUE, name, &image, bytes_of,
                             &object);
    if (rc == 0)
        *out = object;
    return rc;
}

int ipc_queue_create(const char *name, const ipc_queue_options *options,
                     ipc_queue **out)
{
    if (ipc__posix_is_meant(name, options))
        return ipc__posix_open(name, options, O_CREAT | O_EXCL, out);
    return get_by_name(ipc__named_create, name, options, out);
}

int ipc_queue_open_or_create(const char *name, const ipc_queue_options *options,
                             ipc_queue **out)
{
    if (ipc__posix_is_meant(name, options))
        return ipc__posix_open(name, options, O_CREAT, out);
    return get_by_name(ipc__named_open_or_create, name, options, out);
}

int ipc_queue_open(const char *name, ipc_queue **out)
{
    void *object;
    const struct ipc__image image = {.noun = NOUN,
                                     .room = {sizeof(ipc_queue), 0, 0}};
    if (ipc__posix_is_meant(name, NULL))
        return ipc__posix_open(name, NULL, 0, out);
    const int rc = ipc__object_get(ipc__named_open, IPC__REGION_QUEUE, name,
                                   &image, bytes_of, &object);
    if (rc == 0)
        *out = object;
    return rc;
}

static bool is_named(const ipc_queue *queue)
{
    const struct ipc__region *region = ipc__region_find(queue, NULL, NULL);
    return region != NULL && region->facts.kind == IPC__REGION_QUEUE &&
           ipc__region_data(region) == queue;
}

static bool is_held(const void *object)
{
    (void)object; /* that was looked at, more closely */
    return false;
}

int ipc_queue_detach(ipc_queue *queue)
{
    const bool posix = ipc__posix_is_handle(queue);
    const bool named = !posix && queue != NULL && is_named(queue);
    if ((posix || named) && ipc__queue_is_waited_for(queue))
        return ipc__queue_fail(queue, -EBUSY, "is waited for by this process");
    if (named && ipc__queue_is_in_hand(queue))
        return ipc__queue_fail(queue, -EBUSY,
                               "has something that this process has reserved, "
                               "peeked at or taken");
    return posix ? ipc__posix_detach(queue)
                 : ipc__object_close(queue, IPC__REGION_QUEUE, NOUN, is_held);
}

int ipc_queue_unlink(const char *name)
{
    if (ipc__posix_is_meant(name, NULL))
        return ipc__posix_unlink(name);
    return ipc__named_unlink(name, IPC__REGION_QUEUE);
}
