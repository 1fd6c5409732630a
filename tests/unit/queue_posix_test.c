/* Queues that are POSIX message queues: the calls. */
#include "unit/queue_posix_support.h"

#include "harness/role.h"
#include "queue/posix.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

#include <ipc/segment.h>
#include <ipc/time.h>

enum {
    LONG_MS = 5000 /* it hangs */
};

static void put_text(ipc_queue *queue, const char *text, uint32_t priority)
{
    assert_int_equal(ipc_queue_put_priority(queue, text, strlen(text), priority,
                                            IPC_TIME_NOW),
                     0);
}

static void expect_text(ipc_queue *queue, const char *text)
{
    char buffer[64] = "";
    size_t bytes = 99;
    assert_int_equal(ipc_queue_get_nowait(queue, buffer, sizeof buffer, &bytes),
                     0);
    assert_int_equal(bytes, strlen(text));
    assert_memory_equal(buffer, text, bytes);
}

/* ---- put and get ---- */

static void the_highest_priority_comes_first_and_equal_ones_in_order(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 8, 64);
    assert_true(ipc_queue_empty(queue));
    put_text(queue, "one", 1);
    put_text(queue, "two", 1);
    put_text(queue, "urgent", 32767);
    assert_int_equal(ipc_queue_put(queue, NULL, 0), 0);
    assert_int_equal(ipc_queue_size(queue), 4);
    expect_text(queue, "urgent");
    expect_text(queue, "one");
    expect_text(queue, "two");
    expect_text(queue, "");
    assert_true(ipc_queue_empty(queue));
    assert_int_equal(ipc_queue_put_priority(queue, "x", 1, 32768, 0), -EINVAL);
    assert_true(detail_has("32767 is the highest"));
    posix_remove(0, queue);
    posix_end(own);
}

static void bounds_are_messages_and_bytes_of_all(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 2, 64);
    const char large[65] = "";
    assert_int_equal(ipc_queue_capacity(queue), 2);
    assert_int_equal(ipc_queue_bytes(queue), 2 * 64);
    assert_int_equal(ipc_queue_put(queue, large, sizeof large), -EMSGSIZE);
    assert_true(detail_has("a message of 65 bytes, but its messages have "
                           "at most 64"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(ipc_queue_put(queue, large, 1), 0);
    assert_true(ipc_queue_full(queue));
    assert_int_equal(ipc_queue_put_nowait(queue, large, 1), -EAGAIN);
    assert_true(detail_has(posix_name(0)->mq_name + 1));
    assert_int_equal(ipc_queue_put_until(queue, large, 1, ipc_after_ms(20)),
                     -ETIMEDOUT);
    assert_true(detail_has("is full"));
    posix_remove(0, queue);
    posix_end(own);
}

static void without_bounds_it_has_the_usual_ones(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 0, 0);
    struct mq_attr usual;
    const char *name = posix_name(1)->mq_name;
    const mqd_t mq = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
    assert_true(mq >= 0);
    assert_int_equal(mq_getattr(mq, &usual), 0);
    assert_int_equal(ipc_queue_capacity(queue), usual.mq_maxmsg);
    assert_int_equal(ipc_queue_bytes(queue),
                     usual.mq_maxmsg * usual.mq_msgsize);
    assert_int_equal(mq_close(mq), 0);
    assert_int_equal(mq_unlink(name), 0);
    posix_remove(0, queue);
    posix_end(own);
}

static void a_small_buffer_leaves_the_message_there(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 4, 64);
    char buffer[64];
    size_t bytes = 0;
    put_text(queue, "soup", 0);
    assert_int_equal(ipc_queue_get(queue, buffer, 63, &bytes), -EMSGSIZE);
    assert_int_equal(bytes, 64);
    assert_true(detail_has("up to 64 bytes, but the buffer has 63"));
    assert_int_equal(ipc_queue_get(queue, buffer, 64, NULL), 0);
    assert_memory_equal(buffer, "soup", 4);
    posix_remove(0, queue);
    posix_end(own);
}

static void a_fresh_copy_ends_with_zero(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 4, 64);
    void *data = NULL;
    size_t bytes = 0;
    put_text(queue, "soup", 0);
    put_text(queue, "", 0);
    assert_int_equal(ipc_queue_get_alloc(queue, &data, &bytes, IPC_TIME_NOW),
                     0);
    assert_int_equal(bytes, 4);
    assert_string_equal(data, "soup");
    free(data);
    assert_int_equal(ipc_queue_get_alloc(queue, &data, NULL, IPC_TIME_NOW), 0);
    assert_string_equal(data, "");
    free(data);
    assert_int_equal(ipc_queue_get_alloc(queue, &data, NULL, IPC_TIME_NOW),
                     -EAGAIN);
    posix_remove(0, queue);
    posix_end(own);
}

static void values_have_their_size(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 4, 64);
    uint64_t value = 4711;
    uint64_t got = 0;
    char large[65];
    assert_int_equal(IPC_QUEUE_PUT(queue, value), 0);
    assert_int_equal(
        ipc_queue_get_exactly(queue, large, sizeof large, IPC_TIME_NOW),
        -EMSGSIZE);
    assert_int_equal(ipc_queue_size(queue), 1);
    assert_int_equal(IPC_QUEUE_GET(queue, &got), 0);
    assert_int_equal(got, 4711);
    put_text(queue, "soup", 0);
    assert_int_equal(IPC_QUEUE_GET(queue, &got), -EMSGSIZE);
    assert_true(detail_has("a message of 4 bytes, but asked for were 8"));
    assert_int_equal(got, 4711);
    assert_true(ipc_queue_empty(queue));
    posix_remove(0, queue);
    posix_end(own);
}

static void batches_take_what_fits(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 3, 16);
    char texts[4][16] = {"a", "bb", "ccc", "dddd"};
    char buffers[4][16] = {""};
    ipc_queue_item in[4], out[4];
    for (int i = 0; i < 4; i++) {
        in[i] = (ipc_queue_item){texts[i], strlen(texts[i]), 0};
        out[i] = (ipc_queue_item){buffers[i], 0, i == 2 ? 15 : 16};
    }
    assert_int_equal(ipc_queue_putv(queue, in, 4, IPC_TIME_NOW), 3);
    assert_int_equal(ipc_queue_putv(queue, in + 3, 1, ipc_after_ms(1)),
                     -ETIMEDOUT);
    assert_int_equal(ipc_queue_getv(queue, out, 4, IPC_TIME_NOW), 2);
    assert_int_equal(out[1].bytes, 2);
    assert_memory_equal(buffers[1], "bb", 2);
    assert_int_equal(ipc_queue_getv(queue, out + 2, 2, IPC_TIME_NOW),
                     -EMSGSIZE);
    assert_int_equal(ipc_queue_getv(queue, out + 3, 1, IPC_TIME_FOREVER), 1);
    assert_memory_equal(buffers[3], "ccc", 3);
    assert_int_equal(ipc_queue_getv(queue, out, 1, IPC_TIME_NOW), -EAGAIN);
    posix_remove(0, queue);
    posix_end(own);
}

/* ---- waiting ---- */

static void a_passed_deadline_tries_once(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    char buffer[64];
    assert_int_equal(ipc_queue_put_until(queue, "x", 1, 1), 0);
    assert_int_equal(ipc_queue_put_until(queue, "x", 1, 1), -ETIMEDOUT);
    assert_int_equal(ipc_queue_get_until(queue, buffer, 64, NULL, 0), 0);
    assert_int_equal(ipc_queue_get_until(queue, buffer, 64, NULL, 0),
                     -ETIMEDOUT);
    assert_int_equal(ipc_queue_get_nowait(queue, buffer, 64, NULL), -EAGAIN);
    assert_true(detail_has("is empty"));
    posix_remove(0, queue);
    posix_end(own);
}

static void nothing(int signal)
{
    (void)signal;
}

static void signals_do_not_shorten_a_wait(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    char buffer[64];
    struct sigaction action = {.sa_handler = nothing};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 2000}, {0, 2000}}, NULL),
        0);
    const ipc_deadline deadline = ipc_after_ms(60);
    assert_int_equal(ipc_queue_get_until(queue, buffer, 64, NULL, deadline),
                     -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_int_equal(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), 0);
    posix_remove(0, queue);
    posix_end(own);
}

static void get_one(void *arg)
{
    char buffer[64];
    assert_int_equal(ipc_queue_get(arg, buffer, sizeof buffer, NULL), 0);
}

static void put_one(void *arg)
{
    assert_int_equal(ipc_queue_put(arg, "x", 1), 0);
}

static void who_waits_for_a_message_is_woken(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    struct role role;
    role_start(&role, get_one, queue);
    wait_until_blocked(role.pid, LONG_MS);
    assert_int_equal(ipc_queue_put(queue, "x", 1), 0);
    role_wait_ok(&role, LONG_MS);
    posix_remove(0, queue);
    posix_end(own);
}

static void who_waits_for_room_is_woken(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    struct role role;
    put_one(queue);
    role_start(&role, put_one, queue);
    wait_until_blocked(role.pid, LONG_MS);
    get_one(queue);
    role_wait_ok(&role, LONG_MS);
    assert_int_equal(ipc_queue_size(queue), 1);
    posix_remove(0, queue);
    posix_end(own);
}

/* ---- the other side: plain calls ---- */

static void receive_blocking(void *arg)
{
    char buffer[64];
    unsigned priority;
    const mqd_t mq = mq_open(arg, O_RDWR);
    assert_true(mq >= 0);
    assert_int_equal(mq_receive(mq, buffer, sizeof buffer, &priority), 2);
    assert_int_equal(priority, 7);
    assert_int_equal(mq_send(mq, "ready", 5, 3), 0);
}

static void plain_calls_are_the_other_side(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 4, 64);
    struct role role;
    role_start(&role, receive_blocking, (void *)posix_name(0)->mq_name);
    wait_until_blocked(role.pid, LONG_MS);
    put_text(queue, "go", 7);
    role_wait_ok(&role, LONG_MS);
    expect_text(queue, "ready");
    posix_remove(0, queue);
    posix_end(own);
}

static void a_queue_made_by_plain_calls_is_opened(void)
{
    const bool own = posix_begin();
    struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = 64};
    ipc_queue *queue = NULL;
    const mqd_t mq =
        mq_open(posix_name(0)->mq_name, O_CREAT | O_RDWR, 0600, &attr);
    assert_true(mq >= 0);
    assert_int_equal(ipc_queue_open(posix_name(0)->text, &queue), 0);
    assert_int_equal(ipc_queue_capacity(queue), 3);
    assert_int_equal(ipc_queue_bytes(queue), 3 * 64);
    assert_int_equal(mq_getattr(mq, &attr), 0);
    assert_int_equal(attr.mq_flags, 0); /* theirs still blocks */
    assert_int_equal(mq_send(mq, "tea", 3, 0), 0);
    expect_text(queue, "tea");
    assert_int_equal(mq_close(mq), 0);
    posix_remove(0, queue);
    posix_end(own);
}

/* ---- processes and threads ---- */

static void put_and_detach(void *arg)
{
    struct ipc__posix *p = arg;
    assert_int_equal(fcntl(p->fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(ipc_queue_put(&p->queue, "child", 5), 0);
    assert_int_equal(ipc_queue_detach(&p->queue), 0);
}

static void children_inherit_the_handle(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    struct role role;
    role_start(&role, put_and_detach, queue);
    role_wait_ok(&role, LONG_MS);
    expect_text(queue, "child");
    posix_remove(0, queue);
    posix_end(own);
}

enum {
    THREAD_MESSAGES = 2000
};

static void *put_numbers(void *arg)
{
    for (uint64_t i = 1; i <= THREAD_MESSAGES; i++)
        assert_int_equal(IPC_QUEUE_PUT((ipc_queue *)arg, i), 0);
    return NULL;
}

static void *sum_numbers(void *arg)
{
    uint64_t value;
    uint64_t sum = 0;
    for (int i = 0; i < THREAD_MESSAGES; i++) {
        assert_int_equal(IPC_QUEUE_GET((ipc_queue *)arg, &value), 0);
        sum += value;
    }
    return (void *)(uintptr_t)sum;
}

static void threads_share_a_handle(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 4, 8);
    pthread_t threads[4];
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < 2 ? put_numbers : sum_numbers,
                                        queue),
                         0);
    for (int i = 0; i < 4; i++) {
        void *part;
        assert_int_equal(pthread_join(threads[i], &part), 0);
        sum += (uintptr_t)part;
    }
    assert_int_equal(sum, 2ull * THREAD_MESSAGES * (THREAD_MESSAGES + 1) / 2);
    posix_remove(0, queue);
    posix_end(own);
}

static void *open_and_detach(void *arg)
{
    for (int i = 0; i < 200; i++) {
        ipc_queue *queues[20];
        for (int k = 0; k < 20; k++)
            assert_int_equal(ipc_queue_open(arg, &queues[k]), 0);
        for (int k = 0; k < 20; k++)
            assert_int_equal(ipc_queue_detach(queues[k]), 0);
    }
    return NULL;
}

static void threads_open_and_detach(void)
{
    const bool own = posix_begin();
    ipc_queue *queue = posix_create(0, 1, 64);
    char *name = posix_name(0)->text;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, open_and_detach, name), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    put_one(queue);
    posix_remove(0, queue);
    posix_end(own);
}

static const struct test_case cases[] = {
    TEST_CASE(the_highest_priority_comes_first_and_equal_ones_in_order),
    TEST_CASE(bounds_are_messages_and_bytes_of_all),
    TEST_CASE(without_bounds_it_has_the_usual_ones),
    TEST_CASE(a_small_buffer_leaves_the_message_there),
    TEST_CASE(a_fresh_copy_ends_with_zero),
    TEST_CASE(values_have_their_size),
    TEST_CASE(batches_take_what_fits),
    TEST_CASE(a_passed_deadline_tries_once),
    TEST_CASE(signals_do_not_shorten_a_wait),
    TEST_CASE(who_waits_for_a_message_is_woken),
    TEST_CASE(who_waits_for_room_is_woken),
    TEST_CASE(plain_calls_are_the_other_side),
    TEST_CASE(a_queue_made_by_plain_calls_is_opened),
    TEST_CASE(children_inherit_the_handle),
    TEST_CASE(threads_share_a_handle),
    TEST_CASE(threads_open_and_detach),
};
TEST_MAIN(cases)
