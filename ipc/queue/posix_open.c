/* POSIX message queues: their names, making them and letting them go.
 *
 * "posix:/orders", or "posix:orders", is the queue that mq_open(3) knows as
 * "/orders".  No other queue has a name that begins so.
 *
 * Death: of who creates one: it is there whole, or not at all.  It stays until
 * its name is removed and all who have it open are gone: a killed process's
 * descriptor goes with it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "queue/posix.h"
#include "sync/object.h"
#include "wait/fd.h"

#define PREFIX     "posix:"
#define PREFIX_LEN (sizeof PREFIX - 1)

/* ---- names and options ---- */

static bool has_prefix(const char *name)
{
    return strncmp(name, PREFIX, PREFIX_LEN) == 0;
}

bool ipc__posix_is_meant(const char *name, const ipc_queue_options *options)
{
    ipc_queue_options given = IPC_QUEUE_OPTIONS_INIT;
    if (options != NULL &&
        options->size >= offsetof(ipc_queue_options, capacity))
        given.flags = options->flags;
    return (given.flags & IPC_QUEUE_POSIX) != 0 ||
           (name != NULL && has_prefix(name));
}

/* "/orders", for mq_open(). */
struct path {
    char text[1 + NAME_MAX + 1];
};

static int make_path(const char *name, struct path *out)
{
    const char *flat = has_prefix(name) ? name + PREFIX_LEN : name;
    flat += flat[0] == '/';
    const size_t length = strlen(flat);
    if (length == 0 || length > NAME_MAX || strchr(flat, '/') != NULL ||
        strcmp(flat, ".") == 0 || strcmp(flat, "..") == 0)
        return ipc__fail(-EINVAL,
                         "\"%.64s\" names no POSIX message queue: \"" PREFIX
                         "/\" and 1 to %d bytes without '/'",
                         name, NAME_MAX);
    out->text[0] = '/';
    memcpy(out->text + 1, flat, length + 1);
    return 0;
}

static int read_options(const ipc_queue_options *given, ipc_queue_options *out)
{
    const uint32_t known = IPC_QUEUE_RELAXED | IPC_QUEUE_LIFO |
                           IPC_QUEUE_PRIORITY | IPC_QUEUE_LEASES |
                           IPC_QUEUE_POSIX;
    const int rc = ipc__object_options("queue", out, sizeof *out, given, known);
    if (rc != 0)
        return rc;
    if ((out->flags & IPC_QUEUE_LIFO) != 0)
        return ipc__fail(-ENOTSUP, "a POSIX message queue is not last in, "
                                   "first out");
    if ((out->flags & IPC_QUEUE_LEASES) != 0 || out->max_deliveries != 0 ||
        out->lease_ns != 0)
        return ipc__fail(-ENOTSUP, "a POSIX message queue has no leases");
    return 0;
}

/* ---- opening ---- */

struct opening {
    struct path path;
    int how;                    /* O_CREAT, O_EXCL */
    const struct mq_attr *attr; /* with O_CREAT */
    struct mq_attr found;
};

static mqd_t open_for(const struct opening *o, int access, int how)
{
    const int flags = access | how | O_NONBLOCK | O_CLOEXEC;
    return (how & O_CREAT) != 0 ? mq_open(o->path.text, flags, 0600, o->attr)
                                : mq_open(o->path.text, flags);
}

/* For whatever this user may do with it. */
static int open_somehow(const struct opening *o, struct ipc__posix *p)
{
    static const int accesses[] = {O_RDWR, O_RDONLY, O_WRONLY};
    for (size_t i = 0; i < sizeof accesses / sizeof accesses[0]; i++) {
        p->fd = open_for(o, accesses[i], i == 0 ? o->how : 0);
        p->puts = accesses[i] != O_RDONLY;
        p->gets = accesses[i] != O_WRONLY;
        if (p->fd >= 0)
            return 0;
        if (errno != EACCES || (o->how & O_EXCL) != 0)
            break;
    }
    return ipc__posix_explain(errno, o->path.text, o->attr);
}

static int open_queue(struct opening *o, struct ipc__posix *p)
{
    int rc = open_somehow(o, p);
    if (rc != 0 || mq_getattr(p->fd, &o->found) == 0)
        return rc;
    rc = ipc__posix_explain(errno, o->path.text, NULL);
    (void)close(p->fd);
    if ((o->how & O_EXCL) != 0) /* nobody shall find half of what failed */
        (void)mq_unlink(o->path.text);
    return rc;
}

static void describe(struct ipc__posix *p, const struct opening *o,
                     const char *label)
{
    p->message_max = (size_t)o->found.mq_msgsize;
    p->queue.kind = IPC__QUEUE_POSIX;
    p->queue.flags = IPC_QUEUE_POSIX | IPC_QUEUE_PRIORITY;
    p->queue.capacity = (uint32_t)o->found.mq_maxmsg;
    p->queue.bytes = (uint64_t)o->found.mq_maxmsg * p->message_max;
    ipc__object_label(p->queue.label, label != NULL ? label : o->path.text);
}

/* The handle and its place come first: what fails afterwards leaves no queue
 * behind. */
static int open_handle(struct opening *o, const char *label, ipc_queue **out)
{
    struct ipc__posix *p =
        aligned_alloc(_Alignof(struct ipc__posix), sizeof *p);
    if (p == NULL)
        return ipc__fail(-ENOMEM, "no memory for a queue");
    memset(p, 0, sizeof *p);
    int rc = ipc__posix_remember(p);
    if (rc != 0)
        goto no_place;
    rc = open_queue(o, p);
    if (rc != 0)
        goto no_queue;
    describe(p, o, label);
    *out = &p->queue;
    return 0;

no_queue:
    ipc__posix_forget(p);
no_place:
    free(p);
    return rc;
}

int ipc__posix_open(const char *name, const ipc_queue_options *options, int how,
                    ipc_queue **out)
{
    ipc_queue_options given;
    struct mq_attr attr;
    struct opening o = {.how = how};
    int rc = read_options(options, &given);
    if (rc == 0)
        rc = make_path(name, &o.path);
    if (rc == 0 && (how & O_CREAT) != 0) {
        rc = ipc__posix_plan(&given, &attr);
        o.attr = &attr;
    }
    return rc != 0 ? rc : open_handle(&o, given.label, out);
}

/* ---- letting go ---- */

int ipc__posix_detach(ipc_queue *queue)
{
    struct ipc__posix *p = (struct ipc__posix *)queue;
    ipc__forget(queue);
    ipc__posix_forget(p);
    (void)close(p->fd);
    free(p);
    return 0;
}

int ipc__posix_unlink(const char *name)
{
    struct path path;
    const int rc = make_path(name, &path);
    if (rc != 0)
        return rc;
    return mq_unlink(path.text) == 0
               ? 0
               : ipc__posix_explain(errno, path.text, NULL);
}
