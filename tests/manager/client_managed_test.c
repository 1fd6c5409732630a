/* managed.h: every call against a server. */
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

/* ---- values and arrays ---- */

static void values_are_set_counted_and_swapped(void)
{
    begin();
    ipc_managed *value;
    ipc_any got;
    int64_t sum = 0;
    IS(ipc_manager_value(manager, "v", ipc_i64(40), NULL, &value), 1);
    assert_string_equal(ipc_managed_type(value), "value");
    OK(ipc_managed_value_incr(value, 2, &sum));
    assert_int_equal(sum, 42);
    OK(ipc_managed_value_incr(value, -1, NULL));
    IS(ipc_managed_value_cas(value, ipc_i64(41), ipc_str("text")), 1);
    IS(ipc_managed_value_cas(value, ipc_i64(41), ipc_str("more")), 0);
    OK(ipc_managed_value_get(value, &got));
    assert_string_equal(got.str, "text");
    ipc_any_free(&got);
    IS(ipc_managed_value_incr(value, 1, &sum), -EINVAL);
    OK(ipc_managed_value_set(value, ipc_i64(INT64_MAX)));
    IS(ipc_managed_value_incr(value, 1, &sum), -EOVERFLOW);
    ipc_managed *again;
    IS(ipc_manager_value(manager, "v", ipc_i64(1), NULL, &again), 0);
    OK(ipc_managed_value_get(again, &got));
    assert_int_equal(got.i64, INT64_MAX);
    IS(ipc_managed_event_set(value), -EINVAL);
    OK(ipc_managed_close(again));
    OK(ipc_managed_close(value));
    end();
}

static void arrays_have_a_length_and_a_type(void)
{
    begin();
    ipc_managed *array;
    ipc_any got;
    ipc_anys slice;
    const ipc_any initial[] = {ipc_f64(0.5), ipc_f64(1.5), ipc_f64(2.5)};
    IS(ipc_manager_array(manager, "a", IPC_TYPE_I64, 5, NULL, NULL, &array), 1);
    IS(ipc_managed_array_length(array), 5);
    OK(ipc_managed_array_set(array, -1, ipc_i64(9)));
    OK(ipc_managed_array_get(array, 4, &got));
    assert_int_equal(got.i64, 9);
    OK(ipc_managed_array_get(array, 0, &got));
    assert_int_equal(got.i64, 0);
    IS(ipc_managed_array_get(array, 5, &got), -ERANGE);
    IS(ipc_managed_array_set(array, 0, ipc_f64(0.5)), -EINVAL);
    const ipc_any three[] = {ipc_i64(1), ipc_i64(2), ipc_i64(3)};
    OK(ipc_managed_array_put(array, 1, three, 3));
    IS(ipc_managed_array_put(array, 3, three, 3), -ERANGE);
    OK(ipc_managed_array_slice(array, 1, 4, &slice));
    assert_int_equal(slice.count, 3);
    assert_int_equal(slice.items[2].i64, 3);
    ipc_anys_free(&slice);
    OK(ipc_managed_close(array));
    IS(ipc_manager_array(manager, NULL, IPC_TYPE_F64, 3, initial, NULL, &array),
       1);
    OK(ipc_managed_array_get(array, 1, &got));
    assert_true(got.f64 == 1.5);
    OK(ipc_managed_close(array));
    IS(ipc_manager_array(manager, NULL, IPC_TYPE_STR, 3, NULL, NULL, &array),
       -EINVAL);
    IS(ipc_manager_array(manager, NULL, IPC_TYPE_I64, 3, initial, NULL, &array),
       -EINVAL);
    end();
}

/* ---- locks ---- */

static void *try_lock(void *arg)
{
    IS(ipc_managed_lock_acquire_nowait(arg), -EAGAIN);
    IS(ipc_managed_lock_release(arg), -EPERM);
    uint64_t token;
    IS(ipc_managed_lock_token(arg, &token), -EPERM);
    return NULL;
}

static void in_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void locks_belong_to_a_thread(void)
{
    begin();
    ipc_managed *lock;
    uint64_t first = 0;
    uint64_t second = 0;
    IS(ipc_manager_lock(manager, "lock", &lock), 1);
    IS(ipc_managed_lock_is_held(lock), 0);
    OK(ipc_managed_lock_acquire(lock));
    IS(ipc_managed_lock_acquire(lock), -EDEADLK);
    IS(ipc_managed_lock_is_held(lock), 1);
    in_thread(try_lock, lock);
    OK(ipc_managed_lock_token(lock, &first));
    OK(ipc_managed_lock_check(lock, first));
    OK(ipc_managed_lock_release(lock));
    IS(ipc_managed_lock_check(lock, first), -ESTALE);
    OK(ipc_managed_lock_acquire_until(lock, ipc_after_ms(100)));
    OK(ipc_managed_lock_token(lock, &second));
    assert_true(second > first);
    OK(ipc_managed_lock_release(lock));
    IS(ipc_managed_lock_release(lock), -EPERM);
    OK(ipc_managed_close(lock));
    OK(ipc_managed_close(NULL));
    end();
}

static void rlocks_are_released_as_often(void)
{
    begin();
    ipc_managed *lock;
    IS(ipc_manager_rlock(manager, NULL, &lock), 1);
    OK(ipc_managed_lock_acquire(lock));
    OK(ipc_managed_lock_acquire_nowait(lock));
    OK(ipc_managed_lock_release(lock));
    in_thread(try_lock, lock);
    OK(ipc_managed_lock_release(lock));
    IS(ipc_managed_lock_is_held(lock), 0);
    OK(ipc_managed_close(lock));
    end();
}

enum {
    THREADS = 6,
    TURNS = 50
};

static struct {
    ipc_managed *lock;
    int64_t count;
} shared;

static void *count_up(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        OK(ipc_managed_lock_acquire(shared.lock));
        shared.count++;
        OK(ipc_managed_lock_release(shared.lock));
    }
    return NULL;
}

static void threads_of_one_process_exclude_each_other(void)
{
    begin();
    pthread_t threads[THREADS];
    IS(ipc_manager_lock(manager, NULL, &shared.lock), 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(shared.count, THREADS * TURNS);
    OK(ipc_managed_close(shared.lock));
    end();
}

static void semaphores_count(void)
{
    begin();
    ipc_managed *semaphore;
    ipc_managed_options options = IPC_MANAGED_OPTIONS_INIT;
    options.flags = IPC_MANAGED_TRACKED;
    IS(ipc_manager_semaphore(manager, NULL, 2, &options, &semaphore), 1);
    OK(ipc_managed_semaphore_acquire(semaphore));
    OK(ipc_managed_semaphore_acquire_until(semaphore, ipc_after_ms(100)));
    IS(ipc_managed_semaphore_acquire_nowait(semaphore), -EAGAIN);
    IS(ipc_managed_semaphore_acquire_until(semaphore, ipc_after_ms(5)),
       -ETIMEDOUT);
    IS(ipc_managed_semaphore_value(semaphore), 0);
    OK(ipc_managed_semaphore_release_many(semaphore, 2));
    IS(ipc_managed_semaphore_value(semaphore), 2);
    OK(ipc_managed_semaphore_release(semaphore));
    IS(ipc_managed_semaphore_value(semaphore), 3);
    OK(ipc_managed_close(semaphore));
    IS(ipc_manager_bounded_semaphore(manager, NULL, 1, &semaphore), 1);
    IS(ipc_managed_semaphore_release(semaphore), -EOVERFLOW);
    OK(ipc_managed_semaphore_acquire(semaphore));
    OK(ipc_managed_semaphore_release(semaphore));
    OK(ipc_managed_close(semaphore));
    end();
}

/* ---- conditions, events, barriers ---- */

static struct {
    ipc_managed *condition;
    int value;
} meeting;

static bool is_five(void *arg)
{
    return *(int *)arg == 5;
}

static void *set_to_five(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 5; i++) {
        OK(ipc_managed_lock_acquire(meeting.condition));
        meeting.value = i;
        OK(ipc_managed_condition_notify(meeting.condition, 1));
        OK(ipc_managed_lock_release(meeting.condition));
    }
    return NULL;
}

static void conditions_wait_with_their_lock(void)
{
    begin();
    ipc_managed *lock;
    IS(ipc_manager_lock(manager, NULL, &lock), 1);
    for (int own = 0; own < 2; own++) {
        meeting.value = 0;
        IS(ipc_manager_condition(manager, NULL, own != 0 ? NULL : lock,
                                 &meeting.condition),
           1);
        IS(ipc_managed_condition_wait(meeting.condition), -EPERM);
        IS(ipc_managed_condition_notify(meeting.condition, 1), -EPERM);
        OK(ipc_managed_lock_acquire(meeting.condition));
        if (own == 0)
            IS(ipc_managed_lock_is_held(lock), 1);
        IS(ipc_managed_condition_wait_until(meeting.condition, ipc_after_ms(5)),
           -ETIMEDOUT);
        IS(ipc_managed_lock_is_held(meeting.condition), 1);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, set_to_five, NULL), 0);
        OK(ipc_managed_condition_wait_for(meeting.condition, is_five,
                                          &meeting.value));
        OK(ipc_managed_condition_notify_all(meeting.condition));
        OK(ipc_managed_condition_wait_for_until(
            meeting.condition, is_five, &meeting.value, ipc_after_ms(1000)));
        meeting.value = 6;
        IS(ipc_managed_condition_wait_for_until(
               meeting.condition, is_five, &meeting.value, ipc_after_ms(5)),
           -ETIMEDOUT);
        OK(ipc_managed_lock_release(meeting.condition));
        assert_int_equal(pthread_join(thread, NULL), 0);
        OK(ipc_managed_close(meeting.condition));
    }
    OK(ipc_managed_close(lock));
    end();
}

static void *set_event(void *arg)
{
    OK(ipc_managed_event_set(arg));
    return NULL;
}

static void events_are_waited_for(void)
{
    begin();
    ipc_managed *event;
    pthread_t thread;
    IS(ipc_manager_event(manager, "event", &event), 1);
    IS(ipc_managed_event_is_set(event), 0);
    IS(ipc_managed_event_wait_until(event, ipc_after_ms(5)), -ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, set_event, event), 0);
    OK(ipc_managed_event_wait(event));
    assert_int_equal(pthread_join(thread, NULL), 0);
    IS(ipc_managed_event_is_set(event), 1);
    OK(ipc_managed_event_clear(event));
    IS(ipc_managed_event_is_set(event), 0);
    OK(ipc_managed_close(event));
    end();
}

static void *wait_at_barrier(void *arg)
{
    return (void *)(intptr_t)ipc_managed_barrier_wait(arg);
}

static void barriers_let_all_go(void)
{
    begin();
    ipc_managed *barrier;
    pthread_t threads[2];
    int places = 0;
    IS(ipc_manager_barrier(manager, NULL, 3, &barrier), 1);
    IS(ipc_managed_barrier_parties(barrier), 3);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, wait_at_barrier, barrier), 0);
    places += 1 << ipc_managed_barrier_wait(barrier);
    for (int i = 0; i < 2; i++) {
        void *place;
        assert_int_equal(pthread_join(threads[i], &place), 0);
        places += 1 << (intptr_t)place;
    }
    assert_int_equal(places, 7);
    IS(ipc_managed_barrier_waiting(barrier), 0);
    OK(ipc_managed_barrier_enroll(barrier));
    OK(ipc_managed_barrier_leave(barrier));
    IS(ipc_managed_barrier_wait_until(barrier, ipc_after_ms(5)), -ETIMEDOUT);
    IS(ipc_managed_barrier_is_broken(barrier), 1);
    IS(ipc_managed_barrier_wait(barrier), -ECANCELED);
    OK(ipc_managed_barrier_reset(barrier));
    IS(ipc_managed_barrier_is_broken(barrier), 0);
    OK(ipc_managed_barrier_abort(barrier));
    IS(ipc_managed_barrier_is_broken(barrier), 1);
    OK(ipc_managed_close(barrier));
    IS(ipc_manager_barrier(manager, NULL, 0, &barrier), -EINVAL);
    end();
}

/* ---- types of the program's own ---- */

struct counter {
    int64_t n;
};

static int counter_create(const ipc_any *args, size_t count, void **out)
{
    if (count > 1)
        return -EINVAL;
    struct counter *counter = calloc(1, sizeof *counter);
    if (counter == NULL)
        return -ENOMEM;
    counter->n = count == 1 ? args[0].i64 : 0;
    *out = counter;
    return 0;
}

static int counter_call(void *self, const char *method, const ipc_any *args,
                        size_t count, ipc_manager_results *results)
{
    struct counter *counter = self;
    (void)args;
    if (strcmp(method, "next") == 0)
        return ipc_manager_result(results, ipc_i64(++counter->n));
    if (strcmp(method, "count") == 0)
        return (int)count;
    return -EINVAL;
}

static void registered_types_are_called(void)
{
    static const ipc_manager_type_ops ops = {sizeof ops, 0, counter_create,
                                             counter_call, free};
    OK(ipc_manager_register("counter", &ops));
    IS(ipc_manager_register("counter", &ops), -EEXIST);
    IS(ipc_manager_register("list", &ops), -EINVAL);
    begin();
    ipc_managed *hits;
    ipc_anys results;
    const ipc_any args[] = {ipc_i64(10), ipc_str("x")};
    IS(ipc_manager_object(manager, "counter", "hits", args, 1, &hits), 1);
    assert_string_equal(ipc_managed_type(hits), "counter");
    OK(ipc_managed_call(hits, "next", NULL, 0, &results));
    assert_int_equal(results.count, 1);
    assert_int_equal(results.items[0].i64, 11);
    ipc_anys_free(&results);
    IS(ipc_managed_call(hits, "count", args, 2, NULL), 2);
    IS(ipc_managed_call(hits, "nonsense", NULL, 0, NULL), -EINVAL);
    OK(ipc_managed_close(hits));
    IS(ipc_manager_object(manager, "counter", "more", args, 2, &hits), -EINVAL);
    IS(ipc_manager_object(manager, "no such", NULL, NULL, 0, &hits), -ENOSYS);
    end();
}

static const struct test_case cases[] = {
    TEST_CASE(values_are_set_counted_and_swapped),
    TEST_CASE(arrays_have_a_length_and_a_type),
    TEST_CASE(locks_belong_to_a_thread),
    TEST_CASE(rlocks_are_released_as_often),
    TEST_CASE(threads_of_one_process_exclude_each_other),
    TEST_CASE(semaphores_count),
    TEST_CASE(conditions_wait_with_their_lock),
    TEST_CASE(events_are_waited_for),
    TEST_CASE(barriers_let_all_go),
    TEST_CASE(registered_types_are_called),
};

TEST_MAIN(cases)
