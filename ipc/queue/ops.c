/* What kinds of queues have in common, and what is none. */
#include "queue/ops.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/region.h"
#include "sync/object.h"
#include "wait/fd.h"

int ipc__queue_fail(const struct ipc_queue *queue, int error, const char *text)
{
    char name[IPC__NAME_BYTES];
    if (error == -EAGAIN || error == -ETIMEDOUT)
        ipc__found_nothing(queue);
    return ipc__fail(error, "%s %s",
                     ipc__object_name("queue", queue->label, queue, name),
                     text);
}

int ipc__queue_fail_size(const struct ipc_queue *queue, size_t size,
                         size_t limit, const char *what)
{
    char name[IPC__NAME_BYTES];
    return ipc__fail(-EMSGSIZE, "%s: a message of %zu bytes, %s %zu",
                     ipc__object_name("queue", queue->label, queue, name), size,
                     what, limit);
}

int ipc__queue_fail_memory(const struct ipc_queue *queue, int error,
                           size_t bytes)
{
    char name[IPC__NAME_BYTES];
    struct statvfs shm;
    const struct ipc__region *region = ipc__region_find(queue, NULL, NULL);
    (void)ipc__object_name("queue", queue->label, queue, name);
    if (region != NULL && region->facts.kind == IPC__REGION_QUEUE &&
        statvfs("/dev/shm", &shm) == 0)
        return ipc__fail(error,
                         "%s finds no memory for a message of %zu bytes: "
                         "/dev/shm has %llu free",
                         name, bytes,
                         (unsigned long long)shm.f_bavail * shm.f_frsize);
    return ipc__fail(error,
                     "%s finds no memory for a message of %zu bytes in family "
                     "memory",
                     name, bytes);
}

/* ---- idle ones ---- */

#define IDLE_AND_TOLD INT64_MAX

bool ipc__queue_is_idle(struct ipc_queue *queue, int64_t ns)
{
    struct ipc__queue_get *get = &queue->get;
    const uint32_t tail = ipc__queue_count(load_relaxed(&queue->tail));
    if (get->idle_since == IDLE_AND_TOLD && get->idle_tail == tail)
        return false;
    const int64_t now = ipc_now();
    if (get->idle_since == 0 || get->idle_tail != tail) {
        get->idle_tail = tail;
        get->idle_since = now;
    }
    if ((uint64_t)now - (uint64_t)get->idle_since < (uint64_t)ns)
        return false;
    get->idle_since = IDLE_AND_TOLD;
    return true;
}

/* ---- what a kind does not have ---- */

static int no_leases(const ipc_queue *queue)
{
    return ipc__queue_fail(queue, -ENOTSUP,
                           "was not made with IPC_QUEUE_LEASES");
}

int ipc__queue_no_take(ipc_queue *queue, ipc_message *message,
                       ipc_deadline deadline)
{
    (void)message;
    (void)deadline;
    return no_leases(queue);
}

int ipc__queue_no_settle(ipc_queue *queue, ipc_message *message,
                         enum ipc__lease_end how, ipc_deadline lease)
{
    (void)message;
    (void)how;
    (void)lease;
    return no_leases(queue);
}

uint32_t ipc__queue_no_dead(ipc_queue *queue)
{
    (void)queue;
    return 0;
}

int ipc__queue_no_take_dead(ipc_queue *queue, ipc_message *message)
{
    (void)message;
    return no_leases(queue);
}

/* ---- what is no queue ---- */

static int none(void)
{
    return ipc__fail(-EUCLEAN, "this is no queue");
}

static int none_put(ipc_queue *queue, const void *data, size_t bytes,
                    uint32_t priority, ipc_deadline deadline)
{
    (void)queue;
    (void)data;
    (void)bytes;
    (void)priority;
    (void)deadline;
    return none();
}

static int none_putv(ipc_queue *queue, const ipc_queue_item *items, size_t n,
                     ipc_deadline deadline)
{
    (void)queue;
    (void)items;
    (void)n;
    (void)deadline;
    return none();
}

static int none_reserve(ipc_queue *queue, size_t bytes, ipc_message *message,
                        ipc_deadline deadline)
{
    (void)queue;
    (void)bytes;
    (void)message;
    (void)deadline;
    return none();
}

static int none_message(ipc_queue *queue, ipc_message *message, bool which)
{
    (void)queue;
    (void)message;
    (void)which;
    return none();
}

static int none_get(ipc_queue *queue, void *buffer, size_t room, size_t *bytes,
                    ipc_deadline deadline)
{
    (void)queue;
    (void)buffer;
    (void)room;
    (void)bytes;
    (void)deadline;
    return none();
}

static int none_getv(ipc_queue *queue, ipc_queue_item *items, size_t n,
                     ipc_deadline deadline)
{
    (void)queue;
    (void)items;
    (void)n;
    (void)deadline;
    return none();
}

static int none_peek(ipc_queue *queue, ipc_message *message,
                     ipc_deadline deadline)
{
    (void)queue;
    (void)message;
    (void)deadline;
    return none();
}

static int none_settle(ipc_queue *queue, ipc_message *message,
                       enum ipc__lease_end how, ipc_deadline lease)
{
    (void)queue;
    (void)message;
    (void)how;
    (void)lease;
    return none();
}

static int none_take_dead(ipc_queue *queue, ipc_message *message)
{
    (void)queue;
    (void)message;
    return none();
}

static size_t none_size(ipc_queue *queue)
{
    (void)queue;
    return 0;
}

static bool none_full(ipc_queue *queue)
{
    (void)queue;
    return false;
}

static int none_join(ipc_queue *queue, ipc_deadline deadline)
{
    (void)queue;
    (void)deadline;
    return none();
}

static int none_close(ipc_queue *queue, bool immediate)
{
    (void)queue;
    (void)immediate;
    return none();
}

static int none_whole(ipc_queue *queue)
{
    (void)queue;
    return none();
}

static int none_look(ipc_queue *queue, struct ipc__look *look)
{
    (void)queue;
    (void)look;
    return none();
}

const struct ipc__queue_ops ipc__no_queue_ops = {
    .put = none_put,
    .putv = none_putv,
    .reserve = none_reserve,
    .commit = none_message,
    .get = none_get,
    .getv = none_getv,
    .peek = none_peek,
    .release = none_message,
    .take = none_peek,
    .settle = none_settle,
    .dead = ipc__queue_no_dead,
    .take_dead = none_take_dead,
    .size = none_size,
    .full = none_full,
    .task_done = none_whole,
    .join = none_join,
    .close = none_close,
    .fini = none_whole,
    .look = none_look,
};
