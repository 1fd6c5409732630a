/* POSIX message queues: the limits of the system, of which mq_open() only says
 * that there was one. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ipc/error.h>

#include "core/error.h"
#include "queue/posix.h"

#define FOLDER "/proc/sys/fs/mqueue/"

/* What nobody may exceed, whatever these files say. */
#define HARD_MESSAGES 65536
#define HARD_BYTES    16777216

/* What the kernel counts for a message beside its bytes: two structures. */
#define OVERHEAD 96u

/* A number in a file, or otherwise this. */
static long read_limit(const char *path, long otherwise)
{
    char text[32];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return otherwise;
    const ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0)
        return otherwise;
    text[n] = '\0';
    const long value = strtol(text, NULL, 10);
    return value > 0 ? value : otherwise;
}

static uint64_t bytes_of_all(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MSGQUEUE, &limit) != 0)
        return UINT64_MAX;
    return limit.rlim_cur;
}

static long lesser(long a, long b)
{
    return a < b ? a : b;
}

/* The usual size; less if so many of them would not fit at all. */
static long usual_size(long capacity)
{
    const long size = lesser(read_limit(FOLDER "msgsize_default", 8192),
                             read_limit(FOLDER "msgsize_max", 8192));
    const uint64_t share = bytes_of_all() / (uint64_t)capacity;
    return share <= OVERHEAD || share - OVERHEAD >= (uint64_t)size
               ? size
               : (long)(share - OVERHEAD);
}

int ipc__posix_plan(const ipc_queue_options *asked, struct mq_attr *out)
{
    *out = (struct mq_attr){.mq_maxmsg = (long)asked->capacity};
    if (asked->capacity == 0)
        out->mq_maxmsg = lesser(read_limit(FOLDER "msg_default", 10),
                                read_limit(FOLDER "msg_max", 10));
    if (asked->bytes > IPC_QUEUE_BYTES_MAX)
        return ipc__fail(-EINVAL, "a queue of %zu bytes: %zu are the most",
                         asked->bytes, IPC_QUEUE_BYTES_MAX);
    out->mq_msgsize = asked->bytes == 0 ? usual_size(out->mq_maxmsg)
                                        : (long)asked->bytes / out->mq_maxmsg;
    if (out->mq_msgsize == 0)
        return ipc__fail(-EINVAL,
                         "%zu bytes for %ld messages: less than one for each",
                         asked->bytes, out->mq_maxmsg);
    return 0;
}

/* ---- which limit it was ---- */

static int explain_bounds(const char *name, const struct mq_attr *asked)
{
    const long messages = read_limit(FOLDER "msg_max", 10);
    const long bytes = read_limit(FOLDER "msgsize_max", 8192);
    const bool many = asked->mq_maxmsg > messages;
    return ipc__fail(-EINVAL,
                     "queue \"%.64s\": %ld messages of %ld bytes, and "
                     "%s is %ld (%d with CAP_SYS_RESOURCE)",
                     name, asked->mq_maxmsg, asked->mq_msgsize,
                     many ? FOLDER "msg_max" : FOLDER "msgsize_max",
                     many ? messages : bytes,
                     many ? HARD_MESSAGES : HARD_BYTES);
}

static bool has_descriptors(void)
{
    const int fd = open("/", O_PATH | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

/* EMFILE means two things. */
static int explain_emfile(const char *name, const struct mq_attr *asked)
{
    struct rlimit limit = {0, 0};
    if (asked == NULL || !has_descriptors()) {
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        return ipc__fail(-EMFILE,
                         "queue \"%.64s\" needs a descriptor, and none is "
                         "free: RLIMIT_NOFILE is %llu",
                         name, (unsigned long long)limit.rlim_cur);
    }
    return ipc__fail(-ENOSPC,
                     "queue \"%.64s\": %ld messages of %ld bytes take %llu "
                     "bytes, and RLIMIT_MSGQUEUE, for all queues of a user, is "
                     "%llu",
                     name, asked->mq_maxmsg, asked->mq_msgsize,
                     (unsigned long long)asked->mq_maxmsg *
                         ((unsigned long long)asked->mq_msgsize + OVERHEAD),
                     (unsigned long long)bytes_of_all());
}

int ipc__posix_explain(int error, const char *name, const struct mq_attr *asked)
{
    switch (error) {
    case EINVAL:
    case EOVERFLOW:
        if (asked != NULL)
            return explain_bounds(name, asked);
        break;
    case EMFILE:
        return explain_emfile(name, asked);
    case ENOSPC:
        return ipc__fail(-ENOSPC,
                         "queue \"%.64s\" would be one too many: " FOLDER
                         "queues_max is %ld",
                         name, read_limit(FOLDER "queues_max", 256));
    case ENOENT:
        return ipc__fail(-ENOENT, "there is no POSIX message queue \"%.64s\"",
                         name);
    case EEXIST:
        return ipc__fail(-EEXIST, "there is a POSIX message queue \"%.64s\"",
                         name);
    case ENOSYS:
        return ipc__fail(-ENOSYS, "this kernel has no POSIX message queues");
    default:
        break;
    }
    return ipc__fail(-error, "POSIX message queue \"%.64s\": %s", name,
                     ipc_strerror(-error));
}
