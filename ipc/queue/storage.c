/* Queues: where they are stored. */
#include <errno.h>
#include <fcntl.h>

#include <ipc/queue.h>

#include "core/error.h"
#include "queue/posix.h"
#include "queue/ring.h"
#include "sync/object.h"

#define NOUN "queue"

#define CAPACITY 1024u
#define BYTES    ((size_t)16 << 20)

#define FLAGS                                                                  \
    (IPC_QUEUE_RELAXED | IPC_QUEUE_LIFO | IPC_QUEUE_PRIORITY |                 \
     IPC_QUEUE_LEASES | IPC_QUEUE_POSIX)

static int prepare(ipc_queue *made, struct ipc__room *room,
                   const ipc_queue_options *options)
{
    ipc_queue_options given;
    const int rc =
        ipc__object_options(NOUN, &given, sizeof given, options, FLAGS);
    if (rc != 0)
        return rc;
    if ((given.flags & ~(IPC_QUEUE_RELAXED)) != 0)
        return ipc__fail(-ENOTSUP, "queues of this kind are not there yet");
    made->kind = IPC__QUEUE_RING;
    made->flags = given.flags;
    made->capacity = given.capacity != 0 ? given.capacity : CAPACITY;
    made->bytes = given.bytes != 0 ? given.bytes : BYTES;
    made->max_deliveries = given.max_deliveries;
    made->lease_ns = given.lease_ns;
    if (made->capacity > IPC_QUEUE_CAPACITY_MAX ||
        made->bytes > IPC_QUEUE_BYTES_MAX)
        return ipc__fail(-EINVAL,
                         "a queue of %u messages, %zu bytes: %u and %zu are "
                         "the most",
                         made->capacity, (size_t)made->bytes,
                         IPC_QUEUE_CAPACITY_MAX, IPC_QUEUE_BYTES_MAX);
    ipc__object_label(made->label, given.label);
    ipc__ring_plan(made);
    room->needed = ipc__ring_bytes(made);
    room->present = ipc__ring_present(made);
    return 0;
}

static size_t bytes_of(const void *object)
{
    const ipc_queue *queue = object;
    return ipc__ring_bytes(queue);
}

static int finish(void *object)
{
    return ipc__ring_fini(object);
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
