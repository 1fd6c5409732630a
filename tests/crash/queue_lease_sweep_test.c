/* T27: who takes a message on a lease, acknowledges it, gives it back or
 * extends its lease is killed at every instruction.  What was not acknowledged
 * comes again, once for each death; nothing is lost, and what is acknowledged
 * is done and gone. */
#include "crash/queue_store_scene.h"

#define FIFO     IPC_QUEUE_LEASES
#define LIFO     (IPC_QUEUE_LEASES | IPC_QUEUE_LIFO)
#define PRIORITY (IPC_QUEUE_LEASES | IPC_QUEUE_PRIORITY)

/* ---- operations ---- */

static void take_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_take_nowait(scene->queue, &scene->message));
}

static void ack_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_ack(scene->queue, &scene->message));
}

static void nack_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_nack(scene->queue, &scene->message));
}

static void extend_it(void *ctx)
{
    (void)ctx;
    must(ipc_queue_extend(scene->queue, &scene->message, IPC_TIME_FOREVER - 1));
}

static void take_and_ack(void *ctx)
{
    take_it(ctx);
    ack_it(ctx);
}

/* The victim has the first message, and the others sleep: for there is no
 * other. */
static void take_and_let_them_wait(void *ctx)
{
    warm_up(ctx);
    take_it(ctx);
    let_sleepers_in();
}

/* ---- how often a message was delivered ---- */

/* Taken once by the victim, perhaps, and once after it. */
static const struct expect again_perhaps = {1, 1, 1, 1, 1, 2};
static const struct expect again = {1, 1, 1, 1, 2, 2};
static const struct expect acknowledged = {0, 1, 0, 0, 2, 2};
static const struct expect untouched = {1, 1, 1, 1, 1, 1};

static long came_again;
static bool has_been_taken; /* at an earlier step of the course */

/* Once the take is done at some step, it is at all that follow. */
static void take_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    oracle(ctx, point, result);
    const bool taken = scene->deliveries[1] == 2;
    if ((has_been_taken || point->finished) && !taken)
        sweep_torn(result, point);
    has_been_taken = (has_been_taken || taken) && point->step != 0;
    came_again += taken;
}

static void again_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    oracle(ctx, point, result);
    came_again += scene->came[1];
}

static void make_leases(uint32_t flags, size_t bytes, uint32_t before)
{
    make_scene(flags, before + 1, bytes, before);
    for (uint32_t i = 1; i <= before; i++)
        scene->expect[i] = untouched;
}

/* ---- nobody waits ---- */

static void sweep_take(uint32_t flags, size_t bytes, long stride)
{
    const struct sweep sweep = {.name = "take",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = take_it,
                                .oracle = take_oracle,
                                .stride = stride};
    make_leases(flags, bytes, 3);
    scene->expect[1] = again_perhaps;
    has_been_taken = false;
    sweep_scene(&sweep, 20);
}

static void t27_take(void)
{
    sweep_take(FIFO, SMALL, sweep_stride(5));
    sweep_take(PRIORITY, SPILLED, sweep_stride(11));
    test_report("came_again", came_again);
    assert_true(came_again > 3);
}

static void t27_take_and_ack(void)
{
    const struct sweep sweep = {.name = "take and ack",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = take_and_ack,
                                .oracle = again_oracle,
                                .stride = sweep_stride(17)};
    make_leases(LIFO, SPILLED, 3);
    scene->expect[3] = (struct expect){0, 1, 0, 0, 1, 2};
    sweep_scene(&sweep, 20);
}

/* ---- others wait ---- */

static void sweep_held(void (*victim)(void *ctx), const struct expect *expect,
                       uint32_t flags, int sleepers, long stride)
{
    const struct sweep sweep = {.name = "held",
                                .reset = reset,
                                .prepare = take_and_let_them_wait,
                                .victim = victim,
                                .oracle = again_oracle,
                                .stride = stride};
    no_recheck();
    make_leases(flags, SMALL, 1);
    scene->expect[1] = *expect;
    have_sleepers(sleepers, SLEEP_FOR_TAKE);
    sweep_scene(&sweep, 5);
    test_report("came_again", came_again);
}

static void t27_ack(void)
{
    sweep_held(ack_it, &acknowledged, FIFO, 0, sweep_stride(5));
    sweep_held(ack_it, &acknowledged, LIFO, 1, sweep_stride(11));
    sweep_held(ack_it, &acknowledged, PRIORITY, 2, sweep_stride(17));
}

static void t27_nack(void)
{
    sweep_held(nack_it, &again, PRIORITY, 0, sweep_stride(5));
    sweep_held(nack_it, &again, FIFO, 1, sweep_stride(11));
    sweep_held(nack_it, &again, FIFO, 2, sweep_stride(17));
}

static void t27_extend(void)
{
    sweep_held(extend_it, &again, FIFO, 0, sweep_stride(5));
    sweep_held(extend_it, &again, FIFO, 1, sweep_stride(11));
}

/* The last acknowledgement in a closed queue tells those who wait that there is
 * nothing to come; a death gives the message to one of them. */
static void close_and_let_them_wait(void *ctx)
{
    warm_up(ctx);
    take_it(ctx);
    must(ipc_queue_close(scene->queue, false));
    let_sleepers_in();
}

static void closed_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    let_settle(point, result);
    if (count_served() < scene->sleepers)
        sweep_wedge(result, point);
    uint32_t came = 0;
    for (int i = 0; i < scene->sleepers; i++)
        came += is_served(i) && scene->sleeper[i].rc == 0;
    if (came > 1 || (point->finished && came != 0))
        sweep_torn(result, point);
    came_again += came;
    end_sleepers();
    in_fresh_process(look_if_clean, point, result);
    if (!scene->clean)
        sweep_leftover(result, point);
}

static void t27_ack_in_a_closed_queue(void)
{
    const struct sweep sweep = {.name = "closed",
                                .reset = reset,
                                .prepare = close_and_let_them_wait,
                                .victim = ack_it,
                                .oracle = closed_oracle,
                                .stride = sweep_stride(5)};
    no_recheck();
    make_leases(FIFO, SMALL, 1);
    scene->closes = true;
    have_sleepers(2, SLEEP_FOR_TAKE);
    sweep_scene(&sweep, 5);
    test_report("came_again", came_again);
    assert_true(came_again > 0);
}

/* Who joins is told when the last one is acknowledged; unless he who did that
 * died in the middle. */
static void joined_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    in_fresh_process(drain, point, result);
    if (!meet_within(&scene->sleeper[0].served, 1, WEDGE_MS))
        sweep_wedge(result, point);
    end_sleepers();
    in_fresh_process(look_if_clean, point, result);
    if (!scene->clean)
        sweep_leftover(result, point);
    check_number(1, point, result);
}

static void t27_ack_and_another_joins_by_recheck(void)
{
    const struct sweep sweep = {.name = "join",
                                .reset = reset,
                                .prepare = take_and_let_them_wait,
                                .victim = ack_it,
                                .oracle = joined_oracle,
                                .stride = sweep_stride(7)};
    make_leases(FIFO, SMALL, 1);
    scene->expect[1] = acknowledged;
    have_sleepers(1, SLEEP_FOR_DONE);
    sweep_scene(&sweep, 5);
}

/* Who is woken to take it, and dies when it has it: another one, who has slept
 * all the time, gets it.  If it dies before it has it nobody knows. */
static void take_waiting(void *ctx)
{
    (void)ctx;
    must(ipc_queue_take(scene->queue, &scene->message));
}

/* The other one looks again from time to time, and so is always behind the
 * victim in the line. */
static void prepare_to_wait(void *ctx)
{
    warm_up(ctx);
    no_recheck();
}

static void put_with(uint32_t number, const struct expect *expect)
{
    scene->expect[number] = *expect;
    must(put_number(scene->queue, number, scene->bytes, 0));
}

/* The other one may be at its re-check just then, and have the message before
 * the victim is awake.  Then there is a second one for it. */
static void let_another_sleep_and_put(void *ctx, pid_t victim, bool dead)
{
    const int64_t end = test_now_ns() + WEDGE_MS * NS_PER_MS;
    (void)ctx;
    scene->expect[2] = (struct expect){0};
    if (!dead)
        let_sleepers_in();
    put_with(1, &again_perhaps);
    while (!dead && !thread_ended(victim) && test_now_ns() < end) {
        if (is_served(0)) {
            put_with(2, &again_perhaps);
            break;
        }
        poll_pause();
    }
}

static void put_oracle(void *ctx, const struct sweep_point *point,
                       struct sweep_result *result)
{
    if (!point->woken) { /* the sleepers have to come, to be ended */
        let_sleepers_in();
        if (scene->came[1] == 0 && ipc_queue_empty(scene->queue) &&
            count_served() == 0)
            must(put_number(scene->queue, 1, scene->bytes, 0));
    }
    again_oracle(ctx, point, result);
}

/* It is the others who look again, not the one who is stepped. */
static void prepare_to_wait_for_good(void *ctx)
{
    prepare_to_wait(ctx);
    no_recheck();
}

static void t27_who_is_woken_to_take_it_by_recheck(void)
{
    const struct sweep sweep = {.name = "woken",
                                .reset = reset,
                                .prepare = prepare_to_wait_for_good,
                                .victim = take_waiting,
                                .meanwhile = let_another_sleep_and_put,
                                .oracle = put_oracle,
                                .stride = sweep_stride(37)};
    make_scene(FIFO, 2, SMALL, 0);
    have_sleepers(1, SLEEP_FOR_TAKE);
    sweep_scene(&sweep, 5);
    assert_true(sum.woken > 0);
}

/* ---- dead letters ---- */

static void take_and_give_back_once(void *ctx)
{
    warm_up(ctx);
    take_it(ctx);
    nack_it(ctx);
    take_it(ctx);
}

static void take_dead_it(void *ctx)
{
    take_and_give_back_once(ctx);
    nack_it(ctx);
}

static void dead_and_ack(void *ctx)
{
    (void)ctx;
    must(ipc_queue_take_dead(scene->queue, &scene->message));
    must(ipc_queue_ack(scene->queue, &scene->message));
}

static void dead_and_nack(void *ctx)
{
    (void)ctx;
    must(ipc_queue_take_dead(scene->queue, &scene->message));
    must(ipc_queue_nack(scene->queue, &scene->message));
}

static void sweep_dead(void (*prepare)(void *ctx), void (*victim)(void *ctx),
                       const struct expect *expect)
{
    const struct sweep sweep = {.name = "dead letters",
                                .reset = reset,
                                .prepare = prepare,
                                .victim = victim,
                                .oracle = again_oracle,
                                .stride = sweep_stride(17)};
    make_scene(FIFO, 3, SMALL, 2);
    scene->options.max_deliveries = 2;
    expect_rc(ipc_queue_free(scene->queue), 0);
    expect_rc(ipc_queue_new(&scene->options, &scene->queue), 0);
    scene->expect[1] = *expect;
    scene->expect[2] = untouched;
    sweep_scene(&sweep, 5);
}

/* Delivered twice; it becomes one at the second death, or by a nack. */
static void t27_dead_letters(void)
{
    sweep_dead(take_and_give_back_once, nack_it, &again);
    sweep_dead(take_and_give_back_once, ack_it, &acknowledged);
    sweep_dead(take_dead_it, dead_and_ack, &acknowledged);
    sweep_dead(take_dead_it, dead_and_nack, &again);
}

/* ---- two deaths ---- */

static void sweep_twice(void (*victim)(void *ctx), void (*prepare)(void *ctx),
                        uint32_t flags, const struct expect *expect)
{
    const struct sweep sweep = {.name = "twice",
                                .reset = reset,
                                .prepare = prepare,
                                .victim = victim,
                                .recoverer_prepare = warm_up,
                                .recoverer = take_it,
                                .oracle = again_oracle};
    make_leases(flags, SMALL, 2);
    scene->expect[1] = *expect;
    if (expect->least == 0) /* then the next one takes the second */
        scene->expect[2] = again_perhaps;
    sweep_scene_twice(&sweep, 100);
    test_report("came_again", came_again);
}

static void t27_the_next_taker_is_killed_too(void)
{
    static const struct expect once_or_twice = {1, 1, 1, 1, 1, 3};
    sweep_twice(take_it, warm_up, FIFO, &once_or_twice);
}

static void t27_after_an_ack_the_next_taker_is_killed_too(void)
{
    if (test_scale() == 1)
        test_skip("one double fault is enough for a quick run");
    static const struct expect perhaps_gone = {0, 1, 0, 1, 2, 3};
    sweep_twice(ack_it, take_and_let_them_wait, PRIORITY, &perhaps_gone);
}

/* ---- without the kernel's list ---- */

static void without_list(void *ctx)
{
    ipc__robust_list_usable = false;
    take_and_let_them_wait(ctx);
}

static void t27_without_robust_lists_by_recheck(void)
{
    const struct sweep sweep = {.name = "no list",
                                .reset = reset,
                                .prepare = without_list,
                                .victim = ack_it,
                                .oracle = again_oracle,
                                .stride = sweep_stride(97)};
    make_leases(FIFO, SMALL, 1);
    scene->expect[1] = acknowledged;
    have_sleepers(1, SLEEP_FOR_TAKE);
    sweep_scene(&sweep, 3);
}

/* ---- what these must find ---- */

/* A lease of one's own making: got, and put again if it does not work out. */
static void get_and_put_again(void *ctx)
{
    char bytes[SMALL];
    (void)ctx;
    must(ipc_queue_get_nowait(scene->queue, bytes, SMALL, NULL));
    must(ipc_queue_put_nowait(scene->queue, bytes, SMALL));
}

static void leases_by_get_and_put_are_found(void)
{
    const struct sweep sweep = {.name = "get and put",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = get_and_put_again,
                                .oracle = oracle,
                                .stride = 11};
    struct sweep_result result;
    make_leases(FIFO, SMALL, 1);
    sweep_run(&sweep, &result);
    add_figures(&result);
    end_scene();
    assert_true(result.lost > 0);
}

/* There again first, and then they are woken. */
static void nack_in_two_steps(void *ctx)
{
    struct ipc__store store;
    struct ipc__entry_seen seen;
    (void)ctx;
    must(ipc__store_view(scene->queue, &store));
    must(ipc__store_lock(&store));
    if (!ipc__entry_find(&store, &scene->message, IPC__ENTRY_LEASED, &seen))
        abort();
    seen.slot->owner = scene->held.token_[1]; /* of one who lives */
    ipc__entry_give_back(&store, &seen);
    ipc__store_unlock(&store);
    ipc__store_wake_all(&scene->queue->tail);
}

/* With the life of the victim not watched, as those who sleep would if there
 * were too many. */
static void two_have_it(void *ctx)
{
    warm_up(ctx);
    take_it(ctx);
    struct ipc__store store;
    struct ipc__entry_seen seen;
    must(ipc__store_view(scene->queue, &store));
    if (!ipc__entry_find(&store, &scene->message, IPC__ENTRY_LEASED, &seen))
        abort();
    seen.slot->owner = scene->held.token_[1];
    let_sleepers_in();
}

/* Whose it seems to be lives. */
static void settle_and_reset(void *ctx)
{
    (void)!ipc_queue_ack(scene->queue, &scene->message);
    reset(ctx);
}

static void a_nack_in_two_steps_is_found(void)
{
    const struct sweep sweep = {.name = "two steps",
                                .reset = settle_and_reset,
                                .prepare = two_have_it,
                                .victim = nack_in_two_steps,
                                .oracle = oracle,
                                .stride = 3};
    struct sweep_result result;
    no_recheck();
    make_leases(FIFO, SMALL, 1);
    scene->expect[1] = (struct expect){0, 1, 0, 1, 0, 0};
    must(ipc_queue_put_nowait(scene->warm, "x", 1));
    must(ipc_queue_peek_nowait(scene->warm, &scene->held));
    have_sleepers(1, SLEEP_FOR_TAKE);
    sweep_run(&sweep, &result);
    add_figures(&result);
    assert_true(result.wedges > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t27_take, 60),
    TEST_CASE_LIMIT(t27_take_and_ack, 60),
    TEST_CASE_LIMIT(t27_ack, 60),
    TEST_CASE_LIMIT(t27_nack, 60),
    TEST_CASE_LIMIT(t27_extend, 60),
    TEST_CASE_LIMIT(t27_ack_in_a_closed_queue, 60),
    TEST_CASE_LIMIT(t27_ack_and_another_joins_by_recheck, 60),
    TEST_CASE_LIMIT(t27_who_is_woken_to_take_it_by_recheck, 60),
    TEST_CASE_LIMIT(t27_dead_letters, 60),
    TEST_CASE_LIMIT(t27_the_next_taker_is_killed_too, 60),
    TEST_CASE_LIMIT(t27_after_an_ack_the_next_taker_is_killed_too, 60),
    TEST_CASE_LIMIT(t27_without_robust_lists_by_recheck, 60),
    TEST_CASE(leases_by_get_and_put_are_found),
    TEST_CASE(a_nack_in_two_steps_is_found),
};
TEST_MAIN(cases)
