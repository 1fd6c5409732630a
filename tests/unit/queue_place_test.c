/* Queues: messages that are written and read where they lie. */
#include "unit/queue_support.h"

#include "harness/scale.h"

/* ---- write in place ---- */

static void reserve(ipc_queue *queue, size_t bytes, ipc_message *message)
{
    expect_rc(ipc_queue_reserve_nowait(queue, bytes, message), 0);
    assert_int_equal(message->bytes, bytes);
    assert_non_null(message->data);
    assert_int_equal((uintptr_t)message->data % 16, 0);
}

static void commit(ipc_queue *queue, ipc_message *message, unsigned number)
{
    fill_message(message->data, message->bytes, number);
    expect_rc(ipc_queue_commit(queue, message), 0);
}

static void what_was_written_in_place_is_got(void)
{
    static const size_t sizes[] = {0, 1, 16, 40, 1024, 1025, 5000, 100000};
    ipc_queue *queue = new_queue(20, MIB, 0);
    ipc_message message[COUNT(sizes)];
    for (unsigned i = 0; i < COUNT(sizes); i++)
        reserve(queue, sizes[i], &message[i]);
    for (unsigned i = COUNT(sizes); i-- > 0;)
        commit(queue, &message[i], i);
    for (unsigned i = 0; i < COUNT(sizes); i++)
        get_now(queue, sizes[i], i);
    expect_empty(queue);
    expect_whole(queue);
    free_queue(queue);
}

/* The order is that of reserving. */
static void a_message_has_its_place_from_the_reservation_on(void)
{
    ipc_queue *queue = new_queue(8, 0, 0);
    ipc_message first, third;
    reserve(queue, SHORT, &first);
    put_now(queue, SHORT, 2);
    reserve(queue, LONG, &third);
    put_now(queue, SHORT, 4);
    expect_rc(ipc_queue_get_nowait(queue, NULL, 0, NULL), -EAGAIN);
    commit(queue, &first, 1);
    get_now(queue, SHORT, 1);
    get_now(queue, SHORT, 2);
    expect_rc(ipc_queue_get_nowait(queue, NULL, 0, NULL), -EAGAIN);
    commit(queue, &third, 3);
    get_now(queue, LONG, 3);
    get_now(queue, SHORT, 4);
    expect_empty(queue);
    free_queue(queue);
}

static void a_relaxed_one_does_not_wait_for_it(void)
{
    ipc_queue *queue = new_queue(8, 64 * KIB, IPC_QUEUE_RELAXED);
    ipc_message first, third;
    for (int round = 0; round < 5; round++) {
        reserve(queue, SHORT, &first);
        put_now(queue, SHORT, 2);
        reserve(queue, LONG, &third);
        put_now(queue, PAGES, 4);
        get_now(queue, SHORT, 2);
        get_now(queue, PAGES, 4);
        expect_rc(ipc_queue_get_nowait(queue, NULL, 0, NULL), -EAGAIN);
        commit(queue, &third, 3);
        get_now(queue, LONG, 3);
        commit(queue, &first, 1);
        get_now(queue, SHORT, 1);
        expect_empty(queue);
    }
    expect_whole(queue);
    free_queue(queue);
}

static void it_can_be_made_shorter(void)
{
    static const size_t from[] = {SHORT, LONGEST_SHORT, LONG, PAGES};
    ipc_queue *queue = new_queue(4, 64 * KIB, 0);
    for (unsigned i = 0; i < COUNT(from); i++)
        for (size_t to = 0; to <= from[i]; to += from[i] / 7) {
            ipc_message message;
            reserve(queue, from[i], &message);
            message.bytes = to;
            commit(queue, &message, i);
            get_now(queue, to, i);
            reserve(queue, from[i], &message);
            message.bytes++;
            expect_rc(ipc_queue_commit(queue, &message), -EMSGSIZE);
            message.bytes = to;
            commit(queue, &message, i);
            get(queue, to, i);
        }
    expect_whole(queue);
    free_queue(queue);
}

static void what_was_aborted_never_was(void)
{
    static const size_t sizes[] = {SHORT, LONG, PAGES};
    ipc_queue *queue = new_queue(3, 64 * KIB, 0);
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        ipc_message message;
        for (int round = 0; round < 10; round++) {
            reserve(queue, sizes[i], &message);
            expect_rc(ipc_queue_abort(queue, &message), 0);
            expect_empty(queue);
            expect_rc(ipc_queue_join_nowait(queue), 0);
        }
        put_now(queue, SHORT, 1);
        reserve(queue, sizes[i], &message);
        put_now(queue, SHORT, 2);
        expect_full(queue);
        expect_rc(ipc_queue_abort(queue, &message), 0);
        get_now(queue, SHORT, 1);
        get_now(queue, SHORT, 2);
        expect_empty(queue);
        expect_rc(ipc_queue_task_done(queue), 0);
        expect_rc(ipc_queue_task_done(queue), 0);
        expect_rc(ipc_queue_task_done(queue), -EINVAL);
        expect_rc(ipc_queue_join_nowait(queue), 0);
    }
    expect_whole(queue);
    free_queue(queue);
}

/* Its room is room again, for those who do not wait either. */
static void room_of_the_aborted_comes_back_at_once(void)
{
    static const size_t sizes[] = {SHORT, LONG};
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        ipc_queue *queue = new_queue(1, 2000, 0);
        ipc_message message;
        reserve(queue, sizes[i], &message);
        expect_full(queue);
        expect_rc(ipc_queue_abort(queue, &message), 0);
        assert_int_equal(ipc_queue_size(queue), 0);
        assert_false(ipc_queue_full(queue));
        put_now(queue, sizes[i], 1);
        get_now(queue, sizes[i], 1);
        free_queue(queue);
    }
}

/* ---- read in place ---- */

static void peek(ipc_queue *queue, size_t bytes, unsigned number,
                 ipc_message *message)
{
    expect_rc(ipc_queue_peek_nowait(queue, message), 0);
    assert_int_equal(message->bytes, bytes);
    assert_int_equal((uintptr_t)message->data % 16, 0);
    assert_true(is_message(message->data, bytes, number));
}

static void what_is_peeked_at_goes_when_it_is_released(void)
{
    static const size_t sizes[] = {0, SHORT, LONGEST_SHORT, LONG, PAGES};
    ipc_queue *queue = new_queue(COUNT(sizes), 64 * KIB, 0);
    for (int order = 0; order < 2; order++) {
        ipc_message message[COUNT(sizes)];
        for (unsigned i = 0; i < COUNT(sizes); i++)
            put_now(queue, sizes[i], i);
        for (unsigned i = 0; i < COUNT(sizes); i++)
            peek(queue, sizes[i], i, &message[i]);
        expect_empty(queue);
        expect_full(queue);
        for (unsigned i = 0; i < COUNT(sizes); i++) {
            const unsigned which = order ? COUNT(sizes) - 1 - i : i;
            assert_true(is_message(message[which].data, sizes[which], which));
            expect_rc(ipc_queue_release(queue, &message[which]), 0);
        }
        expect_empty(queue);
        expect_whole(queue);
    }
    free_queue(queue);
}

static void others_get_what_is_behind_it(void)
{
    ipc_queue *queue = new_queue(8, 64 * KIB, 0);
    ipc_message first, third;
    for (unsigned i = 1; i <= 4; i++)
        put_now(queue, i % 2 ? SHORT : LONG, i);
    peek(queue, SHORT, 1, &first);
    get_now(queue, LONG, 2);
    peek(queue, SHORT, 3, &third);
    expect_rc(ipc_queue_release(queue, &first), 0);
    get_now(queue, LONG, 4);
    expect_rc(ipc_queue_release(queue, &third), 0);
    expect_empty(queue);
    expect_whole(queue);
    free_queue(queue);
}

/* ---- whose it is ---- */

struct other {
    ipc_queue *queue;
    ipc_message *message;
    bool reserved;
};

static void *use_of_others(void *arg)
{
    const struct other *other = arg;
    if (other->reserved) {
        expect_rc(ipc_queue_commit(other->queue, other->message), -EINVAL);
        expect_rc(ipc_queue_abort(other->queue, other->message), -EINVAL);
    }
    expect_rc(ipc_queue_release(other->queue, other->message), -EINVAL);
    return NULL;
}

static void use_of_parents(void *arg)
{
    (void)use_of_others(arg);
}

static void only_who_reserved_commits_and_who_peeked_releases(void)
{
    ipc_queue *queue = new_queue(8, 64 * KIB, 0);
    ipc_message message, copy;
    struct other other = {queue, &message, true};
    reserve(queue, SHORT, &message);
    join_thread(start_thread(use_of_others, &other));
    assert_int_equal(role_try(use_of_parents, &other, LIMIT_MS), 0);
    expect_rc(ipc_queue_release(queue, &message), -EINVAL);
    copy = message;
    commit(queue, &message, 1);
    expect_rc(ipc_queue_commit(queue, &copy), -EINVAL);
    expect_rc(ipc_queue_abort(queue, &copy), -EINVAL);
    expect_rc(ipc_queue_commit(queue, &message), -EINVAL);
    peek(queue, SHORT, 1, &message);
    other.reserved = false;
    join_thread(start_thread(use_of_others, &other));
    assert_int_equal(role_try(use_of_parents, &other, LIMIT_MS), 0);
    expect_rc(ipc_queue_commit(queue, &message), -EINVAL);
    copy = message;
    expect_rc(ipc_queue_release(queue, &message), 0);
    expect_rc(ipc_queue_release(queue, &copy), -EINVAL);
    expect_rc(ipc_queue_release(queue, &message), -EINVAL);
    expect_empty(queue);
    expect_whole(queue);
    free_queue(queue);
}

static void what_one_has_in_its_hands_keeps_the_queue(void)
{
    ipc_queue *queue = new_queue(8, 0, 0);
    ipc_message message, second;
    reserve(queue, SHORT, &message);
    expect_rc(ipc_queue_free(queue), -EBUSY);
    expect_rc(ipc_queue_abort(queue, &message), 0);
    put_now(queue, SHORT, 1);
    put_now(queue, SHORT, 2);
    reserve(queue, SHORT, &message); /* behind one that is complete */
    expect_rc(ipc_queue_free(queue), -EBUSY);
    commit(queue, &message, 3);
    peek(queue, SHORT, 1, &message);
    expect_rc(ipc_queue_free(queue), -EBUSY);
    peek(queue, SHORT, 2, &second);
    expect_rc(ipc_queue_release(queue, &message), 0);
    expect_rc(ipc_queue_free(queue), -EBUSY);
    expect_rc(ipc_queue_release(queue, &second), 0);
    free_queue(queue);
}

/* A thread that has ended has nothing in its hands. */
static void *leave_with_both(void *arg)
{
    ipc_queue *queue = arg;
    ipc_message message;
    peek(queue, SHORT, 1, &message);
    reserve(queue, LONG, &message);
    return NULL;
}

static void a_thread_that_ends_gives_back_what_it_had(void)
{
    ipc_queue *queue = new_queue(4, 8000, 0);
    for (int round = 0; round < 3; round++) {
        put_now(queue, SHORT, 1);
        join_thread(start_thread(leave_with_both, queue));
        put_now(queue, SHORT, 2);
        get(queue, SHORT, 1);
        get(queue, SHORT, 2);
        expect_empty(queue);
        expect_whole(queue);
    }
    put_now(queue, SHORT, 1);
    join_thread(start_thread(leave_with_both, queue));
    free_queue(queue);
}

/* ---- all at once, as threads ---- */

enum {
    ROUNDS = 3000
};

/* It reserves more than it needs, and lowers that at the very end. */
static void *commit_less(void *arg)
{
    ipc_queue *queue = arg;
    for (unsigned i = 0; i < ROUNDS * (unsigned)test_scale(); i++) {
        ipc_message message;
        const size_t bytes = i % 3 == 0 ? LONG + 500 : 100;
        expect_rc(ipc_queue_reserve(queue, bytes, &message), 0);
        fill_message(message.data, bytes, i);
        message.bytes = bytes / 2 + i % 7;
        expect_rc(i % 5 == 0 ? ipc_queue_abort(queue, &message)
                             : ipc_queue_commit(queue, &message),
                  0);
    }
    return NULL;
}

static void a_shorter_message_is_never_seen_longer(void)
{
    ipc_queue *queue = new_queue(16, 64 * KIB, 0);
    const pthread_t thread = start_thread(commit_less, queue);
    for (unsigned i = 0; i < ROUNDS * (unsigned)test_scale(); i++) {
        const size_t bytes = (i % 3 == 0 ? LONG + 500u : 100u) / 2 + i % 7;
        char buffer[PAGES];
        size_t got;
        if (i % 5 == 0)
            continue;
        int rc;
        while ((rc = ipc_queue_get_nowait(queue, buffer, sizeof buffer,
                                          &got)) == -EAGAIN)
            continue;
        expect_rc(rc, 0);
        assert_int_equal(got, bytes);
        assert_true(is_message(buffer, bytes, i));
    }
    join_thread(thread);
    free_queue(queue);
}

static void *write_many(void *arg)
{
    ipc_queue *queue = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        ipc_message message;
        const size_t bytes = i % 4 == 0 ? LONG : SHORT;
        expect_rc(ipc_queue_reserve(queue, bytes, &message), 0);
        commit(queue, &message, i);
    }
    return NULL;
}

static void *read_many(void *arg)
{
    ipc_queue *queue = arg;
    ipc_message message;
    int rc;
    while ((rc = ipc_queue_peek(queue, &message)) == 0) {
        const unsigned number = number_of(message.data);
        assert_int_equal(message.bytes, number % 4 == 0 ? LONG : SHORT);
        assert_true(is_message(message.data, message.bytes, number));
        expect_rc(ipc_queue_release(queue, &message), 0);
    }
    expect_rc(rc, -EPIPE);
    return NULL;
}

static void threads_write_and_read_in_place(void)
{
    for (uint32_t flags = 0; flags <= IPC_QUEUE_RELAXED; flags++) {
        pthread_t threads[6];
        ipc_queue *queue = new_queue(5, 64 * KIB, flags);
        for (int i = 0; i < 6; i++)
            threads[i] = start_thread(i < 3 ? write_many : read_many, queue);
        for (int i = 0; i < 3; i++)
            join_thread(threads[i]);
        expect_rc(ipc_queue_close(queue, false), 0);
        for (int i = 3; i < 6; i++)
            join_thread(threads[i]);
        assert_int_equal(ipc_queue_size(queue), 0);
        free_queue(queue);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(what_was_written_in_place_is_got),
    TEST_CASE(a_message_has_its_place_from_the_reservation_on),
    TEST_CASE(a_relaxed_one_does_not_wait_for_it),
    TEST_CASE(it_can_be_made_shorter),
    TEST_CASE(what_was_aborted_never_was),
    TEST_CASE(room_of_the_aborted_comes_back_at_once),
    TEST_CASE(what_is_peeked_at_goes_when_it_is_released),
    TEST_CASE(others_get_what_is_behind_it),
    TEST_CASE(only_who_reserved_commits_and_who_peeked_releases),
    TEST_CASE(what_one_has_in_its_hands_keeps_the_queue),
    TEST_CASE(a_thread_that_ends_gives_back_what_it_had),
    TEST_CASE(a_shorter_message_is_never_seen_longer),
    TEST_CASE(threads_write_and_read_in_place),
};
TEST_MAIN(cases)
