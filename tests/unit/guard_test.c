/* The guard: the short lock inside the library's shared structures. */
#include "unit/lock_support.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/guard.h"

/* What a guard protects: two words that change together. */
struct pair {
    struct ipc__guard guard;
    long a, b;
    int recoveries;
    uint32_t ready;
    uint32_t go;
};

static void recover(void *arg)
{
    struct pair *pair = arg;
    pair->recoveries++;
    pair->b = pair->a;
}

static void must_not_recover(void *arg)
{
    (void)arg;
    test_fail("recovery without a death");
}

static struct pair *new_pair(void)
{
    struct pair *pair = ipc_shared_alloc(sizeof *pair);
    assert_non_null(pair);
    return pair;
}

static void change(struct pair *pair, void (*recovery)(void *arg))
{
    expect_rc(ipc__guard_lock(&pair->guard, recovery, pair), 0);
    pair->a++;
    pair->b++;
    ipc__guard_unlock(&pair->guard);
}

static uint32_t futex_of(const struct pair *pair)
{
    return (uint32_t)__atomic_load_n(&pair->guard.word, __ATOMIC_SEQ_CST);
}

static void zero_filled_memory_is_a_free_guard(void)
{
    struct pair *pair = new_pair();
    change(pair, must_not_recover);
    assert_int_equal(futex_of(pair), 0);
    expect_rc(ipc__guard_lock(&pair->guard, must_not_recover, pair), 0);
    assert_int_equal(futex_of(pair), gettid());
    ipc__guard_unlock(&pair->guard);
    assert_int_equal(futex_of(pair), 0);
    assert_int_equal(pair->a, 1);
    expect_rc(ipc_shared_free(pair), 0);
}

/* The kernel is to look at the word from before it is taken to after it was
 * freed, and not longer. */
static void the_word_is_announced_while_it_is_held(void)
{
    struct pair *pair = new_pair();
    change(pair, must_not_recover);
    struct robust_list_head *head = ipc__self.robust;
    assert_non_null(head);
    assert_null(head->list_op_pending);
    expect_rc(ipc__guard_lock(&pair->guard, must_not_recover, pair), 0);
    assert_ptr_equal((char *)head->list_op_pending + head->futex_offset,
                     &pair->guard.word);
    ipc__guard_unlock(&pair->guard);
    assert_null(head->list_op_pending);
    expect_rc(ipc_shared_free(pair), 0);
}

enum {
    ROUNDS = 3000,
    MANY = 4
};

static void *change_often(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        change(arg, must_not_recover);
    return NULL;
}

static void change_often_role(void *arg)
{
    (void)change_often(arg);
}

static void threads_and_processes_exclude_each_other(void)
{
    struct pair *pair = new_pair();
    pthread_t threads[MANY];
    struct role roles[MANY];
    for (int i = 0; i < MANY; i++)
        role_start(&roles[i], change_often_role, pair);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, change_often, pair),
                         0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < MANY; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    assert_int_equal(pair->a, 2 * MANY * ROUNDS);
    assert_int_equal(pair->b, pair->a);
    assert_int_equal(futex_of(pair), 0);
    expect_rc(ipc_shared_free(pair), 0);
}

/* ---- the owner dies ---- */

static void die_inside(void *arg)
{
    struct pair *pair = arg;
    expect_rc(ipc__guard_lock(&pair->guard, recover, pair), 0);
    pair->a++;
    meet_signal(&pair->ready);
    meet_wait(&pair->go, 1, LIMIT_MS);
    (void)raise(SIGKILL);
}

static void die_at_once(void *arg)
{
    ((struct pair *)arg)->go = 1;
    die_inside(arg);
}

static void *end_inside(void *arg)
{
    struct pair *pair = arg;
    expect_rc(ipc__guard_lock(&pair->guard, recover, pair), 0);
    pair->a++;
    return NULL;
}

static void recovery_runs_once_after_a_death(void)
{
    struct pair *pair = new_pair();
    pthread_t thread;
    assert_int_equal(role_try(die_at_once, pair, LIMIT_MS),
                     ROLE_SIGNAL + SIGKILL);
    assert_true((futex_of(pair) & FUTEX_BIT_OWNER_DIED) != 0);
    change(pair, recover);
    assert_int_equal(pair->recoveries, 1);
    assert_int_equal(pair->a, 2);
    assert_int_equal(pair->b, 2);
    change(pair, must_not_recover);

    assert_int_equal(pthread_create(&thread, NULL, end_inside, pair), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    change(pair, recover);
    assert_int_equal(pair->recoveries, 2);
    assert_int_equal(pair->a, pair->b);
    expect_rc(ipc_shared_free(pair), 0);
}

static void die_in_recovery(void *arg)
{
    ((struct pair *)arg)->recoveries++;
    (void)raise(SIGKILL);
}

static void recover_and_die(void *arg)
{
    change(arg, die_in_recovery);
}

static void recovery_runs_again_when_it_is_cut_short(void)
{
    struct pair *pair = new_pair();
    assert_int_equal(role_try(die_at_once, pair, LIMIT_MS),
                     ROLE_SIGNAL + SIGKILL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(role_try(recover_and_die, pair, LIMIT_MS),
                         ROLE_SIGNAL + SIGKILL);
    change(pair, recover);
    assert_int_equal(pair->recoveries, 4);
    assert_int_equal(pair->a, pair->b);
    expect_rc(ipc_shared_free(pair), 0);
}

static void change_after_death(void *arg)
{
    change(arg, recover);
}

static void sleepers_are_told_of_a_death(void (*holder_fn)(void *arg),
                                         void (*sleeper_fn)(void *arg))
{
    struct pair *pair = new_pair();
    struct role holder, sleepers[2];
    role_start(&holder, holder_fn, pair);
    meet_wait(&pair->ready, 1, LIMIT_MS);
    for (int i = 0; i < 2; i++) {
        role_start(&sleepers[i], sleeper_fn, pair);
        while (!asleep_on(sleepers[i].pid, &pair->guard.word))
            poll_pause();
    }
    const int64_t start = test_now_ns();
    meet_signal(&pair->go);
    for (int i = 0; i < 2; i++)
        role_wait_ok(&sleepers[i], RECHECK_MS + SLACK_MS);
    test_report("ms", to_ms(test_now_ns() - start));
    (void)role_kill(&holder);
    assert_int_equal(pair->recoveries, 1);
    assert_int_equal(pair->a, 3);
    assert_int_equal(pair->b, 3);
    expect_rc(ipc_shared_free(pair), 0);
}

static void who_sleeps_is_told_of_a_death(void)
{
    sleepers_are_told_of_a_death(die_inside, change_after_death);
}

/* ---- without the kernel's list ---- */

static void die_inside_without_list(void *arg)
{
    ipc__robust_list_usable = false;
    die_inside(arg);
}

static void change_without_list(void *arg)
{
    ipc__robust_list_usable = false;
    change(arg, recover);
}

static void who_sleeps_without_robust_lists_finds_a_death_by_recheck(void)
{
    sleepers_are_told_of_a_death(die_inside_without_list, change_without_list);
}

static void change_often_without_list(void *arg)
{
    ipc__robust_list_usable = false;
    (void)change_often(arg);
}

static void guards_exclude_without_robust_lists(void)
{
    struct pair *pair = new_pair();
    struct role roles[MANY];
    for (int i = 0; i < MANY; i++)
        role_start(&roles[i],
                   i % 2 ? change_often_role : change_often_without_list, pair);
    for (int i = 0; i < MANY; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    assert_int_equal(pair->a, MANY * ROUNDS);
    assert_int_equal(pair->b, pair->a);
    expect_rc(ipc_shared_free(pair), 0);
}

/* ---- what cannot take part ---- */

static void lock_from_abroad(void *arg)
{
    struct pair *pair = arg;
    if (unshare(CLONE_NEWPID) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        test_skip("no pid namespaces here: %m");
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        expect_rc(ipc__guard_lock(&pair->guard, must_not_recover, pair),
                  -EXDEV);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void another_pid_namespace_is_refused(void)
{
    struct pair *pair = new_pair();
    struct role role;
    role_start(&role, lock_from_abroad, pair);
    role_wait_ok(&role, LIMIT_MS);
    change(pair, must_not_recover);
    expect_rc(ipc_shared_free(pair), 0);
}

static void garbage_is_euclean_and_left_alone(void)
{
    struct pair *pair = new_pair();
    pair->guard.word = UINT64_C(0xdeadbeef3fffffff);
    expect_rc(ipc__guard_lock(&pair->guard, must_not_recover, pair), -EUCLEAN);
    assert_true(pair->guard.word == UINT64_C(0xdeadbeef3fffffff));
    assert_null(ipc__self.robust->list_op_pending);
    pair->guard.word = 0;
    change(pair, must_not_recover);
    expect_rc(ipc_shared_free(pair), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(zero_filled_memory_is_a_free_guard),
    TEST_CASE(the_word_is_announced_while_it_is_held),
    TEST_CASE(threads_and_processes_exclude_each_other),
    TEST_CASE(recovery_runs_once_after_a_death),
    TEST_CASE(recovery_runs_again_when_it_is_cut_short),
    TEST_CASE(who_sleeps_is_told_of_a_death),
    TEST_CASE(who_sleeps_without_robust_lists_finds_a_death_by_recheck),
    TEST_CASE(guards_exclude_without_robust_lists),
    TEST_CASE(another_pid_namespace_is_refused),
    TEST_CASE(garbage_is_euclean_and_left_alone),
};
TEST_MAIN(cases)
