/* Leases of a queue of a manager. */
#include "manager/queue_support.h"

static void a_lease_ends_with_ack_or_nack(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL);
    for (int i = 1; i <= 3; i++)
        does(a, PUT, queue, 0, ipc_i64((int64_t)i * 10), ipc_i64(i), NOW);
    const uint64_t id = ask(b, TAKE, queue, NOW);
    const uint64_t first = token_of(b, id);
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "10 1 %" PRIu64 " 1", first);
    expect_answer(b, id, 0, wanted);
    const uint64_t second = take(c, queue);
    assert_true(second > first);
    says(a, INFO, queue, "false 1 0 2 0 3");
    does(b, NACK, queue, 0, ipc_u64(first));
    does(b, NACK, queue, -ESTALE, ipc_u64(first));
    does(b, ACK, queue, -ESTALE, ipc_u64(first));
    does(b, ACK, queue, 0, ipc_u64(second)); /* whoever has the token */
    const uint64_t third = ask(c, TAKE, queue, NOW);
    (void)snprintf(wanted, sizeof wanted, "10 1 %" PRIu64 " 2",
                   token_of(c, third));
    expect_answer(c, third, 0, wanted); /* at its old place, before 30 */
    says(a, GET, queue, "30", NOW);
    says(a, INFO, queue, "false 0 0 1 0 2");
    server_end();
}

static void a_lease_runs_out(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("lease_ns"), ipc_i64(IPC_MS(100)));
    put(queue, ipc_i64(1));
    put(queue, ipc_i64(2));
    const uint64_t first = take(b, queue);
    const uint64_t second = take(b, queue);
    const uint64_t of_c = ask(c, GET, queue, FOREVER);
    does(b, EXTEND, queue, 0, ipc_u64(second), ipc_i64(IPC_MS(300)));
    pass(99);
    expect_status(c, of_c, WAITING);
    pass(1);
    expect_answer(c, of_c, 0, "1");
    does(b, ACK, queue, -ESTALE, ipc_u64(first));
    does(b, EXTEND, queue, -ESTALE, ipc_u64(first), ipc_i64(1));
    pass(150);
    does(b, ACK, queue, 0, ipc_u64(second));
    pass(1000);
    says(a, INFO, queue, "false 0 0 0 0 1");
    server_end();
}

static void a_lease_that_has_run_out_is_over_before_anybody_looks(void)
{
    begin_queues();
    const uint64_t queue =
        make(a, "queue", NULL, ipc_str("lease_ns"), ipc_i64(IPC_MS(10)));
    put(queue, ipc_i64(1));
    const uint64_t lease = take(b, queue);
    server->now += IPC_MS(10); /* the turn has begun, its timers come later */
    const uint64_t id = ask_now(b, ACK, queue, ipc_u64(lease));
    the_time = server->now;
    pass(0);
    expect_status(b, id, -ESTALE);
    says(a, GET, queue, "1", NOW);
    server_end();
}

static void the_death_of_the_taker_gives_it_back(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", "jobs");
    for (int i = 1; i <= 5; i++)
        put(queue, ipc_i64(i));
    for (int i = 0; i < 5; i++)
        (void)take(b, queue);
    const uint64_t of_c = ask(c, GET, queue, FOREVER);
    client_die(b);
    expect_answer(c, of_c, 0, "1");
    says(c, GET, queue, "2", NOW);
    says(a, INFO, queue, "false 3 0 0 0 5");
    server_end();
}

static void what_is_taken_too_often_is_a_dead_letter(void)
{
    begin_queues();
    const uint64_t queue = make(a, "queue", NULL, ipc_str("max_deliveries"),
                                ipc_i64(2), ipc_str("capacity"), ipc_i64(2));
    put(queue, ipc_i64(1));
    put(queue, ipc_i64(2));
    does(a, TAKE_DEAD, queue, -EAGAIN);
    for (int i = 0; i < 2; i++)
        does(a, NACK, queue, 0, ipc_u64(take(b, queue)));
    says(a, INFO, queue, "false 1 2 0 1 2");
    does(a, PUT, queue, -EAGAIN, ipc_i64(3), NONE, NOW); /* it takes room */
    uint64_t id = ask(b, TAKE_DEAD, queue);
    assert_int_equal(strncmp(find_answer(b, id)->text, "1 0 ", 4), 0);
    does(a, NACK, queue, 0, ipc_u64(token_of(b, id)));
    says(a, INFO, queue, "false 1 2 0 1 2");
    id = ask(b, TAKE_DEAD, queue);
    does(a, ACK, queue, 0, ipc_u64(token_of(b, id)));
    does(a, TAKE_DEAD, queue, -EAGAIN);
    says(a, INFO, queue, "false 1 2 0 0 1");
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(a_lease_ends_with_ack_or_nack),
    TEST_CASE(a_lease_runs_out),
    TEST_CASE(a_lease_that_has_run_out_is_over_before_anybody_looks),
    TEST_CASE(the_death_of_the_taker_gives_it_back),
    TEST_CASE(what_is_taken_too_often_is_a_dead_letter),
};
TEST_MAIN(cases)
