/* ipc_queue: last in, first out; by priority; and how messages that somebody
 * is still writing fit in. */
#include "unit/queue_store_support.h"

#include "harness/scale.h"

/* ---- orders ---- */

static void last_in_is_first_out(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 8);
    for (uint32_t i = 1; i <= 5; i++)
        expect_put(queue, i, SMALL);
    expect_number(queue, 5);
    expect_number(queue, 4);
    expect_put(queue, 6, SMALL);
    expect_number(queue, 6);
    for (uint32_t i = 3; i >= 1; i--)
        expect_number(queue, i);
    free_empty(queue);
}

static void the_highest_priority_is_first_and_equal_ones_in_order(void)
{
    static const uint32_t priorities[] = {3, 1, 3, UINT32_MAX, 0, 1, 3};
    static const uint32_t order[] = {3, 0, 2, 6, 1, 5, 4};
    ipc_queue *queue = new_store(IPC_QUEUE_PRIORITY, 8);
    for (uint32_t i = 0; i < array_length(priorities); i++)
        expect_rc(put_number(queue, i, SMALL, priorities[i]), 0);
    for (uint32_t i = 0; i < array_length(order); i++)
        expect_number(queue, order[i]);
    free_empty(queue);
}

static void a_peek_tells_the_priority(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_PRIORITY, 8);
    ipc_message message;
    expect_rc(put_number(queue, 1, SMALL, 7), 0);
    expect_rc(ipc_queue_peek_nowait(queue, &message), 0);
    assert_int_equal(message.priority, 7);
    assert_int_equal(number_of(message.data, message.bytes), 1);
    expect_rc(ipc_queue_release(queue, &message), 0);
    free_empty(queue);
}

static void other_queues_ignore_priorities(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LEASES, 8);
    expect_rc(put_number(queue, 1, SMALL, 1), 0);
    expect_rc(put_number(queue, 2, SMALL, 9), 0);
    expect_number(queue, 1);
    expect_number(queue, 2);
    free_empty(queue);
}

/* Against an order that is easy to see. */
struct model {
    uint32_t number[64];
    uint32_t priority[64];
    uint32_t count;
};

static uint32_t model_take(struct model *m, uint32_t flags)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < m->count; i++)
        if ((flags & IPC_QUEUE_LIFO) != 0 ||
            ((flags & IPC_QUEUE_PRIORITY) != 0 &&
             m->priority[i] > m->priority[best]))
            best = i;
    const uint32_t number = m->number[best];
    m->count--;
    for (uint32_t i = best; i < m->count; i++) {
        m->number[i] = m->number[i + 1];
        m->priority[i] = m->priority[i + 1];
    }
    return number;
}

static size_t any_size(struct test_random *random)
{
    static const size_t sizes[] = {4, SMALL, INLINE, LONG};
    return sizes[test_random_between(random, 0, array_length(sizes) - 1)];
}

static void as_model(uint32_t flags)
{
    struct test_random random = {test_seed()};
    struct model m = {.count = 0};
    ipc_queue *queue = new_store(flags, array_length(m.number));
    for (uint32_t i = 0; i < 3000; i++) {
        const bool put =
            test_random_between(&random, 0, 99) < (i / 200 % 2 == 0 ? 60 : 40);
        if (put && m.count < array_length(m.number)) {
            const uint32_t priority =
                (uint32_t)test_random_between(&random, 0, 4);
            expect_rc(put_number(queue, i, any_size(&random), priority), 0);
            m.number[m.count] = i;
            m.priority[m.count++] = priority;
        } else if (m.count > 0) {
            expect_number(queue, model_take(&m, flags));
        }
        assert_int_equal(ipc_queue_size(queue), m.count);
    }
    while (m.count > 0)
        expect_number(queue, model_take(&m, flags));
    free_empty(queue);
}

static void any_puts_and_gets_keep_the_order(void)
{
    as_model(IPC_QUEUE_LIFO);
    as_model(IPC_QUEUE_PRIORITY);
    as_model(IPC_QUEUE_LEASES);
    as_model(IPC_QUEUE_LEASES | IPC_QUEUE_RELAXED);
    as_model(IPC_QUEUE_LEASES | IPC_QUEUE_LIFO);
    as_model(IPC_QUEUE_LEASES | IPC_QUEUE_PRIORITY | IPC_QUEUE_RELAXED);
}

/* ---- sizes and bounds ---- */

static void messages_of_all_sizes_come_back(void)
{
    ipc_queue_options options = store_options(IPC_QUEUE_LIFO, 16);
    options.bytes = (size_t)1 << 20;
    ipc_queue *queue = new_queue(&options);
    static const size_t sizes[] = {4,    63,   64,   65,   1023,   1024,
                                   1025, 4095, 4096, 4097, 100000, 1 << 20};
    for (size_t i = 0; i < array_length(sizes); i++) {
        expect_put(queue, (uint32_t)i, sizes[i]);
        expect_number(queue, i);
    }
    expect_rc(ipc_queue_put_nowait(queue, NULL, 0), 0);
    size_t bytes = 1;
    expect_rc(ipc_queue_get_nowait(queue, NULL, 0, &bytes), 0);
    assert_int_equal(bytes, 0);
    expect_rc(put_number(queue, 0, ((size_t)1 << 20) + 1, 0), -EMSGSIZE);
    free_empty(queue);
}

static void the_bytes_of_all_are_bounded(void)
{
    ipc_queue_options options = store_options(IPC_QUEUE_LIFO, 100);
    options.bytes = 65536;
    ipc_queue *queue = new_queue(&options);
    for (uint32_t i = 0; i < 8; i++)
        expect_put(queue, i, 8192);
    expect_rc(put_number(queue, 8, 4, 0), -EAGAIN);
    assert_true(ipc_queue_full(queue));
    expect_number(queue, 7);
    expect_put(queue, 8, 4096);
    expect_put(queue, 9, 4096);
    expect_rc(put_number(queue, 10, 16, 0), -EAGAIN);
    expect_number(queue, 9);
    expect_number(queue, 8);
    for (uint32_t i = 7; i-- > 0;)
        expect_number(queue, i);
    expect_put(queue, 11, 65536);
    expect_number(queue, 11);
    free_empty(queue);
}

static void a_buffer_that_is_too_small_leaves_the_message(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 4);
    char buffer[SMALL];
    size_t bytes = 0;
    expect_put(queue, 1, SMALL);
    expect_rc(ipc_queue_get_nowait(queue, buffer, SMALL - 1, &bytes),
              -EMSGSIZE);
    assert_int_equal(bytes, SMALL);
    uint64_t value;
    expect_rc(ipc_queue_get_exactly(queue, &value, sizeof value, IPC_TIME_NOW),
              -EMSGSIZE);
    expect_rc(ipc_queue_get_nowait(queue, buffer, SMALL, &bytes), 0);
    assert_int_equal(number_of(buffer, bytes), 1);
    free_empty(queue);
}

static void flags_that_contradict_are_refused(void)
{
    ipc_queue_options options =
        store_options(IPC_QUEUE_LIFO | IPC_QUEUE_PRIORITY, 0);
    ipc_queue *queue;
    expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
    options = store_options(IPC_QUEUE_LEASES, 0);
    options.lease_ns = -1;
    expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
    options = store_options(IPC_QUEUE_LEASES, IPC_QUEUE_CAPACITY_MAX + 1);
    expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
}

static void leases_are_asked_for_by_their_flag(void)
{
    static const uint32_t others[] = {0, IPC_QUEUE_LIFO, IPC_QUEUE_PRIORITY};
    ipc_queue *queue;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ipc_queue_options options = store_options(others[i], 0);
        options.lease_ns = 1;
        expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
        assert_non_null(strstr(ipc_error_detail(), "IPC_QUEUE_LEASES"));
        options.lease_ns = 0;
        options.max_deliveries = 1;
        expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
        assert_non_null(strstr(ipc_error_detail(), "IPC_QUEUE_LEASES"));
    }
}

/* At a page for each message that may be longer than its share. */
static void what_could_take_too_much_memory_is_refused(void)
{
    static const uint32_t kinds[] = {IPC_QUEUE_LIFO, IPC_QUEUE_PRIORITY,
                                     IPC_QUEUE_LEASES};
    ipc_queue *queue;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ipc_queue_options options =
            store_options(kinds[i], IPC_QUEUE_CAPACITY_MAX);
        options.bytes = IPC_QUEUE_BYTES_MAX;
        expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
        assert_non_null(strstr(ipc_error_detail(), "34359738368 are the most"));
        assert_non_null(strstr(ipc_error_detail(), "16777216 messages"));
        expect_rc(ipc_queue_create("/ipc-test-order", &options, &queue),
                  -EINVAL);
        options.capacity = IPC_QUEUE_CAPACITY_MAX / 4;
        queue = new_queue(&options);
        expect_rc(ipc_queue_free(queue), 0);
    }
}

static void the_largest_takes_memory_as_it_is_used(void)
{
    ipc_queue_options options =
        store_options(IPC_QUEUE_PRIORITY, IPC_QUEUE_CAPACITY_MAX);
    options.bytes = IPC_QUEUE_BYTES_MAX / 4;
    ipc_queue *queue = new_queue(&options);
    for (uint32_t i = 0; i < 1000; i++)
        expect_put(queue, i, 32);
    for (uint32_t i = 0; i < 1000; i++)
        expect_number(queue, i);
    expect_rc(ipc_queue_free(queue), 0);
}

/* ---- batches ---- */

static void batches_come_in_order(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 400);
    uint32_t in[300];
    uint32_t out[300] = {0};
    ipc_queue_item items[300];
    for (uint32_t i = 0; i < 300; i++) {
        in[i] = i;
        items[i] = (ipc_queue_item){.data = &in[i], .bytes = sizeof in[i]};
    }
    expect_rc(ipc_queue_putv(queue, items, 300, IPC_TIME_NOW), 300);
    for (uint32_t i = 0; i < 300; i++)
        items[i] = (ipc_queue_item){.data = &out[i], .room = sizeof out[i]};
    expect_rc(ipc_queue_getv(queue, items, 200, IPC_TIME_NOW), 200);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(items[i].bytes, sizeof out[i]);
        assert_int_equal(out[i], 299 - i);
    }
    expect_rc(ipc_queue_getv(queue, items, 200, IPC_TIME_NOW), 100);
    expect_rc(ipc_queue_getv(queue, items, 200, IPC_TIME_NOW), -EAGAIN);
    free_empty(queue);
}

static void batches_with_long_ones_and_too_many(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LEASES, 4);
    static char data[6][LONG];
    ipc_queue_item items[6];
    for (uint32_t i = 0; i < 6; i++) {
        const size_t bytes = i % 3 == 1 ? LONG : SMALL;
        fill_message(data[i], bytes, i);
        items[i] = (ipc_queue_item){data[i], bytes, LONG};
    }
    expect_rc(ipc_queue_putv(queue, items, 6, IPC_TIME_NOW), 4);
    expect_rc(ipc_queue_putv(queue, items, 6, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_queue_getv(queue, items, 6, IPC_TIME_NOW), 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(number_of(data[i], items[i].bytes), i);
    free_empty(queue);
}

/* ---- in place ---- */

static void write_it(ipc_queue *queue, ipc_message *message, uint32_t number,
                     size_t bytes)
{
    expect_rc(ipc_queue_reserve_nowait(queue, bytes, message), 0);
    assert_int_equal((uintptr_t)message->data % 16, 0);
    fill_message(message->data, bytes, number);
}

static void strict_ones_wait_for_who_is_slow(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 4);
    ipc_message slow;
    expect_put(queue, 1, SMALL);
    write_it(queue, &slow, 2, LONG);
    char buffer[SMALL];
    expect_rc(ipc_queue_get_nowait(queue, buffer, SMALL, NULL), -EAGAIN);
    expect_put(queue, 3, SMALL);
    expect_number(queue, 3);
    expect_rc(ipc_queue_commit(queue, &slow), 0);
    expect_number(queue, 2);
    expect_number(queue, 1);
    free_empty(queue);
}

static void relaxed_ones_do_not(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LEASES | IPC_QUEUE_RELAXED, 4);
    ipc_message slow;
    write_it(queue, &slow, 1, SMALL);
    expect_put(queue, 2, SMALL);
    expect_put(queue, 3, SMALL);
    expect_number(queue, 2);
    expect_rc(ipc_queue_commit(queue, &slow), 0);
    expect_number(queue, 1); /* it has its place from the reserve on */
    expect_number(queue, 3);
    free_empty(queue);
}

/* In any order: the one that is being written would have come first. */
static void relaxed_ones_of_other_orders_do_not_either(void)
{
    static const uint32_t kinds[] = {IPC_QUEUE_LIFO, IPC_QUEUE_PRIORITY};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ipc_queue *queue = new_store(kinds[i] | IPC_QUEUE_RELAXED, 4);
        ipc_message slow;
        expect_put(queue, 1, SMALL);
        write_it(queue, &slow, 2, SMALL);
        slow.priority = 9;
        expect_number(queue, 1);
        expect_put(queue, 3, SMALL);
        expect_rc(ipc_queue_commit(queue, &slow), 0);
        expect_number(queue, kinds[i] == IPC_QUEUE_LIFO ? 3 : 2);
        expect_number(queue, kinds[i] == IPC_QUEUE_LIFO ? 2 : 3);
        free_empty(queue);
    }
}

static void what_is_too_long_is_said(void)
{
    ipc_queue_options options = store_options(IPC_QUEUE_LIFO, 4);
    char bytes[200] = {0};
    options.bytes = 100;
    ipc_queue *queue = new_queue(&options);
    expect_rc(ipc_queue_put_nowait(queue, bytes, sizeof bytes), -EMSGSIZE);
    assert_non_null(strstr(ipc_error_detail(),
                           "a message of 200 bytes, but it holds at most 100"));
    expect_rc(ipc_queue_free(queue), 0);
}

static void what_is_aborted_never_was(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 2);
    ipc_message message;
    expect_put(queue, 1, SMALL);
    write_it(queue, &message, 2, LONG);
    expect_rc(put_number(queue, 3, SMALL, 0), -EAGAIN);
    expect_rc(ipc_queue_abort(queue, &message), 0);
    expect_rc(ipc_queue_abort(queue, &message), -EINVAL);
    expect_number(queue, 1);
    expect_rc(ipc_queue_task_done(queue), 0);
    expect_rc(ipc_queue_task_done(queue), -EINVAL);
    expect_rc(ipc_queue_join_nowait(queue), 0);
    free_empty(queue);
}

static void a_commit_may_be_shorter(void)
{
    ipc_queue_options options = store_options(IPC_QUEUE_LIFO, 4);
    options.bytes = 65536;
    ipc_queue *queue = new_queue(&options);
    ipc_message message;
    write_it(queue, &message, 1, 61440);
    expect_rc(put_number(queue, 2, 8192, 0), -EAGAIN);
    message.bytes = 5000;
    expect_rc(ipc_queue_commit(queue, &message), 0);
    expect_put(queue, 2, 8192);
    expect_number(queue, 2);
    expect_number(queue, 1);
    write_it(queue, &message, 3, 100);
    message.bytes = 101;
    expect_rc(ipc_queue_commit(queue, &message), -EMSGSIZE);
    message.bytes = 4;
    expect_rc(ipc_queue_commit(queue, &message), 0);
    expect_number(queue, 3);
    free_empty(queue);
}

static void a_commit_takes_the_priority_along(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_PRIORITY, 4);
    ipc_message message;
    expect_rc(put_number(queue, 1, SMALL, 5), 0);
    write_it(queue, &message, 2, SMALL);
    message.priority = 6;
    expect_rc(ipc_queue_commit(queue, &message), 0);
    expect_number(queue, 2);
    expect_number(queue, 1);
    free_empty(queue);
}

static int commit_it(void *arg)
{
    void *const *args = arg;
    return ipc_queue_commit(args[0], args[1]);
}

static int release_it(void *arg)
{
    void *const *args = arg;
    return ipc_queue_release(args[0], args[1]);
}

static void only_the_same_thread_commits_and_releases(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 4);
    ipc_message message;
    void *args[] = {queue, &message};
    struct actor other;
    actor_start(&other);
    write_it(queue, &message, 1, SMALL);
    expect_rc(actor_asks(&other, commit_it, args), -EINVAL);
    expect_rc(ipc_queue_commit(queue, &message), 0);
    expect_rc(ipc_queue_peek_nowait(queue, &message), 0);
    expect_rc(actor_asks(&other, release_it, args), -EINVAL);
    expect_rc(ipc_queue_release(queue, &message), 0);
    expect_rc(ipc_queue_release(queue, &message), -EINVAL);
    actor_end(&other);
    free_empty(queue);
}

static void what_is_peeked_at_nobody_else_gets(void)
{
    ipc_queue *queue = new_store(IPC_QUEUE_LIFO, 4);
    ipc_message message;
    expect_put(queue, 1, SMALL);
    expect_put(queue, 2, LONG);
    expect_rc(ipc_queue_peek_nowait(queue, &message), 0);
    assert_int_equal(number_of(message.data, message.bytes), 2);
    expect_number(queue, 1);
    expect_empty(queue);
    expect_rc(ipc_queue_free(queue), -EBUSY);
    expect_rc(ipc_queue_release(queue, &message), 0);
    free_empty(queue);
}

static const struct test_case cases[] = {
    TEST_CASE(last_in_is_first_out),
    TEST_CASE(the_highest_priority_is_first_and_equal_ones_in_order),
    TEST_CASE(a_peek_tells_the_priority),
    TEST_CASE(other_queues_ignore_priorities),
    TEST_CASE(any_puts_and_gets_keep_the_order),
    TEST_CASE(messages_of_all_sizes_come_back),
    TEST_CASE(the_bytes_of_all_are_bounded),
    TEST_CASE(a_buffer_that_is_too_small_leaves_the_message),
    TEST_CASE(flags_that_contradict_are_refused),
    TEST_CASE(leases_are_asked_for_by_their_flag),
    TEST_CASE(what_could_take_too_much_memory_is_refused),
    TEST_CASE(the_largest_takes_memory_as_it_is_used),
    TEST_CASE(batches_come_in_order),
    TEST_CASE(batches_with_long_ones_and_too_many),
    TEST_CASE(strict_ones_wait_for_who_is_slow),
    TEST_CASE(relaxed_ones_do_not),
    TEST_CASE(relaxed_ones_of_other_orders_do_not_either),
    TEST_CASE(what_is_too_long_is_said),
    TEST_CASE(what_is_aborted_never_was),
    TEST_CASE(a_commit_may_be_shorter),
    TEST_CASE(a_commit_takes_the_priority_along),
    TEST_CASE(only_the_same_thread_commits_and_releases),
    TEST_CASE(what_is_peeked_at_nobody_else_gets),
};
TEST_MAIN(cases)
