/* Managed queues: every call against a server. */
#include "manager/client_support.h"

#include <pthread.h>

#include <ipc/time.h>

static ipc_manager *manager;

static void begin(void)
{
    manager = client_start(NULL);
}

static void end(void)
{
    OK(ipc_manager_close(manager));
    manager = NULL;
}

static ipc_managed *queue_with(uint32_t flags, uint64_t capacity,
                               uint32_t max_deliveries)
{
    ipc_managed_options options = IPC_MANAGED_OPTIONS_INIT;
    options.flags = flags;
    options.capacity = capacity;
    options.max_deliveries = max_deliveries;
    ipc_managed *queue;
    IS(ipc_manager_queue(manager, NULL, &options, &queue), 1);
    return queue;
}

static void queues_give_in_their_order(void)
{
    static const struct {
        uint32_t flags;
        int64_t order[3];
    } kinds[] = {
        {0, {1, 2, 3}},
        {IPC_MANAGED_LIFO, {3, 2, 1}},
        {IPC_MANAGED_PRIORITY, {2, 3, 1}},
    };
    begin();
    for (int k = 0; k < 3; k++) {
        ipc_managed *queue = queue_with(kinds[k].flags, 0, 0);
        OK(ipc_managed_queue_put_priority(queue, ipc_i64(1), -5,
                                          IPC_TIME_FOREVER));
        OK(ipc_managed_queue_put_priority(queue, ipc_i64(2), 5,
                                          IPC_TIME_FOREVER));
        OK(ipc_managed_queue_put(queue, ipc_i64(3)));
        IS(ipc_managed_queue_size(queue), 3);
        for (int i = 0; i < 3; i++) {
            ipc_any got;
            OK(ipc_managed_queue_get(queue, &got));
            assert_int_equal(got.i64, kinds[k].order[i]);
        }
        OK(ipc_managed_close(queue));
    }
    end();
}

static void full_and_empty_queues_say_so_in_time(void)
{
    begin();
    ipc_managed *queue = queue_with(0, 1, 0);
    ipc_any got;
    IS(ipc_managed_queue_get_nowait(queue, &got), -EAGAIN);
    IS(ipc_managed_queue_get_until(queue, &got, ipc_after_ms(5)), -ETIMEDOUT);
    IS(ipc_managed_queue_get_until(queue, &got, ipc_after_ms(-5)), -ETIMEDOUT);
    OK(ipc_managed_queue_put_nowait(queue, ipc_str("one")));
    IS(ipc_managed_queue_put_nowait(queue, ipc_str("two")), -EAGAIN);
    IS(ipc_managed_queue_put_until(queue, ipc_str("two"), ipc_after_ms(5)),
       -ETIMEDOUT);
    OK(ipc_managed_queue_get_nowait(queue, &got));
    assert_string_equal(got.str, "one");
    ipc_any_free(&got);
    ipc_managed_queue_info info = IPC_MANAGED_QUEUE_INFO_INIT;
    OK(ipc_managed_queue_query(queue, &info));
    assert_int_equal(info.capacity, 1);
    assert_int_equal(info.unfinished, 1);
    assert_false(info.closed);
    OK(ipc_managed_queue_close(queue, false));
    IS(ipc_managed_queue_put(queue, ipc_i64(1)), -EPIPE);
    IS(ipc_managed_queue_get(queue, &got), -EPIPE);
    OK(ipc_managed_queue_query(queue, &info));
    assert_true(info.closed);
    OK(ipc_managed_close(queue));
    end();
}

static void leases_are_acked_or_given_back(void)
{
    begin();
    ipc_managed *queue = queue_with(0, 0, 2);
    ipc_managed_lease lease;
    ipc_managed_lease second;
    IS(ipc_managed_queue_take_nowait(queue, &lease), -EAGAIN);
    IS(ipc_managed_queue_take_until(queue, &lease, ipc_after_ms(5)),
       -ETIMEDOUT);
    OK(ipc_managed_queue_put(queue, ipc_str("work")));
    OK(ipc_managed_queue_take(queue, &lease));
    assert_string_equal(lease.message.str, "work");
    assert_int_equal(lease.deliveries, 1);
    IS(ipc_managed_queue_join_nowait(queue), -EAGAIN);
    OK(ipc_managed_queue_extend(queue, &lease, IPC_S(10)));
    IS(ipc_managed_queue_extend(queue, &lease, 0), -EINVAL);
    OK(ipc_managed_queue_nack(queue, &lease));
    IS(ipc_managed_queue_ack(queue, &lease), -ESTALE);
    OK(ipc_managed_queue_take(queue, &second));
    assert_int_equal(second.deliveries, 2);
    assert_true(second.token > lease.token);
    OK(ipc_managed_queue_nack(queue, &second));
    ipc_managed_lease_free(&lease);
    ipc_managed_lease_free(&second);
    IS(ipc_managed_queue_take_nowait(queue, &lease), -EAGAIN);
    OK(ipc_managed_queue_take_dead(queue, &lease));
    OK(ipc_managed_queue_ack(queue, &lease));
    ipc_managed_lease_free(&lease);
    ipc_managed_lease_free(NULL);
    OK(ipc_managed_queue_join(queue));
    OK(ipc_managed_queue_join_until(queue, ipc_after_ms(1000)));
    IS(ipc_managed_queue_task_done(queue), -EINVAL);
    OK(ipc_managed_close(queue));
    end();
}

static void *put_later(void *arg)
{
    for (int i = 0; i < 100; i++)
        OK(ipc_managed_queue_put(arg, ipc_i64(i)));
    return NULL;
}

static void who_waits_for_a_message_gets_it(void)
{
    begin();
    ipc_managed *queue = queue_with(0, 1, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_later, queue), 0);
    for (int i = 0; i < 100; i++) {
        ipc_any got;
        OK(ipc_managed_queue_get_until(queue, &got, ipc_after_ms(5000)));
        assert_int_equal(got.i64, i);
        OK(ipc_managed_queue_task_done(queue));
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    OK(ipc_managed_queue_join(queue));
    OK(ipc_managed_close(queue));
    end();
}

static void queue_options_are_looked_at(void)
{
    begin();
    ipc_managed *queue;
    ipc_managed_options options = IPC_MANAGED_OPTIONS_INIT;
    options.flags = IPC_MANAGED_LIFO | IPC_MANAGED_PRIORITY;
    IS(ipc_manager_queue(manager, NULL, &options, &queue), -EINVAL);
    options.flags = IPC_MANAGED_TRACKED;
    IS(ipc_manager_queue(manager, NULL, &options, &queue), -EINVAL);
    options.flags = 0;
    options.durability = IPC_DURABLE_ALWAYS;
    IS(ipc_manager_queue(manager, "q", &options, &queue), -ENOTSUP);
    options.durability = 9;
    IS(ipc_manager_queue(manager, "q", &options, &queue), -EINVAL);
    end();
}

static void *get_one(void *arg)
{
    ipc_any got;
    OK(ipc_managed_queue_get(arg, &got));
    return NULL;
}

static void those_who_wait_leave_room_for_those_who_do_not(void)
{
    enum {
        WAITING = 10
    };
    const ipc_manager_limits none = IPC_MANAGER_LIMITS_INIT;
    ipc_manager_limits limits = none;
    limits.in_flight = 4;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.limits = &limits;
    manager = client_start(&options);
    ipc_managed *queue = queue_with(0, 0, 0);
    pthread_t threads[WAITING];
    ipc_any got;
    for (int i = 0; i < WAITING; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_one, queue), 0);
    IS(ipc_managed_queue_get_until(queue, &got, ipc_after_ms(50)), -ETIMEDOUT);
    for (int i = 0; i < WAITING; i++)
        OK(ipc_managed_queue_put_nowait(queue, ipc_i64(i)));
    for (int i = 0; i < WAITING; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    IS(ipc_managed_queue_size(queue), 0);
    OK(ipc_managed_close(queue));
    end();
}

/* ---- more threads than may wait at once ---- */

enum {
    PRODUCERS = 8,
    EACH = 10
};

static void *put_some(void *arg)
{
    for (int i = 0; i < EACH; i++)
        OK(ipc_managed_queue_put(arg, ipc_i64(i)));
    return NULL;
}

static void *wait_for_event(void *arg)
{
    OK(ipc_managed_event_wait(arg));
    return NULL;
}

/* All wait for what only one who comes after them will do. */
static void who_waits_for_those_behind_him_is_served(void)
{
    static const ipc_manager_limits none = IPC_MANAGER_LIMITS_INIT;
    ipc_manager_limits limits = none;
    limits.in_flight = 4;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.limits = &limits;
    manager = client_start(&options);
    ipc_managed *queue = queue_with(0, 2, 0);
    ipc_managed *lock;
    ipc_managed *event;
    pthread_t threads[PRODUCERS];
    ipc_any got;
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_some, queue), 0);
    for (int i = 0; i < PRODUCERS * EACH; i++)
        OK(ipc_managed_queue_get(queue, &got));
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    IS(ipc_manager_lock(manager, NULL, &lock), 1);
    IS(ipc_manager_event(manager, NULL, &event), 1);
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, wait_for_event, event), 0);
    IS(ipc_managed_event_wait_until(event, ipc_after_ms(50)), -ETIMEDOUT);
    OK(ipc_managed_lock_acquire(lock));
    OK(ipc_managed_lock_release(lock));
    OK(ipc_managed_event_set(event));
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    OK(ipc_managed_close(event));
    OK(ipc_managed_close(lock));
    OK(ipc_managed_close(queue));
    end();
}

static const struct test_case cases[] = {
    TEST_CASE(queues_give_in_their_order),
    TEST_CASE(full_and_empty_queues_say_so_in_time),
    TEST_CASE(leases_are_acked_or_given_back),
    TEST_CASE(who_waits_for_a_message_gets_it),
    TEST_CASE(queue_options_are_looked_at),
    TEST_CASE(those_who_wait_leave_room_for_those_who_do_not),
    TEST_CASE(who_waits_for_those_behind_him_is_served),
};

TEST_MAIN(cases)
