/* ipc_queue of the second kind: waiting, deaths, closing, done, names, and
 * contents that others have written over. */
#include "unit/queue_store_support.h"

#include "harness/scale.h"

#include <signal.h>

#include <ipc/shared.h>

#include "queue/store.h"

static void write_it(ipc_queue *queue, ipc_message *message, uint32_t number,
                     size_t bytes)
{
    expect_rc(ipc_queue_reserve_nowait(queue, bytes, message), 0);
    assert_int_equal((uintptr_t)message->data % 16, 0);
    fill_message(message->data, bytes, number);
}

/* ---- waiting ---- */

static ipc_queue *played;

static int get_one(void *arg)
{
    uint32_t *number = arg;
    return get_number(played, number, IPC_TIME_FOREVER);
}

static int put_long(void *arg)
{
    static char data[LONG];
    (void)arg;
    fill_message(data, LONG, 9);
    return ipc_queue_put(played, data, LONG);
}

static int peek_one(void *arg)
{
    return ipc_queue_peek(played, arg);
}

static int reserve_one(void *arg)
{
    return ipc_queue_reserve(played, SMALL, arg);
}

static void who_waits_gets_what_comes(void)
{
    struct actor anna, bert;
    uint32_t *numbers = test_shared(2 * sizeof *numbers);
    played = new_store(IPC_QUEUE_LIFO, 4);
    actor_start(&anna);
    actor_start(&bert);
    actor_tell(&anna, get_one, &numbers[0]);
    actor_waits(&anna);
    actor_tell(&bert, get_one, &numbers[1]);
    actor_waits(&bert);
    expect_put(played, 1, SMALL);
    expect_put(played, 2, LONG);
    expect_rc(actor_result(&anna), 0);
    expect_rc(actor_result(&bert), 0);
    assert_int_equal(numbers[0] + numbers[1], 3);
    actor_end(&anna);
    actor_end(&bert);
    free_empty(played);
}

static void who_waits_for_room_gets_it(void)
{
    struct actor anna;
    uint32_t number;
    ipc_queue_options options = store_options(IPC_QUEUE_LIFO, 4);
    options.bytes = 10000;
    played = new_queue(&options);
    actor_start(&anna);
    expect_put(played, 1, 2000);
    actor_tell(&anna, put_long, NULL);
    actor_waits(&anna);
    expect_number(played, 1);
    expect_rc(actor_result(&anna), 0);
    expect_rc(get_number(played, &number, IPC_TIME_NOW), 0);
    assert_int_equal(number, 9);
    actor_end(&anna);
    free_empty(played);
}

static void who_waits_sees_the_commit_it_waits_for(void)
{
    struct actor anna, bert;
    uint32_t *numbers = test_shared(2 * sizeof *numbers);
    ipc_message slow;
    played = new_store(IPC_QUEUE_LIFO, 4);
    actor_start(&anna);
    actor_start(&bert);
    expect_put(played, 1, SMALL);
    write_it(played, &slow, 2, SMALL);
    actor_tell(&anna, get_one, &numbers[0]);
    actor_tell(&bert, get_one, &numbers[1]);
    actor_waits(&anna);
    actor_waits(&bert);
    expect_rc(ipc_queue_commit(played, &slow), 0);
    expect_rc(actor_result(&anna), 0);
    expect_rc(actor_result(&bert), 0);
    assert_int_equal(numbers[0] + numbers[1], 3);
    actor_end(&anna);
    actor_end(&bert);
    free_empty(played);
}

static void deadlines_are_kept(void)
{
    char byte;
    played = new_store(IPC_QUEUE_PRIORITY, 1);
    expect_rc(ipc_queue_get_until(played, &byte, 1, NULL, ipc_after_ms(20)),
              -ETIMEDOUT);
    expect_rc(ipc_queue_get_until(played, &byte, 1, NULL, 1), -ETIMEDOUT);
    expect_put(played, 1, SMALL);
    expect_rc(ipc_queue_put_until(played, &byte, 1, ipc_after_ms(20)),
              -ETIMEDOUT);
    expect_rc(ipc_queue_put_nowait(played, &byte, 1), -EAGAIN);
    expect_number(played, 1);
    free_empty(played);
}

/* ---- the dead ---- */

static void what_the_dead_peeked_at_comes_back(void)
{
    struct actor anna, bert;
    ipc_message *message = test_shared(sizeof *message);
    uint32_t *number = test_shared(sizeof *number);
    played = new_store(IPC_QUEUE_LIFO, 4);
    actor_start(&anna);
    actor_start(&bert);
    expect_put(played, 1, SMALL);
    expect_rc(actor_asks(&anna, peek_one, message), 0);
    expect_empty(played);
    actor_tell(&bert, get_one, number);
    actor_waits(&bert);
    actor_kill(&anna);
    expect_rc(actor_result(&bert), 0);
    assert_int_equal(*number, 1);
    actor_end(&bert);
    free_empty(played);
}

static void what_the_dead_reserved_never_was(void)
{
    struct actor anna, bert;
    ipc_message *message = test_shared(sizeof *message);
    uint32_t *number = test_shared(sizeof *number);
    played = new_store(IPC_QUEUE_LIFO, 2);
    actor_start(&anna);
    actor_start(&bert);
    expect_put(played, 1, SMALL);
    expect_rc(actor_asks(&anna, reserve_one, message), 0);
    actor_tell(&bert, get_one, number);
    actor_waits(&bert);
    actor_kill(&anna);
    expect_rc(actor_result(&bert), 0);
    assert_int_equal(*number, 1);
    actor_end(&bert);
    free_empty(played);
}

static void the_room_of_the_dead_is_room(void)
{
    struct actor anna, bert;
    ipc_message *message = test_shared(sizeof *message);
    played = new_store(IPC_QUEUE_LIFO, 1);
    actor_start(&anna);
    actor_start(&bert);
    expect_rc(actor_asks(&anna, reserve_one, message), 0);
    actor_tell(&bert, put_long, NULL);
    actor_waits(&bert);
    actor_kill(&anna);
    expect_rc(actor_result(&bert), 0);
    expect_number(played, 9);
    actor_end(&bert);
    free_empty(played);
}

/* ---- closing, done ---- */

static void a_closed_queue_is_emptied(void)
{
    struct actor anna;
    uint32_t *number = test_shared(sizeof *number);
    played = new_store(IPC_QUEUE_LIFO, 4);
    actor_start(&anna);
    actor_tell(&anna, get_one, number);
    actor_waits(&anna);
    expect_put(played, 1, SMALL);
    expect_rc(actor_result(&anna), 0);
    expect_put(played, 2, SMALL);
    expect_rc(ipc_queue_close(played, false), 0);
    assert_true(ipc_queue_is_closed(played));
    expect_rc(put_number(played, 3, SMALL, 0), -EPIPE);
    expect_number(played, 2);
    expect_rc(get_number(played, number, IPC_TIME_FOREVER), -EPIPE);
    actor_end(&anna);
    expect_rc(ipc_queue_free(played), 0);
}

static void closing_at_once_drops_what_is_left(void)
{
    uint32_t number;
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 4);
    expect_put(queue, 1, SMALL);
    expect_rc(ipc_queue_join_nowait(queue), -EAGAIN);
    expect_rc(ipc_queue_close(queue, true), 0);
    expect_rc(get_number(queue, &number, IPC_TIME_FOREVER), -EPIPE);
    assert_int_equal(ipc_queue_size(queue), 0);
    expect_rc(ipc_queue_join(queue), 0);
    expect_rc(ipc_queue_free(queue), 0);
}

static void closing_wakes_all_who_wait(void)
{
    struct actor anna, bert;
    uint32_t *number = test_shared(sizeof *number);
    played = new_store(IPC_QUEUE_LIFO, 1);
    actor_start(&anna);
    actor_start(&bert);
    actor_tell(&anna, get_one, number);
    actor_waits(&anna);
    expect_rc(ipc_queue_close(played, false), 0);
    expect_rc(actor_result(&anna), -EPIPE);
    expect_rc(ipc_queue_free(played), 0);

    played = new_store(IPC_QUEUE_LIFO, 1);
    expect_put(played, 1, SMALL);
    actor_end(&bert);
    actor_start(&bert); /* it knows the new one */
    actor_tell(&bert, put_long, NULL);
    actor_waits(&bert);
    expect_rc(ipc_queue_close(played, true), 0);
    expect_rc(actor_result(&bert), -EPIPE);
    actor_end(&anna);
    actor_end(&bert);
    expect_rc(ipc_queue_free(played), 0);
}

static int join_it(void *arg)
{
    (void)arg;
    return ipc_queue_join(played);
}

static void join_waits_for_what_is_not_done(void)
{
    struct actor anna;
    played = new_store(IPC_QUEUE_PRIORITY, 4);
    actor_start(&anna);
    expect_put(played, 1, SMALL);
    expect_put(played, 2, LONG);
    actor_tell(&anna, join_it, NULL);
    actor_waits(&anna);
    expect_number(played, 1);
    expect_rc(ipc_queue_task_done(played), 0);
    expect_number(played, 2);
    actor_waits(&anna);
    expect_rc(ipc_queue_task_done(played), 0);
    expect_rc(actor_result(&anna), 0);
    actor_end(&anna);
    free_empty(played);
}

/* ---- storage ---- */

static void by_name_all_see_the_same(void)
{
    const ipc_queue_options options = store_options(IPC_QUEUE_LIFO, 4);
    ipc_queue *here, *there;
    char name[64];
    name_it(name, "order");
    expect_rc(ipc_queue_create(name, &options, &here), 0);
    expect_rc(ipc_queue_open(name, &there), 0);
    expect_put(here, 1, SMALL);
    expect_put(there, 2, LONG);
    expect_number(here, 2);
    expect_number(there, 1);
    expect_rc(ipc_queue_detach(there), 0);
    expect_rc(ipc_queue_detach(here), 0);
    expect_rc(ipc_queue_unlink(name), 0);
}

/* As threads, for the sanitizer: two put, two get. */
struct crowd {
    ipc_queue *queue;
    uint32_t next;
    uint64_t sum;
    uint32_t torn;
};

enum {
    EACH = 2000
};

static void *crowd_puts(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < EACH; i++) {
        const uint32_t number =
            __atomic_fetch_add(&crowd->next, 1, __ATOMIC_RELAXED);
        char data[LONG];
        const size_t bytes = number % 16 == 0 ? LONG : SMALL;
        fill_message(data, bytes, number);
        expect_rc(ipc_queue_put_priority(crowd->queue, data, bytes, number % 5,
                                         IPC_TIME_FOREVER),
                  0);
    }
    return NULL;
}

static void *crowd_gets(void *arg)
{
    struct crowd *crowd = arg;
    uint32_t number;
    int rc;
    while ((rc = get_number(crowd->queue, &number, IPC_TIME_FOREVER)) == 0) {
        (void)__atomic_fetch_add(&crowd->torn, number == UINT32_MAX,
                                 __ATOMIC_RELAXED);
        (void)__atomic_fetch_add(&crowd->sum, number, __ATOMIC_RELAXED);
    }
    expect_rc(rc, -EPIPE);
    return NULL;
}

static void threads_lose_nothing(uint32_t flags)
{
    struct crowd crowd = {.queue = new_store(flags, 16)};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < 2 ? crowd_puts : crowd_gets,
                                        &crowd),
                         0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_rc(ipc_queue_close(crowd.queue, false), 0);
    for (int i = 2; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(crowd.torn, 0);
    assert_true(crowd.sum == (uint64_t)EACH * (2 * EACH - 1));
    expect_rc(ipc_queue_free(crowd.queue), 0);
}

static void many_threads_lose_nothing(void)
{
    threads_lose_nothing(IPC_QUEUE_PRIORITY);
    threads_lose_nothing(IPC_QUEUE_LIFO | IPC_QUEUE_RELAXED);
}

/* ---- what others have written over ---- */

/* Whatever is there: calls come back, and touch nothing outside. */
static void use_garbage(ipc_queue *queue)
{
    static char data[LONG];
    size_t bytes;
    ipc_message message;
    for (int i = 0; i < 3; i++) {
        (void)!ipc_queue_put_nowait(queue, data, i == 0 ? SMALL : LONG);
        (void)!ipc_queue_get_nowait(queue, data, sizeof data, &bytes);
        if (ipc_queue_reserve_nowait(queue, LONG, &message) == 0 && i == 0)
            (void)ipc_queue_commit(queue, &message);
        if (ipc_queue_peek_nowait(queue, &message) == 0 && i == 1)
            (void)ipc_queue_release(queue, &message);
        if (ipc_queue_take_nowait(queue, &message) == 0 && i != 2)
            (void)ipc_queue_ack(queue, &message);
        if (ipc_queue_take_dead(queue, &message) == 0)
            (void)ipc_queue_nack(queue, &message);
        (void)ipc_queue_size(queue);
        (void)ipc_queue_full(queue);
        (void)ipc_queue_dead(queue);
    }
}

/* What is in the family's memory behind the queue's head is the store's. */
static void write_garbage(ipc_queue *queue, struct test_random *random)
{
    const struct ipc__guard guard = queue->put.guard;
    const size_t size = ipc_shared_size(queue);
    const size_t most = size < 16384 ? size : 16384;
    uint64_t *words = (void *)queue;
    for (int i = 0; i < 40; i++) {
        const size_t at =
            (size_t)test_random_between(random, 1, (long)most / 8 - 1);
        const long kind = test_random_between(random, 0, 3);
        words[at] = kind == 0   ? test_random_next(random)
                    : kind == 1 ? test_random_next(random) & 0xf0000000f
                    : kind == 2 ? UINT64_MAX
                                : words[at] ^ (uint64_t)1 << (words[at] % 64);
    }
    queue->put.guard = guard;
}

static void lock_and_die(void *arg)
{
    struct ipc__store store;
    expect_rc(ipc__store_view(arg, &store), 0);
    expect_rc(ipc__store_lock(&store), 0);
    (void)raise(SIGKILL);
}

static void recover_next_time(ipc_queue *queue)
{
    struct role role;
    role_start(&role, lock_and_die, queue);
    (void)role_wait_dead(&role, LIMIT_MS);
}

static void garbage_is_no_harm(void)
{
    struct test_random random = {test_seed()};
    for (long i = 0; i < 300 * test_scale(); i++) {
        ipc_queue *queue =
            new_store(IPC_QUEUE_LEASES | (i % 2 == 0 ? IPC_QUEUE_PRIORITY : 0) |
                          (i % 3 == 0 ? IPC_QUEUE_RELAXED : 0),
                      16);
        queue->max_deliveries = 2;
        for (uint32_t n = 0; n < 8; n++)
            expect_put(queue, n, n % 3 == 0 ? LONG : SMALL);
        ipc_message taken;
        expect_rc(ipc_queue_take_nowait(queue, &taken), 0);
        write_garbage(queue, &random);
        if (i % 4 == 0)
            recover_next_time(queue);
        use_garbage(queue);
        expect_rc(ipc_shared_free(queue), 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(who_waits_gets_what_comes),
    TEST_CASE(who_waits_for_room_gets_it),
    TEST_CASE(who_waits_sees_the_commit_it_waits_for),
    TEST_CASE(deadlines_are_kept),
    TEST_CASE(what_the_dead_peeked_at_comes_back),
    TEST_CASE(what_the_dead_reserved_never_was),
    TEST_CASE(the_room_of_the_dead_is_room),
    TEST_CASE(a_closed_queue_is_emptied),
    TEST_CASE(closing_at_once_drops_what_is_left),
    TEST_CASE(closing_wakes_all_who_wait),
    TEST_CASE(join_waits_for_what_is_not_done),
    TEST_CASE(by_name_all_see_the_same),
    TEST_CASE_LIMIT(many_threads_lose_nothing, 60),
    TEST_CASE_LIMIT(garbage_is_no_harm, 60),
};
TEST_MAIN(cases)
