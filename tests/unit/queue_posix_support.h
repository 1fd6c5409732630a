/* POSIX message queues of their own for a case, names for them, and how many
 * there are. */
#ifndef QUEUE_POSIX_SUPPORT_H
#define QUEUE_POSIX_SUPPORT_H

#include "harness/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/queue.h>

struct posix_name {
    char text[64];       /* "posix:/ipc-test-..." */
    const char *mq_name; /* "/ipc-test-...", inside of text */
};

static inline struct posix_name *posix_name(int which)
{
    static struct posix_name names[4];
    struct posix_name *name = &names[which];
    snprintf(name->text, sizeof name->text, "posix:/ipc-test-%d-%d",
             (int)getpid(), which);
    name->mq_name = name->text + strlen("posix:");
    return name;
}

/* Where the machine permits it a case has a namespace for its queues, and what
 * it leaves goes with that; true if so. */
static inline bool posix_begin(void)
{
    const bool own = unshare(CLONE_NEWIPC | CLONE_NEWNS) == 0;
    const char *name = posix_name(0)->mq_name;
    const mqd_t mq = mq_open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600, NULL);
    if (mq < 0)
        test_skip("no POSIX message queue can be made: %s",
                  ipc_strerror(-errno));
    (void)mq_close(mq);
    assert_int_equal(mq_unlink(name), 0);
    return own;
}

/* How many names there are; only in a namespace of one's own, or -1. */
static inline int posix_count_names(bool own)
{
    if (!own || mount("mqueue", test_tmpdir(), "mqueue", 0, NULL) != 0)
        return -1;
    DIR *dir = opendir(test_tmpdir());
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    assert_int_equal(umount(test_tmpdir()), 0);
    return n;
}

/* No name is left. */
static inline void posix_end(bool own)
{
    assert_true(posix_count_names(own) <= 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(mq_unlink(posix_name(i)->mq_name), -1);
        assert_int_equal(errno, ENOENT);
    }
}

static inline ipc_queue *posix_create(int which, uint32_t capacity,
                                      size_t message_bytes)
{
    const ipc_queue_options options = {.size = sizeof options,
                                       .capacity = capacity,
                                       .bytes = capacity * message_bytes};
    ipc_queue *queue = NULL;
    const int rc = ipc_queue_create(posix_name(which)->text, &options, &queue);
    if (rc != 0)
        test_fail("create: %d (%s)", rc, ipc_error_detail());
    return queue;
}

static inline void posix_remove(int which, ipc_queue *queue)
{
    assert_int_equal(ipc_queue_detach(queue), 0);
    assert_int_equal(ipc_queue_unlink(posix_name(which)->text), 0);
}

static inline bool detail_has(const char *text)
{
    if (strstr(ipc_error_detail(), text) != NULL)
        return true;
    printf("\"%s\" does not have \"%s\"\n", ipc_error_detail(), text);
    return false;
}

#endif
