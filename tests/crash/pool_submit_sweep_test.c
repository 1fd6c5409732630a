/* One who submits, waits for a result or frees it is killed at every
 * instruction: what submit has returned 0 for is run, nothing is run twice,
 * no record and no memory is kept when the dead one is buried, and all others
 * go on.  The re-check is off: what is lost would be a sleep for good. */
#include "crash/pool_look.h"

#include "core/guard.h"

/* ---- what the dead one leaves ---- */

static void put_scene(void *ctx)
{
    (void)ctx;
    set_table();
    put_before();
    for (uint32_t i = 0; i < scene->workers; i++)
        hire_and_wait(i);
}

/* Those that were there before the victim came. */
static void check_before(const struct sweep_point *point,
                         struct sweep_result *result)
{
    unsigned char bytes[SPILLED];
    for (unsigned i = 0; i < scene->before; i++) {
        const bool is_done = ipc_future_result_nowait(
                                 futures[i], bytes, sizeof bytes, NULL) == 0 &&
                             are_bytes(bytes, scene->result_bytes, i);
        if (!is_done || scene->runs[i] != 1)
            sweep_lost(result, point);
        (void)ipc_future_free(futures[i]);
    }
}

static void submit_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    if (scene->bury_first)
        supervise();
    if (scene->workers == 0 && crew[0].pid == 0)
        hire(0);
    if (!go_on(point, result))
        return;
    check_before(point, result);
    const uint32_t runs = scene->runs[VICTIM];
    const bool may_be_cancelled = scene->bury_first && !scene->abandoned;
    if (scene->torn != 0 || runs > 1 || scene->runs[LAST] != 1)
        sweep_torn(result, point);
    if (scene->returned != 0 && runs == 0 && !may_be_cancelled)
        sweep_lost(result, point);
    scene->ran += runs;
    check_whole(point, result);
}

/* ---- submit ---- */

static void submit_it(void *ctx)
{
    ipc_future *future;
    (void)ctx;
    if (submit_number(VICTIM, scene->arg_bytes, scene->result_bytes,
                      scene->abandoned ? NULL : &future) != 0)
        abort();
    __atomic_store_n(&scene->returned, 1, __ATOMIC_SEQ_CST);
}

static void sweep_submit(const char *name, struct scene plan, long stride)
{
    struct sweep sweep = {.reset = put_scene,
                          .victim = submit_it,
                          .oracle = submit_oracle,
                          .stride = sweep_stride(stride)};
    if (plan.result_bytes == 0)
        plan.result_bytes = NEAR;
    const struct sweep_result result = run_sweep(name, &plan, &sweep);
    sweep_expect_clean(&result, 10);
}

static void submit_short(void)
{
    sweep_submit("run", (struct scene){.arg_bytes = NEAR}, 3);
    sweep_submit("buried",
                 (struct scene){.arg_bytes = NEAR, .bury_first = true}, 4);
    sweep_submit("nobody_asks",
                 (struct scene){
                     .arg_bytes = NEAR, .bury_first = true, .abandoned = true},
                 3);
}

static void submit_far(void)
{
    sweep_submit("run", (struct scene){.arg_bytes = FAR}, 5);
    sweep_submit(
        "retries",
        (struct scene){.arg_bytes = FAR, .retries = 2, .bury_first = true}, 6);
}

static void submit_spilled(void)
{
    sweep_submit("run", (struct scene){.arg_bytes = SPILLED}, 17);
    sweep_submit("buried",
                 (struct scene){.arg_bytes = SPILLED, .bury_first = true}, 13);
    sweep_submit("nobody_asks",
                 (struct scene){.arg_bytes = SPILLED,
                                .bury_first = true,
                                .abandoned = true},
                 9);
}

/* The record has memory from before: enough, or too little. */
static void submit_into_kept_memory(void)
{
    sweep_submit("enough",
                 (struct scene){.arg_bytes = SPILLED,
                                .kept_bytes = SPILLED,
                                .bury_first = true},
                 5);
    sweep_submit("too_little",
                 (struct scene){.arg_bytes = SPILLED,
                                .kept_bytes = SPILLED / 2,
                                .bury_first = true},
                 17);
}

static void submit_the_first_of_all(void)
{
    sweep_submit("short", (struct scene){.arg_bytes = NEAR, .fresh = true}, 3);
    sweep_submit("spilled", (struct scene){.arg_bytes = SPILLED, .fresh = true},
                 15);
}

static void submit_without_memory_for_a_record(void)
{
    sweep_submit("short",
                 (struct scene){.arg_bytes = NEAR, .short_of_memory = true}, 5);
    sweep_submit("spilled",
                 (struct scene){.arg_bytes = SPILLED, .short_of_memory = true},
                 15);
}

static void submit_behind_others(void)
{
    sweep_submit(
        "wrapping",
        (struct scene){.arg_bytes = NEAR, .before = 2, .start = 0x3ffffffd}, 5);
    sweep_submit("spilled",
                 (struct scene){.arg_bytes = SPILLED,
                                .before = 3,
                                .start = LINE - 2,
                                .bury_first = true},
                 15);
}

static void submit_and_wake(void)
{
    sweep_submit("1", (struct scene){.arg_bytes = NEAR, .workers = 1}, 5);
    sweep_submit("2", (struct scene){.arg_bytes = NEAR, .workers = 2}, 9);
    sweep_submit(
        "spilled",
        (struct scene){.arg_bytes = SPILLED, .workers = 1, .bury_first = true},
        18);
}

/* ---- no room ---- */

static void a_worker_comes(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    hire(0);
}

static void sweep_full(const char *name, struct scene plan, long stride)
{
    const struct sweep sweep = {.reset = put_scene,
                                .victim = submit_it,
                                .meanwhile = a_worker_comes,
                                .oracle = submit_oracle,
                                .stride = sweep_stride(stride)};
    plan.before = plan.max_pending = 2;
    plan.result_bytes = NEAR;
    const struct sweep_result result = run_sweep(name, &plan, &sweep);
    sweep_expect_clean(&result, 10);
    assert_true(result.woken > 0);
}

static void submit_where_there_is_no_room(void)
{
    sweep_full("short", (struct scene){.arg_bytes = NEAR}, 10);
    sweep_full("spilled",
               (struct scene){.arg_bytes = SPILLED, .bury_first = true}, 30);
}

/* Room is made by passing over what was cancelled. */
static void cancel_before(void *ctx)
{
    put_scene(ctx);
    for (unsigned i = 0; i < scene->before; i++)
        must(ipc_future_cancel(futures[i]) == 0 &&
             ipc_future_free(futures[i]) == 0);
}

static void stale_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    const uint32_t before = scene->before;
    scene->before = 0;
    submit_oracle(ctx, point, result);
    scene->before = before;
}

static void submit_where_others_were_cancelled(void)
{
    const struct scene plan = {.arg_bytes = NEAR,
                               .result_bytes = NEAR,
                               .before = 3,
                               .max_pending = 3,
                               .start = LINE - 1};
    const struct sweep sweep = {.reset = cancel_before,
                                .victim = submit_it,
                                .oracle = stale_oracle,
                                .stride = sweep_stride(5)};
    const struct sweep_result result = run_sweep(NULL, &plan, &sweep);
    sweep_expect_clean(&result, 30);
}

/* ---- the client's number, which it has not got yet ---- */

static void register_only(void *ctx)
{
    (void)ctx;
    look_once();
    if (ipc__self_register(scene->pool) != 0)
        abort();
}

static void submit_as_a_stranger(void)
{
    const struct scene plan = {
        .arg_bytes = NEAR, .result_bytes = NEAR, .bury_first = true};
    const struct sweep sweep = {.reset = put_scene,
                                .prepare = register_only,
                                .victim = submit_it,
                                .oracle = submit_oracle,
                                .stride = sweep_stride(25)};
    const struct sweep_result result = run_sweep(NULL, &plan, &sweep);
    sweep_expect_clean(&result, 20);
}

/* ---- the result, and freeing ---- */

static ipc_future *own;

static void submit_own(void *ctx)
{
    warm_up(ctx);
    if (submit_number(VICTIM, scene->arg_bytes, scene->result_bytes, &own) != 0)
        abort();
}

static void submit_own_and_wait(void *ctx)
{
    submit_own(ctx);
    if (ipc_future_wait(own) != 0)
        abort();
}

static void have_result(void *ctx)
{
    unsigned char bytes[SPILLED];
    (void)ctx;
    if (ipc_future_result(own, bytes, sizeof bytes, NULL) != 0 ||
        !are_bytes(bytes, scene->result_bytes, VICTIM) ||
        ipc_future_free(own) != 0)
        abort();
}

static void let_go(void *ctx)
{
    (void)ctx;
    if (ipc_future_free(own) != 0)
        abort();
    __atomic_store_n(&scene->returned, 1, __ATOMIC_SEQ_CST);
}

static void cancel_and_let_go(void *ctx)
{
    (void)ctx;
    if (ipc_future_cancel(own) != 0 || ipc_future_free(own) != 0)
        abort();
}

/* It has run, or was cancelled with its owner. */
static void end_oracle(void *ctx, const struct sweep_point *point,
                       struct sweep_result *result)
{
    (void)ctx;
    if (scene->bury_first)
        supervise();
    if (scene->workers == 0 && crew[0].pid == 0)
        hire(0);
    if (!go_on(point, result))
        return;
    if (scene->torn != 0 || scene->runs[VICTIM] > 1 || scene->runs[LAST] != 1)
        sweep_torn(result, point);
    if (scene->returned != 0 && scene->runs[VICTIM] != 1)
        sweep_lost(result, point);
    scene->ran += scene->runs[VICTIM];
    check_whole(point, result);
}

static void sweep_end(const char *name, const struct scene *plan,
                      void (*prepare)(void *), void (*victim)(void *),
                      long stride)
{
    const struct sweep sweep = {.reset = put_scene,
                                .prepare = prepare,
                                .victim = victim,
                                .oracle = end_oracle,
                                .stride = sweep_stride(stride)};
    const struct sweep_result result = run_sweep(name, plan, &sweep);
    sweep_expect_clean(&result, 5);
}

static void result_that_is_there(void)
{
    sweep_end(
        "near",
        &(struct scene){.workers = 1, .arg_bytes = NEAR, .result_bytes = NEAR},
        submit_own_and_wait, have_result, 2);
    sweep_end("far",
              &(struct scene){.workers = 1,
                              .arg_bytes = FAR,
                              .result_bytes = FAR,
                              .bury_first = true},
              submit_own_and_wait, have_result, 4);
    sweep_end("spilled",
              &(struct scene){.workers = 1,
                              .arg_bytes = SPILLED,
                              .result_bytes = SPILLED,
                              .bury_first = true},
              submit_own_and_wait, have_result, 12);
}

/* Who waits looks after the supervisor: at its life word, if it has one, or else
 * at what /proc says, in thousands of instructions and never the same. */
static void put_scene_with_supervisor(void *ctx)
{
    put_scene(ctx);
    must(ipc__self_register(scene->pool) == 0);
    scene->pool->supervisor = ipc__self.id;
}

/* The victim sleeps until a worker comes. */
static void result_that_is_waited_for(void)
{
    const struct scene plan = {.arg_bytes = NEAR, .result_bytes = SPILLED};
    const struct sweep sweep = {.reset = put_scene_with_supervisor,
                                .prepare = submit_own,
                                .victim = have_result,
                                .meanwhile = a_worker_comes,
                                .oracle = end_oracle,
                                .stride = sweep_stride(10)};
    const struct sweep_result result = run_sweep(NULL, &plan, &sweep);
    sweep_expect_clean(&result, 10);
    assert_true(result.woken > 0);
}

static void letting_go_of_a_pending_one(void)
{
    sweep_end("free",
              &(struct scene){.arg_bytes = SPILLED,
                              .result_bytes = SPILLED,
                              .bury_first = true},
              submit_own, let_go, 3);
    sweep_end("cancel",
              &(struct scene){.arg_bytes = SPILLED,
                              .result_bytes = SPILLED,
                              .bury_first = true},
              submit_own, cancel_and_let_go, 10);
}

/* ---- the double fault: who comes next dies too ---- */

static void submit_another(void *ctx)
{
    ipc_future *future;
    (void)ctx;
    if (submit_number(INNER, NEAR, NEAR, &future) != 0)
        abort();
}

static void who_recovers_dies_too(void)
{
    const struct scene plan = {.arg_bytes = NEAR, .result_bytes = NEAR};
    struct sweep_result result;
    const struct sweep sweep = {.reset = put_scene,
                                .prepare = warm_up,
                                .victim = submit_it,
                                .recoverer_prepare = warm_up,
                                .recoverer = submit_another,
                                .oracle = submit_oracle};
    no_recheck();
    make_scene(&plan);
    sweep2_run(&sweep, &result);
    end_scene();
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- what these must find ---- */

static struct sweep_result found_in(void (*victim)(void *ctx),
                                    struct scene plan)
{
    const struct sweep sweep = {
        .reset = put_scene, .victim = victim, .oracle = submit_oracle};
    plan.arg_bytes = plan.result_bytes = NEAR;
    plan.wedge_ms = 150;
    return run_sweep("broken", &plan, &sweep);
}

/* With the guard: a record for the victim's task. */
static struct ipc_future *take_record(ipc_pool *pool)
{
    if (ipc__guard_lock(&pool->put_guard, NULL, pool) != 0)
        abort();
    struct ipc_future *record = &pool->records[pool->free_head - 1];
    pool->free_head = record->next;
    return record;
}

static void fill_record(struct ipc_future *record)
{
    record->shape = 0;
    record->attempts = 0;
    record->client = ipc__table_client(scene->pool);
    record->fn = (uint64_t)(uintptr_t)note_run;
    record->arg_bytes = NEAR;
    record->result_bytes = NEAR;
    fill_bytes(ipc__future_arg(record), NEAR, VICTIM);
}

static void line_up_record(const struct ipc_future *record)
{
    ipc_pool *pool = scene->pool;
    pool->line[(pool->tail / IPC__LINE_STEP) & pool->line_mask] =
        ipc__table_index(record);
}

/* Nobody is told what is being put in line. */
static void pending_without_a_note(void *ctx)
{
    ipc_pool *pool = scene->pool;
    struct ipc_future *record = take_record(pool);
    (void)ctx;
    fill_record(record);
    store_release(&record->state, IPC__PENDING | IPC__ABANDONED);
    line_up_record(record);
    add_release(&pool->tail, IPC__LINE_STEP);
    ipc__guard_unlock(&pool->put_guard);
}

/* Whoever comes next does not know that anything is to be made whole. */
static void without_the_guard(void *ctx)
{
    ipc_pool *pool = scene->pool;
    struct ipc_future *record = &pool->records[pool->free_head - 1];
    (void)ctx;
    pool->free_head = record->next;
    fill_record(record);
    store_release(&record->state, IPC__PENDING | IPC__ABANDONED);
    line_up_record(record);
    add_release(&pool->tail, IPC__LINE_STEP);
}

static void wake_after_the_count(void *ctx)
{
    ipc_pool *pool = scene->pool;
    struct ipc_future *record = take_record(pool);
    (void)ctx;
    fill_record(record);
    store_release(&record->state, IPC__PENDING);
    line_up_record(record);
    /* Somebody else is to look; and then nobody does. */
    store_release(&pool->tail,
                  (pool->tail & ~IPC__LINE_SLEEPERS) + IPC__LINE_STEP);
    ipc__futex_wake(&pool->tail, 1);
    ipc__guard_unlock(&pool->put_guard);
}

static void a_record_that_nobody_finds_is_found(void)
{
    assert_true(found_in(pending_without_a_note,
                         (struct scene){.bury_first = true, .abandoned = true})
                    .leftovers > 0);
}

static void a_change_without_the_guard_is_found(void)
{
    assert_true(found_in(without_the_guard,
                         (struct scene){.bury_first = true, .abandoned = true})
                    .leftovers > 0);
}

static void a_wakeup_behind_the_count_is_found(void)
{
    const struct sweep_result result =
        found_in(wake_after_the_count, (struct scene){.workers = 1});
    assert_true(result.wedges > 0);
    assert_int_equal(result.torn, 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(submit_short, 60),
    TEST_CASE_LIMIT(submit_far, 60),
    TEST_CASE_LIMIT(submit_spilled, 60),
    TEST_CASE_LIMIT(submit_into_kept_memory, 60),
    TEST_CASE_LIMIT(submit_the_first_of_all, 60),
    TEST_CASE_LIMIT(submit_without_memory_for_a_record, 60),
    TEST_CASE_LIMIT(submit_behind_others, 60),
    TEST_CASE_LIMIT(submit_and_wake, 60),
    TEST_CASE_LIMIT(submit_where_there_is_no_room, 60),
    TEST_CASE_LIMIT(submit_where_others_were_cancelled, 60),
    TEST_CASE_LIMIT(submit_as_a_stranger, 60),
    TEST_CASE_LIMIT(result_that_is_there, 60),
    TEST_CASE_LIMIT(result_that_is_waited_for, 60),
    TEST_CASE_LIMIT(letting_go_of_a_pending_one, 60),
    TEST_CASE_LIMIT(who_recovers_dies_too, 60),
    TEST_CASE_LIMIT(a_record_that_nobody_finds_is_found, 60),
    TEST_CASE_LIMIT(a_change_without_the_guard_is_found, 60),
    TEST_CASE_LIMIT(a_wakeup_behind_the_count_is_found, 60),
};
TEST_MAIN(cases)
