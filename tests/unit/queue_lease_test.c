/* ipc_queue with leases: take, ack, nack, extend; what ends a lease, and what
 * becomes of messages that nobody acknowledges. */
#include "unit/queue_store_support.h"

#define MS INT64_C(1000000)

static ipc_queue *played;

static ipc_queue *new_leases(uint32_t flags, int64_t lease_ns,
                             uint32_t max_deliveries)
{
    ipc_queue_options options = store_options(IPC_QUEUE_LEASES | flags, 8);
    options.lease_ns = lease_ns;
    options.max_deliveries = max_deliveries;
    return new_queue(&options);
}

/* ---- what actors do ---- */

static int take_one(void *arg)
{
    return ipc_queue_take(played, arg);
}

static int ack_it(void *arg)
{
    return ipc_queue_ack(played, arg);
}

static int join_it(void *arg)
{
    (void)arg;
    return ipc_queue_join(played);
}

static int put_one(void *arg)
{
    (void)arg;
    return put_number(played, 77, SMALL, 0);
}

/* ---- take, and what ends it ---- */

static void an_ack_is_the_end_of_a_message(void)
{
    ipc_queue *queue = new_leases(0, 0, 0);
    ipc_message message;
    expect_put(queue, 1, SMALL);
    expect_put(queue, 2, LONG);
    expect_taken(queue, &message, 1);
    assert_int_equal(message.deliveries, 1);
    assert_true(message.lease == IPC_TIME_FOREVER);
    assert_int_equal(ipc_queue_size(queue), 1);
    const ipc_message copy = message;
    expect_rc(ipc_queue_ack(queue, &message), 0);
    assert_null(message.data);
    message = copy;
    expect_rc(ipc_queue_ack(queue, &message), -ESTALE);
    expect_rc(ipc_queue_nack(queue, &message), -ESTALE);
    expect_rc(ipc_queue_extend(queue, &message, IPC_TIME_FOREVER), -ESTALE);
    expect_detail("lease");
    expect_taken(queue, &message, 2);
    expect_rc(ipc_queue_ack(queue, &message), 0);
    expect_rc(ipc_queue_take_nowait(queue, &message), -EAGAIN);
    free_empty(queue);
}

static void what_is_given_back_has_its_old_place(void)
{
    ipc_queue *queue = new_leases(0, 0, 0);
    ipc_message first, second;
    for (uint32_t i = 1; i <= 3; i++)
        expect_put(queue, i, SMALL);
    expect_taken(queue, &first, 1);
    expect_taken(queue, &second, 2);
    expect_rc(ipc_queue_nack(queue, &second), 0);
    expect_rc(ipc_queue_nack(queue, &first), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        expect_taken(queue, &first, i);
        assert_int_equal(first.deliveries, i == 3 ? 1 : 2);
        expect_rc(ipc_queue_ack(queue, &first), 0);
    }
    free_empty(queue);
}

static void given_back_by_priority_and_last_in(void)
{
    ipc_message message, other;
    ipc_queue *queue = new_leases(IPC_QUEUE_PRIORITY, 0, 0);
    expect_rc(put_number(queue, 1, SMALL, 1), 0);
    expect_rc(put_number(queue, 2, SMALL, 5), 0);
    expect_taken(queue, &message, 2);
    assert_int_equal(message.priority, 5);
    expect_rc(put_number(queue, 3, SMALL, 5), 0);
    expect_rc(ipc_queue_nack(queue, &message), 0);
    expect_number(queue, 2);
    expect_number(queue, 3);
    expect_number(queue, 1);
    free_empty(queue);

    queue = new_leases(IPC_QUEUE_LIFO, 0, 0);
    for (uint32_t i = 1; i <= 3; i++)
        expect_put(queue, i, SMALL);
    expect_taken(queue, &message, 3);
    expect_taken(queue, &other, 2);
    expect_rc(ipc_queue_nack(queue, &message), 0);
    expect_rc(ipc_queue_nack(queue, &other), 0);
    for (uint32_t i = 3; i >= 1; i--)
        expect_number(queue, i);
    free_empty(queue);
}

static void a_queue_without_leases_has_none(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 4);
    ipc_message message = {0};
    expect_put(queue, 1, SMALL);
    expect_rc(ipc_queue_take(queue, &message), -ENOTSUP);
    expect_rc(ipc_queue_ack(queue, &message), -ENOTSUP);
    expect_rc(ipc_queue_take_dead(queue, &message), -ENOTSUP);
    assert_int_equal(ipc_queue_dead(queue), 0);
    expect_number(queue, 1);
    free_empty(queue);
}

static void a_token_from_nowhere_is_stale(void)
{
    ipc_queue *queue = new_leases(0, 0, 0);
    expect_put(queue, 1, SMALL);
    for (uint32_t slot = 0; slot < 20; slot++) {
        ipc_message message = {.token_ = {slot | (uint64_t)slot << 33, 1}};
        expect_rc(ipc_queue_ack(queue, &message), -ESTALE);
        message.token_[0] = UINT64_MAX - slot;
        expect_rc(ipc_queue_ack(queue, &message), -ESTALE);
    }
    expect_number(queue, 1);
    free_empty(queue);
}

/* ---- time ---- */

static void a_lease_runs_out(void)
{
    ipc_queue *queue = new_leases(0, 20 * MS, 0);
    ipc_message late, message;
    expect_put(queue, 1, SMALL);
    const ipc_deadline before = ipc_now();
    expect_taken(queue, &late, 1);
    assert_true(late.lease >= before + 20 * MS);
    assert_true(late.lease <= ipc_now() + 20 * MS);
    expect_rc(ipc_queue_take(queue, &message), 0);
    assert_true(ipc_now() >= late.lease);
    assert_int_equal(message.deliveries, 2);
    expect_rc(ipc_queue_ack(queue, &late), -ESTALE);
    expect_rc(ipc_queue_nack(queue, &late), -ESTALE);
    expect_rc(ipc_queue_ack(queue, &message), 0);
    free_empty(queue);
}

/* Nobody else has come: it has run out all the same. */
static void who_is_late_is_told(void)
{
    ipc_queue *queue = new_leases(0, MS, 0);
    ipc_message late;
    expect_put(queue, 1, SMALL);
    expect_taken(queue, &late, 1);
    ipc_sleep_until(late.lease);
    expect_rc(ipc_queue_ack(queue, &late), -ESTALE);
    expect_number(queue, 1);
    free_empty(queue);
}

static void a_lease_can_be_extended(void)
{
    ipc_queue *queue = new_leases(0, 30 * MS, 0);
    ipc_message message, other;
    expect_put(queue, 1, SMALL);
    expect_taken(queue, &message, 1);
    const ipc_deadline first = message.lease;
    expect_rc(ipc_queue_extend(queue, &message, IPC_TIME_FOREVER), 0);
    assert_true(message.lease == IPC_TIME_FOREVER);
    expect_rc(ipc_queue_take_until(queue, &other, first + 10 * MS), -ETIMEDOUT);
    expect_rc(ipc_queue_extend(queue, &message, ipc_now() + 10 * MS), 0);
    expect_rc(ipc_queue_take(queue, &other), 0);
    expect_rc(ipc_queue_extend(queue, &message, IPC_TIME_FOREVER), -ESTALE);
    expect_rc(ipc_queue_ack(queue, &other), 0);
    free_empty(queue);
}

/* Who sleeps already when a lease begins gets the message when it runs out. */
static void sleepers_wake_up_in_time(void)
{
    struct actor anna, bert;
    ipc_message *messages = test_shared(2 * sizeof *messages);
    played = new_leases(0, 40 * MS, 0);
    actor_start(&anna);
    actor_start(&bert);
    actor_tell(&anna, take_one, &messages[0]);
    actor_waits(&anna);
    actor_tell(&bert, take_one, &messages[1]);
    actor_waits(&bert);
    expect_put(played, 1, SMALL);
    while (!actor_is_done(&anna) && !actor_is_done(&bert))
        poll_pause();
    const int late = actor_is_done(&anna) ? 0 : 1;
    struct actor *other = late == 0 ? &bert : &anna;
    expect_rc(actor_result(other), 0);
    assert_int_equal(messages[1 - late].deliveries, 2);
    test_report("late_us",
                (long long)(other->page->end_ns - messages[late].lease) / 1000);
    assert_true(other->page->end_ns >= messages[late].lease);
    assert_true(other->page->end_ns - messages[late].lease < SLACK_MS * MS);
    expect_rc(ipc_queue_ack(played, &messages[late]), -ESTALE);
    actor_end(&anna);
    actor_end(&bert);
    expect_rc(ipc_queue_free(played), 0);
}

/* ---- deaths ---- */

static void what_the_dead_had_is_delivered_again(void)
{
    struct actor anna, bert;
    ipc_message *messages = test_shared(2 * sizeof *messages);
    played = new_leases(0, 0, 0);
    actor_start(&anna);
    actor_start(&bert);
    expect_put(played, 1, LONG);
    expect_rc(actor_asks(&anna, take_one, &messages[0]), 0);
    actor_tell(&bert, take_one, &messages[1]);
    actor_waits(&bert);
    actor_kill(&anna);
    expect_rc(actor_result(&bert), 0);
    assert_int_equal(messages[1].deliveries, 2);
    expect_rc(ipc_queue_ack(played, &messages[0]), -ESTALE);
    expect_rc(actor_asks(&bert, ack_it, &messages[1]), 0);
    actor_end(&bert);
    free_empty(played);
}

/* Two sleep when the third takes: one of them watches it, without the
 * re-check. */
static void who_slept_before_hears_of_the_death_at_once(void)
{
    struct actor actors[3];
    ipc_message *messages = test_shared(3 * sizeof *messages);
    ipc__recheck_ns = INT64_MAX;
    played = new_leases(0, 0, 0);
    actors_start(actors, 3);
    for (int i = 0; i < 3; i++) {
        actor_tell(&actors[i], take_one, &messages[i]);
        actor_waits(&actors[i]);
    }
    expect_put(played, 1, SMALL);
    for (uint32_t death = 1; death <= 2; death++) {
        int taker = -1;
        while (taker < 0)
            for (int i = 0; i < 3; i++)
                if (messages[i].deliveries == death &&
                    actor_is_done(&actors[i]))
                    taker = i;
        if (death == 1)
            for (int i = 0; i < 3; i++)
                if (i != taker)
                    actor_waits(&actors[i]);
        messages[taker].deliveries = 0;
        (void)role_kill(&actors[taker].role);
    }
    int left = 0;
    for (int i = 0; i < 3; i++)
        if (actors[i].role.pid != 0) {
            expect_rc(actor_result(&actors[i]), 0);
            assert_int_equal(messages[i].deliveries, 3);
            left++;
            actor_end(&actors[i]);
        }
    assert_int_equal(left, 1);
    expect_rc(ipc_queue_free(played), 0);
}

/* Its takers live: it is the lease that counts. */
static void another_process_may_ack(void)
{
    struct actor anna;
    ipc_message *message = test_shared(sizeof *message);
    played = new_leases(0, 0, 0);
    actor_start(&anna);
    expect_put(played, 1, SMALL);
    expect_rc(ipc_queue_take_nowait(played, message), 0);
    expect_rc(actor_asks(&anna, ack_it, message), 0);
    expect_put(played, 2, SMALL);
    expect_rc(actor_asks(&anna, take_one, message), 0);
    const ipc_message of_the_dead = *message;
    actor_kill(&anna);
    *message = of_the_dead;
    expect_rc(ipc_queue_ack(played, message), -ESTALE);
    expect_number(played, 2);
    free_empty(played);
}

/* The token says which lease it was, also when the slot has another message,
 * or the same one once more. */
static void an_old_token_does_not_fit_a_new_lease(void)
{
    struct actor anna;
    ipc_message *old = test_shared(sizeof *old);
    ipc_message message;
    played = new_leases(0, 0, 0);
    actor_start(&anna);
    expect_put(played, 1, SMALL);
    expect_rc(actor_asks(&anna, take_one, old), 0);
    const ipc_message copy = *old;
    message = copy;
    expect_rc(ipc_queue_nack(played, &message), 0);
    expect_taken(played, &message, 1);
    expect_rc(actor_asks(&anna, ack_it, old), -ESTALE);
    expect_rc(ipc_queue_ack(played, &message), 0);
    expect_put(played, 2, SMALL);
    expect_taken(played, &message, 2);
    *old = copy;
    expect_rc(actor_asks(&anna, ack_it, old), -ESTALE);
    expect_rc(ipc_queue_ack(played, &message), 0);
    actor_end(&anna);
    free_empty(played);
}

static void a_child_has_no_lease_of_its_own(void)
{
    struct actor anna;
    ipc_message message;
    played = new_leases(0, 0, 0);
    expect_put(played, 1, SMALL);
    expect_taken(played, &message, 1);
    actor_start(&anna);
    actor_kill(&anna);
    assert_int_equal(ipc_queue_size(played), 0);
    expect_rc(ipc_queue_free(played), -EBUSY);
    expect_rc(ipc_queue_ack(played, &message), 0);
    free_empty(played);
}

/* ---- dead letters ---- */

static void after_so_many_deliveries_it_is_a_dead_letter(void)
{
    ipc_queue *queue = new_leases(0, 0, 3);
    ipc_message message;
    expect_put(queue, 1, SMALL);
    expect_put(queue, 2, SMALL);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(ipc_queue_dead(queue), 0);
        expect_rc(ipc_queue_take_dead(queue, &message), -EAGAIN);
        expect_taken(queue, &message, 1);
        assert_int_equal(message.deliveries, i);
        expect_rc(ipc_queue_nack(queue, &message), 0);
    }
    assert_int_equal(ipc_queue_dead(queue), 1);
    assert_int_equal(ipc_queue_size(queue), 1);
    expect_number(queue, 2);
    expect_rc(ipc_queue_take_dead(queue, &message), 0);
    assert_int_equal(number_of(message.data, message.bytes), 1);
    assert_int_equal(message.deliveries, 3);
    assert_int_equal(ipc_queue_dead(queue), 0);
    expect_rc(ipc_queue_nack(queue, &message), 0);
    assert_int_equal(ipc_queue_dead(queue), 1);
    expect_rc(ipc_queue_take_nowait(queue, &message), -EAGAIN);
    expect_rc(ipc_queue_take_dead(queue, &message), 0);
    expect_rc(ipc_queue_ack(queue, &message), 0);
    assert_int_equal(ipc_queue_dead(queue), 0);
    free_empty(queue);
}

static void deaths_make_dead_letters_too(void)
{
    struct actor anna;
    ipc_message *message = test_shared(sizeof *message);
    played = new_leases(0, 0, 2);
    expect_put(played, 1, LONG);
    for (int i = 0; i < 2; i++) {
        actor_start(&anna);
        expect_rc(actor_asks(&anna, take_one, message), 0);
        actor_kill(&anna);
    }
    assert_int_equal(ipc_queue_dead(played), 1);
    expect_rc(ipc_queue_take_nowait(played, message), -EAGAIN);
    expect_rc(ipc_queue_take_dead(played, message), 0);
    assert_int_equal(number_of(message->data, message->bytes), 1);
    expect_rc(ipc_queue_ack(played, message), 0);
    free_empty(played);
}

/* ---- done, closed ---- */

static void an_ack_is_done_too(void)
{
    struct actor anna;
    ipc_message message;
    played = new_leases(0, 0, 0);
    actor_start(&anna);
    expect_put(played, 1, SMALL);
    expect_put(played, 2, SMALL);
    expect_put(played, 3, SMALL);
    actor_tell(&anna, join_it, NULL);
    actor_waits(&anna);
    expect_number(played, 1);
    expect_rc(ipc_queue_task_done(played), 0);
    for (uint32_t i = 2; i <= 3; i++) {
        actor_waits(&anna);
        expect_taken(played, &message, i);
        expect_rc(ipc_queue_ack(played, &message), 0);
    }
    expect_rc(actor_result(&anna), 0);
    expect_rc(ipc_queue_task_done(played), -EINVAL);
    expect_rc(ipc_queue_join_nowait(played), 0);
    actor_end(&anna);
    free_empty(played);
}

/* What others have may come back. */
static void a_closed_queue_is_over_when_no_lease_is_left(void)
{
    struct actor anna, bert;
    ipc_message *messages = test_shared(2 * sizeof *messages);
    ipc_message message;
    for (int dies = 0; dies < 2; dies++) {
        played = new_leases(0, 0, 0);
        actor_start(&anna);
        actor_start(&bert);
        expect_put(played, 1, SMALL);
        expect_rc(actor_asks(&anna, take_one, &messages[0]), 0);
        expect_rc(ipc_queue_close(played, false), 0);
        expect_rc(actor_asks(&bert, put_one, NULL), -EPIPE);
        expect_rc(ipc_queue_take_nowait(played, &message), -EAGAIN);
        actor_tell(&bert, take_one, &messages[1]);
        actor_waits(&bert);
        if (dies) {
            actor_kill(&anna);
            expect_rc(actor_result(&bert), 0);
            assert_int_equal(messages[1].deliveries, 2);
            expect_rc(actor_asks(&bert, ack_it, &messages[1]), 0);
        } else {
            expect_rc(actor_asks(&anna, ack_it, &messages[0]), 0);
            expect_rc(actor_result(&bert), -EPIPE);
            actor_end(&anna);
        }
        expect_rc(ipc_queue_take(played, &message), -EPIPE);
        actor_end(&bert);
        expect_rc(ipc_queue_free(played), 0);
    }
}

static void nobody_waits_for_its_own_lease(void)
{
    ipc_queue *queue = new_leases(0, 0, 0);
    ipc_message first, second;
    expect_put(queue, 1, SMALL);
    expect_taken(queue, &first, 1);
    expect_rc(ipc_queue_close(queue, false), 0);
    expect_rc(ipc_queue_take(queue, &second), -EPIPE);
    expect_rc(ipc_queue_ack(queue, &first), 0);
    expect_rc(ipc_queue_free(queue), 0);
}

static void closing_at_once_does_not_wait_for_leases(void)
{
    struct actor anna, bert;
    ipc_message *messages = test_shared(2 * sizeof *messages);
    played = new_leases(0, 0, 0);
    actor_start(&anna);
    actor_start(&bert);
    expect_put(played, 1, SMALL);
    expect_rc(actor_asks(&anna, take_one, &messages[0]), 0);
    expect_rc(ipc_queue_close(played, false), 0);
    actor_tell(&bert, take_one, &messages[1]);
    actor_waits(&bert);
    expect_rc(ipc_queue_close(played, true), 0);
    expect_rc(actor_result(&bert), -EPIPE);
    expect_rc(actor_asks(&anna, ack_it, &messages[0]), 0);
    expect_rc(ipc_queue_join_nowait(played), 0);
    actor_end(&anna);
    actor_end(&bert);
    expect_rc(ipc_queue_free(played), 0);
}

/* ---- memory ---- */

static void memory_comes_back_when_it_is_idle(void)
{
    ipc_queue_options options = store_options(IPC_QUEUE_LEASES, 2000);
    ipc_message message;
    ipc__recheck_ns = 5 * MS;
    ipc_queue *queue = new_queue(&options);
    for (uint32_t i = 0; i < 1000; i++)
        expect_put(queue, i, i % 2 == 0 ? SMALL : LONG);
    assert_true(queue->put.pages_present > 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        expect_taken(queue, &message, i);
        expect_rc(ipc_queue_ack(queue, &message), 0);
    }
    expect_rc(ipc_queue_take_until(queue, &message, ipc_after_ms(50)),
              -ETIMEDOUT);
    assert_int_equal(queue->put.pages_present, 0);
    for (uint32_t i = 0; i < 1000; i++)
        expect_put(queue, i, i % 2 == 0 ? SMALL : LONG);
    for (uint32_t i = 0; i < 1000; i++)
        expect_number(queue, i);
    free_empty(queue);
}

static const struct test_case cases[] = {
    TEST_CASE(an_ack_is_the_end_of_a_message),
    TEST_CASE(what_is_given_back_has_its_old_place),
    TEST_CASE(given_back_by_priority_and_last_in),
    TEST_CASE(a_queue_without_leases_has_none),
    TEST_CASE(a_token_from_nowhere_is_stale),
    TEST_CASE(a_lease_runs_out),
    TEST_CASE(who_is_late_is_told),
    TEST_CASE(a_lease_can_be_extended),
    TEST_CASE(sleepers_wake_up_in_time),
    TEST_CASE(what_the_dead_had_is_delivered_again),
    TEST_CASE(who_slept_before_hears_of_the_death_at_once),
    TEST_CASE(another_process_may_ack),
    TEST_CASE(an_old_token_does_not_fit_a_new_lease),
    TEST_CASE(a_child_has_no_lease_of_its_own),
    TEST_CASE(after_so_many_deliveries_it_is_a_dead_letter),
    TEST_CASE(deaths_make_dead_letters_too),
    TEST_CASE(an_ack_is_done_too),
    TEST_CASE(a_closed_queue_is_over_when_no_lease_is_left),
    TEST_CASE(nobody_waits_for_its_own_lease),
    TEST_CASE(closing_at_once_does_not_wait_for_leases),
    TEST_CASE(memory_comes_back_when_it_is_idle),
};
TEST_MAIN(cases)
