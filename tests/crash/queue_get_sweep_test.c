/* T26: one who gets is killed at every instruction.  What it was about to get
 * is there or went down with it, the others are there in order, those who
 * sleep go on, and the room comes back. */
#include "crash/queue_sweep_support.h"

static void get_it(void *ctx)
{
    char buffer[BUFFER];
    size_t bytes = 0;
    (void)ctx;
    if (ipc_queue_get(scene->queue, buffer, sizeof buffer, &bytes) != 0)
        abort();
}

static void reset_with_three(void *ctx)
{
    (void)ctx;
    set_scene();
    fill_up(scene->place == FULL ? 0 : 1);
    start_sleepers();
}

static const struct sweep of_get = {
    .reset = reset_with_three, .victim = get_it, .oracle = get_oracle};

static void sweep_get(const char *name, enum place place, size_t bytes,
                      int producers, long stride)
{
    const struct scene plan = {
        .place = place, .bytes = bytes, .producers = producers};
    struct sweep sweep = of_get;
    sweep.stride = sweep_stride(stride);
    no_recheck();
    run_sweep(name, &plan, &sweep, 5);
}

/* ---- there are messages ---- */

static void t26_the_first_of_three(void)
{
    sweep_get("short", ONE_FREE, SHORT, 0, 2);
    sweep_get("long", ONE_FREE, LONG, 0, 15);
}

static void t26_of_a_wrapped_one(void)
{
    sweep_get("short", WRAPPED, SHORT, 0, 8);
    sweep_get("long", WRAPPED, LONG, 0, 20);
}

static void t26_of_a_full_one(void)
{
    sweep_get("short", FULL, SHORT, 0, 4);
    sweep_get("short1", FULL, SHORT, 1, 12);
    sweep_get("short2", FULL, SHORT, 2, 16);
    sweep_get("long", FULL, LONG, 0, 20);
    sweep_get("long1", FULL, LONG, 1, 24);
    sweep_get("long2", FULL, LONG, 2, 30);
}

/* Somebody else has the first one in his hands. */
static void get_alloc(void *ctx)
{
    void *data;
    (void)ctx;
    if (ipc_queue_get_alloc(scene->queue, &data, NULL, IPC_TIME_FOREVER) != 0)
        abort();
}

static void t26_into_fresh_memory(void)
{
    struct sweep sweep = of_get;
    const struct scene plan = {.place = FULL, .bytes = SHORT, .producers = 1};
    no_recheck();
    sweep.victim = get_alloc;
    sweep.stride = sweep_stride(60);
    run_sweep("alloc", &plan, &sweep, 5);
}

/* ---- it sleeps, and is woken ---- */

static void put_one(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    must(put_number(++scene->before, IPC_TIME_NOW) == 0);
}

static void sweep_sleeper(const char *name, size_t bytes, long stride)
{
    const struct scene plan = {.bytes = bytes};
    struct sweep sweep = of_get;
    no_recheck();
    sweep.reset = reset;
    sweep.meanwhile = put_one;
    sweep.stride = sweep_stride(stride);
    run_sweep(name, &plan, &sweep, 5);
}

static void t26_woken_by_a_message(void)
{
    sweep_sleeper("short", SHORT, 15);
    sweep_sleeper("long", LONG, 30);
}

/* Another one came to sleep behind it, and there is a message for each: by the
 * first, the victim is woken, who is to wake the other one, and dies. */
static struct role other;

static void get_one(void *ctx)
{
    (void)ctx;
    look_once();
    if (get_number(IPC_TIME_FOREVER) != 0)
        abort();
    meet_signal(&scene->served);
    for (;;)
        (void)pause();
}

static void other_then_put(void *ctx, pid_t victim, bool dead)
{
    role_start(&other, get_one, NULL);
    wait_until_sleeping(other.pid, LIMIT_MS);
    put_one(ctx, victim, dead);
    put_one(ctx, victim, dead);
}

static void among_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    const bool served = meet_within(&scene->served, 1, WEDGE_MS);
    (void)role_kill(&other);
    scene->served = 0;
    if (!served)
        sweep_wedge(result, point);
    if (!served || !all_is_well(point, result))
        return;
    const unsigned got = times(1) + times(2);
    if (scene->torn != 0 || scene->count != got || times(1) > 1 ||
        times(2) > 1 || got < 1 || (point->finished && got != 1))
        sweep_torn(result, point);
    scene->taken += got < 2 && !point->finished;
}

static void t26_woken_among_others_by_recheck(void)
{
    static const size_t kinds[] = {SHORT, LONG};
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        const struct scene plan = {.bytes = kinds[i]};
        struct sweep sweep = of_get;
        quick_recheck();
        sweep.reset = reset;
        sweep.prepare = warm_up_to_sleep;
        sweep.meanwhile = other_then_put;
        sweep.oracle = among_oracle;
        sweep.stride = sweep_stride(60);
        run_sweep(i == 0 ? "short" : "long", &plan, &sweep, 5);
    }
}

/* ---- a relaxed queue ---- */

static void t26_relaxed(void)
{
    const struct scene plan = {.place = FULL,
                               .bytes = LONG,
                               .producers = 2,
                               .flags = IPC_QUEUE_RELAXED};
    struct sweep sweep = of_get;
    no_recheck();
    sweep.stride = sweep_stride(40);
    run_sweep("long", &plan, &sweep, 5);
}

/* ---- several at once ---- */

static void get_two(void *ctx)
{
    char buffer[2][BUFFER];
    ipc_queue_item items[] = {{buffer[0], 0, BUFFER}, {buffer[1], 0, BUFFER}};
    (void)ctx;
    if (ipc_queue_getv(scene->queue, items, 2, IPC_TIME_FOREVER) != 2)
        abort();
}

/* None, one or both went with it; both if they are short. */
static void two_oracle(void *ctx, const struct sweep_point *point,
                       struct sweep_result *result)
{
    (void)ctx;
    if (!all_is_well(point, result))
        return;
    const unsigned taken = 2 - times(1) - times(2);
    const bool at_once = scene->bytes <= IPC__INLINE_MAX;
    if (scene->torn != 0 || times(1) > 1 || times(2) > 1 ||
        (at_once && taken == 1))
        sweep_torn(result, point);
    if (!has_all_before(1 + taken) || (point->finished && taken != 2))
        sweep_lost(result, point);
    scene->taken += taken != 0 && !point->finished;
}

static void t26_two_at_once(void)
{
    struct sweep sweep = {
        .victim = get_two, .reset = reset_with_three, .oracle = two_oracle};
    no_recheck();
    sweep.stride = sweep_stride(12);
    run_sweep("short", &(struct scene){.place = WRAPPED, .bytes = SHORT},
              &sweep, 5);
    sweep.stride = sweep_stride(24);
    run_sweep("short2",
              &(struct scene){.place = FULL, .bytes = SHORT, .producers = 2},
              &sweep, 5);
    sweep.stride = sweep_stride(60);
    run_sweep("long1",
              &(struct scene){.place = FULL, .bytes = LONG, .producers = 1},
              &sweep, 5);
}

/* ---- the double fault ---- */

static void t26_who_looks_dies_too(void)
{
    struct sweep sweep = of_get;
    no_recheck();
    run_sweep2(NULL, &(struct scene){.place = FULL, .bytes = LONG}, &sweep);
}

/* ---- what this must find ---- */

/* at is gone ahead of the count, and nothing says where it was. */
static void get_carelessly(void *ctx)
{
    struct ipc__ring ring;
    struct ipc__seen seen;
    (void)ctx;
    if (ipc__ring_view(scene->queue, &ring) != 0 ||
        ipc__ring_lock_get(&ring) != 0)
        abort();
    uint64_t place = scene->queue->get.at;
    if (!ipc__record_look(&ring, &place, &seen))
        abort();
    scene->queue->get.next = seen.after;
    scene->queue->get.cursor = seen.after;
    __atomic_store_n(&scene->queue->get.at, seen.after, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&scene->queue->head, IPC__QUEUE_ONE, __ATOMIC_SEQ_CST);
    ipc__ring_unlock_get(&ring);
}

static void t26_a_place_before_the_count_is_found(void)
{
    struct sweep_result result;
    struct sweep sweep = of_get;
    no_recheck();
    sweep.name = "broken";
    sweep.victim = get_carelessly;
    sweep.prepare = warm_up;
    make_scene(&(struct scene){.place = FULL, .bytes = SHORT, .wedge_ms = 100});
    sweep_run(&sweep, &result);
    end_scene();
    sweep_report("broken", &result);
    assert_true(result.wedges + result.lost + result.torn + result.leftovers >
                0);
}

/* Counts, and then wakes who sleeps for room. */
static void count_and_then_wake(void *ctx)
{
    struct ipc__ring ring;
    struct ipc__seen seen;
    (void)ctx;
    if (ipc__ring_view(scene->queue, &ring) != 0 ||
        ipc__ring_lock_get(&ring) != 0)
        abort();
    uint64_t place = scene->queue->get.at;
    if (!ipc__record_look(&ring, &place, &seen))
        abort();
    scene->queue->get.next = seen.after;
    scene->queue->get.cursor = seen.after;
    __atomic_fetch_add(&scene->queue->head,
                       IPC__QUEUE_ONE - IPC__QUEUE_SLEEPERS, __ATOMIC_SEQ_CST);
    ipc__futex_wake(&scene->queue->head, 1);
    scene->queue->get.at = seen.after;
    ipc__ring_unlock_get(&ring);
}

static void t26_a_wakeup_behind_the_count_is_found(void)
{
    struct sweep_result result;
    struct sweep sweep = of_get;
    no_recheck();
    sweep.name = "broken";
    sweep.victim = count_and_then_wake;
    sweep.prepare = warm_up;
    make_scene(&(struct scene){
        .place = FULL, .bytes = SHORT, .producers = 1, .wedge_ms = 100});
    sweep_run(&sweep, &result);
    end_scene();
    sweep_report("broken", &result);
    assert_true(result.wedges > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t26_the_first_of_three, 60),
    TEST_CASE_LIMIT(t26_of_a_wrapped_one, 60),
    TEST_CASE_LIMIT(t26_of_a_full_one, 60),
    TEST_CASE_LIMIT(t26_into_fresh_memory, 60),
    TEST_CASE_LIMIT(t26_woken_by_a_message, 60),
    TEST_CASE_LIMIT(t26_woken_among_others_by_recheck, 60),
    TEST_CASE_LIMIT(t26_relaxed, 60),
    TEST_CASE_LIMIT(t26_two_at_once, 60),
    TEST_CASE_LIMIT(t26_who_looks_dies_too, 60),
    TEST_CASE_LIMIT(t26_a_place_before_the_count_is_found, 60),
    TEST_CASE_LIMIT(t26_a_wakeup_behind_the_count_is_found, 60),
};
TEST_MAIN(cases)
