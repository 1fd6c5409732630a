/* ipc_array: its lock.  Who excludes whom, what is one step, and what is said
 * when somebody died. */
#include "unit/array_support.h"

#include "harness/scale.h"

#include <stdlib.h>

/* What roles, threads and the case share. */
struct scene {
    ipc_array *array;
    uint32_t ready;
    uint32_t go;
    uint32_t done;
    int rc;
    int32_t got;
    long rounds;
};

static struct scene *new_scene(ipc_array *array)
{
    struct scene *scene = test_shared(sizeof *scene);
    scene->array = array;
    return scene;
}

static uint32_t word_of(ipc_array *array)
{
    return futex_half(&array->lock_.lock_);
}

/* ---- exclusion ---- */

static void hold_then_change(void *arg)
{
    struct scene *scene = arg;
    expect_rc(ipc_rlock_acquire(ipc_array_lock(scene->array)), 0);
    expect_rc(ipc_array_set_i32(scene->array, 0, 1), 0);
    meet_signal(&scene->ready);
    meet_wait(&scene->go, 1, LIMIT_MS);
    expect_rc(ipc_array_set_i32(scene->array, 0, 2), 0);
    expect_rc(ipc_rlock_release(ipc_array_lock(scene->array)), 0);
}

static void get_one(void *arg)
{
    struct scene *scene = arg;
    scene->rc = ipc_array_get_i32(scene->array, 0, &scene->got);
}

/* A role that sleeps on the array's lock. */
static void start_sleeper(struct role *role, void (*fn)(void *arg),
                          struct scene *scene)
{
    role_start(role, fn, scene);
    const int64_t end_ns = test_now_ns() + LIMIT_MS * NS_PER_MS;
    while (!asleep_on(role->pid, &scene->array->lock_.lock_.word_)) {
        if (thread_ended(role->pid) || test_now_ns() > end_ns)
            test_fail("nobody waits");
        poll_pause();
    }
}

static void a_call_waits_for_who_holds_the_lock(void)
{
    struct scene *scene = new_scene(new_array(IPC_ELEMENT_INT32, 5, 0));
    struct role holder, getter;
    role_start(&holder, hold_then_change, scene);
    meet_wait(&scene->ready, 1, LIMIT_MS);
    start_sleeper(&getter, get_one, scene);
    expect_rc(ipc_rlock_acquire_nowait(ipc_array_lock(scene->array)), -EAGAIN);
    meet_signal(&scene->go);
    role_wait_ok(&getter, LIMIT_MS);
    role_wait_ok(&holder, LIMIT_MS);
    expect_rc(scene->rc, 0);
    assert_int_equal(scene->got, 2); /* never 1: it is in the middle */
    expect_rc(ipc_array_free(scene->array), 0);
}

static void a_raw_array_never_waits(void)
{
    struct scene *scene =
        new_scene(new_array(IPC_ELEMENT_INT32, 5, IPC_ARRAY_RAW));
    struct role holder;
    int32_t buffer[5];
    role_start(&holder, hold_then_change, scene);
    meet_wait(&scene->ready, 1, LIMIT_MS);
    assert_int_equal(i32_at(scene->array, 0), 1);
    expect_rc(ipc_array_set_i32(scene->array, 1, 7), 0);
    expect_rc(ipc_array_add_i32(scene->array, 1, 1, NULL), 0);
    expect_rc(ipc_array_read(scene->array, 0, 5, buffer, sizeof buffer), 0);
    assert_int_equal(buffer[1], 8);
    expect_rc(ipc_array_write(scene->array, 0, 5, buffer, sizeof buffer), 0);
    meet_signal(&scene->go);
    role_wait_ok(&holder, LIMIT_MS);
    expect_rc(ipc_array_free(scene->array), 0);
}

static void who_holds_it_goes_deeper(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    int32_t buffer[5] = {0};
    int rc;
    IPC_WITH_RLOCK(ipc_array_lock(array), rc) {
        expect_rc(ipc_array_set_i32(array, 0, 5), 0);
        assert_int_equal(i32_at(array, 0), 5);
        expect_rc(ipc_array_add_i32(array, 0, 1, NULL), 0);
        expect_rc(ipc_array_read(array, 0, 5, buffer, sizeof buffer), 0);
        expect_rc(ipc_array_write(array, 0, 5, buffer, sizeof buffer), 0);
        expect_rc(ipc_array_get_i32(array, 5, buffer), -ERANGE);
        assert_int_equal(ipc_rlock_depth(ipc_array_lock(array)), 1);
    }
    expect_rc(rc, 0);
    assert_int_equal(word_of(array), 0);
    assert_int_equal(i32_at(array, 0), 6);
    expect_rc(ipc_array_free(array), 0);
}

/* ---- many at once ---- */

enum {
    MEMBERS = 3
};

/* All begin together. */
static void begin(struct scene *scene)
{
    meet_signal(&scene->ready);
    meet_wait(&scene->ready, MEMBERS, LIMIT_MS);
}

static void *add_to_all(void *arg)
{
    struct scene *scene = arg;
    struct record record;
    begin(scene);
    for (long i = 0; i < scene->rounds; i++) {
        int rc;
        IPC_WITH_RLOCK(ipc_array_lock(scene->array), rc) {
            rc = ipc_array_get(scene->array, i % 3, &record, sizeof record);
            if (rc != 0 || record.a != record.b || record.b != record.c)
                abort();
            record.a++;
            record.b++;
            record.c++;
            rc = ipc_array_set(scene->array, i % 3, &record, sizeof record);
        }
        if (rc != 0)
            abort();
    }
    return NULL;
}

static void add_to_all_role(void *arg)
{
    (void)add_to_all(arg);
}

static void expect_sums(struct scene *scene)
{
    struct record record[3];
    expect_rc(ipc_array_read(scene->array, 0, 3, record, sizeof record), 0);
    assert_int_equal(record[0].a + record[1].a + record[2].a,
                     MEMBERS * scene->rounds);
    expect_rc(ipc_array_free(scene->array), 0);
}

static struct scene *sums_scene(void)
{
    struct scene *scene =
        new_scene(new_array(IPC_ELEMENT_STRUCT(sizeof(struct record)), 3, 0));
    scene->rounds = 20000 * test_scale();
    return scene;
}

static void updates_of_threads_are_not_lost(void)
{
    struct scene *scene = sums_scene();
    pthread_t threads[MEMBERS];
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_to_all, scene),
                         0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_sums(scene);
}

static void updates_of_processes_are_not_lost(void)
{
    struct scene *scene = sums_scene();
    struct role roles[MEMBERS];
    for (size_t i = 0; i < MEMBERS; i++)
        role_start(&roles[i], add_to_all_role, scene);
    for (size_t i = 0; i < MEMBERS; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_sums(scene);
}

static void *add_one_by_one(void *arg)
{
    struct scene *scene = arg;
    begin(scene);
    for (long i = 0; i < scene->rounds; i++)
        if (ipc_array_add_f64(scene->array, i % 2, 1, NULL) != 0)
            abort();
    return NULL;
}

static void sums_come_out_right(uint32_t flags)
{
    struct scene *scene = new_scene(new_array(IPC_ELEMENT_DOUBLE, 2, flags));
    pthread_t threads[MEMBERS];
    double sums[2];
    scene->rounds = 20000 * test_scale();
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, add_one_by_one, scene), 0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_rc(ipc_array_read(scene->array, 0, 2, sums, sizeof sums), 0);
    assert_true(sums[0] + sums[1] == (double)(MEMBERS * scene->rounds));
    expect_rc(ipc_array_free(scene->array), 0);
}

static void add_is_one_step_with_the_lock_and_raw(void)
{
    sums_come_out_right(0);
    sums_come_out_right(IPC_ARRAY_RAW);
}

/* Both halves of each element are the same, whoever looks. */
static void *write_halves(void *arg)
{
    struct scene *scene = arg;
    for (uint64_t i = 0; !__atomic_load_n(&scene->done, __ATOMIC_SEQ_CST);
         i++) {
        const uint64_t half = i & UINT32_MAX;
        uint64_t whole[9];
        for (size_t k = 0; k < 9; k++)
            whole[k] = half << 32 | half;
        if (i % 2 == 0
                ? ipc_array_set(scene->array, 3, &whole[0], sizeof whole[0])
                : ipc_array_write(scene->array, 0, 9, whole, sizeof whole))
            abort();
    }
    return NULL;
}

static void elements_of_raw_arrays_are_never_torn(void)
{
    struct scene *scene =
        new_scene(new_array(IPC_ELEMENT_INT64, 9, IPC_ARRAY_RAW));
    pthread_t writer;
    uint64_t seen[9];
    assert_int_equal(pthread_create(&writer, NULL, write_halves, scene), 0);
    for (long i = 0; i < 20000 * test_scale(); i++) {
        expect_rc(ipc_array_read(scene->array, 0, 9, seen, sizeof seen), 0);
        expect_rc(ipc_array_get(scene->array, 3, &seen[8], sizeof seen[8]), 0);
        for (size_t k = 0; k < 9; k++)
            if (seen[k] >> 32 != (seen[k] & UINT32_MAX))
                test_fail("0x%llx", (unsigned long long)seen[k]);
    }
    __atomic_store_n(&scene->done, 1, __ATOMIC_SEQ_CST);
    assert_int_equal(pthread_join(writer, NULL), 0);
    expect_rc(ipc_array_free(scene->array), 0);
}

/* ---- deaths ---- */

static void hold_for_ever(void *arg)
{
    struct scene *scene = arg;
    if (ipc_rlock_acquire(ipc_array_lock(scene->array)) < 0)
        abort();
    expect_rc(ipc_array_set_i32(scene->array, 0, 1), 0);
    meet_signal(&scene->ready);
    for (;;)
        (void)pause();
}

/* Leave the array as one whose lock somebody held when he was killed. */
static void die_in_the_middle(ipc_array *array)
{
    struct scene *scene = new_scene(array);
    struct role role;
    role_start(&role, hold_for_ever, scene);
    meet_wait(&scene->ready, 1, LIMIT_MS);
    (void)role_kill(&role);
}

static void every_call_does_its_work_and_tells(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    int32_t is = 0;
    int32_t all[5];
    die_in_the_middle(array);
    expect_rc(ipc_array_get_i32(array, 0, &is), IPC_OWNER_DIED);
    assert_int_equal(is, 1);
    expect_rc(ipc_array_get_i32(array, 0, &is), 0); /* told once */

    die_in_the_middle(array);
    expect_rc(ipc_array_set_i32(array, 1, 7), IPC_OWNER_DIED);
    assert_int_equal(i32_at(array, 1), 7);

    die_in_the_middle(array);
    expect_rc(ipc_array_add_i32(array, 1, 1, &is), IPC_OWNER_DIED);
    assert_int_equal(is, 7);
    assert_int_equal(i32_at(array, 1), 8);

    die_in_the_middle(array);
    expect_rc(ipc_array_read(array, 0, 5, all, sizeof all), IPC_OWNER_DIED);
    assert_int_equal(all[1], 8);
    all[4] = 9;
    die_in_the_middle(array);
    expect_rc(ipc_array_write(array, 0, 5, all, sizeof all), IPC_OWNER_DIED);
    assert_int_equal(i32_at(array, 4), 9);

    die_in_the_middle(array);
    expect_rc(ipc_array_read(array, 0, 0, all, 0), IPC_OWNER_DIED);
    assert_int_equal(word_of(array), 0);
    expect_rc(ipc_array_free(array), 0);
}

static void what_fails_leaves_the_news_to_the_next(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    int32_t is = 3;
    double other;
    die_in_the_middle(array);
    expect_rc(ipc_array_get_i32(array, 5, &is), -ERANGE);
    expect_rc(ipc_array_get_f64(array, 0, &other), -EINVAL);
    assert_int_equal(is, 3);
    expect_rc(ipc_array_get_i32(array, 0, &is), IPC_OWNER_DIED);
    expect_rc(ipc_array_free(array), 0);
}

static void who_waits_is_told(void)
{
    struct scene *scene = new_scene(new_array(IPC_ELEMENT_INT32, 5, 0));
    struct role holder, getter;
    role_start(&holder, hold_for_ever, scene);
    meet_wait(&scene->ready, 1, LIMIT_MS);
    start_sleeper(&getter, get_one, scene);
    (void)role_kill(&holder);
    role_wait_ok(&getter, RECHECK_MS + SLACK_MS);
    assert_int_equal(scene->rc, IPC_OWNER_DIED);
    assert_int_equal(scene->got, 1);
    assert_int_equal(i32_at(scene->array, 0), 1);
    expect_rc(ipc_array_free(scene->array), 0);
}

static void the_news_of_who_holds_it_stay_his(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    ipc_rlock *lock = ipc_array_lock(array);
    die_in_the_middle(array);
    expect_rc(ipc_rlock_acquire(lock), IPC_OWNER_DIED);
    assert_int_equal(i32_at(array, 0), 1); /* told already: 0 */
    expect_rc(ipc_array_set_i32(array, 0, 2), 0);
    expect_rc(ipc_rlock_consistent(lock), 0); /* not said by those */
    expect_rc(ipc_rlock_release(lock), 0);
    assert_int_equal(i32_at(array, 0), 2);
    expect_rc(ipc_array_free(array), 0);
}

static void what_nobody_repairs_is_given_up_and_reset(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    ipc_rlock *lock = ipc_array_lock(array);
    int32_t is = 3;
    die_in_the_middle(array);
    expect_rc(ipc_rlock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_rlock_release(lock), 0);
    expect_rc(ipc_array_get_i32(array, 0, &is), -ENOTRECOVERABLE);
    expect_rc(ipc_array_set_i32(array, 0, 5), -ENOTRECOVERABLE);
    assert_int_equal(is, 3);
    expect_rc(ipc_rlock_reset(lock), 0);
    assert_int_equal(i32_at(array, 0), 1);
    expect_rc(ipc_array_free(array), 0);
}

static void a_raw_array_has_no_news(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, IPC_ARRAY_RAW);
    die_in_the_middle(array);
    assert_int_equal(i32_at(array, 0), 1);
    expect_rc(ipc_rlock_acquire(ipc_array_lock(array)), IPC_OWNER_DIED);
    expect_rc(ipc_rlock_consistent(ipc_array_lock(array)), 0);
    expect_rc(ipc_rlock_release(ipc_array_lock(array)), 0);
    expect_rc(ipc_array_free(array), 0);
}

static void get_in_child(void *arg)
{
    struct scene *scene = arg;
    scene->rc = ipc_rlock_is_mine(ipc_array_lock(scene->array));
    meet_signal(&scene->ready);
    scene->got = i32_at(scene->array, 0);
}

static void a_child_does_not_hold_what_its_parent_holds(void)
{
    struct scene *scene = new_scene(new_array(IPC_ELEMENT_INT32, 5, 0));
    struct role child = {0};
    int rc;
    IPC_WITH_RLOCK(ipc_array_lock(scene->array), rc) {
        start_sleeper(&child, get_in_child, scene);
        expect_rc(scene->rc, 0);
        expect_rc(ipc_array_set_i32(scene->array, 0, 8), 0);
    }
    expect_rc(rc, 0);
    role_wait_ok(&child, LIMIT_MS);
    assert_int_equal(scene->got, 8);
    expect_rc(ipc_array_free(scene->array), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_call_waits_for_who_holds_the_lock),
    TEST_CASE(a_raw_array_never_waits),
    TEST_CASE(who_holds_it_goes_deeper),
    TEST_CASE(updates_of_threads_are_not_lost),
    TEST_CASE(updates_of_processes_are_not_lost),
    TEST_CASE(add_is_one_step_with_the_lock_and_raw),
    TEST_CASE(elements_of_raw_arrays_are_never_torn),
    TEST_CASE(every_call_does_its_work_and_tells),
    TEST_CASE(what_fails_leaves_the_news_to_the_next),
    TEST_CASE(who_waits_is_told),
    TEST_CASE(the_news_of_who_holds_it_stay_his),
    TEST_CASE(what_nobody_repairs_is_given_up_and_reset),
    TEST_CASE(a_raw_array_has_no_news),
    TEST_CASE(a_child_does_not_hold_what_its_parent_holds),
};
TEST_MAIN(cases)
