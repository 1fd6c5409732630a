/* Queues: what goes in comes out, once, whole and in order; and the bounds. */
#include "unit/queue_support.h"

#include "harness/scale.h"
#include "queue/layout.h"

#include <stdio.h>

/* ---- what goes in comes out ---- */

static const size_t sizes[] = {0,    1,    15,    16,    17,    40,
                               100,  1023, 1024,  1025,  4096,  4097,
                               8192, 8193, 20000, 65536, 65537, 1000000};

static void messages_of_any_size_come_out_in_order(void)
{
    ipc_queue *queue = new_queue(100, 8 * MIB, 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT(sizes); i++)
            put_now(queue, sizes[i], i + round);
        assert_int_equal(ipc_queue_size(queue), COUNT(sizes));
        for (unsigned i = 0; i < COUNT(sizes); i++)
            if (i % 2 == round % 2)
                get(queue, sizes[i], i + round);
            else
                get_now(queue, sizes[i], i + round);
        expect_empty(queue);
    }
    free_queue(queue);
}

static void empty_messages_need_no_data(void)
{
    ipc_queue *queue = new_queue(4, 0, 0);
    size_t bytes = 77;
    for (int i = 0; i < 20; i++) {
        expect_rc(ipc_queue_put(queue, NULL, 0), 0);
        expect_rc(ipc_queue_put_nowait(queue, NULL, 0), 0);
        expect_rc(ipc_queue_get(queue, NULL, 0, &bytes), 0);
        assert_int_equal(bytes, 0);
        expect_rc(ipc_queue_get_nowait(queue, NULL, 0, NULL), 0);
        expect_rc(ipc_queue_put(queue, "", 0), 0);
        get(queue, 0, 0);
    }
    free_queue(queue);
}

static void values_go_by_type(void)
{
    struct order {
        int table;
        char dish[20];
    } order = {7, "soup"}, got;
    long number = 1;
    ipc_queue *queue = new_queue(4, 0, 0);
    expect_rc(IPC_QUEUE_PUT(queue, order), 0);
    expect_rc(IPC_QUEUE_GET(queue, &number), -EMSGSIZE);
    assert_int_equal(number, 1);
    expect_detail("24 bytes");
    assert_int_equal(ipc_queue_size(queue), 1);
    expect_rc(IPC_QUEUE_GET(queue, &got), 0);
    assert_memory_equal(&got, &order, sizeof got);
    expect_rc(ipc_queue_get_exactly(queue, &got, sizeof got, IPC_TIME_NOW),
              -EAGAIN);
    free_queue(queue);
}

static void too_small_a_buffer_tells_the_size_and_leaves_the_message(void)
{
    static const size_t kinds[] = {SHORT, LONGEST_SHORT, LONG, PAGES};
    ipc_queue *queue = new_queue(4, 0, 0);
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        char buffer[] = "abc";
        size_t bytes = 77;
        put_now(queue, kinds[i], i);
        put_now(queue, 1, 99);
        expect_rc(ipc_queue_get(queue, buffer, 3, &bytes), -EMSGSIZE);
        assert_int_equal(bytes, kinds[i]);
        assert_string_equal(buffer, "abc");
        bytes = 77;
        expect_rc(ipc_queue_get_nowait(queue, NULL, 0, &bytes), -EMSGSIZE);
        assert_int_equal(bytes, kinds[i]);
        expect_rc(ipc_queue_get_until(queue, NULL, kinds[i] - 1, NULL,
                                      ipc_after_ms(LIMIT_MS)),
                  -EMSGSIZE);
        expect_rc(
            ipc_queue_get_exactly(queue, buffer, kinds[i] + 1, IPC_TIME_NOW),
            -EMSGSIZE);
        assert_int_equal(ipc_queue_size(queue), 2);
        get_now(queue, kinds[i], i);
        get_now(queue, 1, 99);
    }
    free_queue(queue);
}

/* ---- bounds ---- */

static void full_by_count(void)
{
    ipc_queue *queue = new_queue(5, 0, 0);
    assert_int_equal(ipc_queue_capacity(queue), 5);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 5; i++) {
            assert_false(ipc_queue_full(queue));
            assert_int_equal(ipc_queue_size(queue), i);
            put_now(queue, SHORT, i);
        }
        assert_true(ipc_queue_full(queue));
        expect_full(queue);
        expect_rc(ipc_queue_put_until(queue, "x", 1, ipc_after_ms(1)),
                  -ETIMEDOUT);
        get_now(queue, SHORT, 0);
        assert_false(ipc_queue_full(queue));
        put_now(queue, LONG, 5);
        expect_full(queue);
        for (unsigned i = 1; i < 5; i++)
            get_now(queue, SHORT, i);
        get_now(queue, LONG, 5);
        expect_empty(queue);
    }
    free_queue(queue);
}

/* Bounds of bytes that are no round numbers, too. */
static void full_by_bytes(void)
{
    static const size_t bounds[] = {1,    16,   20,   100,  1000,  1024,
                                    1030, 4096, 5000, 9000, 100000};
    for (unsigned i = 0; i < COUNT(bounds); i++) {
        ipc_queue *queue = new_queue(8, bounds[i], 0);
        printf("bound %zu\n", bounds[i]);
        assert_int_equal(ipc_queue_bytes(queue), bounds[i]);
        for (unsigned round = 0; round < 5; round++) {
            put_now(queue, bounds[i], round);
            expect_full(queue);
            get_now(queue, bounds[i], round);
            expect_rc(try_put(queue, bounds[i] + 1, 1, IPC_TIME_NOW),
                      -EMSGSIZE);
            expect_detail("at most");
            expect_rc(try_put(queue, bounds[i] + 1, 1, IPC_TIME_FOREVER),
                      -EMSGSIZE);
        }
        expect_empty(queue);
        expect_whole(queue);
        free_queue(queue);
    }
}

static void a_huge_message_is_refused(void)
{
    ipc_queue *queue = new_queue(2, 100, 0);
    expect_rc(ipc_queue_put(queue, "x", SIZE_MAX), -EMSGSIZE);
    expect_rc(ipc_queue_put(queue, "x", IPC_QUEUE_BYTES_MAX + 1), -EMSGSIZE);
    expect_rc(ipc_queue_put(queue, "x", (size_t)1 << 32), -EMSGSIZE);
    expect_empty(queue);
    free_queue(queue);
}

static void what_is_taken_out_can_be_put_in_again(void)
{
    ipc_queue *queue = new_queue(8, 64 * KIB, 0);
    for (unsigned i = 0; i < 50; i++) {
        expect_whole(queue);
        put_now(queue, (size_t)16 * i, i); /* so that it begins elsewhere */
        get_now(queue, (size_t)16 * i, i);
    }
    free_queue(queue);
}

/* ---- against a model ---- */

struct model {
    size_t bytes[64];
    unsigned first, count;
    uint32_t capacity;
    size_t units, room;
};

static size_t units_of(size_t bytes)
{
    return (bytes + 15) / 16;
}

/* It may be refused for its pages, which have to lie together. */
static void model_put(struct model *m, ipc_queue *queue, size_t bytes)
{
    const int rc = try_put(queue, bytes, m->first + m->count, IPC_TIME_NOW);
    const bool fits =
        m->count < m->capacity && m->units + units_of(bytes) <= m->room;
    if (!fits)
        assert_int_equal(rc, -EAGAIN);
    else if (bytes <= LONGEST_SHORT || m->count == 0)
        expect_rc(rc, 0);
    if (rc != 0)
        return;
    m->bytes[(m->first + m->count++) % COUNT(m->bytes)] = bytes;
    m->units += units_of(bytes);
}

static void model_get(struct model *m, ipc_queue *queue)
{
    if (m->count == 0) {
        expect_empty(queue);
        return;
    }
    const size_t bytes = m->bytes[m->first % COUNT(m->bytes)];
    get_now(queue, bytes, m->first);
    m->first++;
    m->count--;
    m->units -= units_of(bytes);
}

static void walk(struct test_random *random, uint32_t capacity, size_t bytes)
{
    ipc_queue *queue = new_queue(capacity, bytes, 0);
    struct model m = {.capacity = capacity, .room = units_of(bytes)};
    const size_t small = bytes < 1024 ? bytes : 1024;
    for (long i = 0; i < 1500 * test_scale(); i++) {
        const long up = test_random_between(random, 0, 99);
        if (test_random_between(random, 0, 99) < 50 + (i / 100 % 3 - 1) * 20)
            model_put(&m, queue,
                      (size_t)test_random_between(
                          random, 0, (long)(up < 70 ? small : bytes)));
        else
            model_get(&m, queue);
        assert_int_equal(ipc_queue_size(queue), m.count);
    }
    while (m.count != 0)
        model_get(&m, queue);
    expect_empty(queue);
    expect_whole(queue);
    free_queue(queue);
}

static void any_walk_is_that_of_a_model(void)
{
    struct test_random random = {test_seed()};
    for (int i = 0; i < 40; i++) {
        const uint32_t capacity = (uint32_t)test_random_between(&random, 1, 64);
        const size_t bytes =
            (size_t)test_random_between(&random, 1, i % 2 == 0 ? 5000 : 40000);
        printf("capacity %u, bytes %zu\n", capacity, bytes);
        walk(&random, capacity, bytes);
    }
}

/* As if 2^30 messages had gone through it. */
static void the_counts_run_over(void)
{
    for (uint32_t before = 0; before < 6; before++) {
        ipc_queue *queue = new_queue(4, 64 * KIB, 0);
        const uint32_t count = IPC__QUEUE_COUNTS - before;
        queue->tail = queue->head = queue->done = count * IPC__QUEUE_ONE;
        queue->put.at = queue->put.next = queue->put.freed = count;
        queue->get.at = queue->get.next = queue->get.cursor = count;
        queue->get.tail_seen = count;
        for (unsigned i = 0; i < 5; i++) {
            put_now(queue, SHORT, i);
            put_now(queue, PAGES, i);
            assert_int_equal(ipc_queue_size(queue), 2);
            get_now(queue, SHORT, i);
            get_now(queue, PAGES, i);
            expect_rc(ipc_queue_join_nowait(queue), -EAGAIN);
            expect_rc(ipc_queue_task_done(queue), 0);
            expect_rc(ipc_queue_task_done(queue), 0);
            expect_rc(ipc_queue_join_nowait(queue), 0);
            expect_empty(queue);
        }
        expect_whole(queue);
        free_queue(queue);
    }
}

/* ---- what is said when it does not work ---- */

static void an_empty_queue_says_so(void)
{
    ipc_queue_options options = queue_options(4, 0, 0);
    options.label = "orders";
    ipc_queue *queue = NULL;
    void *data = NULL;
    size_t bytes = 77;
    expect_rc(ipc_queue_new(&options, &queue), 0);
    expect_empty(queue);
    expect_detail("orders");
    expect_rc(ipc_queue_get_until(queue, NULL, 0, &bytes, ipc_after_ms(1)),
              -ETIMEDOUT);
    expect_rc(ipc_queue_get_until(queue, NULL, 0, &bytes, 0), -ETIMEDOUT);
    expect_rc(ipc_queue_get_until(queue, NULL, 0, &bytes, -5), -ETIMEDOUT);
    expect_rc(ipc_queue_get_alloc(queue, &data, &bytes, IPC_TIME_NOW), -EAGAIN);
    assert_int_equal(bytes, 77);
    assert_null(data);
    for (int i = 0; i < 4; i++)
        put_now(queue, 1, 1);
    expect_full(queue);
    expect_detail("orders");
    expect_rc(ipc_queue_put_until(queue, "x", 1, 0), -ETIMEDOUT);
    free_queue(queue);
}

static void what_is_no_queue_is_refused(void)
{
    ipc_queue *queue = new_queue(4, 64 * KIB, 0);
    const ipc_queue whole = *queue;
    ipc_message message = {0};
    ipc_queue_item item = {0};
    void *data;
    queue->kind = 12345;
    expect_rc(ipc_queue_put(queue, "x", 1), -EUCLEAN);
    expect_rc(ipc_queue_put_priority(queue, "x", 1, 1, 0), -EUCLEAN);
    expect_rc(ipc_queue_putv(queue, &item, 1, 0), -EUCLEAN);
    expect_rc(ipc_queue_get(queue, NULL, 0, NULL), -EUCLEAN);
    expect_rc(ipc_queue_getv(queue, &item, 1, 0), -EUCLEAN);
    expect_rc(ipc_queue_get_alloc(queue, &data, NULL, 0), -EUCLEAN);
    expect_rc(ipc_queue_get_exactly(queue, &item, 1, 0), -EUCLEAN);
    expect_rc(ipc_queue_reserve(queue, 1, &message), -EUCLEAN);
    expect_rc(ipc_queue_commit(queue, &message), -EUCLEAN);
    expect_rc(ipc_queue_abort(queue, &message), -EUCLEAN);
    expect_rc(ipc_queue_peek(queue, &message), -EUCLEAN);
    expect_rc(ipc_queue_release(queue, &message), -EUCLEAN);
    expect_rc(ipc_queue_take(queue, &message), -EUCLEAN);
    expect_rc(ipc_queue_ack(queue, &message), -EUCLEAN);
    expect_rc(ipc_queue_take_dead(queue, &message), -EUCLEAN);
    expect_rc(ipc_queue_task_done(queue), -EUCLEAN);
    expect_rc(ipc_queue_join(queue), -EUCLEAN);
    expect_rc(ipc_queue_close(queue, false), -EUCLEAN);
    assert_int_equal(ipc_queue_size(queue), 0);
    queue->kind = whole.kind;
    queue->units = 0;
    expect_rc(ipc_queue_put(queue, "x", 1), -EUCLEAN);
    queue->units = UINT32_MAX;
    expect_rc(ipc_queue_put(queue, "x", 1), -EUCLEAN);
    expect_rc(ipc_queue_get_nowait(queue, NULL, 0, NULL), -EUCLEAN);
    queue->units = whole.units;
    expect_whole(queue);
    free_queue(queue);
}

static void a_ring_has_no_leases(void)
{
    ipc_queue *queue = new_queue(4, 0, 0);
    ipc_message message = {0};
    expect_rc(ipc_queue_take(queue, &message), -ENOTSUP);
    expect_rc(ipc_queue_ack(queue, &message), -ENOTSUP);
    expect_rc(ipc_queue_nack(queue, &message), -ENOTSUP);
    expect_rc(ipc_queue_extend(queue, &message, 1), -ENOTSUP);
    expect_rc(ipc_queue_take_dead(queue, &message), -ENOTSUP);
    assert_int_equal(ipc_queue_dead(queue), 0);
    free_queue(queue);
}

static const struct test_case cases[] = {
    TEST_CASE(messages_of_any_size_come_out_in_order),
    TEST_CASE(empty_messages_need_no_data),
    TEST_CASE(values_go_by_type),
    TEST_CASE(too_small_a_buffer_tells_the_size_and_leaves_the_message),
    TEST_CASE(full_by_count),
    TEST_CASE(full_by_bytes),
    TEST_CASE(a_huge_message_is_refused),
    TEST_CASE(what_is_taken_out_can_be_put_in_again),
    TEST_CASE(any_walk_is_that_of_a_model),
    TEST_CASE(the_counts_run_over),
    TEST_CASE(an_empty_queue_says_so),
    TEST_CASE(what_is_no_queue_is_refused),
    TEST_CASE(a_ring_has_no_leases),
};
TEST_MAIN(cases)
