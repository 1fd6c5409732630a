/* T25: one who puts is killed at every instruction.  The message is there whole
 * or not at all, those who sleep get what there is, and the room comes back.
 * The re-check is off: what is lost would be a sleep for good. */
#include "crash/queue_sweep_support.h"

#include "core/guard.h"

static void put_it(void *ctx)
{
    (void)ctx;
    if (ipc_queue_put(scene->queue, scene->message, scene->bytes) != 0)
        abort();
}

static const struct sweep of_put = {.victim = put_it, .oracle = put_oracle};

static void sweep_put(const char *name, enum place place, size_t bytes,
                      int consumers, long stride)
{
    const struct scene plan = {
        .place = place, .bytes = bytes, .consumers = consumers};
    struct sweep sweep = of_put;
    sweep.stride = sweep_stride(stride);
    no_recheck();
    run_sweep(name, &plan, &sweep, 5);
}

static void t25_the_first_one_of_all(void)
{
    static const size_t kinds[] = {SHORT, LONG};
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        const struct scene plan = {.bytes = kinds[i], .unused = true};
        struct sweep sweep = of_put;
        sweep.stride = sweep_stride(12);
        no_recheck();
        run_sweep(i == 0 ? "short" : "long", &plan, &sweep, 5);
    }
}

/* ---- short ones ---- */

static void t25_short_into_an_empty_one(void)
{
    sweep_put("0", EMPTY, SHORT, 0, 2);
    sweep_put("1", EMPTY, SHORT, 1, 8);
    sweep_put("2", EMPTY, SHORT, 2, 12);
}

static void t25_short_into_a_wrapped_one(void)
{
    sweep_put("0", WRAPPED, SHORT, 0, 8);
    sweep_put("1", WRAPPED, SHORT, 1, 12);
    sweep_put("2", WRAPPED, SHORT, 2, 18);
}

static void t25_short_where_one_is_free(void)
{
    sweep_put("one", ONE_FREE, SHORT, 0, 3);
}

/* ---- long ones ---- */

static void t25_long_into_an_empty_one(void)
{
    sweep_put("0", EMPTY, LONG, 0, 12);
    sweep_put("1", EMPTY, LONG, 1, 22);
    sweep_put("2", EMPTY, LONG, 2, 30);
}

static void t25_long_into_a_wrapped_one(void)
{
    sweep_put("0", WRAPPED, LONG, 0, 14);
    sweep_put("1", WRAPPED, LONG, 1, 30);
    sweep_put("2", WRAPPED, LONG, 2, 40);
}

static void t25_long_where_one_is_free(void)
{
    sweep_put("one", ONE_FREE, LONG, 0, 14);
}

/* ---- the victim sleeps for room, and is woken ---- */

/* A consumer comes. */
static void get_one(void *ctx, pid_t victim, bool dead)
{
    char buffer[BUFFER];
    size_t bytes = 0;
    (void)ctx, (void)victim, (void)dead;
    must(ipc_queue_get_nowait(scene->queue, buffer, sizeof buffer, &bytes) ==
         0);
    note_message(buffer, bytes);
}

static void t25_into_a_full_one(void)
{
    struct sweep sweep = of_put;
    no_recheck();
    sweep.meanwhile = get_one;
    sweep.stride = sweep_stride(20);
    run_sweep("short", &(struct scene){.place = FULL, .bytes = SHORT}, &sweep,
              5);
    sweep.stride = sweep_stride(40);
    run_sweep("long", &(struct scene){.place = FULL, .bytes = LONG}, &sweep, 5);
}

/* Others came to sleep behind it, and room for all is made: by the first, the
 * victim is woken, who is to wake the next one, and dies.  So the others have
 * to look by themselves. */
static void others_then_get(void *ctx, pid_t victim, bool dead)
{
    start_sleepers();
    for (int i = 0; i <= scene->producers; i++)
        get_one(ctx, victim, dead);
}

static void reset_alone(void *ctx)
{
    (void)ctx;
    set_scene();
}

static void t25_woken_among_others_by_recheck(void)
{
    static const size_t kinds[] = {SHORT, LONG};
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        const struct scene plan = {
            .place = FULL, .bytes = kinds[i], .producers = 1 + (int)i};
        struct sweep sweep = of_put;
        quick_recheck();
        sweep.reset = reset_alone;
        sweep.prepare = warm_up_to_sleep;
        sweep.meanwhile = others_then_get;
        sweep.stride = sweep_stride(60);
        run_sweep(i == 0 ? "short" : "long", &plan, &sweep, 5);
    }
}

/* ---- a relaxed queue ---- */

static void t25_relaxed(void)
{
    struct sweep sweep = of_put;
    no_recheck();
    sweep.stride = sweep_stride(40);
    run_sweep("long",
              &(struct scene){
                  .bytes = LONG, .consumers = 2, .flags = IPC_QUEUE_RELAXED},
              &sweep, 5);
}

/* ---- several at once ---- */

static void put_two(void *ctx)
{
    const ipc_queue_item items[] = {{scene->message, scene->bytes, 0},
                                    {scene->second, scene->bytes, 0}};
    (void)ctx;
    if (ipc_queue_putv(scene->queue, items, 2, IPC_TIME_FOREVER) != 2)
        abort();
}

/* The first so many are there: two that are short are counted at once. */
static void two_oracle(void *ctx, const struct sweep_point *point,
                       struct sweep_result *result)
{
    (void)ctx;
    if (!all_is_well(point, result))
        return;
    const unsigned first = times(VICTIM);
    const unsigned second = times(SECOND);
    const bool at_once = scene->bytes <= IPC__INLINE_MAX;
    if (scene->torn != 0 || first > 1 || second > first ||
        (at_once && first != second) || scene->count != first + second)
        sweep_torn(result, point);
    if (point->finished && second != 1)
        sweep_lost(result, point);
    scene->there += first + second;
}

static void t25_two_at_once(void)
{
    struct sweep sweep = {.victim = put_two, .oracle = two_oracle};
    no_recheck();
    sweep.stride = sweep_stride(12);
    run_sweep("short", &(struct scene){.place = WRAPPED, .bytes = SHORT},
              &sweep, 5);
    sweep.stride = sweep_stride(24);
    run_sweep("short2", &(struct scene){.bytes = SHORT, .consumers = 2}, &sweep,
              5);
    sweep.stride = sweep_stride(60);
    run_sweep("long1", &(struct scene){.bytes = LONG, .consumers = 1}, &sweep,
              5);
}

/* ---- the double fault ---- */

static void t25_who_looks_dies_too(void)
{
    struct sweep sweep = of_put;
    no_recheck();
    sweep.ctx = &sweep; /* it puts */
    run_sweep2(NULL, &(struct scene){.place = ONE_FREE, .bytes = LONG}, &sweep);
}

/* ---- what these must find ---- */

static struct sweep_result found_in(void (*victim)(void *ctx),
                                    const struct scene *plan)
{
    struct sweep_result result;
    const struct sweep sweep = {.name = "broken",
                                .reset = reset,
                                .prepare = warm_up,
                                .victim = victim,
                                .oracle = put_oracle};
    no_recheck();
    make_scene(plan);
    sweep_run(&sweep, &result);
    end_scene();
    sweep_report("broken", &result);
    return result;
}

/* With the guard: a record where the next one goes, without its bytes. */
static struct ipc__record *begin_broken(struct ipc__ring *ring, uint64_t *next)
{
    if (ipc__ring_view(scene->queue, ring) != 0 ||
        ipc__ring_lock_put(ring) != 0)
        abort();
    const uint64_t at = scene->queue->put.at;
    const uint32_t message = (uint32_t)((scene->bytes + 15) / 16);
    struct ipc__record *record = ipc__record_at(ring, ipc__place_unit(at));
    record->mark = IPC__MARK_READY;
    record->bytes = (uint32_t)scene->bytes;
    record->units = 1 + message;
    *next = ipc__place(ipc__place_count(at) + 1,
                       ipc__place_unit(at) + record->units);
    scene->queue->put.used += message;
    __atomic_store_n(&scene->queue->put.next, *next, __ATOMIC_SEQ_CST);
    return record;
}

static void count_before_the_copy(void *ctx)
{
    struct ipc__ring ring;
    uint64_t next;
    struct ipc__record *record = begin_broken(&ring, &next);
    (void)ctx;
    memset(record + 1, 0, scene->bytes);
    __atomic_fetch_add(&scene->queue->tail, IPC__QUEUE_ONE, __ATOMIC_SEQ_CST);
    memcpy(record + 1, scene->message, scene->bytes);
    scene->queue->put.at = next;
    ipc__ring_unlock_put(&ring);
}

static void count_and_then_wake(void *ctx)
{
    struct ipc__ring ring;
    uint64_t next;
    struct ipc__record *record = begin_broken(&ring, &next);
    (void)ctx;
    memcpy(record + 1, scene->message, scene->bytes);
    __atomic_fetch_add(&scene->queue->tail,
                       IPC__QUEUE_ONE - IPC__QUEUE_SLEEPERS, __ATOMIC_SEQ_CST);
    ipc__futex_wake(&scene->queue->tail, 1);
    scene->queue->put.at = next;
    ipc__ring_unlock_put(&ring);
}

/* Where at has gone ahead of the count nobody finds what was before. */
static void at_before_the_count(void *ctx)
{
    struct ipc__ring ring;
    uint64_t next;
    struct ipc__record *record = begin_broken(&ring, &next);
    (void)ctx;
    memcpy(record + 1, scene->message, scene->bytes);
    __atomic_store_n(&scene->queue->put.at, next, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&scene->queue->tail, IPC__QUEUE_ONE, __ATOMIC_SEQ_CST);
    ipc__ring_unlock_put(&ring);
}

static void t25_a_count_before_the_copy_is_found(void)
{
    const struct sweep_result result =
        found_in(count_before_the_copy,
                 &(struct scene){.bytes = SHORT, .wedge_ms = 100});
    assert_true(result.torn > 0);
    assert_int_equal(result.wedges, 0);
}

static void t25_a_wakeup_behind_the_count_is_found(void)
{
    const struct sweep_result result = found_in(
        count_and_then_wake,
        &(struct scene){.bytes = SHORT, .consumers = 1, .wedge_ms = 100});
    assert_true(result.wedges > 0);
    assert_int_equal(result.torn, 0);
}

static void t25_a_place_before_the_count_is_found(void)
{
    const struct sweep_result result = found_in(
        at_before_the_count, &(struct scene){.bytes = SHORT, .wedge_ms = 100});
    assert_true(result.torn + result.lost + result.wedges > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t25_the_first_one_of_all, 60),
    TEST_CASE_LIMIT(t25_short_into_an_empty_one, 60),
    TEST_CASE_LIMIT(t25_short_into_a_wrapped_one, 60),
    TEST_CASE_LIMIT(t25_short_where_one_is_free, 60),
    TEST_CASE_LIMIT(t25_long_into_an_empty_one, 60),
    TEST_CASE_LIMIT(t25_long_into_a_wrapped_one, 60),
    TEST_CASE_LIMIT(t25_long_where_one_is_free, 60),
    TEST_CASE_LIMIT(t25_into_a_full_one, 60),
    TEST_CASE_LIMIT(t25_woken_among_others_by_recheck, 60),
    TEST_CASE_LIMIT(t25_relaxed, 60),
    TEST_CASE_LIMIT(t25_two_at_once, 60),
    TEST_CASE_LIMIT(t25_who_looks_dies_too, 60),
    TEST_CASE_LIMIT(t25_a_count_before_the_copy_is_found, 60),
    TEST_CASE_LIMIT(t25_a_wakeup_behind_the_count_is_found, 60),
    TEST_CASE_LIMIT(t25_a_place_before_the_count_is_found, 60),
};
TEST_MAIN(cases)
