/* T25, T26, T28 for queues that go last in, first out, or by priority: who
 * puts, gets, reserves, commits, peeks or closes is killed at every
 * instruction; with nobody else there, with others asleep, and with the one who
 * comes next killed too. */
#include "crash/queue_store_scene.h"

#define LIFO     IPC_QUEUE_LIFO
#define PRIORITY IPC_QUEUE_PRIORITY

enum {
    VICTIMS = 9 /* the number of the message that the victim puts */
};

/* ---- operations ---- */

static void prepare_bytes(void *ctx)
{
    warm_up(ctx);
    fill_message(victims_bytes, scene->bytes, VICTIMS);
}

static void put_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_put_nowait(scene->queue, victims_bytes, scene->bytes));
}

static void get_it(void *ctx)
{
    size_t bytes;
    (void)ctx;
    must(ipc_queue_get_nowait(scene->queue, victims_bytes, sizeof victims_bytes,
                              &bytes));
}

static void reserve_and_commit(void *ctx)
{
    ipc_message message;
    (void)ctx;
    must(ipc_queue_reserve_nowait(scene->queue, scene->bytes, &message));
    fill_message(message.data, message.bytes, VICTIMS);
    must(ipc_queue_commit(scene->queue, &message));
}

static void reserve_and_abort(void *ctx)
{
    ipc_message message;
    (void)ctx;
    must(ipc_queue_reserve_nowait(scene->queue, scene->bytes, &message));
    must(ipc_queue_abort(scene->queue, &message));
}

static void peek_and_release(void *ctx)
{
    ipc_message message;
    (void)ctx;
    must(ipc_queue_peek_nowait(scene->queue, &message));
    must(ipc_queue_release(scene->queue, &message));
}

/* ---- a message of the victim's ---- */

static const struct expect perhaps = {0, 1, 1, 1, 0, 0};
static const struct expect gone = {0, 1, 0, 0, 0, 0};
static const struct expect never = {0, 0, 0, 0, 0, 0};

static void have_sleepers_wait(void *ctx)
{
    prepare_bytes(ctx);
    let_sleepers_in();
}

static void sweep_put(uint32_t flags, size_t bytes, uint32_t before,
                      int sleepers, long stride)
{
    const struct sweep sweep = {.name = "put",
                                .reset = reset,
                                .prepare = have_sleepers_wait,
                                .victim = put_it,
                                .oracle = oracle,
                                .stride = stride};
    make_scene(flags, before + 1, bytes, before);
    scene->expect[VICTIMS] = perhaps;
    have_sleepers(sleepers, SLEEP_FOR_GET);
    sweep_scene(&sweep, 5);
}

/* The last slot, too. */
static void t25_put(void)
{
    no_recheck();
    sweep_put(LIFO, SMALL, 0, 0, sweep_stride(5));
    sweep_put(PRIORITY, SMALL, 3, 0, sweep_stride(7));
    sweep_put(LIFO, SPILLED, 2, 0, sweep_stride(19));
}

static void t25_put_and_others_sleep(void)
{
    no_recheck();
    sweep_put(LIFO, SMALL, 0, 1, sweep_stride(7));
    sweep_put(PRIORITY, SMALL, 0, 2, sweep_stride(19));
    sweep_put(LIFO, SPILLED, 0, 2, sweep_stride(37));
}

static void sweep_get(uint32_t flags, size_t bytes, int sleepers, long stride)
{
    const struct sweep sweep = {.name = "get",
                                .reset = reset,
                                .prepare = have_sleepers_wait,
                                .victim = get_it,
                                .oracle = oracle,
                                .stride = stride};
    make_scene(flags, 3, bytes, 3);
    scene->expect[(flags & LIFO) != 0 ? 3 : 1] = gone;
    have_sleepers(sleepers, SLEEP_FOR_ROOM);
    sweep_scene(&sweep, 5);
}

static void t26_get(void)
{
    no_recheck();
    sweep_get(LIFO, SMALL, 0, sweep_stride(7));
    sweep_get(PRIORITY, SMALL, 0, sweep_stride(11));
    sweep_get(PRIORITY, SPILLED, 0, sweep_stride(23));
}

static void t26_get_and_others_sleep(void)
{
    no_recheck();
    sweep_get(LIFO, SMALL, 1, sweep_stride(11));
    sweep_get(PRIORITY, SMALL, 2, sweep_stride(29));
}

/* Who slept before a long message was begun to be copied out does not watch
 * who copies. */
static void t26_get_and_others_sleep_by_recheck(void)
{
    sweep_get(LIFO, SPILLED, 1, test_scale() > 1 ? 31 : 149);
}

/* ---- batches ---- */

static void put_three(void *ctx)
{
    ipc_queue_item items[3];
    (void)ctx;
    for (uint32_t i = 0; i < 3; i++) {
        items[i] =
            (ipc_queue_item){victims_bytes + (size_t)i * SMALL, SMALL, 0};
        fill_message(items[i].data, SMALL, VICTIMS + i);
    }
    if (ipc_queue_putv(scene->queue, items, 3, IPC_TIME_NOW) != 3)
        abort();
}

static void get_three(void *ctx)
{
    ipc_queue_item items[3];
    (void)ctx;
    for (uint32_t i = 0; i < 3; i++)
        items[i] =
            (ipc_queue_item){victims_bytes + (size_t)i * SMALL, 0, SMALL};
    if (ipc_queue_getv(scene->queue, items, 3, IPC_TIME_NOW) != 3)
        abort();
}

static void t25_t26_batches(void)
{
    struct sweep sweep = {.name = "putv",
                          .reset = reset,
                          .prepare = have_sleepers_wait,
                          .victim = put_three,
                          .oracle = oracle,
                          .stride = sweep_stride(23)};
    no_recheck();
    make_scene(LIFO, 4, SMALL, 0);
    for (uint32_t i = 0; i < 3; i++)
        scene->expect[VICTIMS + i] = perhaps;
    have_sleepers(2, SLEEP_FOR_GET);
    sweep_scene(&sweep, 5);

    sweep.name = "getv";
    sweep.victim = get_three;
    make_scene(LIFO, 4, SMALL, 4);
    for (uint32_t i = 2; i <= 4; i++)
        scene->expect[i] = gone;
    have_sleepers(2, SLEEP_FOR_ROOM);
    sweep_scene(&sweep, 5);
}

/* ---- in place ---- */

static void sweep_in_place(void (*victim)(void *ctx), uint32_t flags,
                           const struct expect *expect, long stride)
{
    const struct sweep sweep = {.name = "in place",
                                .reset = reset,
                                .prepare = prepare_bytes,
                                .victim = victim,
                                .oracle = oracle,
                                .stride = stride};
    make_scene(flags, 3, SPILLED, 2);
    scene->expect[VICTIMS] = *expect;
    sweep_scene(&sweep, 5);
}

static void t28_reserve_and_commit(void)
{
    sweep_in_place(reserve_and_commit, LIFO, &perhaps, sweep_stride(17));
    sweep_in_place(reserve_and_commit, PRIORITY | IPC_QUEUE_RELAXED, &perhaps,
                   sweep_stride(17));
}

static void t28_reserve_and_abort(void)
{
    sweep_in_place(reserve_and_abort, LIFO, &never, sweep_stride(13));
}

static void t28_peek_and_release(void)
{
    const struct sweep sweep = {.name = "peek",
                                .reset = reset,
                                .prepare = have_sleepers_wait,
                                .victim = peek_and_release,
                                .oracle = oracle,
                                .stride = sweep_stride(17)};
    no_recheck();
    make_scene(LIFO, 3, SMALL, 3);
    scene->expect[3] = gone;
    have_sleepers(1, SLEEP_FOR_ROOM);
    sweep_scene(&sweep, 5);
}

/* Others sleep behind what the victim has reserved: they wait for its commit,
 * its abort or its death, and then there is something for all. */
static void reserve_and_have_them_wait(void *ctx)
{
    prepare_bytes(ctx);
    must(ipc_queue_reserve_nowait(scene->queue, scene->bytes, &scene->message));
    fill_message(scene->message.data, scene->bytes, VICTIMS);
    let_sleepers_in();
}

static void commit_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_commit(scene->queue, &scene->message));
}

static void abort_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_abort(scene->queue, &scene->message));
}

static void t28_others_sleep_behind_a_reservation(void)
{
    struct sweep sweep = {.name = "commit",
                          .reset = reset,
                          .prepare = reserve_and_have_them_wait,
                          .victim = commit_it,
                          .oracle = oracle,
                          .stride = sweep_stride(11)};
    no_recheck();
    make_scene(LIFO, 3, SMALL, 1);
    scene->expect[VICTIMS] = perhaps;
    have_sleepers(2, SLEEP_FOR_GET);
    sweep_scene(&sweep, 5);

    sweep.name = "abort";
    sweep.victim = abort_it;
    make_scene(LIFO, 3, SMALL, 1);
    have_sleepers(2, SLEEP_FOR_GET);
    sweep_scene(&sweep, 5);
}

/* ---- closing ---- */

static void close_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_close(scene->queue, false));
}

static void close_at_once(void *ctx)
{
    (void)ctx;
    must(ipc_queue_close(scene->queue, true));
}

/* All are told, or nobody is.  But immediately, what is left may be gone. */
static void closed_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    let_settle(point, result);
    const int told = count_served();
    in_fresh_process(look_for_room, point, result); /* recovers */
    const bool closed = ipc_queue_is_closed(scene->queue);
    if (told != (closed ? scene->sleepers : 0)) {
        scene->lost_wakes++;
        sweep_wedge(result, point);
    }
    if (point->finished && !closed)
        sweep_lost(result, point);
    end_sleepers();
    in_fresh_process(drain, point, result);
    if (scene->torn != 0)
        sweep_torn(result, point);
    for (uint32_t i = 0; i < NUMBERS; i++)
        check_number(i, point, result);
}

static void sweep_close(void (*victim)(void *ctx), uint32_t before,
                        enum sleep_for what)
{
    const struct sweep sweep = {.name = "close",
                                .reset = reset,
                                .prepare = have_sleepers_wait,
                                .victim = victim,
                                .oracle = closed_oracle,
                                .stride = sweep_stride(5)};
    no_recheck();
    make_scene(LIFO, 2, SMALL, before);
    have_sleepers(2, what);
    memset(&scene->expect[FIRST_OF_SLEEPERS], 0, 2 * sizeof(struct expect));
    for (uint32_t i = 1; victim == close_at_once && i <= before; i++)
        scene->expect[i] = gone;
    scene->closes = true;
    sweep_scene(&sweep, 5);
}

static void t25_t26_close(void)
{
    sweep_close(close_it, 0, SLEEP_FOR_GET);
    sweep_close(close_it, 2, SLEEP_FOR_ROOM);
    sweep_close(close_at_once, 2, SLEEP_FOR_ROOM);
}

/* ---- two deaths ---- */

static void sweep_twice(void (*victim)(void *ctx), uint32_t flags, size_t bytes,
                        uint32_t before)
{
    const struct sweep sweep = {.name = "twice",
                                .reset = reset,
                                .prepare = prepare_bytes,
                                .victim = victim,
                                .recoverer_prepare = prepare_bytes,
                                .recoverer = victim,
                                .oracle = oracle};
    make_scene(flags, 4, bytes, before);
    scene->expect[VICTIMS] = (struct expect){0, 2, 0, 2, 0, 0};
    for (uint32_t i = 1; i <= before; i++)
        if (victim == get_it)
            scene->expect[i].least = scene->expect[i].least_finished =
                i < before - 1;
    sweep_scene_twice(&sweep, 100);
}

static void the_one_who_puts_next_is_killed_too(void)
{
    sweep_twice(put_it, PRIORITY, SMALL, 2);
    if (test_scale() > 1)
        sweep_twice(put_it, LIFO, SPILLED, 1);
}

/* Which of them went down with one of the two cannot be told. */
static void the_one_who_gets_next_is_killed_too(void)
{
    if (test_scale() == 1)
        test_skip("one double fault is enough for a quick run");
    const struct sweep sweep = {.name = "twice",
                                .reset = reset,
                                .prepare = prepare_bytes,
                                .victim = peek_and_release,
                                .recoverer_prepare = prepare_bytes,
                                .recoverer = reserve_and_commit,
                                .oracle = oracle};
    make_scene(LIFO, 4, SPILLED, 3);
    scene->expect[3] = gone;
    scene->expect[VICTIMS] = perhaps;
    scene->expect[3].most_finished = 1;
    scene->expect[VICTIMS].least_finished = 0;
    sweep_scene_twice(&sweep, 100);
}

/* ---- without the kernel's list ---- */

static void without_list_have_them_wait(void *ctx)
{
    ipc__robust_list_usable = false;
    have_sleepers_wait(ctx);
}

static void t25_without_robust_lists_by_recheck(void)
{
    const struct sweep sweep = {.name = "no list",
                                .reset = reset,
                                .prepare = without_list_have_them_wait,
                                .victim = put_it,
                                .oracle = oracle,
                                .stride = sweep_stride(61)};
    make_scene(LIFO, 2, SMALL, 1);
    scene->expect[VICTIMS] = perhaps;
    sweep_scene(&sweep, 3);
}

/* ---- what these must find ---- */

static struct sweep_result sweep_broken(void (*victim)(void *ctx), int sleepers)
{
    const struct sweep sweep = {.name = "broken",
                                .reset = reset,
                                .prepare = have_sleepers_wait,
                                .victim = victim,
                                .oracle = oracle,
                                .stride = 9};
    struct sweep_result result;
    no_recheck();
    make_scene(LIFO, 4, SMALL, sleepers == 0 ? 2 : 0);
    scene->expect[VICTIMS] = perhaps;
    have_sleepers(sleepers, SLEEP_FOR_GET);
    sweep_run(&sweep, &result);
    add_figures(&result);
    end_scene();
    return result;
}

/* tail is changed, and then they are woken. */
static void put_in_two_steps(void *ctx)
{
    struct ipc_queue *queue = scene->queue;
    const uint32_t tail = queue->tail;
    queue->tail = tail & ~IPC__QUEUE_SLEEPERS; /* nobody sleeps, it thinks */
    put_it(ctx);
    ipc__futex_wake(&queue->tail, 1);
}

static void a_put_in_two_steps_is_found(void)
{
    assert_true(sweep_broken(put_in_two_steps, 1).wedges > 0);
}

/* Between the two it is nowhere. */
static void get_and_put_again(void *ctx)
{
    get_it(ctx);
    fill_message(victims_bytes, SMALL, 2);
    put_it(ctx);
}

static void a_message_that_is_put_again_is_lost_at_times(void)
{
    assert_true(sweep_broken(get_and_put_again, 0).lost > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t25_put, 60),
    TEST_CASE_LIMIT(t25_put_and_others_sleep, 60),
    TEST_CASE_LIMIT(t26_get, 60),
    TEST_CASE_LIMIT(t26_get_and_others_sleep, 60),
    TEST_CASE_LIMIT(t26_get_and_others_sleep_by_recheck, 60),
    TEST_CASE_LIMIT(t25_t26_batches, 60),
    TEST_CASE_LIMIT(t28_reserve_and_commit, 60),
    TEST_CASE_LIMIT(t28_reserve_and_abort, 60),
    TEST_CASE_LIMIT(t28_peek_and_release, 60),
    TEST_CASE_LIMIT(t28_others_sleep_behind_a_reservation, 60),
    TEST_CASE_LIMIT(t25_t26_close, 60),
    TEST_CASE_LIMIT(the_one_who_puts_next_is_killed_too, 60),
    TEST_CASE_LIMIT(the_one_who_gets_next_is_killed_too, 60),
    TEST_CASE_LIMIT(t25_without_robust_lists_by_recheck, 60),
    TEST_CASE(a_put_in_two_steps_is_found),
    TEST_CASE(a_message_that_is_put_again_is_lost_at_times),
};
TEST_MAIN(cases)
