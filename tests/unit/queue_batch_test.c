/* Queues: several messages at once. */
#include "unit/queue_support.h"

#include "harness/scale.h"

enum {
    MANY = 1000
};

/* n messages from number on, of this size or of several. */
static ipc_queue_item *new_items(size_t n, size_t bytes, unsigned number)
{
    ipc_queue_item *items = calloc(n, sizeof *items);
    assert_non_null(items);
    for (size_t i = 0; i < n; i++) {
        const size_t size = bytes != 0 ? bytes : (i * 37) % 200;
        items[i].data = new_message(size, number + (unsigned)i);
        items[i].bytes = size;
        items[i].room = size;
    }
    return items;
}

static void free_items(ipc_queue_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(items[i].data);
    free(items);
}

static ipc_queue_item *new_buffers(size_t n, size_t room)
{
    ipc_queue_item *items = new_items(n, room, 0);
    for (size_t i = 0; i < n; i++)
        items[i].bytes = 77;
    return items;
}

static void expect_items(const ipc_queue_item *items, size_t n, size_t bytes,
                         unsigned number)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(items[i].bytes, bytes != 0 ? bytes : (i * 37) % 200);
        assert_true(
            is_message(items[i].data, items[i].bytes, number + (unsigned)i));
    }
}

static void a_batch_comes_out_as_it_went_in(void)
{
    static const size_t sizes[] = {0, SHORT, LONG};
    ipc_queue *queue = new_queue(MANY, 4 * MIB, 0);
    for (unsigned k = 0; k < COUNT(sizes); k++) {
        ipc_queue_item *items = new_items(MANY, sizes[k], 5);
        ipc_queue_item *buffers =
            new_buffers(MANY, sizes[k] != 0 ? sizes[k] : 200);
        for (int round = 0; round < 3; round++) {
            expect_rc(ipc_queue_putv(queue, items, MANY, IPC_TIME_NOW), MANY);
            assert_int_equal(ipc_queue_size(queue), MANY);
            assert_true(ipc_queue_full(queue));
            expect_rc(ipc_queue_getv(queue, buffers, MANY, IPC_TIME_NOW), MANY);
            expect_items(buffers, MANY, sizes[k], 5);
            expect_empty(queue);
        }
        free_items(items, MANY);
        free_items(buffers, MANY);
    }
    free_queue(queue);
}

static void none_is_done_at_once(void)
{
    ipc_queue_item item = {0};
    ipc_queue *queue = new_queue(1, 0, 0);
    expect_rc(ipc_queue_putv(queue, &item, 0, IPC_TIME_NOW), 0);
    expect_rc(ipc_queue_getv(queue, &item, 0, IPC_TIME_FOREVER), 0);
    free_queue(queue);
}

static void as_many_as_fit_are_put(void)
{
    ipc_queue *queue = new_queue(5, 0, 0);
    ipc_queue_item *items = new_items(8, SHORT, 0);
    expect_rc(ipc_queue_putv(queue, items, 8, IPC_TIME_NOW), 5);
    expect_rc(ipc_queue_putv(queue, items + 5, 3, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_queue_putv(queue, items + 5, 3, ipc_after_ms(1)), -ETIMEDOUT);
    get_now(queue, SHORT, 0);
    get_now(queue, SHORT, 1);
    expect_rc(ipc_queue_putv(queue, items + 5, 3, ipc_after_ms(1)), 2);
    for (unsigned i = 2; i < 7; i++)
        get_now(queue, SHORT, i);
    expect_empty(queue);
    expect_whole(queue);
    free_items(items, 8);
    free_queue(queue);
}

/* By bytes, short and long ones mixed. */
static void as_many_bytes_as_fit_are_put(void)
{
    ipc_queue *queue = new_queue(100, 10000, 0);
    ipc_queue_item *items = new_items(20, 1024, 0);
    for (int i = 0; i < 20; i++)
        items[i].bytes = i % 3 == 2 ? 1024 : 960;
    int n = ipc_queue_putv(queue, items, 20, IPC_TIME_NOW);
    assert_int_equal(n, 10);
    for (int i = 0; i < n; i++)
        get_now(queue, items[i].bytes, (unsigned)i);
    expect_empty(queue);
    free_items(items, 20);
    free_queue(queue);
}

static void one_that_is_too_large_ends_a_batch(void)
{
    ipc_queue *queue = new_queue(10, 1000, 0);
    ipc_queue_item *items = new_items(4, 2000, 0);
    items[0].bytes = items[1].bytes = items[3].bytes = SHORT;
    expect_rc(ipc_queue_putv(queue, items, 4, IPC_TIME_FOREVER), 2);
    expect_rc(ipc_queue_putv(queue, items + 2, 2, IPC_TIME_FOREVER), -EMSGSIZE);
    get_now(queue, SHORT, 0);
    get_now(queue, SHORT, 1);
    expect_empty(queue);
    free_items(items, 4);
    free_queue(queue);
}

static void as_many_as_there_are_are_got(void)
{
    ipc_queue *queue = new_queue(20, 0, 0);
    ipc_queue_item *buffers = new_buffers(8, PAGES);
    expect_rc(ipc_queue_getv(queue, buffers, 8, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_queue_getv(queue, buffers, 8, ipc_after_ms(1)), -ETIMEDOUT);
    assert_int_equal(buffers[0].bytes, 77);
    for (unsigned i = 0; i < 3; i++)
        put_now(queue, SHORT, i);
    expect_rc(ipc_queue_getv(queue, buffers, 8, IPC_TIME_FOREVER), 3);
    expect_items(buffers, 3, SHORT, 0);
    assert_int_equal(buffers[3].bytes, 77);
    for (unsigned i = 0; i < 10; i++)
        put_now(queue, i % 3 == 1 ? PAGES : SHORT, i);
    expect_rc(ipc_queue_getv(queue, buffers, 8, IPC_TIME_FOREVER), 8);
    for (unsigned i = 0; i < 8; i++)
        expect_items(buffers + i, 1, i % 3 == 1 ? PAGES : SHORT, i);
    expect_rc(ipc_queue_getv(queue, buffers, 8, IPC_TIME_FOREVER), 2);
    expect_empty(queue);
    free_items(buffers, 8);
    free_queue(queue);
}

static void a_buffer_that_is_too_small_ends_a_batch(void)
{
    static const size_t sizes[] = {SHORT, LONG};
    ipc_queue *queue = new_queue(20, 0, 0);
    for (unsigned k = 0; k < COUNT(sizes); k++) {
        ipc_queue_item *buffers = new_buffers(4, sizes[k]);
        for (unsigned i = 0; i < 4; i++)
            put_now(queue, sizes[k], i);
        buffers[2].room = sizes[k] - 1;
        expect_rc(ipc_queue_getv(queue, buffers, 4, IPC_TIME_NOW), 2);
        expect_rc(ipc_queue_getv(queue, buffers + 2, 2, IPC_TIME_NOW),
                  -EMSGSIZE);
        assert_int_equal(buffers[2].bytes, sizes[k]);
        buffers[2].room = sizes[k];
        expect_rc(ipc_queue_getv(queue, buffers + 2, 2, IPC_TIME_NOW), 2);
        expect_items(buffers, 4, sizes[k], 0);
        free_items(buffers, 4);
    }
    free_queue(queue);
}

static void empty_messages_need_no_buffer(void)
{
    ipc_queue_item items[4] = {{0}};
    ipc_queue *queue = new_queue(20, 0, 0);
    for (int round = 0; round < 3; round++) {
        expect_rc(ipc_queue_putv(queue, items, 4, IPC_TIME_NOW), 4);
        expect_rc(ipc_queue_getv(queue, items, 4, IPC_TIME_NOW), 4);
        put_now(queue, SHORT, 1);
        expect_rc(ipc_queue_putv(queue, items, 2, IPC_TIME_NOW), 2);
        get_now(queue, SHORT, 1);
        expect_rc(ipc_queue_getv(queue, items, 4, IPC_TIME_NOW), 2);
    }
    free_queue(queue);
}

/* Somebody has one of them in its hands. */
static void a_batch_goes_round_what_others_hold(void)
{
    for (uint32_t flags = 0; flags <= IPC_QUEUE_RELAXED; flags++) {
        ipc_queue *queue = new_queue(20, 0, flags);
        ipc_queue_item *buffers = new_buffers(8, SHORT);
        ipc_message peeked, reserved;
        for (unsigned i = 0; i < 3; i++)
            put_now(queue, SHORT, i);
        expect_rc(ipc_queue_peek(queue, &peeked), 0);
        expect_rc(ipc_queue_reserve(queue, SHORT, &reserved), 0);
        put_now(queue, SHORT, 4);
        expect_rc(ipc_queue_getv(queue, buffers, 8, IPC_TIME_NOW),
                  flags == 0 ? 2 : 3);
        expect_items(buffers, 2, SHORT, 1);
        fill_message(reserved.data, SHORT, 3);
        expect_rc(ipc_queue_commit(queue, &reserved), 0);
        expect_rc(ipc_queue_getv(queue, buffers, 8, IPC_TIME_NOW),
                  flags == 0 ? 2 : 1);
        expect_items(buffers, 1, SHORT, 3);
        expect_rc(ipc_queue_release(queue, &peeked), 0);
        expect_empty(queue);
        free_items(buffers, 8);
        free_queue(queue);
    }
}

/* ---- all at once, as threads ---- */

struct share {
    ipc_queue *queue;
    unsigned producer;
    size_t got;
    unsigned last[2];
};

static unsigned each(void)
{
    return 5000 * (unsigned)test_scale();
}

static void *put_batches(void *arg)
{
    const struct share *share = arg;
    for (unsigned i = 0; i < each();) {
        unsigned numbers[40];
        ipc_queue_item items[40];
        unsigned n = i % 40 + 1;
        n = n < each() - i ? n : each() - i;
        for (unsigned j = 0; j < n; j++) {
            numbers[j] = (i + j + 1) * 2 + share->producer;
            items[j] = (ipc_queue_item){&numbers[j], sizeof numbers[j], 0};
        }
        expect_rc(ipc_queue_putv(share->queue, items, n, IPC_TIME_FOREVER),
                  (int)n);
        i += n;
    }
    return NULL;
}

static void *get_batches(void *arg)
{
    struct share *share = arg;
    for (;;) {
        unsigned numbers[33];
        ipc_queue_item items[33];
        for (unsigned j = 0; j < COUNT(items); j++)
            items[j] = (ipc_queue_item){&numbers[j], 0, sizeof numbers[j]};
        const int n =
            ipc_queue_getv(share->queue, items, COUNT(items), IPC_TIME_FOREVER);
        if (n == -EPIPE)
            return NULL;
        assert_true(n > 0);
        for (int j = 0; j < n; j++) {
            unsigned *last = &share->last[numbers[j] % 2];
            assert_int_equal(items[j].bytes, sizeof numbers[j]);
            assert_true(numbers[j] > *last);
            *last = numbers[j];
        }
        share->got += (size_t)n;
    }
}

static void threads_keep_the_order_of_each_producer(void)
{
    ipc_queue *queue = new_queue(50, 0, 0);
    struct share share[4] = {{.queue = queue, .producer = 0},
                             {.queue = queue, .producer = 1},
                             {.queue = queue},
                             {.queue = queue}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(i < 2 ? put_batches : get_batches, &share[i]);
    join_thread(threads[0]);
    join_thread(threads[1]);
    expect_rc(ipc_queue_close(queue, false), 0);
    join_thread(threads[2]);
    join_thread(threads[3]);
    assert_int_equal(share[2].got + share[3].got, 2 * each());
    free_queue(queue);
}

static const struct test_case cases[] = {
    TEST_CASE(a_batch_comes_out_as_it_went_in),
    TEST_CASE(none_is_done_at_once),
    TEST_CASE(as_many_as_fit_are_put),
    TEST_CASE(as_many_bytes_as_fit_are_put),
    TEST_CASE(one_that_is_too_large_ends_a_batch),
    TEST_CASE(as_many_as_there_are_are_got),
    TEST_CASE(a_buffer_that_is_too_small_ends_a_batch),
    TEST_CASE(empty_messages_need_no_buffer),
    TEST_CASE(a_batch_goes_round_what_others_hold),
    TEST_CASE(threads_keep_the_order_of_each_producer),
};
TEST_MAIN(cases)
