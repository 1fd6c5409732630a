/* Queues: task_done and join. */
#include "unit/queue_support.h"

#include "core/waiting.h"

struct stage {
    ipc_queue *queue;
    uint32_t ready;
};

static struct stage *stage;
static struct role roles[4];

static void set_stage(uint32_t capacity)
{
    ipc__recheck_ns = INT64_MAX;
    stage = test_shared(sizeof *stage);
    stage->queue = new_queue(capacity, 0, 0);
}

static void joiner(void *arg)
{
    (void)arg;
    expect_rc(ipc_queue_join(stage->queue), 0);
}

static void start_asleep(int i, void (*fn)(void *arg))
{
    role_start(&roles[i], fn, NULL);
    wait_until_sleeping(roles[i].pid, LIMIT_MS);
}

static void it_counts_what_was_put(void)
{
    ipc_queue *queue = new_queue(4, 0, 0);
    expect_rc(ipc_queue_join(queue), 0);
    expect_rc(ipc_queue_task_done(queue), -EINVAL);
    expect_detail("no more messages");
    for (unsigned i = 0; i < 3; i++)
        put_now(queue, SHORT, i);
    expect_rc(ipc_queue_join_nowait(queue), -EAGAIN);
    for (unsigned i = 0; i < 3; i++) {
        get_now(queue, SHORT, i);
        expect_rc(ipc_queue_join_nowait(queue), -EAGAIN);
        expect_rc(ipc_queue_join_until(queue, ipc_after_ms(1)), -ETIMEDOUT);
        expect_rc(ipc_queue_join_until(queue, 0), -ETIMEDOUT);
        expect_rc(ipc_queue_task_done(queue), 0);
    }
    expect_rc(ipc_queue_join_nowait(queue), 0);
    expect_rc(ipc_queue_task_done(queue), -EINVAL);
    free_queue(queue);
}

static void joiners_wake_up_with_the_last_one(void)
{
    set_stage(4);
    for (int round = 0; round < 5; round++) {
        put_now(stage->queue, SHORT, 1);
        put_now(stage->queue, LONG, 2);
        for (int i = 0; i < 3; i++)
            start_asleep(i, joiner);
        get_now(stage->queue, SHORT, 1);
        get_now(stage->queue, LONG, 2);
        expect_rc(ipc_queue_task_done(stage->queue), 0);
        for (int i = 0; i < 3; i++)
            assert_false(thread_ended(roles[i].pid));
        expect_rc(ipc_queue_task_done(stage->queue), 0);
        for (int i = 0; i < 3; i++)
            role_wait_ok(&roles[i], WEDGE_MS);
    }
    free_queue(stage->queue);
}

static void who_joins_keeps_the_queue(void)
{
    set_stage(4);
    put_now(stage->queue, SHORT, 1);
    start_asleep(0, joiner);
    expect_rc(ipc_queue_free(stage->queue), -EBUSY);
    expect_rc(ipc_queue_task_done(stage->queue), 0);
    role_wait_ok(&roles[0], WEDGE_MS);
    free_queue(stage->queue);
}

/* ---- what is never put need not be done ---- */

static void an_aborted_message_is_none(void)
{
    ipc_message message;
    set_stage(4);
    expect_rc(ipc_queue_reserve(stage->queue, SHORT, &message), 0);
    expect_rc(ipc_queue_join_nowait(stage->queue), -EAGAIN);
    start_asleep(0, joiner);
    expect_rc(ipc_queue_abort(stage->queue, &message), 0);
    role_wait_ok(&roles[0], WEDGE_MS);
    free_queue(stage->queue);
}

/* It lies behind one that is got and done, and nobody gets any more. */
static void an_aborted_message_behind_others_is_none(void)
{
    ipc_message message;
    set_stage(4);
    for (int late = 0; late < 2; late++) {
        put_now(stage->queue, SHORT, 1);
        expect_rc(ipc_queue_reserve(stage->queue, SHORT, &message), 0);
        expect_rc(ipc_queue_abort(stage->queue, &message), 0);
        if (late)
            start_asleep(0, joiner);
        get_now(stage->queue, SHORT, 1);
        expect_rc(ipc_queue_task_done(stage->queue), 0);
        if (late)
            role_wait_ok(&roles[0], WEDGE_MS);
        expect_rc(ipc_queue_join_nowait(stage->queue), 0);
        expect_rc(ipc_queue_task_done(stage->queue), -EINVAL);
    }
    free_queue(stage->queue);
}

static ipc_message reserved;

static void reserve_and_stay(void *arg)
{
    (void)arg;
    expect_rc(ipc_queue_reserve(stage->queue, LONG, &reserved), 0);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void a_message_of_the_dead_is_none(void)
{
    set_stage(4);
    role_start(&roles[0], reserve_and_stay, NULL);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    expect_rc(ipc_queue_join_nowait(stage->queue), -EAGAIN);
    (void)role_kill(&roles[0]);
    expect_rc(ipc_queue_join_nowait(stage->queue), 0);
    free_queue(stage->queue);
}

/* While somebody joins. */
static void a_message_of_the_dead_is_found_to_be_none_by_recheck(void)
{
    set_stage(4);
    ipc__recheck_ns = IPC__RECHECK_NS;
    role_start(&roles[0], reserve_and_stay, NULL);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    start_asleep(1, joiner);
    (void)role_kill(&roles[0]);
    role_wait_ok(&roles[1], 200 + WEDGE_MS);
    free_queue(stage->queue);
}

/* ---- closing ---- */

static void what_is_dropped_need_not_be_done(void)
{
    set_stage(4);
    put_now(stage->queue, SHORT, 1);
    start_asleep(0, joiner);
    expect_rc(ipc_queue_close(stage->queue, true), 0);
    role_wait_ok(&roles[0], WEDGE_MS);
    expect_rc(ipc_queue_join(stage->queue), 0);
    expect_rc(ipc_queue_task_done(stage->queue), 0);
    free_queue(stage->queue);
}

static void what_is_left_at_the_end_has_to_be_done(void)
{
    set_stage(4);
    put_now(stage->queue, SHORT, 1);
    expect_rc(ipc_queue_close(stage->queue, false), 0);
    start_asleep(0, joiner);
    get_now(stage->queue, SHORT, 1);
    expect_rc(ipc_queue_task_done(stage->queue), 0);
    role_wait_ok(&roles[0], WEDGE_MS);
    free_queue(stage->queue);
}

/* ---- many, as threads and as processes ---- */

enum {
    TASKS = 2000,
    WORKERS = 3,
/* It does not see what is ordered by way of another process: who finds messages
 * tells the next one, who need not look at the count then. */
#ifdef __SANITIZE_THREAD__
    PROCESSES = 0
#else
    PROCESSES = WORKERS
#endif
};

static void *work(void *arg)
{
    ipc_queue *queue = arg;
    int rc;
    for (;;) {
        char buffer[LONG];
        rc = ipc_queue_get(queue, buffer, sizeof buffer, NULL);
        if (rc != 0)
            break;
        expect_rc(ipc_queue_task_done(queue), 0);
    }
    expect_rc(rc, -EPIPE);
    return NULL;
}

static void work_as_process(void *arg)
{
    (void)work(arg);
}

static void join_is_over_when_all_is_done(void)
{
    struct role workers[WORKERS];
    pthread_t threads[WORKERS];
    ipc_queue *queue = new_queue(16, 0, 0);
    for (int i = 0; i < PROCESSES; i++)
        role_start(&workers[i], work_as_process, queue);
    for (int i = 0; i < WORKERS; i++)
        threads[i] = start_thread(work, queue);
    for (unsigned i = 0; i < TASKS; i++) {
        put(queue, i % 10 == 0 ? LONG : SHORT, i);
        if (i % 50 == 0) {
            expect_rc(ipc_queue_join(queue), 0);
            assert_int_equal(ipc_queue_size(queue), 0);
        }
    }
    expect_rc(ipc_queue_join(queue), 0);
    expect_rc(ipc_queue_close(queue, false), 0);
    for (int i = 0; i < PROCESSES; i++)
        role_wait_ok(&workers[i], LIMIT_MS);
    for (int i = 0; i < WORKERS; i++)
        join_thread(threads[i]);
    expect_rc(ipc_queue_task_done(queue), -EINVAL);
    free_queue(queue);
}

static const struct test_case cases[] = {
    TEST_CASE(it_counts_what_was_put),
    TEST_CASE(joiners_wake_up_with_the_last_one),
    TEST_CASE(who_joins_keeps_the_queue),
    TEST_CASE(an_aborted_message_is_none),
    TEST_CASE(an_aborted_message_behind_others_is_none),
    TEST_CASE(a_message_of_the_dead_is_none),
    TEST_CASE(a_message_of_the_dead_is_found_to_be_none_by_recheck),
    TEST_CASE(what_is_dropped_need_not_be_done),
    TEST_CASE(what_is_left_at_the_end_has_to_be_done),
    TEST_CASE(join_is_over_when_all_is_done),
};
TEST_MAIN(cases)
