/* Values and arrays are killed at every instruction of set, add and write.
 * Nobody hangs; elements of up to 8 bytes are whole; larger ones are, or the
 * next call says that somebody died; it says so once. */
#include "crash/look_once.h"
#include "harness/sweep.h"
#include "unit/array_support.h"

#include <stdlib.h>

#include <ipc/atomic.h>

enum {
    NUMBERS = 13,
    FIELDS = 50,
    OLD = 0x11111111,
    NEW = 0x22222222,
};

#define TWICE(x) ((int64_t)(x) << 32 | (x))

struct large {
    uint64_t field[FIELDS]; /* all the same when it is whole */
};

static struct state {
    ipc_value *word;    /* int64 */
    ipc_value *large;   /* struct large */
    ipc_array *numbers; /* int32 */
    ipc_lock warm;
    int64_t counter; /* by atomic.h */
    uint32_t open;   /* the sleeper may begin to wait */

    /* What the next process saw. */
    int rc;
    int rc_again;
    int64_t word_is;
    struct large large_is;
    int32_t numbers_are[NUMBERS];

    long torn_and_told; /* points at which a large one was torn */
} * state;

static struct role sleeping;

/* ---- the operations: what is stepped calls no assert ---- */

static void warm_up(void *ctx)
{
    int64_t is;
    (void)ctx;
    look_once();
    if (ipc_lock_acquire(&state->warm) != 0 ||
        ipc_lock_release(&state->warm) != 0)
        abort();
    /* Not under its lock: nothing is told, or taken, here. */
    memcpy(&is, ipc_value_data(state->word), sizeof is);
}

static void fill_large(struct large *large, uint64_t with)
{
    for (size_t i = 0; i < FIELDS; i++)
        large->field[i] = with;
}

static void set_word(void *ctx)
{
    (void)ctx;
    (void)ipc_value_set_i64(state->word, TWICE(NEW));
}

static void add_to_word(void *ctx)
{
    (void)ctx;
    (void)ipc_value_add_i64(state->word, TWICE(NEW) - TWICE(OLD), NULL);
}

static struct large new_large; /* filled before anybody is stepped */

static void set_large(void *ctx)
{
    (void)ctx;
    (void)ipc_value_set(state->large, &new_large, sizeof new_large);
}

static int32_t new_numbers[NUMBERS];

static void write_numbers(void *ctx)
{
    (void)ctx;
    (void)ipc_array_write(state->numbers, 0, NUMBERS, new_numbers,
                          sizeof new_numbers);
}

static void get_large(void *ctx)
{
    static struct large is;
    (void)ctx;
    (void)!ipc_value_get(state->large, &is, sizeof is);
}

/* ---- state ---- */

static void make_state(void)
{
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    state->word = new_value(IPC_ELEMENT_INT64, 0);
    state->large = new_value(IPC_ELEMENT_STRUCT(sizeof(struct large)), 0);
    state->numbers = new_array(IPC_ELEMENT_INT32, NUMBERS, 0);
    fill_large(&new_large, NEW);
    for (size_t i = 0; i < NUMBERS; i++)
        new_numbers[i] = NEW;
}

static void reset(void *ctx)
{
    struct large *large = ipc_value_data(state->large);
    int64_t *word = ipc_value_data(state->word);
    int32_t *numbers = ipc_array_data(state->numbers);
    (void)ctx;
    memset(ipc_value_lock(state->word), 0, sizeof(ipc_rlock));
    memset(ipc_value_lock(state->large), 0, sizeof(ipc_rlock));
    memset(ipc_array_lock(state->numbers), 0, sizeof(ipc_rlock));
    *word = TWICE(OLD);
    fill_large(large, OLD);
    for (size_t i = 0; i < NUMBERS; i++)
        numbers[i] = OLD;
    state->counter = 0;
    state->open = 0;
}

/* ---- those who come after ---- */

static int look_at_word(void)
{
    return ipc_value_get_i64(state->word, &state->word_is);
}

static int look_at_large(void)
{
    return ipc_value_get(state->large, &state->large_is,
                         sizeof state->large_is);
}

static int look_at_numbers(void)
{
    return ipc_array_read(state->numbers, 0, NUMBERS, state->numbers_are,
                          sizeof state->numbers_are);
}

/* ---- what is right ---- */

static bool word_is_whole(bool finished)
{
    return state->word_is == TWICE(NEW) ||
           (!finished && state->word_is == TWICE(OLD));
}

static bool large_is_whole(bool finished)
{
    const uint64_t first = state->large_is.field[0];
    for (size_t i = 1; i < FIELDS; i++) {
        if (state->large_is.field[i] == first)
            continue;
        if (state->rc == IPC_OWNER_DIED)
            state->torn_and_told++;
        return state->rc == IPC_OWNER_DIED;
    }
    return first == NEW || (!finished && first == OLD);
}

/* Written from the first on, each whole. */
static bool numbers_are_whole(bool finished)
{
    bool old = false;
    for (size_t i = 0; i < NUMBERS; i++) {
        const int32_t is = state->numbers_are[i];
        if ((is != OLD && is != NEW) || (old && is == NEW))
            return false;
        old = is == OLD;
    }
    return !finished || !old;
}

/* One kind of thing to be killed in. */
static struct subject {
    int (*look)(void);
    bool (*is_whole)(bool finished);
    ipc_rlock *lock;
} subject;

static void about_word(void)
{
    subject = (struct subject){look_at_word, word_is_whole,
                               ipc_value_lock(state->word)};
}

static void about_large(void)
{
    subject = (struct subject){look_at_large, large_is_whole,
                               ipc_value_lock(state->large)};
}

static void about_numbers(void)
{
    subject = (struct subject){look_at_numbers, numbers_are_whole,
                               ipc_array_lock(state->numbers)};
}

static void next(void *ctx)
{
    (void)ctx;
    state->rc = subject.look();
    state->rc_again = subject.look();
}

/* ---- oracles ---- */

static void check(const struct sweep_point *point, bool was_free,
                  struct sweep_result *result)
{
    if (state->rc != (was_free ? 0 : IPC_OWNER_DIED))
        sweep_lost(result, point); /* the news of the death */
    if (!subject.is_whole(point->finished))
        sweep_torn(result, point);
    if (state->rc_again != 0 || ipc_rlock_is_held(subject.lock))
        sweep_leftover(result, point);
}

static void (*come_next)(void *ctx) = next;

static void next_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    const bool was_free = futex_half(&subject.lock->lock_) == 0;
    const int how = role_try(come_next, ctx, WEDGE_MS);
    if (how == ROLE_HUNG)
        sweep_wedge(result, point);
    else if (how != 0)
        test_fail("the next process failed: %d", how);
    else
        check(point, was_free, result);
}

static void run(const char *name, void (*victim)(void *ctx),
                struct sweep_result *result)
{
    struct sweep sweep = {.name = name,
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = victim,
                          .oracle = next_oracle};
    sweep_run(&sweep, result);
    sweep_report(NULL, result);
}

/* ---- nobody else is there ---- */

static void set_of_a_word(void)
{
    struct sweep_result result;
    make_state();
    about_word();
    run("set", set_word, &result);
    sweep_expect_clean(&result, 80);
}

static void add_to_a_word(void)
{
    struct sweep_result result;
    make_state();
    about_word();
    run("add", add_to_word, &result);
    sweep_expect_clean(&result, 80);
}

static void set_of_a_large_structure(void)
{
    struct sweep_result result;
    make_state();
    about_large();
    run("large", set_large, &result);
    test_report("torn_and_told", state->torn_and_told);
    sweep_expect_clean(&result, 80);
    assert_true(state->torn_and_told > 0);
}

static void write_of_many(void)
{
    struct sweep_result result;
    make_state();
    about_numbers();
    run("write", write_numbers, &result);
    sweep_expect_clean(&result, 100);
}

static bool large_is_old(bool finished)
{
    (void)finished;
    return large_is_whole(false) && state->large_is.field[0] == OLD;
}

/* Reading takes the lock as well, and has nothing to tear. */
static void get_of_a_large_structure(void)
{
    struct sweep_result result;
    make_state();
    about_large();
    subject.is_whole = large_is_old;
    run("get", get_large, &result);
    assert_int_equal(state->torn_and_told, 0);
    sweep_expect_clean(&result, 80);
}

/* What a thread does once in its life, to be known, is swept too. */
static void the_first_set_of_a_process(void)
{
    struct sweep sweep = {.name = "cold",
                          .reset = reset,
                          .victim = set_word,
                          .oracle = next_oracle,
                          .stride = sweep_stride(13)};
    struct sweep_result result;
    make_state();
    about_word();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 80);
}

/* ---- somebody waits ---- */

static void sleeper(void *ctx)
{
    warm_up(ctx);
    meet_wait(&state->open, 1, LIMIT_MS);
    state->rc = subject.look();
}

static void reset_with_sleeper(void *ctx)
{
    reset(ctx);
    role_start(&sleeping, sleeper, NULL);
}

static void warm_up_and_take(void *ctx)
{
    warm_up(ctx);
    if (ipc_rlock_acquire(subject.lock) != 0)
        abort();
}

static void take_and_let_sleeper_in(void *ctx)
{
    warm_up_and_take(ctx);
    meet_signal(&state->open);
    while (!asleep_on(sleeping.pid, &subject.lock->lock_.word_) &&
           !thread_ended(sleeping.pid))
        poll_pause();
}

static void set_and_give(void *ctx)
{
    set_large(ctx);
    (void)ipc_rlock_release(subject.lock);
}

static void sleeper_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    int status = 0;
    if (!role_dead_within(&sleeping, WEDGE_MS, &status)) {
        (void)role_kill(&sleeping);
        sweep_wedge(result, point);
        return;
    }
    if (status != 0)
        test_fail("the sleeper failed: wait status 0x%x", (unsigned)status);
    if (state->rc != 0 && state->rc != IPC_OWNER_DIED)
        sweep_lost(result, point);
    /* Not told of a death: then it was released, and all was written. */
    if (!large_is_whole(point->finished || state->rc == 0))
        sweep_torn(result, point);
    if (ipc_rlock_is_held(subject.lock))
        sweep_leftover(result, point);
    if (role_try(next, ctx, WEDGE_MS) != 0)
        sweep_wedge(result, point);
    else if (state->rc != 0)
        sweep_leftover(result, point); /* told twice */
}

static void one_waits_for_it(void)
{
    struct sweep sweep = {.name = "one waits",
                          .reset = reset_with_sleeper,
                          .prepare = take_and_let_sleeper_in,
                          .victim = set_and_give,
                          .oracle = sleeper_oracle};
    struct sweep_result result;
    make_state();
    about_large();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 80);
}

/* ---- the one who is told is killed too ---- */

/* Under its lock, by the program itself: few points, so that there is time for
 * those of the second one. */
static void copy_and_give(void *ctx)
{
    (void)ctx;
    memcpy(ipc_value_data(state->large), &new_large, sizeof new_large);
    (void)ipc_rlock_release(subject.lock);
}

/* The first one holds the lock wherever it dies. */
static void the_one_who_is_told_is_killed_too(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset,
                          .prepare = warm_up_and_take,
                          .victim = copy_and_give,
                          .recoverer_prepare = warm_up,
                          .recoverer = set_large,
                          .oracle = next_oracle};
    struct sweep_result result;
    make_state();
    about_large();
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    test_report("torn_and_told", state->torn_and_told);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* ---- atomic.h ---- */

static void count_one(void *ctx)
{
    (void)ctx;
    (void)ipc_atomic_add_i64(&state->counter, 1);
}

static void counter_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    const int64_t is = ipc_atomic_load_i64(&state->counter);
    (void)ctx;
    if (is != 1 && (point->finished || is != 0))
        sweep_torn(result, point);
}

static void an_atomic_add_is_done_or_not(void)
{
    struct sweep sweep = {.name = "atomic",
                          .reset = reset,
                          .victim = count_one,
                          .oracle = counter_oracle};
    struct sweep_result result;
    make_state();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 3);
}

/* ---- what these must find ---- */

static void set_word_in_two_halves(void *ctx)
{
    uint32_t *half = ipc_value_data(state->word);
    (void)ctx;
    if (ipc_rlock_acquire(subject.lock) != 0)
        abort();
    __atomic_store_n(&half[0], NEW, __ATOMIC_SEQ_CST);
    __atomic_store_n(&half[1], NEW, __ATOMIC_SEQ_CST);
    if (ipc_rlock_release(subject.lock) != 0)
        abort();
}

static void a_word_in_two_halves_is_found(void)
{
    struct sweep_result result;
    make_state();
    about_word();
    run("halves", set_word_in_two_halves, &result);
    assert_int_equal(result.wedges + result.lost + result.leftovers, 0);
    assert_true(result.torn > 0);
}

static void give_and_set_large(void *ctx)
{
    struct large *large = ipc_value_data(state->large);
    (void)ctx;
    if (ipc_rlock_acquire(subject.lock) != 0 ||
        ipc_rlock_release(subject.lock) != 0)
        abort();
    fill_large(large, NEW);
}

static void a_write_without_the_lock_is_found(void)
{
    struct sweep_result result;
    make_state();
    about_large();
    run("without", give_and_set_large, &result);
    assert_int_equal(result.wedges + result.lost + result.leftovers, 0);
    assert_true(result.torn > 0);
}

/* Is told, and does not say that all is well again. */
static void next_without_consistent(void *ctx)
{
    (void)ctx;
    state->rc = ipc_rlock_acquire(subject.lock);
    state->word_is = TWICE(NEW);
    if (ipc_rlock_release(subject.lock) != 0)
        abort();
    state->rc_again = look_at_word();
}

static void a_death_that_is_not_dealt_with_is_found(void)
{
    struct sweep_result result;
    make_state();
    about_word();
    come_next = next_without_consistent;
    run("inconsistent", set_word, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.leftovers > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(set_of_a_word),
    TEST_CASE(add_to_a_word),
    TEST_CASE(set_of_a_large_structure),
    TEST_CASE(write_of_many),
    TEST_CASE(get_of_a_large_structure),
    TEST_CASE_LIMIT(the_first_set_of_a_process, 60),
    TEST_CASE(one_waits_for_it),
    TEST_CASE_LIMIT(the_one_who_is_told_is_killed_too, 120),
    TEST_CASE(an_atomic_add_is_done_or_not),
    TEST_CASE(a_word_in_two_halves_is_found),
    TEST_CASE(a_write_without_the_lock_is_found),
    TEST_CASE(a_death_that_is_not_dealt_with_is_found),
};
TEST_MAIN(cases)
