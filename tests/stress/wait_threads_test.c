/* ipc_wait() by several threads of one process, for several queues, a
 * semaphore and a descriptor: each message is got once, by somebody who was
 * told of it, and nobody sleeps on beside one.  For the thread sanitizer, too.
 */
#include "harness/scale.h"
#include "unit/wait_support.h"

#include <sched.h>

#include "core/waiting.h"

enum {
    QUEUES = 3,
    PRODUCERS = 2,
    CONSUMERS = 3,
    MESSAGES = 6000, /* of each producer */
    PERMITS = 300
};

struct work {
    ipc_queue *queues[QUEUES];
    ipc_semaphore *permits;
    ipc_event *over;
    struct ends ends;
    bool with_fd;
    uint32_t count;
    uint8_t *got; /* how often each message was */
    uint32_t left;
    uint32_t permits_left;
    long told; /* and somebody else was faster */
};

struct producer {
    struct work *work;
    uint32_t first;
};

static void *produce(void *arg)
{
    const struct producer *producer = arg;
    struct work *work = producer->work;
    for (uint32_t i = 0; i < work->count / PRODUCERS; i++) {
        const uint32_t number = producer->first + i;
        expect_rc(ipc_queue_put(work->queues[number % QUEUES], &number,
                                sizeof number),
                  0);
        if (i % 5 == 0 && i / 5 < PERMITS)
            expect_rc(ipc_semaphore_release(work->permits), 0);
        if (i % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

/* The last one ends it for all. */
static void count_down(struct work *work, uint32_t *left)
{
    (void)__atomic_sub_fetch(left, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&work->left, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&work->permits_left, __ATOMIC_SEQ_CST) == 0)
        expect_rc(ipc_event_set(work->over), 0);
}

static void take_message(struct work *work, ipc_queue *queue)
{
    uint32_t number;
    const int rc = ipc_queue_get_nowait(queue, &number, sizeof number, NULL);
    if (rc == -EAGAIN) {
        (void)__atomic_add_fetch(&work->told, 1, __ATOMIC_RELAXED);
        return;
    }
    expect_rc(rc, 0);
    assert_true(number < work->count);
    (void)__atomic_add_fetch(&work->got[number], 1, __ATOMIC_RELAXED);
    count_down(work, &work->left);
}

static void take_permit(struct work *work)
{
    const int rc = ipc_semaphore_acquire_nowait(work->permits);
    if (rc == 0)
        count_down(work, &work->permits_left);
    else
        expect_rc(rc, -EAGAIN);
}

static void *consume(void *arg)
{
    struct work *work = arg;
    for (;;) {
        ipc_wait_item items[] = {
            IPC_WAIT_QUEUE(work->queues[0]),
            IPC_WAIT_QUEUE(work->queues[1]),
            IPC_WAIT_QUEUE(work->queues[2]),
            IPC_WAIT_SEMAPHORE(work->permits),
            IPC_WAIT_EVENT(work->over),
            IPC_WAIT_FD(work->ends.here, POLLIN),
        };
        const int rc = ipc_wait(items, work->with_fd ? 6 : 5, ipc_after_s(20));
        if (rc <= 0)
            test_fail("%d: %s; %u messages and %u permits are left", rc,
                      ipc_error_detail(), work->left, work->permits_left);
        for (int i = 0; i < QUEUES; i++)
            if (items[i].ready != 0)
                take_message(work, work->queues[i]);
        if (items[3].ready != 0)
            take_permit(work);
        if (items[4].ready != 0)
            return NULL;
    }
}

static void each_message_is_got_once(bool with_fd, uint32_t flags)
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    struct producer producers[PRODUCERS];
    struct work work = {
        .permits = new_semaphore(0, 0),
        .over = new_event(),
        .ends = new_ends(),
        .with_fd = with_fd,
        .count = PRODUCERS * MESSAGES * (uint32_t)test_scale(),
    };
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    options.capacity = 8;
    options.flags = flags;
    for (int i = 0; i < QUEUES; i++)
        expect_rc(ipc_queue_new(&options, &work.queues[i]), 0);
    work.left = work.count;
    work.permits_left = PRODUCERS * PERMITS;
    work.got = calloc(work.count, 1);
    assert_non_null(work.got);
    ipc__recheck_ns = INT64_MAX; /* every wake-up has to come */

    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){&work, i * work.count / PRODUCERS};
        assert_int_equal(
            pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (int i = 0; i < CONSUMERS; i++)
        assert_int_equal(
            pthread_create(&threads[PRODUCERS + i], NULL, consume, &work), 0);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    for (uint32_t i = 0; i < work.count; i++)
        if (work.got[i] != 1)
            test_fail("message %u was got %u times", i, work.got[i]);
    test_report("messages", work.count);
    test_report("others_faster", work.told);
    free(work.got);
    for (int i = 0; i < QUEUES; i++)
        expect_rc(ipc_queue_free(work.queues[i]), 0);
    expect_rc(ipc_semaphore_free(work.permits), 0);
    expect_rc(ipc_event_free(work.over), 0);
    close_ends(work.ends);
}

static void objects_alone(void)
{
    each_message_is_got_once(false, 0);
}

static void objects_and_a_descriptor(void)
{
    each_message_is_got_once(true, 0);
}

static void queues_of_another_kind(void)
{
    each_message_is_got_once(false, IPC_QUEUE_LIFO);
}

/* ---- descriptors that come and go ---- */

static void *open_and_close(void *arg)
{
    ipc_queue *queue = arg;
    for (int i = 0; i < 100 * test_scale(); i++) {
        const int fd = ipc_queue_fd(queue, i % 2 != 0 ? POLLIN : POLLOUT);
        assert_true(fd >= 0);
        uint32_t number;
        const int rc = ipc_queue_get_nowait(queue, &number, 4, NULL);
        if (rc == 0)
            expect_rc(ipc_queue_put(queue, &number, 4), 0);
        const int gone = ipc_fd_close(fd); /* another thread was faster */
        assert_true(gone == 0 || gone == -EINVAL);
    }
    return NULL;
}

static void descriptors_come_and_go(void)
{
    ipc_queue *queue = new_queue(8);
    pthread_t threads[3];
    put_number(queue, 1);
    put_number(queue, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, open_and_close, queue), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(ipc_queue_size(queue), 2);
    expect_rc(ipc_queue_free(queue), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(objects_alone, 60),
    TEST_CASE_LIMIT(objects_and_a_descriptor, 60),
    TEST_CASE_LIMIT(queues_of_another_kind, 60),
    TEST_CASE_LIMIT(descriptors_come_and_go, 60),
};

TEST_MAIN(cases)
