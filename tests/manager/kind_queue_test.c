/* Queues of a manager: order, room, waiting, leases, joining, closing. */
#include "manager/queue_support.h"

/* ---- order ---- */

static void the_first_comes_out_first(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", "orders");
    put(queue, ipc_i64(1));
    put(queue, ipc_str("two"));
    put(queue, ipc_nil());
    says(b, INFO, queue, "false 3 0 0 0 3");
    says(b, GET, queue, "1", NOW);
    says(c, GET, queue, "\"two\"", FOREVER);
    says(b, GET, queue, "nil", NOW);
    does(b, GET, queue, -EAGAIN, NOW);
    says(b, INFO, queue, "false 0 0 0 0 3");
    server_end();
}

static void or_the_last(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("order"), ipc_str("lifo"));
    for (int i = 0; i < 10; i++)
        put(queue, ipc_i64(i));
    for (int i = 9; i >= 0; i--) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        says(a, GET, queue, text, NOW);
    }
    server_end();
}

static void or_the_highest_priority(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("order"), ipc_str("priority"));
    static const int64_t priorities[] = {3, INT64_MIN, 9, 3, INT64_MAX, -1, 9};
    for (int i = 0; i < 7; i++)
        does(a, PUT, queue, 0, ipc_i64(i), ipc_i64(priorities[i]), NOW);
    static const char *const wanted[] = {"4", "2", "6", "0", "3", "5", "1"};
    for (int i = 0; i < 7; i++)
        says(b, GET, queue, wanted[i], NOW);
    server_end();
}

static void any_value_but_handles_is_a_message(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    put(queue, ipc_bool(true));
    put(queue, ipc_u64(UINT64_MAX));
    put(queue, ipc_f64(0.5));
    put(queue, ipc_bytes("\0\1", 2));
    put(queue, ipc_str(""));
    says(b, GET, queue, "true", NOW);
    says(b, GET, queue, "18446744073709551615", NOW);
    says(b, GET, queue, "0.5", NOW);
    says(b, GET, queue, "b\"\\x00\\x01\"", NOW);
    says(b, GET, queue, "\"\"", NOW);
    ipc_any handle = ipc_any_with_type(IPC_TYPE_LIST);
    handle.u64 = make(a, "list", NULL, ipc_str("served"), ipc_bool(true));
    does(a, PUT, queue, -EINVAL, handle, NONE, NOW);
    server_end();
}

/* ---- waiting ---- */

static void who_waits_longest_gets_the_next(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    const uint64_t of_b = ask(b, GET, queue, FOREVER);
    const uint64_t of_c = ask(c, TAKE, queue, FOREVER);
    const uint64_t again = ask(b, GET, queue, FOREVER);
    put(queue, ipc_i64(1));
    expect_answer(b, of_b, 0, "1");
    expect_status(c, of_c, WAITING);
    put(queue, ipc_i64(2));
    expect_status(c, of_c, 0);
    expect_status(b, again, WAITING);
    put(queue, ipc_i64(3));
    expect_answer(b, again, 0, "3");
    server_end();
}

static void nobody_overtakes_who_waits(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    const uint64_t of_b = ask(b, GET, queue, FOREVER);
    (void)ask_now(a, PUT, queue, ipc_i64(1), NONE, NOW);
    const uint64_t of_c = ask_now(c, GET, queue, NOW);
    pass(0);
    expect_answer(b, of_b, 0, "1");
    expect_status(c, of_c, -EAGAIN);
    server_end();
}

static void a_full_queue_lets_producers_wait(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("capacity"), ipc_i64(2));
    put(queue, ipc_i64(1));
    put(queue, ipc_i64(2));
    does(a, PUT, queue, -EAGAIN, ipc_i64(3), NONE, NOW);
    const uint64_t of_a = ask(a, PUT, queue, ipc_i64(3), NONE, FOREVER);
    const uint64_t of_b =
        ask(b, PUT, queue, ipc_str("four"), NONE, ipc_i64(IPC_MS(50)));
    const uint64_t of_c = ask(c, PUT, queue, ipc_i64(5), NONE, FOREVER);
    expect_status(a, of_a, WAITING);
    says(b, GET, queue, "1", NOW);
    expect_status(a, of_a, 0);
    expect_status(b, of_b, WAITING);
    pass(50);
    expect_status(b, of_b, -ETIMEDOUT);
    const uint64_t lease = take(b, queue); /* takes no room away */
    expect_status(c, of_c, WAITING);
    does(b, ACK, queue, 0, ipc_u64(lease));
    expect_status(c, of_c, 0);
    says(b, GET, queue, "3", NOW);
    says(b, GET, queue, "5", NOW);
    server_end();
}

/* A producer and consumers in line at the same time. */
static void room_and_messages_go_hand_in_hand(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("capacity"), ipc_i64(1));
    put(queue, ipc_i64(1));
    const uint64_t lease = take(a, queue);
    const uint64_t get_b = ask(b, GET, queue, FOREVER);
    const uint64_t put_c = ask(c, PUT, queue, ipc_i64(2), NONE, FOREVER);
    const uint64_t get_a = ask(a, GET, queue, FOREVER);
    const uint64_t put_a = ask(a, PUT, queue, ipc_i64(3), NONE, FOREVER);
    does(a, ACK, queue, 0, ipc_u64(lease));
    expect_status(c, put_c, 0);
    expect_answer(b, get_b, 0, "2");
    expect_status(a, put_a, 0);
    expect_answer(a, get_a, 0, "3");
    server_end();
}

static void who_dies_waiting_takes_nothing(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    (void)ask(b, GET, queue, FOREVER);
    const uint64_t of_c = ask(c, GET, queue, FOREVER);
    client_die(b);
    put(queue, ipc_i64(1));
    expect_answer(c, of_c, 0, "1");
    server_end();
}

/* ---- memory ---- */

static void what_it_holds_is_paid_for(void)
{
    begin_queues();
    the_config.limits.queue_bytes = 100000;
    const uint64_t before = charged();
    const uint64_t queue = make(a, "queue", NULL);
    static char text[30000];
    memset(text, 'x', sizeof text);
    put(queue, ipc_strn(text, sizeof text));
    put(queue, ipc_strn(text, sizeof text));
    put(queue, ipc_strn(text, sizeof text));
    const uint64_t id =
        ask(a, PUT, queue, ipc_strn(text, sizeof text), NONE, FOREVER);
    expect_status(a, id, -ENOSPC);
    expect_detail_of(a, id, "queue_bytes");
    says(a, INFO, queue, "false 3 0 0 0 3");
    does(a, GET, queue, 0, NOW);
    put(queue, ipc_strn(text, sizeof text));
    (void)ask(a, IPCM__OP_DROP, 0, ipc_u64(queue), ipc_i64(1));
    assert_int_equal(charged(), before);
    server_end();
}

/* Of a message that fits a put but not the reply to a take. */
static void a_message_that_no_reply_can_hold_is_refused(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    static char text[1u << 20];
    for (size_t less = 32; less < 120; less++) {
        const ipc_any value = ipc_bytes(text, sizeof text - less);
        const uint64_t id = ask(a, PUT, queue, value, NONE, NOW);
        if (status_of(a, id) == -EMSGSIZE)
            continue;
        expect_status(a, id, 0);
        const uint64_t lease = take(a, queue);
        does(a, ACK, queue, 0, ipc_u64(lease));
    }
    server_end();
}

/* ---- done ---- */

static void join_waits_until_all_is_done(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    does(a, JOIN, queue, 0, NOW);
    does(a, TASK_DONE, queue, -EINVAL);
    put(queue, ipc_i64(1));
    put(queue, ipc_i64(2));
    does(a, JOIN, queue, -EAGAIN, NOW);
    const uint64_t late = ask(b, JOIN, queue, ipc_i64(IPC_MS(10)));
    const uint64_t id = ask(a, JOIN, queue, FOREVER);
    pass(10);
    expect_status(b, late, -ETIMEDOUT);
    does(c, GET, queue, 0, NOW);
    does(c, TASK_DONE, queue, 0);
    expect_status(a, id, WAITING);
    (void)ask_now(c, ACK, queue, ipc_u64(take(c, queue)));
    (void)ask_now(b, PUT, queue, ipc_i64(3), NONE, NOW); /* in the same turn */
    pass(0);
    expect_status(a, id, 0);
    does(c, TASK_DONE, queue, 0);
    does(c, TASK_DONE, queue, -EINVAL);
    server_end();
}

/* ---- closed ---- */

static void a_closed_queue_is_emptied_and_over(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("capacity"), ipc_i64(2));
    put(queue, ipc_i64(1));
    put(queue, ipc_i64(2));
    const uint64_t producer = ask(c, PUT, queue, ipc_i64(3), NONE, FOREVER);
    does(b, CLOSE, queue, 0, ipc_bool(false));
    expect_status(c, producer, -EPIPE);
    does(a, PUT, queue, -EPIPE, ipc_i64(4), NONE, FOREVER);
    says(a, GET, queue, "1", NOW);
    const uint64_t lease = take(a, queue);
    const uint64_t consumer = ask(b, GET, queue, FOREVER);
    does(c, GET, queue, -EAGAIN, NOW); /* it might come back */
    does(a, NACK, queue, 0, ipc_u64(lease));
    expect_answer(b, consumer, 0, "2");
    const uint64_t last = ask(b, GET, queue, FOREVER);
    expect_status(b, last, -EPIPE);
    says(a, INFO, queue, "true 0 2 0 0 2");
    server_end();
}

static void an_ack_ends_the_wait_at_a_closed_queue(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    put(queue, ipc_i64(1));
    const uint64_t lease = take(a, queue);
    const uint64_t consumer = ask(b, GET, queue, FOREVER);
    does(a, CLOSE, queue, 0, ipc_bool(false));
    expect_status(b, consumer, WAITING);
    does(a, ACK, queue, 0, ipc_u64(lease));
    expect_status(b, consumer, -EPIPE);
    server_end();
}

static void closed_at_once_everything_is_dropped(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("max_deliveries"), ipc_i64(1));
    for (int i = 0; i < 4; i++)
        put(queue, ipc_i64(i));
    does(a, NACK, queue, 0, ipc_u64(take(a, queue))); /* dead */
    const uint64_t acked = take(a, queue);
    (void)take(b, queue);
    const uint64_t join = ask(c, JOIN, queue, FOREVER);
    does(a, CLOSE, queue, 0, ipc_bool(true));
    says(a, INFO, queue, "true 0 0 2 0 2");
    does(c, GET, queue, -EPIPE, FOREVER);
    does(c, TAKE, queue, -EPIPE, FOREVER);
    does(a, CLOSE, queue, 0, ipc_bool(false));
    expect_status(c, join, WAITING);
    does(a, ACK, queue, 0, ipc_u64(acked));
    client_die(b);
    expect_status(c, join, 0);
    says(a, INFO, queue, "true 0 0 0 0 0");
    server_end();
}

/* ---- the rest ---- */

static void wrong_requests_change_nothing(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    put(queue, ipc_i64(1));
    does(a, PUT, queue, -EINVAL, ipc_i64(1), NONE);
    does(a, PUT, queue, -EINVAL, ipc_i64(1), ipc_str("high"), NOW);
    does(a, GET, queue, -EINVAL);
    does(a, GET, queue, -EINVAL, ipc_str("now"));
    does(a, ACK, queue, -EINVAL, ipc_i64(-1));
    does(a, ACK, queue, -ESTALE, ipc_i64(0));
    does(a, EXTEND, queue, -ESTALE, ipc_i64(1), ipc_i64(1));
    does(a, CLOSE, queue, -EINVAL, ipc_i64(1));
    does(a, IPCM__OP_LOCK_ACQUIRE, queue, -ENOSYS, ipc_i64(1), NOW);
    says(a, INFO, queue, "false 1 0 0 0 1");
    refuses(a, -EINVAL, "queue", ipc_str("order"), ipc_str("random"));
    refuses(a, -EINVAL, "queue", ipc_str("order"), ipc_i64(1));
    refuses(a, -EINVAL, "queue", ipc_str("capacity"), ipc_i64(-1));
    refuses(a, -EINVAL, "queue", ipc_str("lease_ns"), ipc_i64(-1));
    refuses(a, -EINVAL, "queue", ipc_str("max_deliveries"),
            ipc_i64((int64_t)1 << 32));
    refuses(a, -EINVAL, "queue", ipc_str("items"), ipc_i64(1));
    server_end();
}

/* Many who wait for the same, one message at a time. */
static void a_thousand_wait_and_all_are_served(void)
{
    begin_queues();
    the_config.limits.in_flight = 2000;
    const uint64_t queue = make(a, "queue", NULL);
    static uint64_t ids[1000];
    for (int i = 0; i < 1000; i++)
        ids[i] = ask_now(i % 2 == 0 ? b : c, GET, queue, FOREVER);
    pass(0);
    for (int i = 0; i < 1000; i++) {
        struct client *client = i % 2 == 0 ? b : c;
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        put(queue, ipc_i64(i));
        expect_answer(client, ids[i], 0, text);
    }
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(the_first_comes_out_first),
    TEST_CASE(or_the_last),
    TEST_CASE(or_the_highest_priority),
    TEST_CASE(any_value_but_handles_is_a_message),
    TEST_CASE(who_waits_longest_gets_the_next),
    TEST_CASE(nobody_overtakes_who_waits),
    TEST_CASE(a_full_queue_lets_producers_wait),
    TEST_CASE(room_and_messages_go_hand_in_hand),
    TEST_CASE(who_dies_waiting_takes_nothing),
    TEST_CASE(what_it_holds_is_paid_for),
    TEST_CASE(a_message_that_no_reply_can_hold_is_refused),
    TEST_CASE(join_waits_until_all_is_done),
    TEST_CASE(a_closed_queue_is_emptied_and_over),
    TEST_CASE(an_ack_ends_the_wait_at_a_closed_queue),
    TEST_CASE(closed_at_once_everything_is_dropped),
    TEST_CASE(wrong_requests_change_nothing),
    TEST_CASE(a_thousand_wait_and_all_are_served),
};
TEST_MAIN(cases)
