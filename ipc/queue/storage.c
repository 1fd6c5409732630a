/* Queues: where they are stored. */
#include <errno.h>
#include <fcntl.h>

#include <ipc/queue.h>

#include "core/error.h"
#include "queue/posix.h"
#include "queue/ring.h"
#include "queue/store.h"
#include "sync/object.h"
#include "wait/fd.h"

#define NOUN "queue"

#define CAPACITY 1024u
#define BYTES    ((size_t)16 << 20)

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

static int check_bounds(const ipc_queue *made)
{
    if (made->capacity > IPC_QUEUE_CAPACITY_MAX ||
        made->bytes > IPC_QUEUE_BYTES_MAX)
        return ipc__fail(-EINVAL,
                         "a queue of %u messages, %zu bytes: %u and %zu are "
                         "the most",
                         made->capacity, (size_t)made->bytes,
                         IPC_QUEUE_CAPACITY_MAX, IPC_QUEUE_BYTES_MAX);
    if (made->lease_ns < 0)
        return ipc__fail(-EINVAL, "a lease of %lld ns",
                         (long long)made->lease_ns);
    return 0;
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
    return 0;
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

static bool is_held(const void *object)
{
    (void)object;
    return false;
}

int ipc_queue_detach(ipc_queue *queue)
{
    ipc__forget(queue);
    if (ipc__posix_is_handle(queue))
        return ipc__posix_detach(queue);
    return ipc__object_close(queue, IPC__REGION_QUEUE, NOUN, is_held);
}

int ipc_queue_unlink(const char *name)
{
    if (ipc__posix_is_meant(name, NULL))
        return ipc__posix_unlink(name);
    return ipc__named_unlink(name, IPC__REGION_QUEUE);
}
