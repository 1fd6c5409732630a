/* A rwlock is killed at every instruction of acquire, release and downgrade:
 * with nobody else there, with others asleep, and with the one who comes next
 * killed too.  Nobody hangs, nobody reads while somebody writes, and who comes
 * after a writer that died is told so, exactly once. */
#include "crash/rwlock_sweep_support.h"

/* ---- nobody waits ---- */

static void sweep_alone(const char *name, void (*op)(void *ctx),
                        void (*oracle)(void *ctx,
                                       const struct sweep_point *point,
                                       struct sweep_result *result),
                        long stride)
{
    struct sweep sweep = {.name = name,
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = op,
                          .oracle = oracle,
                          .stride = stride};
    struct sweep_result result;
    make_state("");
    sweep_run(&sweep, &result);
    report(name, &result);
    sweep_expect_clean(&result, 20);
}

static void read_three_deep(void *ctx)
{
    for (int i = 0; i < 3; i++)
        (void)take_read();
    read_look_give(ctx);
    for (int i = 0; i < 3; i++)
        give();
}

static void downgrade(void)
{
    if (ipc_rwlock_downgrade(&state->rwlock) != 0)
        abort();
}

static void write_then_read(void *ctx)
{
    (void)ctx;
    (void)take_write();
    change();
    const uint32_t x = get(&state->x);
    downgrade();
    look();
    if (get(&state->x) != x)
        count(&state->torn); /* another writer came in between */
    give();
}

static void write_or_give_up(void *ctx)
{
    (void)ctx;
    const int rc = ipc_rwlock_acquire_write_nowait(&state->rwlock);
    if (rc != 0)
        abort();
    give();
}

/* The loops over 120 places make a write a long operation: in the quick run
 * not every round of them is tried. */
static void nobody_waits(void)
{
    sweep_alone("read", read_look_give, reader_oracle, 1);
    sweep_alone("deep", read_three_deep, reader_oracle, sweep_stride(2));
    sweep_alone("write", write_change_give, writer_oracle, sweep_stride(2));
    sweep_alone("nowait", write_or_give_up, writer_oracle, sweep_stride(5));
    sweep_alone("downgrade", write_then_read, writer_oracle, sweep_stride(3));
}

/* What a thread does once in its life, to be known, is swept too. */
static void the_first_acquire_of_a_process(void)
{
    struct sweep sweep = {.name = "cold",
                          .reset = reset,
                          .victim = read_look_give,
                          .oracle = reader_oracle,
                          .stride = sweep_stride(17)};
    struct sweep_result result;
    make_state("");
    sweep_run(&sweep, &result);
    report("cold", &result);
    sweep_expect_clean(&result, 50);
}

/* ---- others wait for the victim ---- */

static void read_let_in(void *ctx)
{
    warm_up(ctx);
    (void)take_read();
    let_sleepers_in();
}

static void write_let_in(void *ctx)
{
    warm_up(ctx);
    (void)take_write();
    let_sleepers_in();
}

static void look_give(void *ctx)
{
    (void)ctx;
    look();
    give();
}

static void change_give(void *ctx)
{
    (void)ctx;
    change();
    give();
}

static void change_downgrade_give(void *ctx)
{
    (void)ctx;
    change();
    downgrade();
    look();
    give();
}

static struct sweep_result sweep_crowd(const char *name, const char *crowd,
                                       struct sweep *sweep)
{
    struct sweep_result result;
    sweep->name = name;
    sweep->reset = reset;
    make_state(crowd);
    sweep_run(sweep, &result);
    report(name, &result);
    return result;
}

/* Without the re-check: the release wakes, and the death of who holds it is
 * told at once. */
static void sweep_release(const char *name, const char *crowd,
                          void (*prepare)(void *ctx), void (*op)(void *ctx),
                          long stride)
{
    struct sweep sweep = {.prepare = prepare,
                          .victim = op,
                          .oracle = prepare == read_let_in ? reader_oracle
                                                           : writer_oracle,
                          .stride = stride};
    no_recheck();
    const struct sweep_result result = sweep_crowd(name, crowd, &sweep);
    sweep_expect_clean(&result, 10);
    assert_int_equal(state->lost_wakes, 0);
    assert_int_equal(state->late_news, 0);
}

static void one_waits_for_a_reader(void)
{
    sweep_release("W", "W", read_let_in, look_give, 1);
}

static void two_wait_for_a_reader(void)
{
    sweep_release("WR", "WR", read_let_in, look_give, sweep_stride(3));
    sweep_release("WW", "WW", read_let_in, look_give, sweep_stride(3));
}

static void one_waits_for_a_writer(void)
{
    sweep_release("R", "R", write_let_in, change_give, 1);
    sweep_release("W", "W", write_let_in, change_give, 1);
}

static void two_wait_for_a_writer(void)
{
    sweep_release("RR", "RR", write_let_in, change_give, sweep_stride(3));
    sweep_release("WR", "WR", write_let_in, change_give, sweep_stride(3));
    sweep_release("WW", "WW", write_let_in, change_give, sweep_stride(3));
}

static void downgrade_with_others_waiting(void)
{
    sweep_release("R", "R", write_let_in, change_downgrade_give,
                  sweep_stride(3));
    sweep_release("W", "W", write_let_in, change_downgrade_give,
                  sweep_stride(3));
    sweep_release("WR", "WR", write_let_in, change_downgrade_give,
                  sweep_stride(5));
}

static void without_list_read_let_in(void *ctx)
{
    ipc__robust_list_usable = false;
    read_let_in(ctx);
}

static void without_list_write_let_in(void *ctx)
{
    ipc__robust_list_usable = false;
    write_let_in(ctx);
}

/* Who waits cannot be told of a death; but a release wakes them, or has not
 * happened. */
static void without_robust_lists_by_recheck(void)
{
    struct sweep reader = {.prepare = without_list_read_let_in,
                           .victim = look_give,
                           .oracle = reader_oracle,
                           .stride = sweep_stride(3)};
    struct sweep writer = {.prepare = without_list_write_let_in,
                           .victim = change_give,
                           .oracle = writer_oracle,
                           .stride = sweep_stride(3)};
    quick_recheck();
    struct sweep_result result = sweep_crowd("reader", "WR", &reader);
    sweep_expect_clean(&result, 10);
    result = sweep_crowd("writer", "WR", &writer);
    sweep_expect_clean(&result, 10);
    no_recheck();
    (void)sweep_crowd("reader", "WR", &reader);
    assert_int_equal(state->lost_wakes, 0);
    assert_true(state->late_news > 0);
    (void)sweep_crowd("writer", "WR", &writer);
    assert_int_equal(state->lost_wakes, 0);
    assert_true(state->late_news > 0);
}

/* ---- the next one is killed too ---- */

static void take_write_only(void *ctx)
{
    warm_up(ctx);
    (void)take_write();
}

static void take_read_only(void *ctx)
{
    warm_up(ctx);
    (void)take_read();
}

static void sweep_twice(const char *name, void (*prepare)(void *ctx),
                        void (*first)(void *ctx), void (*second)(void *ctx))
{
    struct sweep sweep = {.name = name,
                          .reset = reset,
                          .prepare = prepare,
                          .victim = first,
                          .recoverer_prepare = warm_up,
                          .recoverer = second,
                          .oracle = writer_oracle};
    struct sweep_result result;
    make_state("");
    state->victims = 2;
    sweep2_run(&sweep, &result);
    report(name, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* The second one finds out by reading, repairs, and reads then. */
static void who_comes_after_a_writer_is_killed_too(void)
{
    sweep_twice("writer", take_write_only, change_give, read_look_give);
}

static void who_comes_after_a_reader_is_killed_too(void)
{
    sweep_twice("reader", take_read_only, look_give, write_then_read);
}

/* ---- what these must find ---- */

/* A number of readers: what most rwlocks are made of. */
static int counting_read(ipc_rwlock *rwlock)
{
    uint32_t *word = &rwlock->writing_;
    for (;;) {
        uint32_t seen = get(word);
        if (seen == UINT32_MAX)
            (void)ipc__futex_wait(word, seen, IPC_TIME_FOREVER);
        else if (__atomic_compare_exchange_n(word, &seen, seen + 1, false,
                                             __ATOMIC_SEQ_CST,
                                             __ATOMIC_SEQ_CST))
            return 0;
    }
}

static int counting_write(ipc_rwlock *rwlock)
{
    uint32_t *word = &rwlock->writing_;
    for (;;) {
        uint32_t seen = 0;
        if (__atomic_compare_exchange_n(word, &seen, UINT32_MAX, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return 0;
        (void)ipc__futex_wait(word, seen, IPC_TIME_FOREVER);
    }
}

static int counting_release(ipc_rwlock *rwlock)
{
    uint32_t *word = &rwlock->writing_;
    if (get(word) == UINT32_MAX)
        put(word, 0);
    else
        (void)__atomic_sub_fetch(word, 1, __ATOMIC_SEQ_CST);
    ipc__futex_wake(word, INT32_MAX);
    return 0;
}

static void a_number_of_readers_is_found(void)
{
    static const struct lock_ops counting = {
        .read = counting_read,
        .write = counting_write,
        .release = counting_release,
    };
    struct sweep sweep = {.name = "count",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = read_look_give,
                          .oracle = reader_oracle,
                          .stride = 17};
    struct sweep_result result;
    ops = &counting;
    hung_ms = 300; /* it does */
    make_state("");
    sweep_run(&sweep, &result);
    report("count", &result);
    assert_true(result.wedges > 0);
}

/* Free, then wake: a death in between leaves the writer asleep. */
static int release_in_two_steps(ipc_rwlock *rwlock)
{
    for (int i = 0; i < PLACES; i++) {
        if ((uint32_t)rwlock->readers_[i] == 0)
            continue;
        __atomic_store_n(&rwlock->readers_[i], 0, __ATOMIC_SEQ_CST);
        think();
        ipc__futex_wake((const uint32_t *)(void *)&rwlock->readers_[i], 1);
        break;
    }
    return 0;
}

static void look_give_badly(void *ctx)
{
    (void)ctx;
    look();
    (void)release_in_two_steps(&state->rwlock);
}

static void a_release_in_two_steps_is_found(void)
{
    struct sweep sweep = {.prepare = without_list_read_let_in,
                          .victim = look_give_badly,
                          .oracle = reader_oracle,
                          .stride = 3};
    no_recheck();
    (void)sweep_crowd("steps", "W", &sweep);
    assert_true(state->lost_wakes > 0);
}

static void a_repair_that_is_left_out_is_found(void)
{
    static const struct lock_ops careless = {.read = ipc_rwlock_acquire_read,
                                             .write = ipc_rwlock_acquire_write,
                                             .release = ipc_rwlock_release,
                                             .careless = true};
    struct sweep sweep = {.name = "careless",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = write_change_give,
                          .oracle = writer_oracle,
                          .stride = 2};
    struct sweep_result result;
    ops = &careless;
    make_state("");
    sweep_run(&sweep, &result);
    report("careless", &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(nobody_waits, 120),
    TEST_CASE_LIMIT(the_first_acquire_of_a_process, 60),
    TEST_CASE_LIMIT(one_waits_for_a_reader, 60),
    TEST_CASE_LIMIT(two_wait_for_a_reader, 60),
    TEST_CASE_LIMIT(one_waits_for_a_writer, 60),
    TEST_CASE_LIMIT(two_wait_for_a_writer, 60),
    TEST_CASE_LIMIT(downgrade_with_others_waiting, 60),
    TEST_CASE_LIMIT(without_robust_lists_by_recheck, 60),
    TEST_CASE_LIMIT(who_comes_after_a_writer_is_killed_too, 120),
    TEST_CASE_LIMIT(who_comes_after_a_reader_is_killed_too, 120),
    TEST_CASE_LIMIT(a_number_of_readers_is_found, 60),
    TEST_CASE_LIMIT(a_release_in_two_steps_is_found, 60),
    TEST_CASE_LIMIT(a_repair_that_is_left_out_is_found, 60),
};
TEST_MAIN(cases)
