/* ipc_event: where it lies, names, forks, and memory that nobody wrote. */
#include "unit/event_support.h"

#include "harness/scale.h"

/* ---- storage ---- */

static void init_and_fini(void)
{
    static const ipc_event zero;
    const ipc_event_options options = {sizeof options, 0,
                                       "a label of more than 23 bytes is cut"};
    ipc_event own;
    memset(&own, 0xff, sizeof own);
    expect_rc(ipc_event_init(&own, &options), 0);
    assert_int_equal(strlen(own.label_), sizeof own.label_ - 1);
    assert_false(ipc_event_is_set(&own));
    expect_rc(ipc_event_set(&own), 0);
    expect_rc(ipc_event_fini(&own), 0);
    assert_memory_equal(&own, &zero, sizeof zero);
    expect_rc(ipc_event_init(&own, NULL), 0);
    assert_memory_equal(&own, &zero, sizeof zero);
}

static void bad_options_are_refused(void)
{
    struct {
        ipc_event_options known;
        uint64_t unknown;
    } newer = {{sizeof newer, 0, NULL}, 1};
    const ipc_event_options flags = {sizeof flags, 1, NULL};
    ipc_event own;
    ipc_event *made = NULL;
    expect_rc(ipc_event_init(&own, &newer.known), -E2BIG);
    expect_rc(ipc_event_new(&newer.known, &made), -E2BIG);
    expect_rc(ipc_event_create("options", &newer.known, &made), -E2BIG);
    expect_rc(ipc_event_init(&own, &flags), -EINVAL);
    expect_rc(ipc_event_new(&flags, &made), -EINVAL);
    expect_rc(ipc_event_create("options", &flags, &made), -EINVAL);
    expect_rc(ipc_event_open_or_create("options", &flags, &made), -EINVAL);
    assert_null(made);
    assert_int_equal(test_shm_names(), 0);
}

static void wait_for_it(void *arg)
{
    expect_rc(ipc_event_wait(arg), 0);
}

static void the_familys(void)
{
    ipc_event own = {0};
    ipc_event *event = NULL;
    struct role role;
    expect_rc(ipc_event_new(NULL, &event), 0);
    expect_rc(ipc_event_close(event), -EINVAL);
    expect_rc(ipc_event_free(&own), -EINVAL);
    role_start(&role, wait_for_it, event);
    while (!asleep_on(role.pid, &event->word_))
        poll_pause();
    expect_rc(ipc_event_free(event), -EBUSY);
    expect_rc(ipc_event_set(event), 0);
    role_wait_ok(&role, LIMIT_MS);
    expect_rc(ipc_event_free(event), 0);
    expect_rc(ipc_event_free(NULL), 0);
    expect_rc(ipc_event_close(NULL), 0);
}

static void fini_is_refused_while_somebody_waits(bool threads)
{
    struct crossing *crossing = new_crossing();
    struct car *cars = start_cars(crossing, 3, threads);
    meet_signal(&crossing->go);
    expect_cars_wait(cars, 3);
    for (int i = 0; i < 3; i++) {
        expect_rc(ipc_event_fini(&crossing->event), -EBUSY);
        assert_true(ipc_error_detail()[0] != '\0');
        expect_cars_wait(cars, 3); /* they have not been disturbed */
    }
    assert_int_equal(crossing->back, 0);
    expect_rc(ipc_event_set(&crossing->event), 0);
    end_cars(cars, 3);
    free_crossing(crossing);
}

static void fini_is_refused_while_a_process_waits(void)
{
    fini_is_refused_while_somebody_waits(false);
}

static void fini_is_refused_while_a_thread_waits(void)
{
    fini_is_refused_while_somebody_waits(true);
}

/* The dead do not wait. */
static void fini_is_granted_when_the_waiting_have_died(void)
{
    struct crossing *crossing = new_crossing();
    struct car *cars = start_cars(crossing, 2, false);
    meet_signal(&crossing->go);
    expect_cars_wait(cars, 2);
    for (int i = 0; i < 2; i++)
        (void)role_kill(&cars[i].role);
    expect_rc(ipc_event_fini(&crossing->event), 0);
    expect_rc(ipc_shared_free(cars), 0);
    free_crossing(crossing);
}

/* ---- names ---- */

struct named {
    uint32_t ready;
};

static void wait_by_name(void *arg)
{
    struct named *named = arg;
    ipc_event *event = NULL;
    expect_rc(ipc_event_open("event", &event), 0);
    meet_signal(&named->ready);
    expect_rc(ipc_event_wait(event), 0);
    expect_rc(ipc_event_close(event), 0);
}

static void unrelated_programs_set_and_wait(void)
{
    struct named *named = test_shared(sizeof *named);
    struct role roles[3];
    ipc_event *event = NULL;
    expect_rc(ipc_event_open_or_create("event", NULL, &event), 0);
    for (int i = 0; i < 3; i++)
        role_start(&roles[i], wait_by_name, named);
    meet_wait(&named->ready, 3, LIMIT_MS);
    for (int i = 0; i < 3; i++)
        wait_until_sleeping(roles[i].pid, LIMIT_MS);
    expect_rc(ipc_event_set(event), 0);
    for (int i = 0; i < 3; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_rc(ipc_event_close(event), 0);
    expect_rc(ipc_event_unlink("event"), 0);
}

static void names_and_kinds_are_checked(void)
{
    const ipc_event_options options = {sizeof options, 0, "named"};
    ipc_event *event = NULL;
    ipc_event *again = NULL;
    ipc_lock *lock = NULL;
    expect_rc(ipc_event_open("event", &event), -ENOENT);
    expect_rc(ipc_event_unlink("event"), -ENOENT);
    expect_rc(ipc_event_create("event", &options, &event), 0);
    expect_rc(ipc_event_create("event", NULL, &again), -EEXIST);
    expect_rc(ipc_event_open("event", &again), 0);
    assert_string_equal(again->label_, "named");
    expect_rc(ipc_event_set(event), 0);
    assert_true(ipc_event_is_set(again));
    expect_rc(ipc_lock_open("event", &lock), -EINVAL);
    expect_rc(ipc_event_close(again), 0);
    expect_rc(ipc_event_close(event), 0);
    expect_rc(ipc_event_unlink("event"), 0);
    expect_rc(ipc_lock_create("event", NULL, &lock), 0);
    expect_rc(ipc_event_open("event", &event), -EINVAL);
    expect_rc(ipc_event_unlink("event"), -EINVAL);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink("event"), 0);
}

/* ---- forks ---- */

static void set_own_copy(void *arg)
{
    ipc_event *event = arg;
    expect_rc(ipc_event_set(event), 0);
    expect_rc(ipc_event_wait(event), 0);
}

static void a_child_has_its_copy_of_a_private_event(void)
{
    static ipc_event event;
    struct role child;
    role_start(&child, set_own_copy, &event);
    role_wait_ok(&child, LIMIT_MS);
    assert_false(ipc_event_is_set(&event));
}

static void a_child_sets_the_familys(void)
{
    struct crossing *crossing = new_crossing();
    struct role child;
    role_start(&child, set_own_copy, &crossing->event);
    expect_rc(ipc_event_wait(&crossing->event), 0);
    role_wait_ok(&child, LIMIT_MS);
    free_crossing(crossing);
}

/* ---- words that nobody wrote ---- */

static void expect_documented(const char *call, int rc, int also)
{
    if (rc != 0 && rc != -EUCLEAN && rc != also)
        test_fail("%s: %d (%s)", call, rc, ipc_error_detail());
}

/* Whatever it holds: calls return, and set sets it or says why not. */
static void use_garbage(void *arg)
{
    ipc_event *event = arg;
    expect_documented("wait", ipc_event_wait_nowait(event), -EAGAIN);
    expect_documented("wait", ipc_event_wait_until(event, ipc_after_ms(1)),
                      -ETIMEDOUT);
    expect_documented("wait", ipc_event_wait_until(event, IPC_TIME_NOW),
                      -ETIMEDOUT);
    const int rc = ipc_event_set(event);
    expect_documented("set", rc, 0);
    assert_int_equal(ipc_event_is_set(event), rc == 0);
    expect_documented("wait", ipc_event_wait(event), 0);
    expect_documented("clear", ipc_event_clear(event), 0);
    assert_false(ipc_event_is_set(event));
    expect_documented("fini", ipc_event_fini(event), -EBUSY);
}

static void garbage_is_survived(void)
{
    static const uint32_t words[] = {
        0,           1,           2,           3,           4,
        0x7fffffffu, 0x80000000u, 0x80000001u, 0x80000002u, 0x80000003u,
        0xffffffffu, 0xfffffffeu, 0xfffffffdu, 0xfffffffcu, 0x5a5a5a5au,
    };
    const long fixed = sizeof words / sizeof words[0];
    struct test_random random = {test_seed()};
    struct crossing *crossing = new_crossing();
    for (long i = 0; i < fixed + 50 * test_scale(); i++) {
        memset(&crossing->event, 0xa5, sizeof crossing->event);
        crossing->event.word_ =
            i < fixed ? words[i] : (uint32_t)test_random_next(&random);
        const uint32_t word = crossing->event.word_;
        const int how = role_try(use_garbage, &crossing->event, WEDGE_MS);
        if (how != 0)
            test_fail("word 0x%x: %d", word, how);
    }
    expect_rc(ipc_shared_free(crossing), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(init_and_fini),
    TEST_CASE(bad_options_are_refused),
    TEST_CASE(the_familys),
    TEST_CASE(fini_is_refused_while_a_process_waits),
    TEST_CASE(fini_is_refused_while_a_thread_waits),
    TEST_CASE(fini_is_granted_when_the_waiting_have_died),
    TEST_CASE(unrelated_programs_set_and_wait),
    TEST_CASE(names_and_kinds_are_checked),
    TEST_CASE(a_child_has_its_copy_of_a_private_event),
    TEST_CASE(a_child_sets_the_familys),
    TEST_CASE(garbage_is_survived),
};
TEST_MAIN(cases)
