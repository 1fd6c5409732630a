/* ipc_dict_watch() and ipc_set_watch(): who waits for a key is told when it is
 * set or taken out, and sleeps on else. */
#include "harness/role.h"
#include "unit/dict_support.h"

#include <pthread.h>

#include <ipc/shared.h>

/* In memory that all share. */
struct scene {
    uint32_t done;
    uint64_t version;
    int rc;
    ipc_any value; /* a number */
};

static struct scene *scene;
static ipc_set *set;

static void make_scene(void)
{
    make_arena(0);
    ok(ipc_set_new(home, &set));
    scene = test_shared(sizeof *scene);
}

static void end_scene(void)
{
    ok(ipc_set_free(set));
    end_arena();
}

static void watch_key(void *arg)
{
    (void)arg;
    scene->rc = ipc_dict_watch(dict, ipc_str("key"), &scene->version,
                               &scene->value, IPC_TIME_FOREVER);
    meet_signal(&scene->done);
}

static void watch_set(void *arg)
{
    (void)arg;
    scene->rc = ipc_set_watch(set, &scene->version, IPC_TIME_FOREVER);
    meet_signal(&scene->done);
}

/* ---- at once ---- */

static void the_first_look_returns_at_once(void)
{
    uint64_t version = UINT64_MAX;
    ipc_any value = ipc_i64(1);
    make_scene();
    ok(ipc_dict_watch(dict, ipc_str("key"), &version, &value,
                      IPC_TIME_FOREVER));
    assert_true(version == 0);
    assert_int_equal(value.type, IPC_TYPE_NIL);
    ok(ipc_dict_set_i64(dict, "key", 5));
    ok(ipc_dict_watch(dict, ipc_str("key"), &version, &value,
                      IPC_TIME_FOREVER));
    assert_int_equal(value.i64, 5);
    const uint64_t first = version;
    assert_true(first != 0);
    ok(ipc_dict_set_i64(dict, "key", 5)); /* the same once more is a set */
    ok(ipc_dict_watch(dict, ipc_str("key"), &version, NULL, IPC_TIME_FOREVER));
    assert_true(version > first);
    ok(ipc_dict_pop(dict, ipc_str("key"), NULL));
    ok(ipc_dict_watch(dict, ipc_str("key"), &version, &value,
                      IPC_TIME_FOREVER));
    assert_true(version == 0);
    assert_int_equal(value.type, IPC_TYPE_NIL);
    end_scene();
}

static void a_key_that_came_again_is_another_one(void)
{
    uint64_t version = UINT64_MAX;
    make_scene();
    ok(ipc_dict_set_i64(dict, "key", 5));
    ok(ipc_dict_watch(dict, ipc_str("key"), &version, NULL, IPC_TIME_NOW));
    ok(ipc_dict_pop(dict, ipc_str("key"), NULL));
    ok(ipc_dict_set_i64(dict, "key", 5));
    ok(ipc_dict_watch(dict, ipc_str("key"), &version, NULL, IPC_TIME_NOW));
    ok(ipc_dict_clear(dict));
    ok(ipc_dict_set_i64(dict, "key", 5));
    ok(ipc_dict_watch(dict, ipc_str("key"), &version, NULL, IPC_TIME_NOW));
    end_scene();
}

static void errors_of_watching(void)
{
    uint64_t version = 0;
    ipc_any value = ipc_i64(1);
    make_scene();
    const ipc_any key = ipc_str("key");
    expect_rc(ipc_dict_watch(dict, key, &version, &value, IPC_TIME_NOW),
              -EAGAIN);
    expect_rc(ipc_dict_watch(dict, key, &version, &value, ipc_after_ms(5)),
              -ETIMEDOUT);
    expect_rc(ipc_dict_watch(dict, ipc_f64(NAN), &version, &value, 1), -EINVAL);
    assert_int_equal(value.i64, 1);
    uint64_t of_set = 0;
    ok(ipc_set_watch(set, &of_set, IPC_TIME_NOW));
    expect_rc(ipc_set_watch(set, &of_set, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_set_watch(set, &of_set, ipc_after_ms(5)), -ETIMEDOUT);
    ok(ipc_atomic_begin(home));
    expect_rc(ipc_dict_watch(dict, key, &version, &value, IPC_TIME_FOREVER),
              -EBUSY);
    expect_rc(ipc_set_watch(set, &of_set, IPC_TIME_FOREVER), -EBUSY);
    ok(ipc_atomic_commit(home));
    end_scene();
}

/* ---- asleep ---- */

static void woken_by(void (*watch)(void *arg), void (*change)(void))
{
    struct role watcher;
    scene->done = 0;
    role_start(&watcher, watch, NULL);
    wait_until_sleeping(watcher.pid, LIMIT_MS);
    change();
    role_wait_ok(&watcher, LIMIT_MS);
    ok(scene->rc);
}

static void set_key(void)
{
    /* Other keys wake it up, but it sleeps on. */
    for (int i = 0; i < 20; i++)
        ok(ipc_dict_set(dict, ipc_i64(i), ipc_nil()));
    assert_int_equal(scene->done, 0);
    ok(ipc_dict_set_i64(dict, "key", 7));
}

static void pop_key(void)
{
    ok(ipc_dict_pop(dict, ipc_str("key"), NULL));
}

static void clear_all(void)
{
    ok(ipc_dict_clear(dict));
}

static void commit_key(void)
{
    ok(ipc_atomic_begin(home));
    ok(ipc_dict_set_i64(dict, "key", 8));
    assert_int_equal(scene->done, 0);
    ok(ipc_dict_set_i64(dict, "key", 9));
    ok(ipc_atomic_commit(home));
}

static void a_process_that_sleeps_is_told(void)
{
    make_scene();
    woken_by(watch_key, set_key);
    assert_int_equal(scene->value.i64, 7);
    woken_by(watch_key, pop_key);
    assert_int_equal(scene->value.type, IPC_TYPE_NIL);
    woken_by(watch_key, commit_key);
    assert_int_equal(scene->value.i64, 9);
    woken_by(watch_key, clear_all);
    assert_int_equal(scene->value.type, IPC_TYPE_NIL);
    end_scene();
}

static void add_member(void)
{
    expect_rc(ipc_set_add(set, ipc_str("member")), 1);
}

static void discard_member(void)
{
    expect_rc(ipc_set_discard(set, ipc_str("nobody")), 0);
    expect_rc(ipc_set_add(set, ipc_str("member")), 0);
    assert_int_equal(scene->done, 0);
    expect_rc(ipc_set_discard(set, ipc_str("member")), 1);
}

static void a_process_that_watches_a_set_is_told(void)
{
    make_scene();
    ok(ipc_set_watch(set, &scene->version, IPC_TIME_NOW));
    woken_by(watch_set, add_member);
    woken_by(watch_set, discard_member);
    end_scene();
}

/* What was taken back never was. */
static void an_abort_tells_nobody_anything(void)
{
    struct role watcher;
    make_scene();
    role_start(&watcher, watch_key, NULL);
    wait_until_sleeping(watcher.pid, LIMIT_MS);
    ok(ipc_atomic_begin(home));
    ok(ipc_dict_set_i64(dict, "key", 8));
    ok(ipc_atomic_abort(home));
    wait_until_sleeping(watcher.pid, LIMIT_MS);
    assert_int_equal(scene->done, 0);
    ok(ipc_dict_set_i64(dict, "key", 10));
    role_wait_ok(&watcher, LIMIT_MS);
    assert_int_equal(scene->value.i64, 10);
    end_scene();
}

/* One of them. */
struct watching {
    pthread_t thread;
    int rc;
    uint64_t version;
};

static void *watch_in_thread(void *arg)
{
    struct watching *one = arg;
    one->rc = ipc_dict_watch(dict, ipc_str("key"), &one->version, NULL,
                             IPC_TIME_FOREVER);
    return NULL;
}

static void threads_that_sleep_are_told(void)
{
    enum {
        COUNT = 3
    };
    struct watching all[COUNT];
    make_scene();
    for (int i = 0; i < COUNT; i++) {
        all[i].version = 0;
        assert_int_equal(
            pthread_create(&all[i].thread, NULL, watch_in_thread, &all[i]), 0);
    }
    /* Asleep or not yet: the version tells in both cases. */
    ok(ipc_dict_set_i64(dict, "key", 7));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
        ok(all[i].rc);
        assert_true(all[i].version != 0);
    }
    end_scene();
}

static void the_death_of_the_thing_is_told(void)
{
    struct role watcher;
    make_scene();
    ipc_dict *all = dict;
    ok(ipc_arena_dict(home, "stock", &dict));
    role_start(&watcher, watch_key, NULL);
    wait_until_sleeping(watcher.pid, LIMIT_MS);
    ok(ipc_arena_remove(home, "stock"));
    role_wait_ok(&watcher, LIMIT_MS);
    expect_rc(scene->rc, -ESTALE);
    ok(ipc_dict_close(dict));
    dict = all;
    ok(ipc_set_free(set));
    check_arena();
    ok(ipc_dict_free(dict));
    ok(ipc_arena_free(home));
}

static const struct test_case cases[] = {
    TEST_CASE(the_first_look_returns_at_once),
    TEST_CASE(a_key_that_came_again_is_another_one),
    TEST_CASE(errors_of_watching),
    TEST_CASE(a_process_that_sleeps_is_told),
    TEST_CASE(a_process_that_watches_a_set_is_told),
    TEST_CASE(an_abort_tells_nobody_anything),
    TEST_CASE(threads_that_sleep_are_told),
    TEST_CASE(the_death_of_the_thing_is_told),
};
TEST_MAIN(cases)
