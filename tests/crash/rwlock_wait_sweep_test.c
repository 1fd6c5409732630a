/* One who waits for a rwlock, to read or to write, is killed at every
 * instruction of the wait, before it sleeps and after it was woken.  Those who
 * wait behind it get the lock, and a writer that died waiting has written
 * nothing. */
#include "crash/rwlock_sweep_support.h"

/* ---- those who hold it at first ---- */

enum {
    MAX_HOLDERS = 2
};

static const char *holders = "";
static struct role holding[MAX_HOLDERS];

static void hold_then_give(void *arg)
{
    const long self = (long)(intptr_t)arg;
    warm_up(NULL);
    if (holders[self] == 'R')
        (void)take_read();
    else
        (void)take_write();
    meet_signal(&state->holding);
    meet_wait(&state->go, 1, LIMIT_MS);
    if (holders[self] == 'R') {
        look();
    } else {
        change();
        count(&state->writes);
    }
    give();
    meet_signal(&state->holding);
    for (;;) /* its end would wake those who wait for it */
        (void)pause();
}

static uint32_t holder_count(void)
{
    return (uint32_t)strlen(holders);
}

static void end_holders(void)
{
    for (uint32_t i = 0; i < holder_count(); i++)
        (void)role_kill(&holding[i]);
}

static void reset_with_holders(void *ctx)
{
    end_holders();
    reset(ctx);
    state->holding = state->go = 0;
    for (uint32_t i = 0; i < holder_count(); i++)
        role_start(&holding[i], hold_then_give, (void *)(intptr_t)i);
    meet_wait(&state->holding, holder_count(), LIMIT_MS);
}

/* ---- the victim sleeps, or is dead ---- */

/* Others come to sleep behind it, then it is released, */
static void others_then_release(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_sleepers_in();
    meet_signal(&state->go);
}

/* or who holds it dies, */
static void others_then_kill(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_sleepers_in();
    end_holders();
}

/* or it is not released. */
static void others_only(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_sleepers_in();
}

/* ---- the sweep ---- */

static bool victim_reads;

static void wait_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    (void)ctx;
    if (get(&state->go) != 0 &&
        !meet_within(&state->holding, 2 * holder_count(), hung_ms))
        sweep_wedge(result, point);
    crowd_oracle(point,
                 victim_reads || !point->woken ? NEWS_NONE : NEWS_PERHAPS,
                 end_holders, result);
}

struct plan {
    const char *name, *holders, *sleepers;
    void (*victim)(void *ctx);
    void (*meanwhile)(void *ctx, pid_t victim, bool dead);
    void (*prepare)(void *ctx); /* NULL: warm_up */
};

static struct sweep_result run(const struct plan *plan, long stride)
{
    struct sweep sweep = {.name = plan->name,
                          .reset = reset_with_holders,
                          .prepare =
                              plan->prepare != NULL ? plan->prepare : warm_up,
                          .victim = plan->victim,
                          .meanwhile = plan->meanwhile,
                          .oracle = wait_oracle,
                          .stride = stride};
    struct sweep_result result;
    make_state(plan->sleepers);
    holders = plan->holders;
    victim_reads = plan->victim == read_look_give;
    /* A writer that dies at first is told of as well. */
    if (plan->meanwhile == others_then_kill && strchr(holders, 'W') != NULL)
        state->victims = 2;
    sweep_run(&sweep, &result);
    report(plan->name, &result);
    sweep_expect_clean(&result, 10);
    return result;
}

/* A release wakes all who wait for a writer, so none can swallow it. */
static void run_without_recheck(const struct plan *plan, long stride)
{
    no_recheck();
    const struct sweep_result result = run(plan, sweep_stride(stride));
    assert_true(result.woken > 1);
    assert_int_equal(state->lost_wakes, 0);
}

static void run_with_recheck(const struct plan *plan)
{
    (void)run(plan, sweep_stride(29));
}

static void a_writer_waits_for_a_reader(void)
{
    run_without_recheck(&(struct plan){.name = "WR",
                                       .holders = "R",
                                       .sleepers = "WR",
                                       .victim = write_change_give,
                                       .meanwhile = others_then_release},
                        17);
    run_without_recheck(&(struct plan){.name = "RR",
                                       .holders = "R",
                                       .sleepers = "RR",
                                       .victim = write_change_give,
                                       .meanwhile = others_then_release},
                        17);
}

static void a_writer_waits_for_two_readers(void)
{
    run_without_recheck(&(struct plan){.name = "R",
                                       .holders = "RR",
                                       .sleepers = "R",
                                       .victim = write_change_give,
                                       .meanwhile = others_then_release},
                        17);
}

static void a_writer_waits_for_a_writer(void)
{
    run_without_recheck(&(struct plan){.name = "WR",
                                       .holders = "W",
                                       .sleepers = "WR",
                                       .victim = write_change_give,
                                       .meanwhile = others_then_release},
                        17);
}

static void a_reader_waits_for_a_writer(void)
{
    run_without_recheck(&(struct plan){.name = "WR",
                                       .holders = "W",
                                       .sleepers = "WR",
                                       .victim = read_look_give,
                                       .meanwhile = others_then_release},
                        17);
    run_without_recheck(&(struct plan){.name = "none",
                                       .holders = "W",
                                       .sleepers = "",
                                       .victim = read_look_give,
                                       .meanwhile = others_then_release},
                        17);
}

/* By the re-check: a victim that was woken by a death does not tell the
 * others of it if it dies itself. */
static void who_holds_it_dies_by_recheck(void)
{
    run_with_recheck(&(struct plan){.name = "writer_by_writer",
                                    .holders = "W",
                                    .sleepers = "WR",
                                    .victim = write_change_give,
                                    .meanwhile = others_then_kill});
    run_with_recheck(&(struct plan){.name = "reader_by_writer",
                                    .holders = "W",
                                    .sleepers = "WR",
                                    .victim = read_look_give,
                                    .meanwhile = others_then_kill});
    run_with_recheck(&(struct plan){.name = "writer_by_reader",
                                    .holders = "RR",
                                    .sleepers = "WR",
                                    .victim = write_change_give,
                                    .meanwhile = others_then_kill});
}

/* Neither the victim nor anybody is told of its death. */
static void without_robust_lists_by_recheck(void)
{
    run_with_recheck(&(struct plan){.name = "writer",
                                    .holders = "R",
                                    .sleepers = "WR",
                                    .victim = write_change_give,
                                    .meanwhile = others_then_release,
                                    .prepare = without_list_warm_up});
    run_with_recheck(&(struct plan){.name = "reader",
                                    .holders = "W",
                                    .sleepers = "WR",
                                    .victim = read_look_give,
                                    .meanwhile = others_then_release,
                                    .prepare = without_list_warm_up});
}

/* ---- one that gives up ---- */

static void write_or_give_up(void *ctx)
{
    (void)ctx;
    const int rc =
        ipc_rwlock_acquire_write_until(&state->rwlock, ipc_after_ms(15));
    if (rc != -ETIMEDOUT)
        abort();
}

/* The readers behind it are let in although the one before it stays. */
static void a_writer_gives_up(void)
{
    run_without_recheck(&(struct plan){.name = "RR",
                                       .holders = "R",
                                       .sleepers = "RR",
                                       .victim = write_or_give_up,
                                       .meanwhile = others_only},
                        61);
}

/* ---- what these must find ---- */

/* A writer that says that it writes before the readers have left. */
static int write_too_early(ipc_rwlock *rwlock)
{
    put(&rwlock->writing_, 1);
    return ipc_rwlock_acquire_write(rwlock);
}

static void news_without_a_reason_is_found(void)
{
    static const struct lock_ops early = {.read = ipc_rwlock_acquire_read,
                                          .write = write_too_early,
                                          .release = ipc_rwlock_release};
    struct sweep sweep = {.name = "early",
                          .reset = reset_with_holders,
                          .prepare = warm_up,
                          .victim = write_change_give,
                          .meanwhile = others_then_release,
                          .oracle = wait_oracle,
                          .stride = 5};
    struct sweep_result result;
    ops = &early;
    make_state("");
    holders = "R";
    sweep_run(&sweep, &result);
    report("early", &result);
    assert_true(result.lost > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_writer_waits_for_a_reader, 60),
    TEST_CASE_LIMIT(a_writer_waits_for_two_readers, 60),
    TEST_CASE_LIMIT(a_writer_waits_for_a_writer, 60),
    TEST_CASE_LIMIT(a_reader_waits_for_a_writer, 60),
    TEST_CASE_LIMIT(who_holds_it_dies_by_recheck, 60),
    TEST_CASE_LIMIT(without_robust_lists_by_recheck, 60),
    TEST_CASE_LIMIT(a_writer_gives_up, 60),
    TEST_CASE_LIMIT(news_without_a_reason_is_found, 60),
};
TEST_MAIN(cases)
