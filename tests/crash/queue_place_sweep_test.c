/* T28: one who writes or reads in the memory of the queue is killed at every
 * instruction: its message is there or not, what it looked at is there, and all
 * of its room comes back. */
#include "crash/queue_sweep_support.h"

static bool shortened;

/* A record in which only a part of what was reserved is used. */
static size_t reserved(void)
{
    return shortened ? scene->bytes * 3 / 2 : scene->bytes;
}

static void write_and_commit(void *ctx)
{
    ipc_message message;
    (void)ctx;
    if (ipc_queue_reserve(scene->queue, reserved(), &message) != 0)
        abort();
    memcpy(message.data, scene->message, scene->bytes);
    message.bytes = scene->bytes;
    if (ipc_queue_commit(scene->queue, &message) != 0)
        abort();
}

static void write_and_abort(void *ctx)
{
    ipc_message message;
    (void)ctx;
    if (ipc_queue_reserve(scene->queue, scene->bytes, &message) != 0)
        abort();
    memset(message.data, 0xee, scene->bytes);
    if (ipc_queue_abort(scene->queue, &message) != 0)
        abort();
}

static void peek_and_release(void *ctx)
{
    ipc_message message;
    (void)ctx;
    if (ipc_queue_peek(scene->queue, &message) != 0 ||
        message.bytes != scene->bytes ||
        ipc_queue_release(scene->queue, &message) != 0)
        abort();
}

/* Of the wrong size: it stays. */
static void look_and_leave(void *ctx)
{
    char byte;
    (void)ctx;
    if (ipc_queue_get_exactly(scene->queue, &byte, 1, IPC_TIME_FOREVER) !=
        -EMSGSIZE)
        abort();
}

/* ---- what must be left of it ---- */

static void abort_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    if (!all_is_well(point, result))
        return;
    if (scene->torn != 0 || times(VICTIM) != 0 ||
        scene->count != scene->before + (unsigned)scene->producers)
        sweep_torn(result, point);
    if (!has_all_before(1))
        sweep_lost(result, point);
}

static void sweep_place(const char *name, const struct scene *plan,
                        const struct sweep *how, long stride)
{
    struct sweep sweep = *how;
    no_recheck();
    sweep.stride = sweep_stride(stride);
    run_sweep(name, plan, &sweep, 5);
}

static void t28_reserve_and_commit(void)
{
    const struct sweep sweep = {.victim = write_and_commit,
                                .oracle = put_oracle};
    sweep_place("short", &(struct scene){.bytes = SHORT}, &sweep, 10);
    sweep_place("wrapped", &(struct scene){.bytes = SHORT, .place = WRAPPED},
                &sweep, 15);
    sweep_place("one", &(struct scene){.bytes = LONG, .place = ONE_FREE},
                &sweep, 20);
    sweep_place("1", &(struct scene){.bytes = LONG, .consumers = 1}, &sweep,
                24);
    sweep_place("2", &(struct scene){.bytes = SHORT, .consumers = 2}, &sweep,
                30);
}

static void t28_commit_of_less(void)
{
    const struct sweep sweep = {.victim = write_and_commit,
                                .oracle = put_oracle};
    shortened = true;
    sweep_place("0", &(struct scene){.bytes = SHORT}, &sweep, 20);
    sweep_place("1", &(struct scene){.bytes = LONG, .consumers = 1}, &sweep,
                30);
}

static void t28_reserve_and_abort(void)
{
    const struct sweep sweep = {.victim = write_and_abort,
                                .oracle = abort_oracle};
    sweep_place("short", &(struct scene){.bytes = SHORT}, &sweep, 12);
    sweep_place("long", &(struct scene){.bytes = LONG, .place = WRAPPED},
                &sweep, 20);
    sweep_place("one", &(struct scene){.bytes = LONG, .place = ONE_FREE},
                &sweep, 20);
    sweep_place("1", &(struct scene){.bytes = LONG, .consumers = 1}, &sweep,
                24);
    sweep_place("2", &(struct scene){.bytes = SHORT, .consumers = 2}, &sweep,
                30);
}

static void reset_with_all(void *ctx)
{
    (void)ctx;
    set_scene();
    fill_up(0);
    start_sleepers();
}

/* What it looks at is there until it is released; released, it is gone. */
static void t28_peek_and_release(void)
{
    const struct sweep sweep = {.reset = reset_with_all,
                                .victim = peek_and_release,
                                .oracle = get_oracle};
    sweep_place("short", &(struct scene){.bytes = SHORT}, &sweep, 10);
    sweep_place("long", &(struct scene){.bytes = LONG, .place = WRAPPED},
                &sweep, 16);
    sweep_place("1", &(struct scene){.bytes = LONG, .producers = 1}, &sweep,
                24);
    sweep_place("2", &(struct scene){.bytes = SHORT, .producers = 2}, &sweep,
                30);
}

static void t28_peek_and_keep(void)
{
    const struct sweep sweep = {.reset = reset_with_all,
                                .victim = look_and_leave,
                                .oracle = abort_oracle};
    sweep_place("0", &(struct scene){.bytes = SHORT}, &sweep, 12);
    sweep_place("1", &(struct scene){.bytes = LONG, .producers = 1}, &sweep,
                30);
}

/* ---- those who wait for its message know that it dies ---- */

static ipc_message reservation;

/* Two slept before.  The first one is woken, finds that there is nothing yet,
 * and asks to be told. */
static void reserve_with_waiters(void *ctx)
{
    warm_up(ctx);
    if (ipc_queue_reserve(scene->queue, scene->bytes, &reservation) != 0)
        abort();
    const struct ipc__ring ring = {.base = (char *)scene->queue +
                                           scene->queue->units_at};
    struct ipc__record *record =
        ipc__record_at(&ring, ipc__place_unit(reservation.token_[0]));
    while ((__atomic_load_n(&record->mark, __ATOMIC_SEQ_CST) &
            FUTEX_BIT_WAITERS) == 0)
        poll_pause();
    while (!asleep_in_futex(sleeping[0].pid) ||
           !asleep_in_futex(sleeping[1].pid))
        poll_pause();
}

static void write_and_commit_late(void *ctx)
{
    (void)ctx;
    memcpy(reservation.data, scene->message, scene->bytes);
    if (ipc_queue_commit(scene->queue, &reservation) != 0)
        abort();
}

static void abort_late(void *ctx)
{
    (void)ctx;
    if (ipc_queue_abort(scene->queue, &reservation) != 0)
        abort();
}

static void t28_killed_before_those_who_wait_for_it(void)
{
    struct sweep sweep = {.prepare = reserve_with_waiters,
                          .victim = write_and_commit_late,
                          .oracle = put_oracle};
    sweep_place("commit", &(struct scene){.bytes = SHORT, .consumers = 2},
                &sweep, 4);
    sweep_place("long", &(struct scene){.bytes = LONG, .consumers = 2}, &sweep,
                6);
    sweep.victim = abort_late;
    sweep.oracle = abort_oracle;
    sweep_place("abort", &(struct scene){.bytes = SHORT, .consumers = 2},
                &sweep, 6);
    sweep.victim = write_and_commit_late;
    sweep.oracle = put_oracle;
    sweep_place("relaxed",
                &(struct scene){
                    .bytes = LONG, .consumers = 2, .flags = IPC_QUEUE_RELAXED},
                &sweep, 10);
}

/* ---- the double fault ---- */

static void t28_who_looks_dies_too(void)
{
    struct sweep sweep = {.victim = write_and_commit};
    no_recheck();
    sweep.ctx = &sweep; /* it puts */
    run_sweep2("commit", &(struct scene){.place = ONE_FREE, .bytes = SHORT},
               &sweep);
    sweep = (struct sweep){.victim = peek_and_release, .reset = reset_with_all};
    run_sweep2("release", &(struct scene){.bytes = LONG}, &sweep);
}

/* ---- what this must find ---- */

static void commit_and_then_write(void *ctx)
{
    ipc_message message;
    (void)ctx;
    if (ipc_queue_reserve(scene->queue, scene->bytes, &message) != 0)
        abort();
    void *data = message.data;
    memset(data, 0, scene->bytes);
    if (ipc_queue_commit(scene->queue, &message) != 0)
        abort();
    memcpy(data, scene->message, scene->bytes);
}

static void t28_a_commit_before_the_bytes_is_found(void)
{
    struct sweep_result result;
    struct sweep sweep = {.name = "written late",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = commit_and_then_write,
                          .oracle = put_oracle,
                          .stride = 3};
    no_recheck();
    make_scene(&(struct scene){.bytes = SHORT, .wedge_ms = 100});
    sweep_run(&sweep, &result);
    sweep_report("late", &result);
    assert_true(result.torn > 0);
    end_scene();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t28_reserve_and_commit, 60),
    TEST_CASE_LIMIT(t28_commit_of_less, 60),
    TEST_CASE_LIMIT(t28_reserve_and_abort, 60),
    TEST_CASE_LIMIT(t28_peek_and_release, 60),
    TEST_CASE_LIMIT(t28_peek_and_keep, 60),
    TEST_CASE_LIMIT(t28_killed_before_those_who_wait_for_it, 60),
    TEST_CASE_LIMIT(t28_who_looks_dies_too, 60),
    TEST_CASE_LIMIT(t28_a_commit_before_the_bytes_is_found, 60),
};
TEST_MAIN(cases)
