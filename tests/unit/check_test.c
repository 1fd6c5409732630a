/* Check mode: how it is switched on and off, who inherits it, what it finds
 * between unrelated programs, and the use of objects that are no more. */
#include "unit/check_support.h"
#include "unit/sync_calls.h"

#include <stdlib.h>

/* ---- on and off ---- */

static void enable_says_what_it_was(void)
{
    const bool before = ipc_check_is_enabled();
    assert_true(ipc_check_enable(true) == before);
    assert_true(ipc_check_is_enabled());
    assert_true(ipc_check_enable(true));
    assert_true(ipc_check_enable(false));
    assert_false(ipc_check_is_enabled());
    assert_false(ipc_check_enable(false));
    assert_false(ipc_check_enable(true));
    assert_true(ipc_check_is_enabled());
}

static void expect_on(void *arg)
{
    (void)arg;
    assert_true(ipc_check_is_enabled());
    (void)ipc_check_enable(false); /* its own business */
}

static void expect_off(void *arg)
{
    (void)arg;
    assert_false(ipc_check_is_enabled());
    (void)ipc_check_enable(true);
}

static void a_child_inherits_it(void)
{
    for (int i = 0; i < 2; i++) {
        struct role role;
        (void)ipc_check_enable(i != 0);
        role_start(&role, i != 0 ? expect_on : expect_off, NULL);
        role_wait_ok(&role, LIMIT_MS);
        assert_true(ipc_check_is_enabled() == (i != 0));
    }
}

/* What is found depends on what it is when somebody is about to wait. */
static void it_can_be_switched_in_the_middle(void)
{
    ipc_lock *locks[2] = {new_lock("a"), new_lock("b")};
    for (int i = 0; i < 4; i++) {
        const bool on = i % 2 != 0;
        struct ring *ring = new_ring(2);
        (void)ipc_check_enable(on);
        ring->patience_ms = on ? PATIENCE_MS : 60;
        for (int k = 0; k < 2; k++)
            ring->things[k] = (struct thing){locks[k], LOCK, LOCK};
        go_round(ring, true);
        assert_true((ring->told != 0) == on);
        if (!on)
            assert_int_equal(ring->of[0].rc, -ETIMEDOUT);
    }
    expect_rc(ipc_lock_free(locks[0]), 0);
    expect_rc(ipc_lock_free(locks[1]), 0);
}

/* ---- fresh programs: this one again, see main() ---- */

struct program {
    const char *value; /* of IPC_CHECK; NULL: not set */
    const char *what;
    const char *argument;
};

static void become_program(void *arg)
{
    const struct program *program = arg;
    /* NOLINTBEGIN(concurrency-mt-unsafe): a role has one thread */
    if (program->value != NULL)
        assert_int_equal(setenv("IPC_CHECK", program->value, 1), 0);
    else
        assert_int_equal(unsetenv("IPC_CHECK"), 0);
    /* NOLINTEND(concurrency-mt-unsafe) */
    (void)execl("/proc/self/exe", "check_test", "--be", program->what,
                program->argument, (char *)NULL);
    test_fail("execl: %m");
}

static int run_program(const char *value, const char *what)
{
    struct program program = {value, what, "0"};
    return role_try(become_program, &program, LIMIT_MS);
}

static void the_environment_switches_it_on(void)
{
    assert_int_equal(run_program("1", "on"), 0);
    assert_int_equal(run_program(NULL, "off"), 0);
    assert_int_equal(run_program("", "off"), 0);
    assert_int_equal(run_program("0", "off"), 0);
    assert_int_equal(run_program("1", "overrule"), 0);
    assert_int_equal(run_program(NULL, "off-children"), 0);
    assert_int_equal(run_program("1", "on-children"), 0);
}

/* Two programs that know nothing but two names. */
static void unrelated_programs_with_named_locks(void)
{
    ipc_segment *segment = NULL;
    struct role roles[2];
    struct program programs[2] = {{"1", "cross", "0"}, {"1", "cross", "1"}};
    const ipc_lock_options one = {sizeof one, 0, "alpha", 0};
    const ipc_lock_options two = {sizeof two, 0, "beta", 0};
    ipc_lock *locks[2];
    expect_rc(ipc_lock_create("cross-0", &one, &locks[0]), 0);
    expect_rc(ipc_lock_create("cross-1", &two, &locks[1]), 0);
    expect_rc(ipc_segment_create("cross", sizeof(struct ring), NULL, &segment),
              0);
    struct ring *ring = ipc_segment_data(segment);
    ring->n = 2;
    ring->patience_ms = PATIENCE_MS;
    for (int i = 0; i < 2; i++)
        role_start(&roles[i], become_program, &programs[i]);
    meet_wait(&ring->holding, 2, LIMIT_MS);
    meet_signal(&ring->wanting);
    for (int i = 0; i < 2; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_found(ring, names);
    test_report("told", ring->told);
    for (int i = 0; i < 2; i++)
        expect_rc(ipc_lock_close(locks[i]), 0);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_lock_unlink("cross-0"), 0);
    expect_rc(ipc_lock_unlink("cross-1"), 0);
    expect_rc(ipc_segment_unlink("cross"), 0);
}

/* The objects of a ring lie elsewhere in each program. */
static int cross(int index)
{
    ipc_segment *segment = NULL;
    ipc_lock *locks[2];
    expect_rc(ipc_lock_open("cross-0", &locks[0]), 0);
    expect_rc(ipc_lock_open("cross-1", &locks[1]), 0);
    expect_rc(ipc_segment_open("cross", &segment), 0);
    struct ring *ring = ipc_segment_data(segment);
    ipc_lock *own = locks[index], *next = locks[1 - index];
    ring->of[index].pid = getpid();
    expect_rc(ipc_lock_acquire(own), 0);
    meet_signal(&ring->holding);
    meet_wait(&ring->wanting, 1, LIMIT_MS);
    int rc = ipc_lock_acquire_until(next, ipc_after_ms(PATIENCE_MS));
    ring->of[index].rc = rc;
    while (rc == -EDEADLK) {
        (void)__atomic_add_fetch(&ring->told, 1, __ATOMIC_SEQ_CST);
        (void)snprintf(ring->of[index].detail, sizeof ring->of[index].detail,
                       "%s", ipc_error_detail());
        expect_rc(ipc_lock_release(own), 0);
        poll_pause();
        expect_rc(ipc_lock_acquire(own), 0);
        rc = ipc_lock_acquire_until(next, ipc_after_ms(PATIENCE_MS));
    }
    expect_rc(rc, 0);
    expect_rc(ipc_lock_release(next), 0);
    meet_signal(&ring->through);
    expect_rc(ipc_lock_release(own), 0);
    expect_rc(ipc_lock_close(locks[0]), 0);
    expect_rc(ipc_lock_close(locks[1]), 0);
    expect_rc(ipc_segment_close(segment), 0);
    return 0;
}

static int overrule(void)
{
    if (!ipc_check_enable(false) || ipc_check_is_enabled())
        return 1;
    ipc_lock lock = {.word_ = 0};
    return ipc_lock_fini(&lock) != 0 || ipc_lock_acquire(&lock) != 0;
}

/* Before it was asked for in the parent. */
static int ask_a_child(bool on)
{
    return role_try(on ? expect_on : expect_off, NULL, LIMIT_MS) != 0 ||
           ipc_check_is_enabled() != on;
}

static int be(const char *what, const char *argument)
{
    if (strcmp(what, "on") == 0)
        return ipc_check_is_enabled() ? 0 : 1;
    if (strcmp(what, "off") == 0)
        return ipc_check_is_enabled() ? 1 : 0;
    if (strcmp(what, "overrule") == 0)
        return overrule();
    if (strcmp(what, "on-children") == 0)
        return ask_a_child(true);
    if (strcmp(what, "off-children") == 0)
        return ask_a_child(false);
    if (strcmp(what, "cross") == 0)
        return cross(argument[0] - '0');
    return 2;
}

/* ---- objects that are no more ---- */

/* Calls that acquire, wait or change say what it is; none works. */
static void expect_no_use(const struct sync_kind *kind, void *object,
                          const char *since)
{
    for (size_t i = 0; i < kind->count; i++) {
        const struct sync_call *call = &kind->calls[i];
        const int rc = sync_make_call(kind->name, call, object, since);
        if (call->enters && rc != -EUCLEAN)
            test_fail("%s %s %s: %d (%s)", kind->name, call->name, since, rc,
                      ipc_error_detail());
    }
}

/* And now it is a good one. */
static void expect_use(const struct sync_kind *kind, void *object)
{
    for (size_t i = 0; i < kind->count; i++)
        if (kind->calls[i].call(object) == -EUCLEAN)
            test_fail("%s %s of a good one: %s", kind->name,
                      kind->calls[i].name, ipc_error_detail());
}

static void use_after_fini_is_told(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    (void)ipc_check_enable(true);
    sync_kinds(kinds);
    for (size_t i = 0; i < SYNC_KINDS; i++) {
        const struct sync_kind *kind = &kinds[i];
        void *object = test_shared(kind->size);
        if (kind->fini == NULL)
            continue;
        for (int round = 0; round < 2; round++) {
            expect_rc(kind->init(object), 0);
            expect_rc(kind->fini(object), 0);
            expect_no_use(kind, object, "after fini");
        }
        expect_rc(kind->init(object), 0);
        expect_use(kind, object);
    }
}

static void use_after_free_is_told(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    (void)ipc_check_enable(true);
    sync_kinds(kinds);
    for (size_t i = 0; i < SYNC_KINDS; i++) {
        const struct sync_kind *kind = &kinds[i];
        void *object = NULL;
        if (kind->free == NULL)
            continue;
        expect_rc(kind->make(&object), 0);
        expect_rc(kind->free(object), 0);
        expect_no_use(kind, object, "after free");

        /* What is handed out next is as good as new. */
        expect_rc(kind->make(&object), 0);
        expect_use(kind, object);
        expect_rc(kind->free(object), 0);
        unsigned char *memory = ipc_shared_alloc(kind->size);
        assert_non_null(memory);
        for (size_t k = 0; k < kind->size; k++)
            assert_int_equal(memory[k], 0);
        expect_rc(ipc_shared_free(memory), 0);
    }
}

/* Fair locks, fair and tracked semaphores: with all that lies behind. */
static void what_lies_behind_is_no_more_either(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    ipc_lock_options fair = IPC_LOCK_OPTIONS_INIT;
    ipc_semaphore_options tracked = IPC_SEMAPHORE_OPTIONS_INIT;
    (void)ipc_check_enable(true);
    sync_kinds(kinds);
    fair.flags = IPC_LOCK_FAIR;
    fair.bytes = ipc_lock_bytes(IPC_LOCK_FAIR);
    tracked.flags = IPC_SEMAPHORE_TRACKED | IPC_SEMAPHORE_FAIR;
    tracked.bytes = ipc_semaphore_bytes(4, tracked.flags);
    ipc_lock *lock = test_shared(fair.bytes);
    ipc_semaphore *semaphore = test_shared(tracked.bytes);
    expect_rc(ipc_lock_init(lock, &fair), 0);
    expect_rc(ipc_lock_acquire(lock), 0);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_fini(lock), 0);
    expect_no_use(&kinds[0], lock, "after fini");
    expect_rc(ipc_semaphore_init(semaphore, 4, &tracked), 0);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(ipc_semaphore_fini(semaphore), 0);
    assert_string_equal(kinds[4].name, "semaphore");
    expect_no_use(&kinds[4], semaphore, "after fini");
}

/* Without it, zero-filled memory is a new object, as the headers say. */
static void without_it_fini_leaves_zeros(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    (void)ipc_check_enable(false);
    sync_kinds(kinds);
    for (size_t i = 0; i < SYNC_KINDS; i++) {
        unsigned char *object = test_shared(kinds[i].size);
        if (kinds[i].fini == NULL)
            continue;
        expect_rc(kinds[i].init(object), 0);
        expect_rc(kinds[i].fini(object), 0);
        for (size_t k = 0; k < kinds[i].size; k++)
            assert_int_equal(object[k], 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(enable_says_what_it_was),
    TEST_CASE(a_child_inherits_it),
    TEST_CASE(it_can_be_switched_in_the_middle),
    TEST_CASE(the_environment_switches_it_on),
    TEST_CASE(unrelated_programs_with_named_locks),
    TEST_CASE(use_after_fini_is_told),
    TEST_CASE(use_after_free_is_told),
    TEST_CASE(what_lies_behind_is_no_more_either),
    TEST_CASE(without_it_fini_leaves_zeros),
};

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--be") == 0)
        return be(argv[2], argv[3]);
    return test_run(cases, sizeof cases / sizeof cases[0], argc, argv);
}
