/* ipc_condition: where it lies, names, forks, and memory that nobody wrote. */
#include "unit/condition_support.h"

#include <sys/wait.h>

#include "harness/scale.h"

/* ---- storage ---- */

static void init_and_fini(void)
{
    static const ipc_condition zero;
    const ipc_condition_options options = IPC_CONDITION_OPTIONS_INIT;
    struct box own;
    memset(&own, 0, sizeof own);
    memset(&own.condition, 0xff, sizeof own.condition);
    expect_rc(ipc_condition_init(&own.condition, &options), 0);
    assert_memory_equal(&own.condition, &zero, sizeof zero);
    lock_box(&own);
    expect_rc(wait_any_ms(&own), -ETIMEDOUT);
    unlock_box(&own);
    expect_rc(ipc_condition_fini(&own.condition), 0);
    assert_memory_equal(&own.condition, &zero, sizeof zero);
    expect_rc(ipc_condition_init(&own.condition, NULL), 0);
    expect_rc(ipc_condition_fini(&own.condition), 0);
}

static void bad_options_are_refused(void)
{
    struct {
        ipc_condition_options known;
        uint64_t unknown;
    } newer = {{sizeof newer, 0}, 1};
    const ipc_condition_options flags = {sizeof flags, 1};
    ipc_condition own;
    ipc_condition *made = NULL;
    expect_rc(ipc_condition_init(&own, &newer.known), -E2BIG);
    expect_rc(ipc_condition_new(&newer.known, &made), -E2BIG);
    expect_rc(ipc_condition_create("options", &newer.known, &made), -E2BIG);
    expect_rc(ipc_condition_init(&own, &flags), -EINVAL);
    expect_rc(ipc_condition_new(&flags, &made), -EINVAL);
    expect_rc(ipc_condition_create("options", &flags, &made), -EINVAL);
    expect_rc(ipc_condition_open_or_create("options", &flags, &made), -EINVAL);
    assert_null(made);
    assert_int_equal(test_shm_names(), 0);
}

static void the_familys(void)
{
    ipc_condition *condition = NULL;
    ipc_condition own = {0};
    expect_rc(ipc_condition_new(NULL, &condition), 0);
    assert_int_equal(ipc_condition_waiting(condition), 0);
    expect_rc(ipc_condition_close(condition), -EINVAL);
    expect_rc(ipc_condition_free(&own), -EINVAL);
    expect_rc(ipc_condition_free(condition), 0);
    expect_rc(ipc_condition_free(NULL), 0);
    expect_rc(ipc_condition_close(NULL), 0);
}

struct pair {
    ipc_condition *condition;
    ipc_lock lock;
};

static void wait_in_the_familys(void *arg)
{
    struct pair *pair = arg;
    expect_rc(ipc_lock_acquire(&pair->lock), 0);
    expect_rc(ipc_condition_wait(pair->condition, &pair->lock), 0);
    expect_rc(ipc_lock_release(&pair->lock), 0);
}

static void it_is_not_freed_under_those_who_wait(void)
{
    struct pair *pair = family_alloc(sizeof *pair);
    struct role role;
    expect_rc(ipc_condition_new(NULL, &pair->condition), 0);
    role_start(&role, wait_in_the_familys, pair);
    while (ipc_condition_waiting(pair->condition) == 0)
        poll_pause();
    expect_rc(ipc_condition_free(pair->condition), -EBUSY);
    expect_rc(ipc_condition_notify(pair->condition, 1), 0);
    role_wait_ok(&role, LIMIT_MS);
    expect_rc(ipc_condition_free(pair->condition), 0);
    expect_rc(ipc_shared_free(pair), 0);
}

/* ---- names ---- */

struct named {
    uint32_t ready;
    uint32_t go;
};

static void wait_by_name(void *arg)
{
    struct named *named = arg;
    ipc_condition *condition = NULL;
    ipc_lock *lock = NULL;
    expect_rc(ipc_condition_open("cond", &condition), 0);
    expect_rc(ipc_lock_open("lock", &lock), 0);
    expect_rc(ipc_lock_acquire(lock), 0);
    meet_signal(&named->ready);
    expect_rc(ipc_condition_wait(condition, lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_condition_close(condition), 0);
    expect_rc(ipc_lock_close(lock), 0);
}

static void unrelated_programs_wait_and_notify(void)
{
    struct named *named = test_shared(sizeof *named);
    ipc_condition *condition = NULL;
    ipc_lock *lock = NULL;
    struct role role;
    expect_rc(ipc_condition_open_or_create("cond", NULL, &condition), 0);
    expect_rc(ipc_lock_create("lock", NULL, &lock), 0);
    role_start(&role, wait_by_name, named);
    meet_wait(&named->ready, 1, LIMIT_MS);
    expect_rc(ipc_lock_acquire(lock), 0); /* so it waits */
    expect_rc(ipc_condition_notify(condition, 1), 0);
    expect_rc(ipc_lock_release(lock), 0);
    role_wait_ok(&role, LIMIT_MS);
    expect_rc(ipc_condition_close(condition), 0);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_condition_unlink("cond"), 0);
    expect_rc(ipc_lock_unlink("lock"), 0);
}

static void names_and_kinds_are_checked(void)
{
    ipc_condition *condition = NULL;
    ipc_condition *again = NULL;
    ipc_lock *lock = NULL;
    expect_rc(ipc_condition_open("cond", &condition), -ENOENT);
    expect_rc(ipc_condition_unlink("cond"), -ENOENT);
    expect_rc(ipc_condition_create("cond", NULL, &condition), 0);
    expect_rc(ipc_condition_create("cond", NULL, &again), -EEXIST);
    expect_rc(ipc_condition_open("cond", &again), 0);
    expect_rc(ipc_lock_open("cond", &lock), -EINVAL);
    expect_rc(ipc_condition_close(again), 0);
    expect_rc(ipc_condition_close(condition), 0);
    expect_rc(ipc_condition_unlink("cond"), 0);
    expect_rc(ipc_lock_create("cond", NULL, &lock), 0);
    expect_rc(ipc_condition_open("cond", &condition), -EINVAL);
    expect_rc(ipc_condition_unlink("cond"), -EINVAL);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink("cond"), 0);
}

/* ---- forks ---- */

/* A copy of a condition in private memory, in which a thread of the parent
 * waits: nobody here does. */
static void use_the_copy(struct box *box)
{
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    expect_rc(ipc_condition_notify_all(&box->condition), 0);
    lock_box(box);
    expect_rc(wait_any_ms(box), -ETIMEDOUT);
    unlock_box(box);
}

static void a_child_has_its_copy_of_a_private_condition(void)
{
    static struct box box;
    static struct waiter waiter;
    start_one(&waiter, &box, wait_once, true);
    const pid_t child = fork(); /* no role: threads are here */
    assert_true(child >= 0);
    if (child == 0) {
        use_the_copy(&box);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_waiting(&waiter);
    expect_rc(ipc_condition_notify(&box.condition, 1), 0);
    end_one(&waiter);
    assert_int_equal(waiter.rc, 0);
    expect_rc(ipc_condition_fini(&box.condition), 0);
}

static void notify_parent(void *arg)
{
    struct box *box = arg;
    while (ipc_condition_waiting(&box->condition) == 0)
        poll_pause();
    lock_box(box);
    expect_rc(ipc_condition_notify(&box->condition, 1), 0);
    unlock_box(box);
}

static void parent_and_child_see_the_familys(void)
{
    struct box *box = new_box();
    struct role child;
    lock_box(box);
    role_start(&child, notify_parent, box);
    expect_rc(wait_once(box), 0);
    unlock_box(box);
    role_wait_ok(&child, LIMIT_MS);
    free_box(box);
}

/* ---- memory that nobody wrote ---- */

enum {
    RANDOM = -1, /* or each byte the same */
    STATES = -2  /* numbers from 0 to 3 */
};

static void fill(ipc_condition *condition, int pattern,
                 struct test_random *random)
{
    uint32_t *words = (uint32_t *)(void *)condition;
    memset(condition, pattern, sizeof *condition);
    for (size_t i = 0; i < sizeof *condition / 4 && pattern < 0; i++)
        words[i] = (uint32_t)test_random_next(random) &
                   (pattern == STATES ? 3u : UINT32_MAX);
    if (pattern == STATES) /* not that a thread of the kernel has it */
        words[0] = words[1] = 0;
}

static void expect_documented(const char *call, int rc, int also)
{
    if (rc != 0 && rc != -EUCLEAN && rc != also)
        test_fail("%s: %d (%s)", call, rc, ipc_error_detail());
}

/* Whatever it holds: calls return, and the lock is held as before. */
static void use_garbage(void *arg)
{
    struct box *box = arg;
    ipc_condition *c = &box->condition;
    lock_box(box);
    expect_documented("wait",
                      ipc_condition_wait_until(c, &box->lock, ipc_after_ms(2)),
                      -ETIMEDOUT);
    assert_true(ipc_lock_is_mine(&box->lock));
    expect_documented("notify", ipc_condition_notify(c, 1), 0);
    expect_documented("notify", ipc_condition_notify(c, UINT32_MAX), 0);
    (void)ipc_condition_waiting(c);
    expect_documented("notify_all", ipc_condition_notify_all(c), 0);
    expect_documented("wait",
                      ipc_condition_wait_until(c, &box->lock, IPC_TIME_NOW),
                      -ETIMEDOUT);
    assert_true(ipc_lock_is_mine(&box->lock));
    unlock_box(box);
    expect_documented("fini", ipc_condition_fini(c), -EBUSY);
}

static void garbage_is_survived(void)
{
    struct test_random random = {test_seed()};
    struct box *box = new_box();
    for (long round = 0; round < 100 * test_scale(); round++) {
        const int pattern = round < 8        ? 0xff >> round
                            : round % 2 == 0 ? RANDOM
                                             : STATES;
        fill(&box->condition, pattern, &random);
        const int how = role_try(use_garbage, box, WEDGE_MS);
        if (how != 0)
            test_fail("pattern %d: %d", pattern, how);
    }
    expect_rc(ipc_shared_free(box), 0);
}

/* Somebody writes over it: who waits there returns, with whatever, instead of
 * spinning for ever. */
static void a_wait_in_memory_that_is_overwritten_ends(void)
{
    static const int patterns[] = {0x00, 0xff, 0x5a};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct box *box = new_box();
        struct waiter *waiters = start_waiters(box, 2, wait_once, false);
        memset(&box->condition, patterns[i], sizeof box->condition);
        end_waiters(waiters, 2);
        expect_rc(ipc_shared_free(box), 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(init_and_fini),
    TEST_CASE(bad_options_are_refused),
    TEST_CASE(the_familys),
    TEST_CASE(it_is_not_freed_under_those_who_wait),
    TEST_CASE(unrelated_programs_wait_and_notify),
    TEST_CASE(names_and_kinds_are_checked),
    TEST_CASE(a_child_has_its_copy_of_a_private_condition),
    TEST_CASE(parent_and_child_see_the_familys),
    TEST_CASE(garbage_is_survived),
    TEST_CASE(a_wait_in_memory_that_is_overwritten_ends),
};
TEST_MAIN(cases)
