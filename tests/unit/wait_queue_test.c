/* ipc_wait() and ipc_queue_fd() for each kind of queue: other orders, leases,
 * POSIX message queues; and what the deaths of those who have messages do. */
#include "unit/wait_support.h"

#include <signal.h>
#include <stdio.h>

#include "core/waiting.h"

static ipc_queue *new_kind(uint32_t flags, uint32_t capacity, int64_t lease_ns)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *queue = NULL;
    options.flags = flags;
    options.capacity = capacity;
    options.lease_ns = lease_ns;
    expect_rc(ipc_queue_new(&options, &queue), 0);
    return queue;
}

static void put_one(void *queue)
{
    put_number(queue, 7);
}

static void get_one(void *queue)
{
    (void)get_number(queue);
}

static void close_queue(void *queue)
{
    expect_rc(ipc_queue_close(queue, false), 0);
}

/* ---- other orders ---- */

static void every_kind_wakes(void)
{
    static const uint32_t kinds[] = {
        0,
        IPC_QUEUE_RELAXED,
        IPC_QUEUE_LIFO,
        IPC_QUEUE_PRIORITY,
        IPC_QUEUE_LEASES,
        IPC_QUEUE_LEASES | IPC_QUEUE_PRIORITY | IPC_QUEUE_RELAXED,
    };
    ipc__recheck_ns = INT64_MAX;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ipc_queue *queue = new_kind(kinds[i], 1, 0);
        ipc_wait_item items[] = {IPC_WAIT_QUEUE(queue),
                                 IPC_WAIT_QUEUE_ROOM(queue, 4)};
        for (int round = 0; round < 3; round++) {
            expect_rc(ipc_wait(items + 1, 1, IPC_TIME_NOW), 1);
            expect_woken(items, 1, 0, put_one, queue);
            expect_woken(items + 1, 1, 0, get_one, queue);
        }
        expect_rc(ipc_wait(items, 2, IPC_TIME_NOW), 1);
        expect_woken(items, 1, 0, close_queue, queue);
        expect_rc(ipc_wait(items, 2, IPC_TIME_NOW), 2);
        expect_rc(ipc_queue_free(queue), 0);
    }
}

/* Slots, bytes and pages that a look for room had in its hands are back. */
static void looking_for_room_takes_none(void)
{
    enum {
        LONG = 1 << 16
    };
    static char message[LONG];
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    options.bytes = (size_t)4 * LONG;
    options.capacity = 4;
    for (int i = 0; i < 2; i++) {
        ipc_queue *queue = NULL;
        options.flags = i == 0 ? 0 : IPC_QUEUE_LIFO;
        expect_rc(ipc_queue_new(&options, &queue), 0);
        ipc_wait_item item = IPC_WAIT_QUEUE_ROOM(queue, LONG);
        for (int round = 0; round < 3; round++) {
            for (int k = 0; k < 4; k++) {
                for (int look = 0; look < 10; look++)
                    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
                expect_rc(ipc_queue_put_nowait(queue, message, LONG), 0);
            }
            expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
            for (int k = 0; k < 4; k++)
                expect_rc(
                    ipc_queue_get_exactly(queue, message, LONG, IPC_TIME_NOW),
                    0);
        }
        expect_rc(ipc_queue_free(queue), 0);
    }
}

/* What was put behind it does not keep who waits awake. */
static void a_slow_producer_is_slept_for(void)
{
    for (int i = 0; i < 2; i++) {
        ipc_queue *queue = new_kind(i == 0 ? 0 : IPC_QUEUE_PRIORITY, 4, 0);
        ipc_wait_item item = IPC_WAIT_QUEUE(queue);
        ipc_message slow;
        uint32_t number = 1;
        expect_rc(ipc_queue_reserve(queue, sizeof number, &slow), 0);
        expect_no_number(queue);
        put_number(queue, 2);
        const int64_t before = cpu_ns();
        expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
        expect_rc(ipc_wait(&item, 1, ipc_after_ms(200)), -ETIMEDOUT);
        put_number(queue, 3);
        expect_rc(ipc_queue_get_until(queue, &number, sizeof number, NULL,
                                      ipc_after_ms(200)),
                  -ETIMEDOUT);
        assert_true(cpu_ns() - before < 100 * NS_PER_MS);
        memcpy(slow.data, &number, sizeof number);
        expect_rc(ipc_queue_commit(queue, &slow), 0);
        for (uint32_t n = 1; n <= 3; n++)
            assert_int_equal(get_number(queue), n);
        expect_rc(ipc_queue_free(queue), 0);
    }
}

/* ---- messages that come back ---- */

static void the_end_of_a_lease_wakes(void)
{
    ipc_queue *queue = new_kind(IPC_QUEUE_LEASES, 4, 30 * NS_PER_MS);
    ipc_wait_item item = IPC_WAIT_QUEUE(queue);
    ipc_message message;
    put_number(queue, 1);
    expect_rc(ipc_queue_take(queue, &message), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
    ipc__recheck_ns = INT64_MAX;
    expect_rc(ipc_wait(&item, 1, ipc_after_ms(HUNG_MS)), 1);
    expect_rc(ipc_queue_take_nowait(queue, &message), 0);
    assert_int_equal(message.deliveries, 2);
    expect_rc(ipc_queue_ack(queue, &message), 0);

    const int fd = ipc_queue_fd(queue, POLLIN);
    assert_true(fd >= 0);
    put_number(queue, 2);
    assert_true(is_readable(fd, HUNG_MS));
    expect_rc(ipc_queue_take(queue, &message), 0);
    ipc_message none;
    expect_rc(ipc_queue_take_nowait(queue, &none), -EAGAIN);
    assert_true(is_readable(fd, HUNG_MS)); /* or at once, by a late look */
    expect_rc(ipc_queue_free(queue), 0);
}

struct holding {
    ipc_queue *queue;
    bool takes;
    uint32_t held;
};

static void hold_message(void *arg)
{
    struct holding *h = arg;
    ipc_message message;
    if (h->takes)
        expect_rc(ipc_queue_take(h->queue, &message), 0);
    else
        expect_rc(ipc_queue_peek(h->queue, &message), 0);
    meet_signal(&h->held);
    for (;;)
        (void)pause();
}

static void kill_role(void *arg)
{
    const struct role *role = arg;
    assert_int_equal(kill(role->pid, SIGKILL), 0);
}

/* Told by the life word of the dead: without the re-check. */
static void a_dead_consumer_wakes(void)
{
    struct holding *h = test_shared(sizeof *h);
    ipc__recheck_ns = INT64_MAX;
    for (int i = 0; i < 3; i++) {
        struct role role;
        h->takes = i == 2;
        h->held = 0;
        h->queue = new_kind(i == 0   ? 0
                            : i == 1 ? IPC_QUEUE_LIFO
                                     : IPC_QUEUE_LEASES,
                            4, 0);
        ipc_wait_item item = IPC_WAIT_QUEUE(h->queue);
        put_number(h->queue, 9);
        role_start(&role, hold_message, h);
        meet_wait(&h->held, 1, HUNG_MS);
        expect_woken(&item, 1, 0, kill_role, &role);
        (void)role_kill(&role);
        assert_int_equal(get_number(h->queue), 9);
        expect_rc(ipc_queue_free(h->queue), 0);
    }
}

static void reserve_message(void *arg)
{
    struct holding *h = arg;
    ipc_message message;
    expect_rc(ipc_queue_reserve(h->queue, 4, &message), 0);
    meet_signal(&h->held);
    for (;;)
        (void)pause();
}

/* The message behind that of the dead may be had; his room too. */
static void a_dead_producer_wakes(void)
{
    struct holding *h = test_shared(sizeof *h);
    ipc__recheck_ns = INT64_MAX;
    for (int i = 0; i < 4; i++) {
        struct role role;
        const bool room = i % 2 != 0;
        h->held = 0;
        h->queue = new_kind(i < 2 ? 0 : IPC_QUEUE_PRIORITY, room ? 1 : 2, 0);
        ipc_wait_item message = IPC_WAIT_QUEUE(h->queue);
        ipc_wait_item free_place = IPC_WAIT_QUEUE_ROOM(h->queue, 4);
        role_start(&role, reserve_message, h);
        meet_wait(&h->held, 1, HUNG_MS);
        if (!room)
            put_number(h->queue, 9);
        expect_woken(room ? &free_place : &message, 1, 0, kill_role, &role);
        (void)role_kill(&role);
        if (!room)
            assert_int_equal(get_number(h->queue), 9);
        expect_rc(ipc_queue_free(h->queue), 0);
    }
}

/* ---- POSIX message queues ---- */

static ipc_queue *new_posix(uint32_t capacity)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *queue = NULL;
    char name[64];
    options.flags = IPC_QUEUE_POSIX;
    options.capacity = capacity;
    options.bytes = (size_t)capacity * 4;
    (void)snprintf(name, sizeof name, "posix:/libipc-wait-%d", (int)getpid());
    const int rc = ipc_queue_create(name, &options, &queue);
    if (rc == -ENOSYS || rc == -EACCES || rc == -EPERM)
        test_skip("no POSIX message queues here: %s", ipc_strerror(rc));
    expect_rc(rc, 0);
    expect_rc(ipc_queue_unlink(name), 0);
    return queue;
}

static void posix_queues_are_polled(void)
{
    ipc_queue *queue = new_posix(1);
    struct ends ends = new_ends();
    ipc_wait_item items[] = {IPC_WAIT_QUEUE(queue),
                             IPC_WAIT_FD(ends.here, POLLIN)};
    ipc_wait_item room = IPC_WAIT_QUEUE_ROOM(queue, 4);
    expect_rc(ipc_wait(&room, 1, IPC_TIME_NOW), 1);
    expect_woken(items, 2, 0, put_one, queue);
    assert_int_equal(items[0].ready, 1);
    expect_woken(&room, 1, 0, get_one, queue);
    close_ends(ends);
    expect_rc(ipc_queue_detach(queue), 0);
}

static void posix_queues_have_descriptors(void)
{
    ipc_queue *queue = new_posix(1);
    const int fds = count_open_fds();
    const int message = ipc_queue_fd(queue, POLLIN);
    const int room = ipc_queue_fd(queue, POLLOUT);
    assert_true(message >= 0 && room >= 0);
    for (int i = 0; i < 3; i++) {
        assert_false(is_readable(message, 0));
        assert_true(is_readable(room, 0));
        put_number(queue, 1);
        assert_true(is_readable(message, 0));
        assert_false(is_readable(room, 0));
        assert_int_equal(get_number(queue), 1);
        expect_no_number(queue);
    }
    assert_int_equal(ipc_queue_fd(queue, POLLIN), message);
    expect_rc(ipc_fd_close(room), 0);
    assert_int_equal(count_open_fds(), fds + 1);
    expect_rc(ipc_queue_detach(queue), 0);
    assert_int_equal(count_open_fds(), fds - 1);
}

static const struct test_case cases[] = {
    TEST_CASE(every_kind_wakes),
    TEST_CASE(looking_for_room_takes_none),
    TEST_CASE(a_slow_producer_is_slept_for),
    TEST_CASE(the_end_of_a_lease_wakes),
    TEST_CASE(a_dead_consumer_wakes),
    TEST_CASE(a_dead_producer_wakes),
    TEST_CASE(posix_queues_are_polled),
    TEST_CASE(posix_queues_have_descriptors),
};

TEST_MAIN(cases)
