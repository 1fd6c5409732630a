/* ipc_connection: waiting for a message and for room, in all three forms, and
 * what ends a wait. */
#include "unit/connection_support.h"

#include <sys/epoll.h>
#include <time.h>

#include <ipc/time.h>

#include "harness/faults.h"

#define NS_PER_MS INT64_C(1000000)

/* Send until there is no room.  Returns how many messages that took. */
static unsigned fill(ipc_connection *c, size_t bytes)
{
    void *message = new_message(bytes, 0);
    unsigned count = 0;
    int rc;
    while ((rc = ipc_connection_send_nowait(c, message, bytes)) == 0)
        count++;
    expect_rc(rc, -EAGAIN);
    free(message);
    assert_true(count > 0);
    return count;
}

/* ---- not waiting ---- */

static void nowait_does_not_wait_for_a_message(void)
{
    struct ends ends = new_pipe();
    void *data = NULL;
    size_t bytes = 0;
    int fd = -1;
    expect_rc(ipc_connection_recv_nowait(ends.a, &data, &bytes), -EAGAIN);
    expect_rc(ipc_connection_recv_into_nowait(ends.a, NULL, 0, &bytes),
              -EAGAIN);
    expect_rc(ipc_connection_recv_fd_nowait(ends.a, &fd), -EAGAIN);
    send_message(ends.b, FLAT, 1);
    expect_rc(ipc_connection_recv_nowait(ends.a, &data, &bytes), 0);
    assert_int_equal(bytes, FLAT);
    free(data);
    close_both(ends);
}

static void nowait_does_not_wait_for_room(void)
{
    struct ends ends = new_pipe();
    void *large = new_message(SPILLED, 0);
    const int before = count_fds();
    const unsigned count = fill(ends.a, 150000);
    expect_rc(ipc_connection_send_nowait(ends.a, large, SPILLED), -EAGAIN);
    expect_rc(ipc_connection_send_fd_nowait(ends.a, 0), -EAGAIN);
    assert_int_equal(count_fds(), before);
    for (unsigned i = 0; i < count; i++)
        recv_message(ends.b, 150000, 0);
    expect_empty(ends.b);
    expect_rc(ipc_connection_send_nowait(ends.a, large, SPILLED), 0);
    recv_message(ends.b, SPILLED, 0);
    free(large);
    close_both(ends);
}

/* Otherwise a sender that nobody listens to would take all memory. */
static void large_messages_are_held_up_too(void)
{
    struct ends ends = new_pipe();
    const unsigned count = fill(ends.a, SPILLED);
    test_report("under_way", count);
    assert_true(count <= 40);
    for (unsigned i = 0; i < count; i++)
        recv_message(ends.b, SPILLED, 0);
    close_both(ends);
}

/* ---- until a deadline ---- */

static void a_deadline_ends_the_wait(void)
{
    struct ends ends = new_pipe();
    void *large = new_message(SPILLED, 0);
    void *data = NULL;
    size_t bytes = 0;
    int fd = -1;
    ipc_deadline deadline = ipc_after_ms(20);
    expect_rc(ipc_connection_recv_until(ends.a, &data, &bytes, deadline),
              -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    deadline = ipc_after_ms(20);
    expect_rc(ipc_connection_recv_into_until(ends.a, NULL, 0, &bytes, deadline),
              -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    deadline = ipc_after_ms(20);
    expect_rc(ipc_connection_recv_fd_until(ends.a, &fd, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);

    (void)fill(ends.a, 150000);
    deadline = ipc_after_ms(20);
    expect_rc(ipc_connection_send_until(ends.a, "x", 1, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    deadline = ipc_after_ms(20);
    expect_rc(ipc_connection_send_until(ends.a, large, SPILLED, deadline),
              -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    deadline = ipc_after_ms(20);
    expect_rc(ipc_connection_send_fd_until(ends.a, 0, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    free(large);
    close_both(ends);
}

static void a_deadline_that_has_passed_tries_once(void)
{
    static const ipc_deadline passed[] = {IPC_TIME_NOW, 1, -1, INT64_MIN};
    struct ends ends = new_pipe();
    size_t bytes = 0;
    char byte;
    for (size_t i = 0; i < COUNT(passed); i++) {
        expect_rc(
            ipc_connection_recv_into_until(ends.b, &byte, 1, &bytes, passed[i]),
            -ETIMEDOUT);
        expect_rc(ipc_connection_send_until(ends.a, "x", 1, passed[i]), 0);
        expect_rc(
            ipc_connection_recv_into_until(ends.b, &byte, 1, &bytes, passed[i]),
            0);
        expect_rc(ipc_connection_poll(ends.b, passed[i]), 0);
    }
    (void)fill(ends.a, 150000);
    for (size_t i = 0; i < COUNT(passed); i++)
        expect_rc(ipc_connection_send_until(ends.a, "x", 1, passed[i]),
                  -ETIMEDOUT);
    close_both(ends);
}

static void signals_do_not_change_the_deadline(void)
{
    struct ends ends = new_pipe();
    size_t bytes = 0;
    ipc_deadline deadline;
    (void)fill(ends.a, 150000);
    storm_start(2000);
    deadline = ipc_after_ms(60);
    expect_rc(ipc_connection_recv_into_until(ends.a, NULL, 0, &bytes, deadline),
              -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_true(ipc_now() - deadline < LIMIT_MS * NS_PER_MS);
    deadline = ipc_after_ms(60);
    expect_rc(ipc_connection_send_until(ends.a, "x", 1, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    deadline = ipc_after_ms(60);
    expect_rc(ipc_connection_poll(ends.a, deadline), 0);
    assert_true(ipc_now() >= deadline);
    test_report("signals", storm_stop());
    close_both(ends);
}

static void signals_do_not_tear_messages(void)
{
    struct ends ends = new_pipe();
    storm_start(5000);
    for (unsigned i = 0; i < 100; i++) {
        send_message(ends.a, SPILLED, i);
        send_message(ends.a, PARTS, i + 1);
        recv_message(ends.b, SPILLED, i);
        recv_message(ends.b, PARTS, i + 1);
    }
    test_report("signals", storm_stop());
    close_both(ends);
}

/* ---- being woken ---- */

struct stage {
    struct ends ends;
    uint32_t received;
};

static void receive_two(void *arg)
{
    struct stage *stage = arg;
    recv_message(stage->ends.b, FLAT, 1);
    meet_signal(&stage->received);
    recv_message(stage->ends.b, SPILLED, 2);
    meet_signal(&stage->received);
}

static struct stage *new_stage(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    stage->ends = new_pipe();
    return stage;
}

static void a_message_wakes_who_waits_for_it(void)
{
    struct stage *stage = new_stage();
    struct role role;
    role_start(&role, receive_two, stage);
    wait_until_blocked(role.pid, LIMIT_MS);
    send_message(stage->ends.a, FLAT, 1);
    meet_wait(&stage->received, 1, LIMIT_MS);
    wait_until_blocked(role.pid, LIMIT_MS);
    send_message(stage->ends.a, SPILLED, 2);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(stage->received, 2);
    close_both(stage->ends);
}

static void send_when_there_is_room(void *arg)
{
    struct stage *stage = arg;
    void *message = new_message(SPILLED, 1);
    expect_rc(ipc_connection_send(stage->ends.a, message, SPILLED), 0);
    expect_rc(ipc_connection_send(stage->ends.a, message, PARTS), 0);
    free(message);
}

static void room_wakes_who_waits_for_it(void)
{
    struct stage *stage = new_stage();
    struct role role;
    const unsigned count = fill(stage->ends.a, 150000);
    role_start(&role, send_when_there_is_room, stage);
    wait_until_blocked(role.pid, LIMIT_MS);
    for (unsigned i = 0; i < count; i++)
        recv_message(stage->ends.b, 150000, 0);
    recv_message(stage->ends.b, SPILLED, 1);
    recv_message(stage->ends.b, PARTS, 1);
    role_wait_ok(&role, LIMIT_MS);
    close_both(stage->ends);
}

static void wait_for_the_end(void *arg)
{
    struct stage *stage = arg;
    size_t bytes;
    expect_rc(ipc_connection_close(stage->ends.a), 0);
    expect_rc(ipc_connection_recv_into(stage->ends.b, NULL, 0, &bytes), -EPIPE);
}

static void the_end_wakes_who_waits_for_a_message(void)
{
    struct stage *stage = new_stage();
    struct role role;
    role_start(&role, wait_for_the_end, stage);
    wait_until_blocked(role.pid, LIMIT_MS);
    expect_rc(ipc_connection_close(stage->ends.a), 0);
    role_wait_ok(&role, LIMIT_MS);
    expect_rc(ipc_connection_close(stage->ends.b), 0);
}

static void send_into_the_end(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_connection_close(stage->ends.b), 0);
    expect_rc(ipc_connection_send(stage->ends.a, "x", 1), -EPIPE);
}

static void the_end_wakes_who_waits_for_room(void)
{
    struct stage *stage = new_stage();
    struct role role;
    (void)fill(stage->ends.a, 150000);
    role_start(&role, send_into_the_end, stage);
    wait_until_blocked(role.pid, LIMIT_MS);
    expect_rc(ipc_connection_close(stage->ends.b), 0);
    role_wait_ok(&role, LIMIT_MS);
    expect_rc(ipc_connection_close(stage->ends.a), 0);
}

/* ---- poll ---- */

static void poll_says_what_a_receive_would_do(void)
{
    struct ends ends = new_pipe();
    const ipc_deadline deadline = ipc_after_ms(20);
    expect_rc(ipc_connection_poll(ends.b, IPC_TIME_NOW), 0);
    expect_rc(ipc_connection_poll(ends.b, deadline), 0);
    assert_true(ipc_now() >= deadline);
    send_message(ends.a, 0, 0);
    expect_rc(ipc_connection_poll(ends.b, IPC_TIME_NOW), 1);
    expect_rc(ipc_connection_poll(ends.b, IPC_TIME_FOREVER), 1);
    recv_message(ends.b, 0, 0);
    expect_rc(ipc_connection_poll(ends.b, IPC_TIME_NOW), 0);
    expect_rc(ipc_connection_close(ends.a), 0);
    expect_rc(ipc_connection_poll(ends.b, IPC_TIME_FOREVER), 1);
    expect_end(ends.b);
    expect_rc(ipc_connection_poll(ends.b, IPC_TIME_NOW), 1);
    expect_rc(ipc_connection_close(ends.b), 0);
}

/* Level-triggered: as long as something is there. */
static void its_descriptor_works_in_epoll(void)
{
    struct ends ends = new_pipe();
    const int fd = ipc_connection_fileno(ends.b);
    const int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    char buffer[10];
    size_t bytes;
    assert_true(is_cloexec(fd));
    assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), 0);
    assert_int_equal(epoll_wait(loop, &event, 1, 0), 0);
    send_message(ends.a, 10, 1);
    send_message(ends.a, 10, 2);
    assert_int_equal(epoll_wait(loop, &event, 1, 0), 1);
    /* A message that was not taken is still there. */
    expect_rc(ipc_connection_recv_into(ends.b, buffer, 1, &bytes), -EMSGSIZE);
    recv_message(ends.b, 10, 1);
    assert_int_equal(epoll_wait(loop, &event, 1, 0), 1);
    recv_message(ends.b, 10, 2);
    assert_int_equal(epoll_wait(loop, &event, 1, 0), 0);
    expect_rc(ipc_connection_close(ends.a), 0);
    assert_int_equal(epoll_wait(loop, &event, 1, 0), 1);
    (void)close(loop);
    expect_rc(ipc_connection_close(ends.b), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(nowait_does_not_wait_for_a_message),
    TEST_CASE(nowait_does_not_wait_for_room),
    TEST_CASE(large_messages_are_held_up_too),
    TEST_CASE(a_deadline_ends_the_wait),
    TEST_CASE(a_deadline_that_has_passed_tries_once),
    TEST_CASE(signals_do_not_change_the_deadline),
    TEST_CASE(signals_do_not_tear_messages),
    TEST_CASE(a_message_wakes_who_waits_for_it),
    TEST_CASE(room_wakes_who_waits_for_it),
    TEST_CASE(the_end_wakes_who_waits_for_a_message),
    TEST_CASE(the_end_wakes_who_waits_for_room),
    TEST_CASE(poll_says_what_a_receive_would_do),
    TEST_CASE(its_descriptor_works_in_epoll),
};
TEST_MAIN(cases)
