/* The crash harness, tried on small models of locks and queues: it must find
 * what is wrong with the broken ones, and nothing in the sound ones. */
#include "harness/harness.h"
#include "harness/kills.h"
#include "harness/role.h"
#include "harness/sweep.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The state of all models. */
struct model {
    uint32_t lock;
    uint32_t x, y;    /* equal whenever the lock is free and sound */
    uint32_t dirty;   /* a repair is due */
    uint32_t tail;    /* of the queue: messages put */
    uint32_t head;    /* messages taken */
    uint32_t waiting; /* consumers asleep, or about to be */
};

static struct model *model;
static struct role sleeper;

static long futex(uint32_t *word, int op, uint32_t value,
                  const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static bool swap_if(uint32_t *word, uint32_t old, uint32_t new)
{
    return __atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static void reset(void *ctx)
{
    (void)ctx;
    memset(model, 0, sizeof *model);
}

/* ---- two locks: 0 free, otherwise held ---- */

/* Nobody hears of the death of its owner. */
static void naive_take(void)
{
    while (!swap_if(&model->lock, 0, 1))
        (void)futex(&model->lock, FUTEX_WAIT, 1, NULL);
}

static void naive_give(void)
{
    store(&model->lock, 0);
    (void)futex(&model->lock, FUTEX_WAKE, 1, NULL);
}

/* The kernel marks the word when its owner dies: the word is announced as the
 * operation that the robust list of this thread is busy with. */
static struct robust_list_head *robust;
static uint32_t own_tid;

static void robust_attach(void *ctx)
{
    (void)ctx;
    size_t size;
    if (syscall(SYS_get_robust_list, 0, &robust, &size) != 0)
        test_skip("no robust list in this thread");
    own_tid = (uint32_t)syscall(SYS_gettid);
}

static void announce(uint32_t *word)
{
    char *entry = word == NULL ? NULL : (char *)word - robust->futex_offset;
    __atomic_store_n(&robust->list_op_pending,
                     (struct robust_list *)(void *)entry, __ATOMIC_SEQ_CST);
}

/* True: the owner before us died. */
static bool robust_take(void)
{
    uint32_t keep = 0;
    announce(&model->lock);
    for (;;) {
        uint32_t seen = load(&model->lock);
        if (seen == 0 || (seen & FUTEX_OWNER_DIED)) {
            uint32_t mine = own_tid | keep | (seen & FUTEX_WAITERS);
            if (swap_if(&model->lock, seen, mine))
                return seen != 0;
        } else if ((seen & FUTEX_WAITERS) ||
                   swap_if(&model->lock, seen, seen | FUTEX_WAITERS)) {
            keep = FUTEX_WAITERS;
            (void)futex(&model->lock, FUTEX_WAIT, seen | FUTEX_WAITERS, NULL);
        }
    }
}

static void robust_give(void)
{
    if (__atomic_exchange_n(&model->lock, 0, __ATOMIC_SEQ_CST) & FUTEX_WAITERS)
        (void)futex(&model->lock, FUTEX_WAKE, 1, NULL);
    announce(NULL);
}

/* ---- lock; x++; y++; unlock ---- */

static void change(void)
{
    store(&model->x, model->x + 1);
    store(&model->y, model->y + 1);
}

static void naive_change(void *ctx)
{
    (void)ctx;
    naive_take();
    change();
    naive_give();
}

static void careless_change(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    change();
    robust_give();
}

static void sound_change(void *ctx)
{
    (void)ctx;
    if (robust_take())
        store(&model->y, model->x);
    change();
    robust_give();
}

static void think(void)
{
    for (volatile int i = 0; i < 8; i++)
        ;
}

/* Announces its work, but a repairer withdraws the announcement too early. */
static void hasty_change(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    if (model->dirty) {
        store(&model->dirty, 0);
        think();
        store(&model->y, model->x);
    }
    store(&model->dirty, 1);
    change();
    store(&model->dirty, 0);
    robust_give();
}

static void (*next_change)(void *ctx);

static void fresh_change(void *ctx)
{
    robust_attach(ctx);
    next_change(ctx);
}

/* A fresh process must get through, and find or leave x == y.  All others are
 * dead: if it goes to sleep nobody will wake it. */
static void change_oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    struct role role;
    role_start(&role, fresh_change, ctx);
    while (!thread_ended(role.pid) && !asleep_on(role.pid, &model->lock))
        poll_pause();
    if (!thread_ended(role.pid))
        sweep_wedge(result, point);
    else if (model->x != model->y)
        sweep_torn(result, point);
    (void)role_kill(&role);
}

static void sweep_change(void (*victim)(void *ctx), struct sweep_result *result)
{
    next_change = victim;
    struct sweep sweep = {.reset = reset,
                          .prepare = robust_attach,
                          .victim = victim,
                          .oracle = change_oracle};
    sweep_run(&sweep, result);
    sweep_report(NULL, result);
    sweep_expect_min_points(result, 10);
}

static void lock_that_nobody_inherits_wedges(void)
{
    struct sweep_result result;
    model = test_shared(sizeof *model);
    sweep_change(naive_change, &result);
    assert_true(result.wedges > 0);
}

static void change_without_repair_is_torn(void)
{
    struct sweep_result result;
    model = test_shared(sizeof *model);
    sweep_change(careless_change, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static void sound_lock_is_clean(void)
{
    struct sweep_result result;
    model = test_shared(sizeof *model);
    sweep_change(sound_change, &result);
    sweep_expect_clean(&result, 10);
}

static void sweep_change_twice(void (*op)(void *ctx),
                               struct sweep_result *result)
{
    model = test_shared(sizeof *model);
    next_change = op;
    struct sweep sweep = {.reset = reset,
                          .prepare = robust_attach,
                          .victim = op,
                          .recoverer_prepare = robust_attach,
                          .recoverer = op,
                          .oracle = change_oracle};
    sweep2_run(&sweep, result);
    sweep_report(NULL, result);
    sweep_expect_min_points(result, 300);
}

static void repair_that_forgets_is_torn_by_a_second_death(void)
{
    struct sweep_result result;
    model = test_shared(sizeof *model);
    sweep_change(hasty_change, &result);
    sweep_expect_clean(&result, 10); /* one death does not show it */
    sweep_change_twice(hasty_change, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static void sound_lock_survives_two_deaths(void)
{
    struct sweep_result result;
    sweep_change_twice(sound_change, &result);
    sweep_expect_clean(&result, 300);
}

/* ---- put into a queue whose consumer sleeps ---- */

static const struct timespec *recheck; /* how often a sleeper looks again */

static void take_message(void)
{
    for (;;) {
        (void)robust_take();
        if (model->head != model->tail)
            break;
        uint32_t seen = model->tail;
        model->waiting++;
        robust_give();
        (void)futex(&model->tail, FUTEX_WAIT, seen, recheck);
        (void)robust_take();
        model->waiting--;
        robust_give();
    }
    store(&model->head, model->head + 1);
    robust_give();
}

static void consumer(void *ctx)
{
    robust_attach(ctx);
    take_message();
}

static void start_sleeper(void *ctx)
{
    role_start(&sleeper, consumer, ctx);
    while (!asleep_on(sleeper.pid, &model->tail))
        poll_pause();
}

static void reset_with_sleeper(void *ctx)
{
    (void)role_kill(&sleeper);
    reset(ctx);
    start_sleeper(ctx);
}

static void put_wake_last(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    store(&model->tail, model->tail + 1);
    uint32_t waiting = model->waiting;
    robust_give();
    if (waiting > 0)
        (void)futex(&model->tail, FUTEX_WAKE, 1, NULL);
}

static void put_wake_then_unlock(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    store(&model->tail, model->tail + 1);
    if (model->waiting > 0)
        (void)futex(&model->tail, FUTEX_WAKE, 1, NULL);
    robust_give();
}

/* The kernel commits and wakes in one step. */
static void put_wake_op(void *ctx)
{
    (void)ctx;
    (void)robust_take();
    if (model->waiting > 0)
        (void)syscall(SYS_futex, &model->tail, FUTEX_WAKE_OP, 1, NULL,
                      &model->tail,
                      FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_LT, 0));
    else
        store(&model->tail, model->tail + 1);
    robust_give();
}

/* If a message was put, the consumer must get it.  One that sleeps on the
 * tail although the tail has moved was not woken; unless it looks again by
 * itself, it never will be. */
static void queue_oracle(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    (void)ctx;
    int64_t end = test_now_ns() + INT64_C(5000000000);
    while (load(&model->tail) != load(&model->head)) {
        if (recheck == NULL && asleep_on(sleeper.pid, &model->tail)) {
            sweep_wedge(result, point);
            break;
        }
        if (test_now_ns() > end)
            test_fail("the consumer neither sleeps nor takes the message");
        poll_pause();
    }
    (void)role_kill(&sleeper);
}

static void sweep_put(void (*victim)(void *ctx), const char *name,
                      struct sweep_result *result)
{
    model = test_shared(sizeof *model);
    struct sweep sweep = {.reset = reset_with_sleeper,
                          .prepare = robust_attach,
                          .victim = victim,
                          .oracle = queue_oracle};
    sweep_run(&sweep, result);
    sweep_report(name, result);
    sweep_expect_min_points(result, 20);
}

static void commit_then_wake_loses_wakeups(void)
{
    struct sweep_result result;
    sweep_put(put_wake_last, "wake_last", &result);
    assert_true(result.wedges > 0);
    sweep_put(put_wake_then_unlock, "then_unlock", &result);
    assert_true(result.wedges > 0);
}

static void commit_and_wake_in_one_step_is_clean(void)
{
    struct sweep_result result;
    sweep_put(put_wake_op, "wake_op", &result);
    sweep_expect_clean(&result, 20);
}

/* ---- take from a queue: the victim sleeps, is woken, and dies ---- */

static void victim_takes(void *ctx)
{
    (void)ctx;
    take_message();
}

static bool asleep_on_tail(void *ctx, pid_t victim)
{
    (void)ctx;
    return asleep_on(victim, &model->tail);
}

/* The victim sleeps, or is dead.  Another consumer sleeps behind it; then one
 * message is put, which wakes the first.  (The message may go down with the
 * victim.) */
static void put_one(void *ctx, pid_t victim, bool dead)
{
    (void)victim, (void)dead;
    robust_attach(ctx);
    start_sleeper(ctx);
    put_wake_op(ctx);
}

static void sweep_take(struct sweep_result *result)
{
    model = test_shared(sizeof *model);
    struct sweep sweep = {.reset = reset,
                          .prepare = robust_attach,
                          .victim = victim_takes,
                          .asleep = asleep_on_tail,
                          .meanwhile = put_one,
                          .oracle = queue_oracle};
    sweep_run(&sweep, result);
    sweep_report(recheck != NULL ? "recheck" : "no_recheck", result);
    sweep_expect_min_points(result, 40);
    assert_true(result->woken > 10);
}

static void woken_and_killed_swallows_the_wakeup(void)
{
    struct sweep_result result;
    sweep_take(&result);
    assert_true(result.wedges > 0);
}

static void recheck_finds_the_swallowed_wakeup(void)
{
    struct sweep_result result;
    recheck = &(const struct timespec){0, 10000000};
    sweep_take(&result);
    sweep_expect_clean(&result, 40);
}

/* ---- what is hard to step through ---- */

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
    model = test_shared(sizeof *model);
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

/* ---- random kills ---- */

/* Most of its time it holds the lock. */
static void work_naive(void *ctx, int index)
{
    (void)ctx, (void)index;
    while (kills_go_on()) {
        naive_take();
        for (int i = 0; i < 200; i++)
            change();
        naive_give();
    }
}

static void work_sound(void *ctx, int index)
{
    (void)index;
    robust_attach(ctx);
    while (kills_go_on())
        sound_change(ctx);
}

static void random_kills_wedge_a_lock_that_nobody_inherits(void)
{
    model = test_shared(sizeof *model);
    struct kills kills = {
        .workers = 4, .work = work_naive, .stall_limit_ms = 300};
    struct kills_result result;
    kills_run(&kills, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 1);
}

static void check_equal(void *ctx, struct kills_result *result)
{
    (void)ctx, (void)result;
    (void)robust_take();
    store(&model->y, model->x);
    assert_true(model->x > 0);
}

static void random_kills_do_not_wedge_a_sound_lock(void)
{
    model = test_shared(sizeof *model);
    robust_attach(NULL);
    struct kills kills = {
        .workers = 4, .work = work_sound, .check = check_equal, .kills = 300};
    struct kills_result result;
    kills_run(&kills, &result);
    kills_report(&result);
    assert_int_equal(result.kills, 300);
    assert_int_equal(result.wedges, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(lock_that_nobody_inherits_wedges),
    TEST_CASE(change_without_repair_is_torn),
    TEST_CASE(sound_lock_is_clean),
    TEST_CASE(repair_that_forgets_is_torn_by_a_second_death),
    TEST_CASE(sound_lock_survives_two_deaths),
    TEST_CASE(commit_then_wake_loses_wakeups),
    TEST_CASE(commit_and_wake_in_one_step_is_clean),
    TEST_CASE(woken_and_killed_swallows_the_wakeup),
    TEST_CASE(recheck_finds_the_swallowed_wakeup),
    TEST_CASE(there_is_a_point_right_after_a_system_call),
    TEST_CASE(blocked_signals_and_forks_are_stepped_through),
    TEST_CASE(random_kills_wedge_a_lock_that_nobody_inherits),
    TEST_CASE(random_kills_do_not_wedge_a_sound_lock),
};
TEST_MAIN(cases)
