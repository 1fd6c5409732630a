/* Queues that are POSIX message queues: names, limits, rights, and what they
 * refuse. */
#include "unit/queue_posix_support.h"

#include "harness/role.h"
#include "queue/posix.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    LONG_MS = 5000 /* it hangs */
};

static int create(const char *name, uint32_t flags, uint32_t capacity,
                  size_t bytes, ipc_queue **out)
{
    const ipc_queue_options options = {.size = sizeof options,
                                       .flags = flags,
                                       .capacity = capacity,
                                       .bytes = bytes};
    return ipc_queue_create(name, &options, out);
}

/* ---- names ---- */

static void a_name_is_taken_or_missing(void)
{
    const bool own = posix_begin();
    const char *name = posix_name(0)->text;
    ipc_queue *queue = NULL;
    ipc_queue *again = NULL;
    assert_int_equal(ipc_queue_open(name, &queue), -ENOENT);
    assert_int_equal(ipc_queue_unlink(name), -ENOENT);
    assert_true(detail_has("there is no POSIX message queue \"/ipc-test"));
    queue = posix_create(0, 4, 64);
    assert_int_equal(ipc_queue_create(name, NULL, &again), -EEXIST);
    assert_true(detail_has("there is a POSIX message queue"));
    assert_int_equal(ipc_queue_open_or_create(name, NULL, &again), 0);
    assert_int_equal(ipc_queue_capacity(again), 4);
    assert_int_equal(ipc_queue_detach(again), 0);
    posix_remove(0, queue);
    assert_int_equal(ipc_queue_open_or_create(name, NULL, &queue), 0);
    posix_remove(0, queue);
    posix_end(own);
}

/* Not a queue in shared memory. */
static void the_slash_may_be_left_out(void)
{
    const bool own = posix_begin();
    const int names = test_shm_names();
    const char *name = posix_name(0)->text; /* "posix:/..." */
    char flat[300];
    ipc_queue *queue = NULL;
    ipc_queue *again = NULL;
    snprintf(flat, sizeof flat, "posix:%s", posix_name(0)->mq_name + 1);
    assert_int_equal(ipc_queue_create(flat, NULL, &queue), 0);
    assert_int_equal(test_shm_names(), names);
    assert_int_equal(ipc_queue_open(name, &again), 0);
    assert_int_equal(ipc_queue_put_nowait(queue, "x", 1), 0);
    assert_int_equal(ipc_queue_size(again), 1);
    assert_int_equal(ipc_queue_detach(again), 0);
    assert_int_equal(ipc_queue_open_or_create(flat, NULL, &again), 0);
    assert_int_equal(ipc_queue_size(again), 1);
    assert_int_equal(ipc_queue_detach(again), 0);
    assert_int_equal(ipc_queue_detach(queue), 0);
    assert_int_equal(ipc_queue_unlink(flat), 0);
    assert_int_equal(ipc_queue_open(name, &queue), -ENOENT);
    assert_int_equal(ipc_queue_create("posix:", NULL, &queue), -EINVAL);
    assert_true(detail_has("names no POSIX message queue"));
    assert_int_equal(ipc_queue_unlink("posix:"), -EINVAL);
    posix_end(own);
}

static void the_flag_says_it_too(void)
{
    const bool own = posix_begin();
    const char *plain = posix_name(0)->mq_name; /* "/..." */
    ipc_queue *queue = NULL;
    for (int i = 0; i < 3; i++) {
        const char *name = i == 2 ? posix_name(0)->text : plain + i;
        assert_int_equal(create(name, IPC_QUEUE_POSIX, 1, 64, &queue), 0);
        posix_remove(0, queue);
    }
    posix_end(own);
}

static void a_segment_may_have_the_same_name(void)
{
    const bool own = posix_begin();
    const char *flat = posix_name(0)->mq_name + 1;
    ipc_queue *ring = NULL;
    ipc_queue *queue = posix_create(0, 1, 64);
    assert_int_equal(ipc_queue_open(flat, &ring), -ENOENT);
    assert_int_equal(create(flat, 0, 5, 640, &ring), 0);
    assert_int_equal(ipc_queue_put(queue, "x", 1), 0);
    assert_int_equal(ipc_queue_size(ring), 0);
    assert_int_equal(ipc_queue_detach(ring), 0);
    assert_int_equal(ipc_queue_unlink(flat), 0);
    assert_int_equal(ipc_queue_size(queue), 1);
    posix_remove(0, queue);
    posix_end(own);
}

static void bad_names_are_refused(void)
{
    const bool own = posix_begin();
    static const char *const names[] = {"posix:/", "posix:/a/b", "posix://a",
                                        "posix:/.", "posix:/.."};
    char name[300];
    ipc_queue *queue = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(ipc_queue_create(names[i], NULL, &queue), -EINVAL);
        assert_int_equal(ipc_queue_open(names[i], &queue), -EINVAL);
        assert_int_equal(ipc_queue_unlink(names[i]), -EINVAL);
        assert_true(detail_has("names no POSIX message queue"));
    }
    memset(name, 'a', sizeof name);
    memcpy(name, "posix:/", 7);
    name[7 + 256] = '\0';
    assert_int_equal(ipc_queue_create(name, NULL, &queue), -EINVAL);
    name[7 + 255] = '\0';
    assert_int_equal(ipc_queue_create(name, NULL, &queue), 0);
    assert_int_equal(ipc_queue_detach(queue), 0);
    assert_int_equal(ipc_queue_unlink(name), 0);
    assert_int_equal(create("", IPC_QUEUE_POSIX, 1, 1, &queue), -EINVAL);
    posix_end(own);
}

static void who_has_it_keeps_it_without_a_name(void)
{
    const bool own = posix_begin();
    ipc_queue *old = posix_create(0, 1, 64);
    char buffer[64];
    assert_int_equal(ipc_queue_unlink(posix_name(0)->text), 0);
    ipc_queue *new = posix_create(0, 1, 64);
    assert_int_equal(ipc_queue_put(old, "x", 1), 0);
    assert_true(ipc_queue_empty(new));
    assert_int_equal(ipc_queue_get(old, buffer, sizeof buffer, NULL), 0);
    assert_int_equal(ipc_queue_detach(old), 0);
    posix_remove(0, new);
    posix_end(own);
}

static void many_handles_of_one_queue(void)
{
    enum {
        MANY = 100
    };
    const bool own = posix_begin();
    ipc_queue *first = posix_create(0, 1, 64);
    ipc_queue *queues[MANY];
    for (int i = 0; i < MANY; i++)
        assert_int_equal(ipc_queue_open(posix_name(0)->text, &queues[i]), 0);
    assert_int_equal(ipc_queue_put(queues[MANY - 1], "x", 1), 0);
    for (int i = MANY - 1; i >= 0; i -= 2)
        assert_int_equal(ipc_queue_detach(queues[i]), 0);
    for (int i = 0; i < MANY; i += 2) {
        assert_int_equal(ipc_queue_size(queues[i]), 1);
        assert_int_equal(ipc_queue_detach(queues[i]), 0);
    }
    posix_remove(0, first);
    posix_end(own);
}

/* ---- limits ---- */

static void bounds_beyond_the_system_are_named(void)
{
    const bool own = posix_begin();
    const char *name = posix_name(0)->text;
    ipc_queue *queue = NULL;
    assert_int_equal(create(name, 0, 70000, 70000, &queue), -EINVAL);
    assert_true(detail_has("70000 messages of 1 bytes, and "
                           "/proc/sys/fs/mqueue/msg_max is "));
    assert_int_equal(create(name, 0, 1, 1u << 25, &queue), -EINVAL);
    assert_true(detail_has("1 messages of 33554432 bytes, and "
                           "/proc/sys/fs/mqueue/msgsize_max is "));
    assert_int_equal(create(name, 0, 1, IPC_QUEUE_BYTES_MAX + 1, &queue),
                     -EINVAL);
    assert_int_equal(create(name, 0, 10, 9, &queue), -EINVAL);
    assert_true(detail_has("9 bytes for 10 messages"));
    assert_int_equal(create(name, 0, 2, 129, &queue), 0);
    assert_int_equal(ipc_queue_bytes(queue), 128);
    posix_remove(0, queue);
    posix_end(own);
}

static void the_limit_of_the_user_is_named(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = NULL;
    const struct rlimit limit = {20000, 20000};
    assert_int_equal(setrlimit(RLIMIT_MSGQUEUE, &limit), 0);
    assert_int_equal(create(posix_name(0)->text, 0, 10, 20480, &queue),
                     -ENOSPC);
    assert_true(detail_has("10 messages of 2048 bytes take 21440 bytes, and "
                           "RLIMIT_MSGQUEUE"));
    assert_true(detail_has("20000"));
    posix_end(own);
}

static void usual_bounds_fit_the_limit_of_the_user(void)
{
    const bool own = posix_begin();
    const struct rlimit limit = {20000, 20000};
    assert_int_equal(setrlimit(RLIMIT_MSGQUEUE, &limit), 0);
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 2000 - 96};
    const mqd_t mq = mq_open("/ipc-test-probe", O_CREAT | O_RDWR, 0600, &attr);
    if (!own || mq < 0)
        test_skip("this user's other queues count too");
    assert_int_equal(mq_close(mq), 0);
    assert_int_equal(mq_unlink("/ipc-test-probe"), 0);
    ipc_queue *queue = posix_create(0, 10, 0);
    assert_int_equal(ipc_queue_bytes(queue), 10 * (2000 - 96));
    posix_remove(0, queue);
    posix_end(own);
}

static void the_limit_of_descriptors_is_named(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = NULL;
    const int next = dup(0);
    const struct rlimit limit = {(rlim_t)next, (rlim_t)next};
    assert_true(next > 0);
    assert_int_equal(close(next), 0);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit lower = {limit.rlim_cur, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
    const int rc = ipc_queue_create(posix_name(0)->text, NULL, &queue);
    const bool named = detail_has("RLIMIT_NOFILE is ");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, -EMFILE);
    assert_true(named);
    posix_end(own);
}

static void the_limit_of_queues_is_named(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = NULL;
    const int fd =
        own ? open("/proc/sys/fs/mqueue/queues_max", O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        test_skip("the limit of queues cannot be changed");
    assert_int_equal(write(fd, "1", 1), 1);
    assert_int_equal(close(fd), 0);
    ipc_queue *first = posix_create(0, 1, 64);
    const int rc = create(posix_name(1)->text, 0, 1, 64, &queue);
    if (rc == 0) {
        posix_remove(1, queue);
        posix_remove(0, first);
        test_skip("this user may exceed it");
    }
    assert_int_equal(rc, -ENOSPC);
    assert_true(detail_has("/proc/sys/fs/mqueue/queues_max is 1"));
    posix_remove(0, first);
    posix_end(own);
}

/* ---- rights ---- */

static void become_somebody(void)
{
    assert_int_equal(setgid(65534), 0);
    assert_int_equal(setuid(65534), 0);
}

static void open_without_rights(void *arg)
{
    ipc_queue *queue = NULL;
    become_somebody();
    assert_int_equal(ipc_queue_open(arg, &queue), -EACCES);
    assert_int_equal(ipc_queue_create(arg, NULL, &queue), -EEXIST);
    assert_int_equal(ipc_queue_unlink(arg), -EACCES);
    assert_true(detail_has("ermission"));
}

static void only_put(void *arg)
{
    ipc_queue *queue = NULL;
    char buffer[64];
    become_somebody();
    assert_int_equal(ipc_queue_open_or_create(arg, NULL, &queue), 0);
    assert_int_equal(ipc_queue_put(queue, "x", 1), 0);
    assert_int_equal(ipc_queue_get(queue, buffer, 64, NULL), -EACCES);
    assert_true(detail_has("may not be got from"));
    assert_int_equal(ipc_queue_detach(queue), 0);
}

static void only_get(void *arg)
{
    ipc_queue *queue = NULL;
    char buffer[64];
    become_somebody();
    assert_int_equal(ipc_queue_open(arg, &queue), 0);
    assert_int_equal(ipc_queue_get(queue, buffer, 64, NULL), 0);
    assert_int_equal(ipc_queue_put(queue, "x", 1), -EACCES);
    assert_true(detail_has("may not be put into"));
    assert_int_equal(ipc_queue_detach(queue), 0);
}

static void others_do_what_they_may(void)
{
    static void (*const what[])(void *) = {open_without_rights, only_put,
                                           only_get};
    static const mode_t modes[] = {0600, 0602, 0604};
    if (geteuid() != 0)
        test_skip("only root becomes somebody else");
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 2, 64);
    const int fd = ((struct ipc__posix *)queue)->fd;
    for (int i = 0; i < 3; i++) {
        struct role role;
        assert_int_equal(fchmod(fd, modes[i]), 0);
        role_start(&role, what[i], posix_name(0)->text);
        role_wait_ok(&role, LONG_MS);
    }
    posix_remove(0, queue);
    posix_end(own);
}

static void it_is_made_for_its_user_alone(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    struct stat file;
    assert_int_equal(fstat(((struct ipc__posix *)queue)->fd, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    posix_remove(0, queue);
    posix_end(own);
}

/* ---- what it refuses ---- */

static void the_calls_it_does_not_have(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    ipc_message message = {0};
    const int results[] = {
        ipc_queue_reserve(queue, 1, &message),
        ipc_queue_commit(queue, &message),
        ipc_queue_abort(queue, &message),
        ipc_queue_peek(queue, &message),
        ipc_queue_release(queue, &message),
        ipc_queue_take(queue, &message),
        ipc_queue_ack(queue, &message),
        ipc_queue_nack(queue, &message),
        ipc_queue_extend(queue, &message, IPC_TIME_FOREVER),
        ipc_queue_take_dead(queue, &message),
        ipc_queue_task_done(queue),
        ipc_queue_join(queue),
        ipc_queue_close(queue, false),
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        assert_int_equal(results[i], -ENOTSUP);
    assert_true(detail_has("cannot be closed for others"));
    assert_int_equal(ipc_queue_dead(queue), 0);
    assert_false(ipc_queue_is_closed(queue));
    assert_int_equal(ipc_queue_free(queue), -EINVAL);
    posix_remove(0, queue);
    posix_end(own);
}

static void the_options_it_does_not_have(void)
{
    const bool own = posix_begin();
    const char *name = posix_name(0)->text;
    ipc_queue *queue = NULL;
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    options.flags = IPC_QUEUE_POSIX;
    assert_int_equal(ipc_queue_new(&options, &queue), -ENOTSUP);
    assert_true(detail_has("has a name"));
    options.lease_ns = 1;
    assert_int_equal(ipc_queue_create(name, &options, &queue), -ENOTSUP);
    assert_int_equal(create(name, IPC_QUEUE_LEASES, 1, 1, &queue), -ENOTSUP);
    assert_int_equal(create(name, IPC_QUEUE_LIFO, 1, 1, &queue), -ENOTSUP);
    assert_int_equal(create(name, 1u << 30, 1, 1, &queue), -EINVAL);
    assert_int_equal(
        create(name, IPC_QUEUE_PRIORITY | IPC_QUEUE_RELAXED, 1, 1, &queue), 0);
    posix_remove(0, queue);
    posix_end(own);
}

static void only_handles_are_believed(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    ipc_queue *ring = NULL;
    struct ipc__posix copy = *(struct ipc__posix *)queue;
    size_t bytes;
    void *data;
    assert_int_equal(ipc_queue_new(NULL, &ring), 0);
    ring->kind = IPC__QUEUE_POSIX;
    assert_int_equal(ipc_queue_put(ring, "x", 1), -EUCLEAN);
    assert_int_equal(ipc_queue_get_alloc(ring, &data, &bytes, IPC_TIME_NOW),
                     -EUCLEAN);
    assert_int_equal(ipc_queue_get_exactly(&copy.queue, &bytes, 8, 0),
                     -EUCLEAN);
    assert_int_equal(ipc_queue_detach(ring), -EINVAL);
    ring->kind = IPC__QUEUE_RING;
    assert_int_equal(ipc_queue_free(ring), 0);
    posix_remove(0, queue);
    posix_end(own);
}

static void a_lost_descriptor_is_an_error(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    const int fd = ((struct ipc__posix *)queue)->fd;
    char buffer[64];
    const int other = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(dup3(other, fd, O_CLOEXEC), fd);
    assert_int_equal(close(other), 0);
    assert_int_equal(ipc_queue_put(queue, "x", 1), -EBADF);
    assert_int_equal(ipc_queue_get(queue, buffer, 64, NULL), -EBADF);
    assert_int_equal(ipc_queue_size(queue), 0);
    posix_remove(0, queue);
    posix_end(own);
}

static const struct test_case cases[] = {
    TEST_CASE(a_name_is_taken_or_missing),
    TEST_CASE(the_slash_may_be_left_out),
    TEST_CASE(the_flag_says_it_too),
    TEST_CASE(a_segment_may_have_the_same_name),
    TEST_CASE(bad_names_are_refused),
    TEST_CASE(who_has_it_keeps_it_without_a_name),
    TEST_CASE(many_handles_of_one_queue),
    TEST_CASE(bounds_beyond_the_system_are_named),
    TEST_CASE(the_limit_of_the_user_is_named),
    TEST_CASE(usual_bounds_fit_the_limit_of_the_user),
    TEST_CASE(the_limit_of_descriptors_is_named),
    TEST_CASE(the_limit_of_queues_is_named),
    TEST_CASE(others_do_what_they_may),
    TEST_CASE(it_is_made_for_its_user_alone),
    TEST_CASE(the_calls_it_does_not_have),
    TEST_CASE(the_options_it_does_not_have),
    TEST_CASE(only_handles_are_believed),
    TEST_CASE(a_lost_descriptor_is_an_error),
};
TEST_MAIN(cases)
