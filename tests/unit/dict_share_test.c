/* Dicts that threads and processes change at the same time. */
#include "harness/role.h"
#include "unit/dict_support.h"

#include <pthread.h>

enum {
    COUNT = 3,
    ROUNDS = 2000
};

static ipc_set *seen;

/* Each adds to what all have, and to what is its own. */
static void add_up(int self)
{
    for (int i = 0; i < ROUNDS; i++) {
        char own[30];
        (void)snprintf(own, sizeof own, "%d of %d", i % 200, self);
        ok(ipc_dict_incr(dict, ipc_str("all"), 1, NULL));
        ok(ipc_dict_set_i64(dict, own, i));
        if (i % 3 == 0)
            ok(ipc_dict_pop(dict, ipc_str(own), NULL));
        (void)!ipc_set_add(seen, ipc_i64(i % 500));
        ok(ipc_atomic_begin(home));
        ok(ipc_dict_incr(dict, ipc_str("from"), -1, NULL));
        ok(ipc_dict_incr(dict, ipc_str("to"), 1, NULL));
        ok(ipc_atomic_commit(home));
    }
}

static void expect_sums(int workers)
{
    const int64_t total = (int64_t)workers * ROUNDS;
    assert_int_equal(i64_of(ipc_str("all")), total);
    assert_int_equal(i64_of(ipc_str("from")), -total);
    assert_int_equal(i64_of(ipc_str("to")), total);
    expect_rc(ipc_set_length(seen), 500);
    check_arena();
}

static void make_shared(void)
{
    make_arena(0);
    ok(ipc_set_new(home, &seen));
}

static void end_shared(void)
{
    ok(ipc_set_free(seen));
    end_arena();
}

struct worker {
    pthread_t thread;
    struct role role;
    int self;
};

static void *in_thread(void *arg)
{
    add_up(((struct worker *)arg)->self);
    return NULL;
}

static void in_process(void *arg)
{
    add_up(((struct worker *)arg)->self);
}

static void start_threads(struct worker *workers)
{
    for (int i = 0; i < COUNT; i++) {
        workers[i].self = i;
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, in_thread, &workers[i]),
            0);
    }
}

static void end_threads(const struct worker *workers)
{
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

static void threads_add_up(void)
{
    struct worker workers[COUNT];
    make_shared();
    start_threads(workers);
    end_threads(workers);
    expect_sums(COUNT);
    end_shared();
}

static void processes_add_up(void)
{
    struct worker workers[COUNT];
    make_shared();
    for (int i = 0; i < COUNT; i++) {
        workers[i].self = i;
        role_start(&workers[i].role, in_process, &workers[i]);
    }
    for (int i = 0; i < COUNT; i++)
        role_wait_ok(&workers[i].role, LIMIT_MS);
    expect_sums(COUNT);
    end_shared();
}

/* A child sees what was there before the fork, and the parent what it does. */
static void add_in_child(void *arg)
{
    (void)arg;
    expect_items("before:1");
    ok(ipc_dict_set_i64(dict, "from the child", 2));
}

static void a_child_has_the_same_dict(void)
{
    struct role child;
    make_arena(0);
    ok(ipc_dict_set_i64(dict, "before", 1));
    role_start(&child, add_in_child, NULL);
    role_wait_ok(&child, LIMIT_MS);
    expect_items("before:1 from the child:2");
    end_arena();
}

static const struct test_case cases[] = {
    TEST_CASE(threads_add_up),
    TEST_CASE(processes_add_up),
    TEST_CASE(a_child_has_the_same_dict),
};
TEST_MAIN(cases)
