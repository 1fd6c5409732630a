/* What is hard to step through: system calls, loops, signal masks, forks. */
#include "crash/harness_model.h"
#include "harness/harness.h"
#include "harness/sweep.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void reset(void *ctx)
{
    (void)ctx;
    memset(model, 0, sizeof *model);
}

/* A call that shows outside, and a store right behind it. */
static void call_then_store(void *ctx)
{
    (void)ctx;
#if defined(__x86_64__)
    long number = SYS_futex;
    register long timeout __asm__("r10");
    register uint32_t *second __asm__("r8");
    register long add_one __asm__("r9");
    timeout = 0;
    second = &model->x;
    add_one = (long)FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_LT, 0);
    __asm__ volatile("syscall\n\tmovl $1, %[y]"
                     : "+a"(number), [y] "=m"(model->y)
                     : "D"(&model->x), "S"((long)FUTEX_WAKE_OP), "d"(1L),
                       "r"(timeout), "r"(second), "r"(add_one)
                     : "rcx", "r11", "memory");
#endif
}

static void count_between(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    if (model->x != model->y)
        sweep_torn(result, point);
}

static void there_is_a_point_right_after_a_system_call(void)
{
    model_new();
    struct sweep_result result;
    struct sweep sweep = {
        .reset = reset, .victim = call_then_store, .oracle = count_between};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.torn, 1);

    sweep.grain = SWEEP_SYSCALLS;
    sweep_run(&sweep, &result);
    assert_int_equal(result.points, 2);
    assert_int_equal(result.torn, 1);
}

/* Passes the same instructions many times, once by a string instruction. */
static void count_to_eight(void *ctx)
{
    (void)ctx;
    for (uint32_t i = 1; i <= 8; i++)
        store(&model->x, i);
#if defined(__x86_64__)
    void *to = &model->y;
    const void *from = &model->x;
    long bytes = sizeof model->x;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
#endif
}

/* Which values of x were seen after a death. */
static uint32_t seen_values;

static void collect_values(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    (void)ctx;
    seen_values |= 1U << model->x;
    if (!point->finished && model->x == 8 && model->y == 8)
        result->lost++; /* death came behind the last byte */
}

static void every_pass_of_a_loop_is_a_point(void)
{
    model_new();
    struct sweep sweep = {
        .reset = reset, .victim = count_to_eight, .oracle = collect_values};
    struct sweep_result by_break, by_step;
    sweep_run(&sweep, &by_break);
    assert_int_equal(seen_values, 0x1ff);
    seen_values = 0;
    sweep.always_step = true;
    sweep_run(&sweep, &by_step);
    assert_int_equal(seen_values, 0x1ff);
    sweep_report(NULL, &by_break);
    assert_int_equal(by_break.points, by_step.points);
    assert_int_equal(by_break.lost, by_step.lost);
}

/* Blocks every signal, forks, waits. */
static void block_fork_wait(void *ctx)
{
    (void)ctx;
    sigset_t all, old, now;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &now);
    if (sigismember(&now, SIGUSR1) != 1)
        _exit(3);
    pid_t pid = fork();
    if (pid == 0)
        _exit(5);
    int status = 0;
    (void)waitpid(pid, &status, 0);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (WEXITSTATUS(status) != 5)
        _exit(4);
}

static void nothing_to_see(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    (void)ctx, (void)point, (void)result;
}

static void blocked_signals_and_forks_are_stepped_through(void)
{
    struct sweep_result result;
    struct sweep sweep = {.victim = block_fork_wait,
                          .prepare = block_fork_wait,
                          .oracle = nothing_to_see,
                          .stride = 3};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep.grain = SWEEP_SYSCALLS;
    sweep.stride = 1;
    sweep_run(&sweep, &result);
    test_report("calls", result.points / 2);
    sweep_expect_clean(&result, 10);
}

static const struct test_case cases[] = {
    TEST_CASE(there_is_a_point_right_after_a_system_call),
    TEST_CASE(every_pass_of_a_loop_is_a_point),
    TEST_CASE(blocked_signals_and_forks_are_stepped_through),
};
TEST_MAIN(cases)
