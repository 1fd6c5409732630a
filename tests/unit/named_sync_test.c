/* The storage verbs of all synchronisation objects: under a name, in family
 * memory, and on memory of the caller. */
#include "unit/named_sync_support.h"

/* ---- who plays in another process ---- */

struct stage {
    const struct kind *kind;
    char name[80];
    void *object;
    uint32_t waiting; /* it is about to wait */
    uint32_t ready;
    uint32_t go;
    int rc;
};

static struct stage *new_stage(const struct kind *kind, const char *name)
{
    struct stage *stage = test_shared(sizeof *stage);
    stage->kind = kind;
    (void)snprintf(stage->name, sizeof stage->name, "%s", name);
    return stage;
}

static void wait_for_object(void *arg)
{
    struct stage *stage = arg;
    __atomic_store_n(&stage->waiting, 1, __ATOMIC_SEQ_CST);
    stage->rc = stage->kind->wait(stage->object);
}

/* In a mapping of its own, at another address. */
static void wait_for_named(void *arg)
{
    struct stage *stage = arg;
    stage->object = open_named(stage->kind, stage->name);
    wait_for_object(arg);
    expect_done(stage->kind->close(stage->object));
}

static void start_asleep(struct role *role, void (*fn)(void *arg),
                         struct stage *stage)
{
    role_start(role, fn, stage);
    while (__atomic_load_n(&stage->waiting, __ATOMIC_SEQ_CST) == 0 &&
           !thread_ended(role->pid))
        poll_pause();
    for (int look = 0; look < 3; look++) {
        wait_until_sleeping(role->pid, LIMIT_MS);
        poll_pause();
    }
}

static void wake(const struct kind *kind, void *object)
{
    if (kind->wake != NULL)
        kind->wake(object);
    else
        kind->let_go(object);
}

/* ---- names ---- */

static void opened_many_times(const struct kind *kind)
{
    const char *name = shm_name("one");
    void *const nowhere = (void *)&name;
    void *none = nowhere;
    expect_failure(kind->open(name, &none), -ENOENT, "open");
    expect_failure(kind->unlink(name), -ENOENT, "unlink");
    void *one = make(kind, name);
    expect_failure(kind->create(name, &none), -EEXIST, "create");
    assert_ptr_equal(none, nowhere);
    void *two = open_named(kind, name);
    void *three = NULL;
    expect_done(kind->open_or_create(name, &three));
    kind->use(one, two);
    kind->use(two, three);
    expect_done(kind->close(one));
    kind->use(three, two);
    expect_done(kind->close(two));
    expect_done(kind->close(three));
    assert_true(shm_exists(name));
    one = open_named(kind, name); /* nobody had it open */
    kind->use(one, one);
    expect_done(kind->close(one));
    expect_done(kind->unlink(name));
    assert_false(shm_exists(name));
}

static void all_who_open_the_name_get_one_object(void)
{
    for_kinds(opened_many_times);
}

static void made_by_open_or_create(const struct kind *kind)
{
    const char *name = shm_name("ooc");
    void *one = NULL, *two = NULL;
    expect_done(kind->open_or_create(name, &one));
    expect_done(kind->open_or_create(name, &two));
    kind->use(one, two);
    expect_done(kind->close(one));
    expect_done(kind->close(two));
    expect_done(kind->unlink(name));
}

static void open_or_create_makes_what_is_not_there(void)
{
    for_kinds(made_by_open_or_create);
}

static void unlinked(const struct kind *kind)
{
    const char *name = shm_name("old");
    void *old = make(kind, name);
    void *same = open_named(kind, name);
    expect_done(kind->unlink(name));
    expect_failure(kind->unlink(name), -ENOENT, "unlink");
    void *other = make(kind, name);
    kind->use(old, same);
    kind->use(other, other);
    if (kind->hold != NULL) { /* they are two */
        kind->hold(old);
        kind->hold(other);
        kind->let_go(old);
        kind->let_go(other);
    }
    expect_done(kind->close(old));
    expect_done(kind->close(same));
    expect_done(kind->close(other));
    expect_done(kind->unlink(name));
}

static void unlinked_objects_live_on(void)
{
    for_kinds(unlinked);
}

static void bad_names(const struct kind *kind)
{
    static const char *const names[] = {"", "/", "a/b", ".hidden", "/a/b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *object = NULL;
        expect_failure(kind->create(names[i], &object), -EINVAL, names[i]);
        expect_failure(kind->open(names[i], &object), -EINVAL, names[i]);
        expect_failure(kind->open_or_create(names[i], &object), -EINVAL,
                       names[i]);
        expect_failure(kind->unlink(names[i]), -EINVAL, names[i]);
        assert_null(object);
    }
}

static void impossible_names_are_refused(void)
{
    for_kinds(bad_names);
}

/* ---- kinds ---- */

static void told_from_others(const struct kind *kind)
{
    const char *name = shm_name("kind");
    expect_done(kind->close(make(kind, name)));
    for (size_t i = 0; i < KINDS; i++) {
        const struct kind *other = &kinds[i];
        void *object = NULL;
        expect_failure(other->create(name, &object), -EEXIST, "create");
        if (same_type(kind, other))
            continue;
        expect_failure(other->open(name, &object), -EINVAL, other->name);
        expect_failure(other->open_or_create(name, &object), -EINVAL,
                       other->name);
        expect_failure(other->unlink(name), -EINVAL, other->name);
        assert_null(object);
        assert_true(shm_exists(name));
    }
    expect_no_open(name, -EINVAL); /* as a segment */
    expect_failure(ipc_segment_unlink(name), -EINVAL, "segment");
    expect_done(kind->unlink(name));
}

static void another_kind_under_the_name_is_refused(void)
{
    for_kinds(told_from_others);
}

static void not_a_segment(const struct kind *kind)
{
    const char *name = shm_name("seg");
    void *object = NULL;
    ipc_segment *segment = make_segment(name, 100000);
    expect_failure(kind->open(name, &object), -EINVAL, "open");
    expect_failure(kind->open_or_create(name, &object), -EINVAL, "ooc");
    expect_failure(kind->unlink(name), -EINVAL, "unlink");
    expect_failure(kind->close(ipc_segment_data(segment)), -EINVAL, "close");
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);
}

static void a_segment_is_none_of_them(void)
{
    for_kinds(not_a_segment);
}

/* ---- busy ---- */

static void held_by_the_caller(const struct kind *kind)
{
    const char *name = shm_name("held");
    if (kind->hold == NULL)
        return;
    void *object = make(kind, name);
    kind->hold(object);
    expect_failure(kind->close(object), -EBUSY, "close");
    kind->let_go(object);
    expect_done(kind->close(object));
    expect_failure(kind->close(object), -EINVAL, "closed");
    expect_done(kind->unlink(name));

    object = make_new(kind);
    kind->hold(object);
    expect_failure(kind->fini(object), -EBUSY, "fini");
    expect_failure(kind->free(object), -EBUSY, "free");
    kind->let_go(object);
    kind->use(object, object);
    expect_done(kind->free(object));
}

static void who_holds_it_may_not_close_or_free_it(void)
{
    for_kinds(held_by_the_caller);
}

static void waited_for(const struct kind *kind)
{
    struct role role;
    struct stage *stage = new_stage(kind, "");
    if (kind->wait == NULL)
        return;
    void *object = make_new(kind);
    stage->object = object;
    if (kind->hold != NULL)
        kind->hold(object);
    start_asleep(&role, wait_for_object, stage);
    expect_failure(kind->fini(object), -EBUSY, "fini");
    expect_failure(kind->free(object), -EBUSY, "free");
    wait_until_sleeping(role.pid, LIMIT_MS);
    wake(kind, object);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(stage->rc, 0);
    expect_done(kind->free(object));
}

static void what_somebody_waits_for_is_not_freed(void)
{
    for_kinds(waited_for);
}

static void dead_waiter(const struct kind *kind)
{
    struct role role;
    struct stage *stage = new_stage(kind, "");
    if (kind->wait == NULL)
        return;
    void *object = make_new(kind);
    stage->object = object;
    if (kind->hold != NULL)
        kind->hold(object);
    start_asleep(&role, wait_for_object, stage);
    (void)role_kill(&role);
    if (kind->hold != NULL)
        kind->let_go(object);
    expect_done(kind->free(object));
}

static void what_only_the_dead_wait_for_is_freed(void)
{
    for_kinds(dead_waiter);
}

/* ---- across processes ---- */

static void met_by_name(const struct kind *kind)
{
    const char *name = shm_name("meet");
    struct role role;
    struct stage *stage = new_stage(kind, name);
    if (kind->wait == NULL)
        return;
    void *object = make(kind, name);
    if (kind->hold != NULL)
        kind->hold(object);
    start_asleep(&role, wait_for_named, stage);
    wake(kind, object);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(stage->rc, 0);
    expect_done(kind->close(object));
    expect_done(kind->unlink(name));
}

static void who_waits_by_name_is_woken_by_name(void)
{
    for_kinds(met_by_name);
}

/* ---- in family memory ---- */

static void freed(const struct kind *kind)
{
    static uint64_t elsewhere[2000] __attribute__((aligned(64)));
    ipc_shared_info before = IPC_SHARED_INFO_INIT, after = before;
    expect_done(kind->free(NULL));
    expect_done(kind->close(NULL));
    expect_failure(kind->free(elsewhere), -EINVAL, "free");
    expect_failure(kind->close(elsewhere), -EINVAL, "close");
    expect_done(ipc_shared_query(&before));
    void *object = make_new(kind);
    kind->use(object, object);
    expect_failure(kind->close(object), -EINVAL, "close");
    expect_done(kind->free(object));
    expect_failure(kind->free(object), -EINVAL, "freed");
    expect_done(ipc_shared_query(&after));
    assert_int_equal(after.count, before.count);
}

static void new_and_free_leave_nothing(void)
{
    for_kinds(freed);
}

/* One from a name is not freed, but closed. */
static void not_freed(const struct kind *kind)
{
    const char *name = shm_name("named");
    void *object = make(kind, name);
    expect_failure(kind->free(object), -EINVAL, "free");
    kind->use(object, object);
    expect_done(kind->close(object));
    expect_done(kind->unlink(name));
}

static void named_objects_are_not_freed(void)
{
    for_kinds(not_freed);
}

/* ---- parameters are the creator's ---- */

static void permits_and_flags_are_the_creators(void)
{
    const char *name = shm_name("sem");
    ipc_semaphore *one = NULL, *two = NULL;
    expect_done(ipc_semaphore_create(
        name, 2, SEMAPHORE_OPTIONS(IPC_SEMAPHORE_BOUNDED), &one));
    expect_done(ipc_semaphore_open_or_create(
        name, 7, SEMAPHORE_OPTIONS(IPC_SEMAPHORE_TRACKED), &two));
    assert_int_equal(ipc_semaphore_value(two), 2);
    assert_int_equal(ipc_semaphore_release(two), -EOVERFLOW);
    assert_int_equal(ipc_semaphore_transfer(two, gettid(), 1), -ENOTSUP);
    expect_done(ipc_semaphore_close(one));
    expect_done(ipc_semaphore_close(two));
    expect_done(ipc_semaphore_unlink(name));
}

static void parties_are_the_creators(void)
{
    const char *name = shm_name("bar");
    ipc_barrier *one = NULL, *two = NULL;
    expect_done(ipc_barrier_create(name, 3, NULL, &one));
    expect_done(ipc_barrier_open_or_create(name, 5, NULL, &two));
    assert_int_equal(ipc_barrier_parties(two), 3);
    expect_done(ipc_barrier_close(one));
    expect_done(ipc_barrier_close(two));
    expect_done(ipc_barrier_unlink(name));
}

static void impossible_parameters_make_nothing(void)
{
    const char *name = shm_name("none");
    const ipc_event_options event_options = {sizeof event_options, 1, NULL};
    const ipc_condition_options condition_options = {sizeof condition_options,
                                                     1};
    const ipc_barrier_options barrier_options = {sizeof barrier_options, 2,
                                                 NULL};
    const ipc_rwlock_options rwlock_options = {sizeof rwlock_options, 1, NULL};
    ipc_semaphore *semaphore = NULL;
    ipc_event *event = NULL;
    ipc_condition *condition = NULL;
    ipc_barrier *barrier = NULL;
    ipc_rwlock *rwlock = NULL;
    expect_failure(
        ipc_semaphore_create(name, 1, SEMAPHORE_OPTIONS(8), &semaphore),
        -EINVAL, "semaphore flags");
    expect_failure(ipc_semaphore_open_or_create(name, IPC_SEMAPHORE_MAX + 1,
                                                NULL, &semaphore),
                   -EINVAL, "permits");
    expect_failure(ipc_event_create(name, &event_options, &event), -EINVAL,
                   "event flags");
    expect_failure(ipc_condition_create(name, &condition_options, &condition),
                   -EINVAL, "condition flags");
    expect_failure(ipc_barrier_create(name, 2, &barrier_options, &barrier),
                   -EINVAL, "barrier flags");
    expect_failure(ipc_barrier_create(name, 0, NULL, &barrier), -EINVAL,
                   "no parties");
    expect_failure(
        ipc_barrier_open_or_create(name, IPC_BARRIER_MAX + 1, NULL, &barrier),
        -EINVAL, "too many parties");
    expect_failure(ipc_rwlock_create(name, &rwlock_options, &rwlock), -EINVAL,
                   "rwlock flags");
    assert_false(shm_exists(name));
}

/* ---- contents that were not made by us ---- */

static void a_semaphore_larger_than_its_segment_is_euclean(void)
{
    const char *name = shm_name("big");
    ipc_semaphore *one = NULL, *two = NULL;
    expect_done(ipc_semaphore_create(
        name, 2, SEMAPHORE_OPTIONS(IPC_SEMAPHORE_TRACKED), &one));
    one->holders_ = 60000;
    expect_failure(ipc_semaphore_open(name, &two), -EUCLEAN, "holders");
    one->holders_ = UINT32_MAX;
    expect_failure(ipc_semaphore_open(name, &two), -EUCLEAN, "holders");
    one->holders_ = 2;
    expect_done(ipc_semaphore_open(name, &two));
    expect_done(ipc_semaphore_close(one));
    expect_done(ipc_semaphore_close(two));
    expect_done(ipc_semaphore_unlink(name));
}

static const struct test_case cases[] = {
    TEST_CASE(all_who_open_the_name_get_one_object),
    TEST_CASE(open_or_create_makes_what_is_not_there),
    TEST_CASE(unlinked_objects_live_on),
    TEST_CASE(impossible_names_are_refused),
    TEST_CASE(another_kind_under_the_name_is_refused),
    TEST_CASE(a_segment_is_none_of_them),
    TEST_CASE(who_holds_it_may_not_close_or_free_it),
    TEST_CASE(what_somebody_waits_for_is_not_freed),
    TEST_CASE(what_only_the_dead_wait_for_is_freed),
    TEST_CASE(who_waits_by_name_is_woken_by_name),
    TEST_CASE(new_and_free_leave_nothing),
    TEST_CASE(named_objects_are_not_freed),
    TEST_CASE(permits_and_flags_are_the_creators),
    TEST_CASE(parties_are_the_creators),
    TEST_CASE(impossible_parameters_make_nothing),
    TEST_CASE(a_semaphore_larger_than_its_segment_is_euclean),
};
TEST_MAIN(cases)
