/* T01, T04 and T05 for fair locks: who acquires, waits in line, is handed the
 * lock, leaves the line or releases is killed at every instruction.  The
 * others are served, in their order. */
#include "crash/lock_fair_scene.h"

#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/wait.h>

#include "harness/step.h"
#include "sync/fair.h"

/* ---- T01: acquire and release ---- */

static void t01_nobody_waits(void)
{
    struct sweep sweep = {.name = "alone",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_change_give,
                          .oracle = fresh_oracle};
    struct sweep_result result;
    make_scene(0);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 30);
}

static void warm_take_and_let_in(void *ctx)
{
    warm_up(ctx);
    (void)take();
    let_in(scene->sleepers);
}

static void sweep_release(int sleepers)
{
    struct sweep sweep = {.name = "release",
                          .reset = reset,
                          .prepare = warm_take_and_let_in,
                          .victim = change_and_give,
                          .oracle = line_oracle};
    struct sweep_result result;
    make_scene(sleepers);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 20);
    assert_int_equal(scene->disorder, 0);
}

static void t01_release_with_one_in_line(void)
{
    sweep_release(1);
}

static void t01_release_with_two_in_line(void)
{
    sweep_release(2);
}

/* A release wakes the first in line or did not happen. */
static void t01_release_without_the_recheck(void)
{
    no_recheck();
    sweep_release(2);
    assert_int_equal(scene->late_words, 0);
}

/* Those in front are dead: the release has to find the first living one. */
static void kill_two_in_front(void *ctx)
{
    warm_take_and_let_in(ctx);
    for (int i = 0; i < 2; i++) {
        (void)kill(sleeping[i].pid, SIGKILL);
        while (!thread_ended(sleeping[i].pid))
            poll_pause();
    }
}

/* The sleepers 'a' and 'b' are dead, only 'c' is waited for. */
static void last_one_oracle(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    const bool well = meet_within(&scene->served[2], 1, WEDGE_MS);
    if (!well)
        sweep_wedge(result, point);
    else
        scene->last_ns = test_now_ns();
    end_all();
    fresh_oracle(ctx, point, result);
}

static void t01_release_with_two_dead_in_front(void)
{
    struct sweep sweep = {.name = "past the dead",
                          .reset = reset,
                          .prepare = kill_two_in_front,
                          .victim = change_and_give,
                          .oracle = last_one_oracle,
                          .stride = sweep_stride(5)};
    struct sweep_result result;
    make_scene(3);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, 20);
}

/* ---- T05: waiting in line ---- */

static void (*end_the_wait)(void);
static int ahead; /* sleepers in line before the victim */

static void warm_up_behind(void *ctx)
{
    warm_up(ctx);
    let_in(ahead);
    if (rechecks()) /* one that is stepped does nothing else at a quick pace */
        ipc__recheck_ns = IPC__RECHECK_NS;
    __atomic_store_n(&scene->prepared, 1, __ATOMIC_SEQ_CST);
}

static bool asleep_in_line(void *ctx, pid_t victim)
{
    (void)ctx;
    return __atomic_load_n(&scene->prepared, __ATOMIC_SEQ_CST) != 0 &&
           asleep_in_futex(victim) && is_waiting(victim);
}

/* The victim sleeps or is dead: the others come behind it. */
static void others_then_end(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_in(scene->sleepers);
    end_the_wait();
}

/* It died before it slept, perhaps in the middle of joining the line. */
static void wait_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    if (holder.pid != 0 && !meet_within(&scene->ready, 2, WEDGE_MS))
        sweep_wedge(result, point);
    line_oracle(ctx, point, result);
}

static void sweep_wait(int in_front, int behind, void (*end)(void), long stride,
                       struct sweep_result *result)
{
    struct sweep sweep = {.name = "wait",
                          .reset = reset_with_holder,
                          .prepare = warm_up_behind,
                          .victim = take_change_give,
                          .asleep = asleep_in_line,
                          .meanwhile = others_then_end,
                          .oracle = wait_oracle,
                          .stride = stride};
    ahead = in_front;
    end_the_wait = end;
    make_scene(in_front + behind);
    sweep_run(&sweep, result);
    report(NULL, result);
    assert_int_equal(scene->disorder, 0);
}

static void t05_first_in_line(void)
{
    struct sweep_result result;
    sweep_wait(0, 2, have_it_released, sweep_stride(9), &result);
    sweep_expect_clean(&result, 100);
    assert_true(result.woken > 6);
}

static void t05_second_in_line(void)
{
    struct sweep_result result;
    sweep_wait(1, 1, have_it_released, sweep_stride(11), &result);
    sweep_expect_clean(&result, 50);
}

static void t05_last_in_line(void)
{
    struct sweep_result result;
    sweep_wait(2, 0, have_it_released, sweep_stride(11), &result);
    sweep_expect_clean(&result, 30);
}

static void t05_without_the_recheck(void)
{
    struct sweep_result result;
    no_recheck();
    sweep_wait(0, 2, have_it_released, sweep_stride(9), &result);
    sweep_expect_clean(&result, 100);
}

/* By the re-check where the kernel wakes but one of those who are in line. */
static void t05_the_owner_is_killed_by_recheck(void)
{
    struct sweep_result result;
    sweep_wait(0, 2, have_it_inherited, sweep_stride(11), &result);
    sweep_expect_clean(&result, 30);
}

static int64_t patience_ns;

/* Below the public call, which goes on to write a long detail line. */
static void give_up_waiting(void *ctx)
{
    uint64_t seen;
    (void)ctx;
    const ipc_deadline deadline =
        patience_ns == 0 ? 1 : ipc_after_ns(patience_ns);
    if (ipc__fair_acquire(scene->lock, deadline, &seen) != -ETIMEDOUT)
        abort();
}

/* The lock is held while it comes and goes. */
static void then_release_oracle(void *ctx, const struct sweep_point *point,
                                struct sweep_result *result)
{
    let_in(scene->sleepers);
    have_it_released();
    wait_oracle(ctx, point, result);
}

static void sweep_leaving(long stride, long min_points)
{
    struct sweep sweep = {.name = "leave",
                          .reset = reset_with_holder,
                          .prepare = warm_up_behind,
                          .victim = give_up_waiting,
                          .oracle = then_release_oracle,
                          .stride = stride};
    struct sweep_result result;
    ahead = 1;
    make_scene(2);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    sweep_expect_clean(&result, min_points);
    assert_int_equal(scene->disorder, 0);
}

static void t05_joining_and_leaving_the_line(void)
{
    sweep_leaving(sweep_stride(5), 100);
}

/* Long enough that it sleeps, also one instruction at a time. */
static void t05_leaving_the_line_after_a_sleep(void)
{
    patience_ns = 40 * NS_PER_MS;
    sweep_leaving(sweep_stride(23), 30);
}

/* ---- T04: and the next one is killed too ---- */

static void t04_acquire_and_release_twice(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = take_change_give,
                          .recoverer_prepare = warm_up,
                          .recoverer = take_change_give,
                          .oracle = fresh_oracle};
    struct sweep_result result;
    make_scene(0);
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
}

/* Whatever one left of the line, the next one finds, and dies over it. */
static struct sweep line_twice(void)
{
    ahead = 0;
    make_scene(1);
    return (struct sweep){.name = "line twice",
                          .reset = reset_with_holder,
                          .prepare = warm_up_behind,
                          .victim = give_up_waiting,
                          .recoverer_prepare = warm_up,
                          .recoverer = give_up_waiting,
                          .oracle = then_release_oracle};
}

static long first_dies_at;

/* Another place each time. */
static void reset_and_kill_one(void *ctx)
{
    const struct step_plan plan = {.prepare = warm_up_behind,
                                   .op = give_up_waiting,
                                   .ctx = ctx,
                                   .limit = first_dies_at};
    int status;
    reset_with_holder(ctx);
    const pid_t pid = step_start(&plan);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    first_dies_at =
        step_last()->finished ? 1 + (first_dies_at + 3) % 7 : first_dies_at + 7;
}

static void t04_joining_and_leaving_the_line_twice(void)
{
    struct sweep_result result;
    struct sweep sweep = line_twice();
    if (test_scale() > 1) {
        sweep2_run(&sweep, &result);
    } else {
        sweep.reset = reset_and_kill_one;
        sweep.stride = 5;
        first_dies_at = 1;
        sweep_run(&sweep, &result);
    }
    report(NULL, &result);
    sweep_expect_clean(&result, 100);
    assert_int_equal(scene->disorder, 0);
}

/* ---- what these must find ---- */

/* The fair lock of textbooks: draw a number, wait until it is called. */
static struct {
    uint32_t next, serving;
} * tickets;

static long wait_for_change(uint32_t *word, uint32_t value)
{
    return syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static int take_ticket(void)
{
    const uint32_t mine =
        __atomic_fetch_add(&tickets->next, 1, __ATOMIC_SEQ_CST);
    uint32_t now;
    while ((now = __atomic_load_n(&tickets->serving, __ATOMIC_SEQ_CST)) != mine)
        (void)wait_for_change(&tickets->serving, now);
    return 0;
}

static void give_ticket(void)
{
    (void)__atomic_fetch_add(&tickets->serving, 1, __ATOMIC_SEQ_CST);
    (void)syscall(SYS_futex, &tickets->serving, FUTEX_WAKE, INT_MAX, NULL, NULL,
                  0);
}

static void reset_tickets(void *ctx)
{
    tickets->next = tickets->serving = 0;
    reset_with_holder(ctx);
}

static void tickets_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    (void)ctx, (void)point, (void)result;
    let_in(scene->sleepers);
    while (!all_served() && !all_stuck())
        poll_pause();
    scene->late_words += !all_served();
    end_all();
}

static void a_lock_of_tickets_is_found_out(void)
{
    struct sweep sweep = {.name = "tickets",
                          .reset = reset_tickets,
                          .prepare = warm_up_behind,
                          .victim = take_change_give,
                          .asleep = asleep_in_line,
                          .meanwhile = others_then_end,
                          .oracle = tickets_oracle,
                          .stride = 5};
    struct sweep_result result;
    tickets = test_shared(sizeof *tickets);
    take = take_ticket;
    give = give_ticket;
    end_the_wait = have_it_released;
    no_recheck();
    make_scene(1);
    sweep_run(&sweep, &result);
    report(NULL, &result);
    assert_true(scene->late_words > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(t01_nobody_waits),
    TEST_CASE_LIMIT(t01_release_with_one_in_line, 60),
    TEST_CASE_LIMIT(t01_release_with_two_in_line, 60),
    TEST_CASE_LIMIT(t01_release_without_the_recheck, 60),
    TEST_CASE_LIMIT(t01_release_with_two_dead_in_front, 60),
    TEST_CASE_LIMIT(t05_first_in_line, 120),
    TEST_CASE_LIMIT(t05_second_in_line, 120),
    TEST_CASE_LIMIT(t05_last_in_line, 120),
    TEST_CASE_LIMIT(t05_without_the_recheck, 120),
    TEST_CASE_LIMIT(t05_the_owner_is_killed_by_recheck, 120),
    TEST_CASE_LIMIT(t05_joining_and_leaving_the_line, 120),
    TEST_CASE_LIMIT(t05_leaving_the_line_after_a_sleep, 120),
    TEST_CASE_LIMIT(t04_acquire_and_release_twice, 120),
    TEST_CASE_LIMIT(t04_joining_and_leaving_the_line_twice, 120),
    TEST_CASE(a_lock_of_tickets_is_found_out),
};
TEST_MAIN(cases)
