/* Named synchronisation objects whose users are killed: what is abandoned
 * goes, what somebody has open stays, and what has news is kept until somebody
 * has been told. */
#include "unit/named_sync_support.h"

struct stage {
    const struct kind *kind;
    char name[80];
    uint32_t ready;
};

static struct stage *new_stage(const struct kind *kind)
{
    struct stage *stage = test_shared(sizeof *stage);
    stage->kind = kind;
    (void)snprintf(stage->name, sizeof stage->name, "%s", shm_name("doomed"));
    return stage;
}

static void run_to_death(void (*part)(void *arg), struct stage *stage)
{
    struct role role;
    role_start(&role, part, stage);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
}

static void use_and_die(void *arg)
{
    struct stage *stage = arg;
    void *object = NULL;
    expect_done(stage->kind->open_or_create(stage->name, &object));
    stage->kind->use(object, object);
    (void)raise(SIGKILL);
}

static void hold_and_die(void *arg)
{
    struct stage *stage = arg;
    void *object = NULL;
    expect_done(stage->kind->open_or_create(stage->name, &object));
    stage->kind->hold(object);
    (void)raise(SIGKILL);
}

/* ---- abandoned ---- */

/* Locks may have news for who opens them; see named_lock_test.c. */
static bool may_have_news(const struct kind *kind)
{
    return strstr(kind->type, "lock") != NULL;
}

static void abandoned(const struct kind *kind)
{
    struct stage *stage = new_stage(kind);
    void *object = NULL;
    if (!may_have_news(kind)) {
        run_to_death(use_and_die, stage);
        assert_true(shm_exists(stage->name));
        expect_failure(kind->open(stage->name, &object), -ENOENT, "open");
        assert_false(shm_exists(stage->name));
    }

    run_to_death(use_and_die, stage);
    run_gc(1);
    assert_false(shm_exists(stage->name));

    run_to_death(use_and_die, stage);
    object = make(kind, stage->name); /* a new one */
    kind->use(object, object);
    expect_done(kind->close(object));
    expect_done(kind->unlink(stage->name));
}

static void what_only_the_dead_used_is_removed(void)
{
    for_kinds(abandoned);
}

static void take_all_and_die(void *arg)
{
    struct stage *stage = arg;
    void *object = make(stage->kind, stage->name);
    expect_done(ipc_semaphore_acquire_many(object, 2));
    (void)raise(SIGKILL);
}

/* Not one whose permits went with the dead for good. */
static void open_or_create_begins_anew_after_the_dead(void)
{
    struct stage *stage = new_stage(&kinds[0]);
    ipc_semaphore *semaphore = NULL;
    run_to_death(take_all_and_die, stage);
    expect_done(ipc_semaphore_open_or_create(stage->name, 2, NULL, &semaphore));
    assert_int_equal(ipc_semaphore_value(semaphore), 2);
    expect_done(ipc_semaphore_close(semaphore));
    expect_done(ipc_semaphore_unlink(stage->name));
}

/* The permits of the dead are free, and so nobody has to be told. */
static void permits_of_the_dead_are_no_news(void)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].type, "semaphore") != 0 || kinds[i].hold == NULL)
            continue;
        struct stage *stage = new_stage(&kinds[i]);
        run_to_death(hold_and_die, stage);
        run_gc(1);
        assert_false(shm_exists(stage->name));
    }
}

/* ---- somebody has it open ---- */

static void still_open(const struct kind *kind)
{
    struct stage *stage = new_stage(kind);
    void *object = make(kind, stage->name);
    run_to_death(use_and_die, stage);
    (void)ipc_segment_gc();
    void *same = open_named(kind, stage->name);
    kind->use(object, same);
    expect_done(kind->close(same));
    expect_done(kind->close(object));
    expect_done(kind->unlink(stage->name));
}

static void what_somebody_has_open_stays(void)
{
    for_kinds(still_open);
}

/* At once: without waiting. */
static void permits_come_back_to_those_who_have_it_open(void)
{
    for (size_t i = 0; i < KINDS; i++) {
        const struct kind *kind = &kinds[i];
        if (strcmp(kind->type, "semaphore") != 0 || kind->hold == NULL)
            continue;
        struct stage *stage = new_stage(kind);
        ipc_semaphore *semaphore = make(kind, stage->name);
        run_to_death(hold_and_die, stage);
        expect_done(ipc_semaphore_acquire_many_nowait(semaphore, 2));
        assert_int_equal(ipc_semaphore_held(semaphore), 2);
        expect_done(ipc_semaphore_release_many(semaphore, 2));
        expect_done(ipc_semaphore_close(semaphore));
        expect_done(ipc_semaphore_unlink(stage->name));
    }
}

/* ---- news ---- */

static void be_told_and_repair(void *arg)
{
    struct stage *stage = arg;
    ipc_rwlock *rwlock = open_named(stage->kind, stage->name);
    assert_int_equal(ipc_rwlock_acquire_read_nowait(rwlock), -EOWNERDEAD);
    assert_int_equal(ipc_rwlock_acquire_write(rwlock), IPC_OWNER_DIED);
    expect_failure(ipc_rwlock_close(rwlock), -EBUSY, "held");
    expect_done(ipc_rwlock_consistent(rwlock));
    expect_done(ipc_rwlock_release(rwlock));
    expect_done(ipc_rwlock_close(rwlock));
}

static const struct kind *rwlock_kind(void)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, "rwlock") == 0)
            return &kinds[i];
    test_fail("no rwlocks");
}

static void a_dead_writer_is_news(void)
{
    struct stage *stage = new_stage(rwlock_kind());
    void *object = NULL;
    run_to_death(hold_and_die, stage);
    (void)ipc_segment_gc();
    assert_true(shm_exists(stage->name));
    expect_failure(stage->kind->create(stage->name, &object), -EEXIST,
                   "create");
    assert_int_equal(role_try(be_told_and_repair, stage, LIMIT_MS), 0);
    object = open_named(stage->kind, stage->name);
    stage->kind->use(object, object);
    expect_done(stage->kind->close(object));
    expect_done(stage->kind->unlink(stage->name));
}

static void read_and_die(void *arg)
{
    struct stage *stage = arg;
    ipc_rwlock *rwlock = make(stage->kind, stage->name);
    expect_done(ipc_rwlock_acquire_read(rwlock));
    (void)raise(SIGKILL);
}

static void a_dead_reader_is_none(void)
{
    struct stage *stage = new_stage(rwlock_kind());
    run_to_death(read_and_die, stage);
    run_gc(1);
    assert_false(shm_exists(stage->name));
}

/* ---- those who wait die ---- */

static void wait_for_named(void *arg)
{
    struct stage *stage = arg;
    void *object = open_named(stage->kind, stage->name);
    meet_signal(&stage->ready);
    (void)stage->kind->wait(object);
}

static void waiter_dies(const struct kind *kind)
{
    struct role role;
    struct stage *stage = new_stage(kind);
    if (kind->wait == NULL)
        return;
    void *object = make(kind, stage->name);
    if (kind->hold != NULL)
        kind->hold(object);
    role_start(&role, wait_for_named, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    wait_until_sleeping(role.pid, LIMIT_MS);
    (void)role_kill(&role);
    if (kind->hold != NULL)
        kind->let_go(object);
    expect_done(kind->close(object));
    expect_done(kind->unlink(stage->name));
}

static void a_dead_waiter_keeps_nobody_from_closing(void)
{
    for_kinds(waiter_dies);
}

static const struct test_case cases[] = {
    TEST_CASE(what_only_the_dead_used_is_removed),
    TEST_CASE(open_or_create_begins_anew_after_the_dead),
    TEST_CASE(permits_of_the_dead_are_no_news),
    TEST_CASE(what_somebody_has_open_stays),
    TEST_CASE(permits_come_back_to_those_who_have_it_open),
    TEST_CASE(a_dead_writer_is_news),
    TEST_CASE(a_dead_reader_is_none),
    TEST_CASE(a_dead_waiter_keeps_nobody_from_closing),
};
TEST_MAIN(cases)
