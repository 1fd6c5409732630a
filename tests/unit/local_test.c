/* Thread-local values. */
#include "unit/thread_support.h"

#include <limits.h>

#include <ipc/local.h>
#include <ipc/process.h>

struct value {
    int number;
    char filler[100];
};

static struct {
    uint32_t inits, finis;
    int fail_with; /* init's result */
} seen;

static int init_value(void *value, void *arg)
{
    struct value *v = value;
    const unsigned char *bytes = value;
    for (size_t i = 0; i < sizeof *v; i++)
        assert_int_equal(bytes[i], 0);
    assert_ptr_equal(arg, &seen);
    if (seen.fail_with != 0)
        return seen.fail_with;
    v->number = (int)__atomic_add_fetch(&seen.inits, 1, __ATOMIC_RELAXED);
    return 0;
}

static void fini_value(void *value, void *arg)
{
    struct value *v = value;
    assert_ptr_equal(arg, &seen);
    assert_true(v->number != 0);
    v->number = 0;
    (void)__atomic_add_fetch(&seen.finis, 1, __ATOMIC_RELAXED);
}

static const ipc_local_options with_hooks = {.size = sizeof with_hooks,
                                             .init = init_value,
                                             .fini = fini_value,
                                             .arg = &seen};

/* ---- values ---- */

static ipc_local plain;

static int use_plain(void *arg)
{
    assert_false(ipc_local_is_set(&plain));
    int *mine = ipc_local_get(&plain);
    assert_non_null(mine);
    assert_true(ipc_local_is_set(&plain));
    assert_int_equal((uintptr_t)mine % _Alignof(max_align_t), 0);
    assert_int_equal(*mine, 0);
    for (int i = 0; i < 1000; i++) {
        assert_ptr_equal(ipc_local_get(&plain), mine);
        *mine += *(int *)arg;
    }
    return *mine;
}

static void each_thread_has_its_own(void)
{
    enum {
        COUNT = 10
    };
    ipc_thread t[COUNT];
    int steps[COUNT];
    CHECK(ipc_local_init(&plain, sizeof(int), NULL), 0);
    int *mine = ipc_local_get(&plain);
    assert_non_null(mine);
    *mine = -7;
    for (int i = 0; i < COUNT; i++) {
        steps[i] = i;
        start_thread(&t[i], use_plain, &steps[i]);
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(end_of_thread(&t[i]), 1000 * i);
    assert_int_equal(*mine, -7);
    assert_ptr_equal(ipc_local_get(&plain), mine);
    CHECK(ipc_local_fini(&plain), 0);
}

/* ---- init and fini ---- */

static ipc_local hooked;

static int get_hooked(void *unused)
{
    (void)unused;
    const struct value *value = ipc_local_get(&hooked);
    return value != NULL ? value->number : -1;
}

static void *get_hooked_in_another(void *unused)
{
    return (void *)(intptr_t)get_hooked(unused);
}

static int get_and_leave(void *unused)
{
    pthread_exit((void *)(intptr_t)get_hooked(unused));
}

static void values_end_with_their_thread(void)
{
    CHECK(ipc_local_init(&hooked, sizeof(struct value), &with_hooks), 0);
    assert_int_equal(run_thread(return_zero, NULL), 0); /* does not use it */
    assert_int_equal(seen.inits, 0);
    assert_int_equal(run_thread(get_hooked, NULL), 1);
    assert_int_equal(seen.finis, 1); /* when it is joined, that is done */
    assert_int_equal(run_thread(get_and_leave, NULL), 2);
    assert_int_equal(seen.finis, 2);
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, get_hooked_in_another, NULL),
                     0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, 3);
    assert_int_equal(seen.finis, 3);
    assert_int_equal(get_hooked(NULL), 4);
    CHECK(ipc_local_fini(&hooked), 0);
    assert_int_equal(seen.finis, 4);
}

static void failed_init_leaves_no_value(void)
{
    CHECK(ipc_local_init(&hooked, sizeof(struct value), &with_hooks), 0);
    seen.fail_with = -ENOENT;
    for (int i = 0; i < 20; i++) {
        assert_null(ipc_local_get(&hooked));
        assert_non_null(strstr(ipc_error_detail(), "-2"));
        assert_false(ipc_local_is_set(&hooked));
    }
    seen.fail_with = 0;
    assert_int_equal(get_hooked(NULL), 1);
    CHECK(ipc_local_fini(&hooked), 0);
    assert_int_equal(seen.finis, 1);
}

struct user {
    ipc_thread thread;
    uint32_t here, go;
};

static int get_and_stay(void *arg)
{
    struct user *self = arg;
    const int number = get_hooked(NULL);
    say(&self->here);
    meet_wait(&self->go, 1, LIMIT_MS);
    return number;
}

static void fini_destroys_the_values_of_all(void)
{
    enum {
        COUNT = 5
    };
    struct user users[COUNT];
    CHECK(ipc_local_init(&hooked, sizeof(struct value), &with_hooks), 0);
    assert_int_equal(get_hooked(NULL), 1);
    for (int i = 0; i < COUNT; i++) {
        users[i] = (struct user){.here = 0};
        start_thread(&users[i].thread, get_and_stay, &users[i]);
        meet_wait(&users[i].here, 1, LIMIT_MS);
    }
    assert_int_equal(seen.inits, COUNT + 1);
    CHECK(ipc_local_fini(&hooked), 0);
    assert_int_equal(seen.finis, COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        say(&users[i].go);
        assert_true(end_of_thread(&users[i].thread) > 1);
    }
    assert_int_equal(seen.finis, COUNT + 1);
}

/* A thread that is just destroying its value works with what belongs to the
 * local. */
static struct slow_end {
    uint32_t begun, go, ended;
} slow_end;

static void fini_slowly(void *value, void *arg)
{
    struct slow_end *slow = arg;
    (void)value;
    say(&slow->begun);
    meet_wait(&slow->go, 1, LIMIT_MS);
    say(&slow->ended);
}

static int fini_hooked(void *unused)
{
    (void)unused;
    const int rc = ipc_local_fini(&hooked);
    assert_int_equal(slow_end.ended, 1);
    return rc;
}

static int touch_hooked(void *unused)
{
    (void)unused;
    assert_non_null(ipc_local_get(&hooked));
    return 0;
}

static void fini_waits_for_threads_that_are_ending(void)
{
    const ipc_local_options options = {
        .size = sizeof options, .fini = fini_slowly, .arg = &slow_end};
    ipc_thread user, finisher;
    CHECK(ipc_local_init(&hooked, 1, &options), 0);
    start_thread(&user, touch_hooked, NULL);
    meet_wait(&slow_end.begun, 1, LIMIT_MS);
    start_thread(&finisher, fini_hooked, NULL);
    wait_until_sleeping(ipc_thread_native_id(&finisher), LIMIT_MS);
    CHECK(ipc_thread_join_until(&finisher, ipc_after_ms(5)), -ETIMEDOUT);
    say(&slow_end.go);
    assert_int_equal(end_of_thread(&finisher), 0);
    assert_int_equal(end_of_thread(&user), 0);
    assert_int_equal(slow_end.ended, 1);
}

static void clear_destroys_the_callers_value(void)
{
    CHECK(ipc_local_init(&hooked, sizeof(struct value), &with_hooks), 0);
    CHECK(ipc_local_clear(&hooked), 0);
    assert_int_equal(get_hooked(NULL), 1);
    CHECK(ipc_local_clear(&hooked), 0);
    assert_int_equal(seen.finis, 1);
    assert_false(ipc_local_is_set(&hooked));
    CHECK(ipc_local_clear(&hooked), 0);
    assert_int_equal(get_hooked(NULL), 2);
    CHECK(ipc_local_fini(&hooked), 0);
    assert_int_equal(seen.finis, 2);
}

/* ---- many ---- */

enum {
    MANY = 3000
};

static ipc_local many[MANY];

static int use_many(void *arg)
{
    const int from = *(int *)arg;
    for (int pass = 0; pass < 2; pass++)
        for (int i = from; i < MANY; i++) {
            int *value = ipc_local_get(&many[i]);
            assert_non_null(value);
            assert_int_equal(*value, pass == 0 ? 0 : i);
            *value = i;
        }
    return 0;
}

static void more_locals_than_the_system_has_keys(void)
{
    ipc_thread t[4];
    int from[4] = {0, 1000, 2000, 2900};
    assert_true(MANY > PTHREAD_KEYS_MAX);
    for (int i = 0; i < MANY; i++)
        CHECK(ipc_local_init(&many[i], sizeof(int), NULL), 0);
    for (int i = 0; i < 4; i++)
        start_thread(&t[i], use_many, &from[i]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(end_of_thread(&t[i]), 0);
    assert_int_equal(use_many(&from[1]), 0);
    for (int i = 0; i < MANY; i++)
        CHECK(ipc_local_fini(&many[i]), 0);
}

/* Made and destroyed over and over: the tables do not grow with it. */
static void locals_come_and_go(void)
{
    CHECK(ipc_local_init(&plain, sizeof(int), NULL), 0);
    int *stays = ipc_local_get(&plain);
    assert_non_null(stays);
    *stays = 1;
    for (int i = 0; i < 20000; i++) {
        CHECK(ipc_local_init(&many[i % 7], 8, NULL), 0);
        assert_non_null(ipc_local_get(&many[i % 7]));
        CHECK(ipc_local_fini(&many[i % 7]), 0);
    }
    assert_ptr_equal(ipc_local_get(&plain), stays);
    CHECK(ipc_local_fini(&plain), 0);
}

/* ---- locals that use each other ---- */

static ipc_local first, second;
static char history[64];
static int fini_rounds;

static void note(char what)
{
    history[strlen(history)] = what;
}

static int init_first(void *unused, void *arg)
{
    (void)unused;
    (void)arg;
    assert_non_null(ipc_local_get(&second));
    assert_null(ipc_local_get(&first)); /* is being made */
    assert_true(strlen(ipc_error_detail()) > 0);
    assert_false(ipc_local_is_set(&first));
    CHECK(ipc_local_clear(&first), -EDEADLK);
    CHECK(ipc_local_fini(&first), -EDEADLK);
    note('i');
    return 0;
}

static void fini_first(void *unused, void *arg)
{
    (void)unused;
    (void)arg;
    note('f');
    CHECK(ipc_local_fini(&first), -EDEADLK);
    assert_non_null(ipc_local_get(&second)); /* again, if it is gone */
}

static void fini_second(void *unused, void *arg)
{
    (void)unused;
    (void)arg;
    note('s');
    CHECK(ipc_local_fini(&second), -EDEADLK);
    if (fini_rounds-- > 0)
        assert_non_null(ipc_local_get(&second)); /* itself, anew */
}

static const ipc_local_options first_options = {
    .size = sizeof first_options, .init = init_first, .fini = fini_first};
static const ipc_local_options second_options = {.size = sizeof second_options,
                                                 .fini = fini_second};

static int get_first(void *unused)
{
    (void)unused;
    assert_non_null(ipc_local_get(&first));
    return 0;
}

static void locals_may_use_each_other(void)
{
    CHECK(ipc_local_init(&first, 1, &first_options), 0);
    CHECK(ipc_local_init(&second, 1, &second_options), 0);
    assert_int_equal(run_thread(get_first, NULL), 0);
    assert_int_equal(history[0], 'i');
    assert_int_equal(strchr(history, 'f') == strrchr(history, 'f'), 1);
    assert_non_null(strchr(history, 's'));
    memset(history, 0, sizeof history);
    fini_rounds = 1000; /* it is given up in the end */
    assert_int_equal(run_thread(get_first, NULL), 0);
    test_report("rounds", (long)strlen(history) - 2);
    assert_true(strlen(history) < 20);
    fini_rounds = 0;
    CHECK(ipc_local_fini(&first), 0);
    CHECK(ipc_local_fini(&second), 0);
}

/* In fini by ipc_local_fini() no value is made any more. */
static void fini_and_get_again(void *value, void *local)
{
    (void)value;
    assert_null(ipc_local_get(local));
    note('x');
}

static void no_values_are_made_during_fini(void)
{
    const ipc_local_options options = {
        .size = sizeof options, .fini = fini_and_get_again, .arg = &first};
    CHECK(ipc_local_init(&first, 1, &options), 0);
    assert_non_null(ipc_local_get(&first));
    CHECK(ipc_local_fini(&first), 0);
    assert_string_equal(history, "x");
}

static int leave_in_init(void *value, void *arg)
{
    (void)value;
    (void)arg;
    pthread_exit((void *)(intptr_t)3);
}

static void init_may_end_the_thread(void)
{
    const ipc_local_options options = {
        .size = sizeof options, .init = leave_in_init, .fini = fini_first};
    CHECK(ipc_local_init(&first, 100, &options), 0);
    assert_int_equal(run_thread(get_first, NULL), 3);
    assert_string_equal(history, ""); /* there was no value to destroy */
    CHECK(ipc_local_fini(&first), 0);
}

/* ---- destructors of others ---- */

static pthread_key_t key;

static void use_locals_in_destructor(void *unused)
{
    (void)unused;
    (void)get_hooked(NULL);
}

static int leave_a_destructor(void *unused)
{
    assert_int_equal(pthread_setspecific(key, &key), 0);
    return get_hooked(unused);
}

/* Theirs run after ours, or before. */
static void values_made_by_destructors_are_destroyed(void)
{
    CHECK(ipc_local_init(&hooked, sizeof(struct value), &with_hooks), 0);
    pthread_key_t keys[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_key_create(&keys[i], use_locals_in_destructor),
                         0);
        key = keys[i];
        assert_true(run_thread(leave_a_destructor, NULL) > 0);
        assert_int_equal(seen.inits, seen.finis);
    }
    assert_true(seen.finis >= 3);
    for (int i = 0; i < 3; i++)
        (void)pthread_key_delete(keys[i]);
    CHECK(ipc_local_fini(&hooked), 0);
}

static void use_up_all_keys(void *unused)
{
    (void)unused;
    pthread_key_t other = 0;
    int keys = 0;
    while (pthread_key_create(&other, NULL) == 0)
        keys++;
    test_report("keys", keys);
    CHECK(ipc_local_init(&plain, 1, NULL), -EAGAIN);
    assert_true(strlen(ipc_error_detail()) > 0);
    CHECK(ipc_local_fini(&plain), -EINVAL);
    (void)pthread_key_delete(other);
    CHECK(ipc_local_init(&plain, 1, NULL), 0);
    assert_non_null(ipc_local_get(&plain));
    CHECK(ipc_local_fini(&plain), 0);
}

static void no_keys_left(void)
{
    struct role role;
    role_start(&role, use_up_all_keys, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- fork ---- */

static int use_after_fork(void *expected)
{
    const uint32_t finis = seen.finis;
    assert_int_equal(ipc_local_is_set(&hooked), *(int *)expected != 0);
    if (*(int *)expected != 0)
        assert_int_equal(get_hooked(NULL), *(int *)expected);
    const int mine = get_hooked(NULL);
    const int others = run_thread(get_hooked, NULL);
    assert_int_equal(others, seen.inits);
    assert_int_equal(seen.finis, finis + 1);
    assert_int_equal(get_hooked(NULL), mine);
    CHECK(ipc_local_fini(&hooked), 0); /* its own, and none of the others' */
    assert_int_equal(seen.finis, finis + 2);
    return 0;
}

static void use_after_plain_fork(void *expected)
{
    (void)use_after_fork(expected);
}

static int fork_with_a_value(void *unused)
{
    int mine = get_hooked(unused);
    struct role role;
    assert_int_equal(run(use_after_fork, &mine), 0);
    role_start(&role, use_after_plain_fork, &mine);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(get_hooked(NULL), mine);
    return mine;
}

static void child_keeps_the_values_of_its_thread(void)
{
    skip_threads_after_fork();
    struct user other = {.here = 0};
    int mine = 0;
    CHECK(ipc_local_init(&hooked, sizeof(struct value), &with_hooks), 0);
    start_thread(&other.thread, get_and_stay, &other);
    meet_wait(&other.here, 1, LIMIT_MS);
    assert_int_equal(run(use_after_fork, &mine), 0); /* has no value yet */
    mine = get_hooked(NULL);
    assert_int_equal(run(use_after_fork, &mine), 0);
    assert_true(run_thread(fork_with_a_value, NULL) > mine);
    say(&other.go);
    assert_int_equal(end_of_thread(&other.thread), 1);
    CHECK(ipc_local_fini(&hooked), 0);
    assert_int_equal(seen.inits, seen.finis);
}

/* ---- bad use ---- */

static void bad_use_is_refused(void)
{
    ipc_local local = {.key_ = 0};
    const ipc_local_options no_size = {.size = 0};
    for (int i = 0; i < 2; i++) {
        assert_null(ipc_local_get(&local));
        assert_true(strlen(ipc_error_detail()) > 0);
        assert_false(ipc_local_is_set(&local));
        CHECK(ipc_local_clear(&local), -EINVAL);
        CHECK(ipc_local_fini(&local), -EINVAL);
        memset(&local, 0xdb, sizeof local);
    }
    memset(&local, 0xff, sizeof local);
    assert_null(ipc_local_get(&local));
    CHECK(ipc_local_init(&local, 0, NULL), -EINVAL);
    CHECK(ipc_local_init(&local, 1, &no_size), -EINVAL);
    const struct {
        ipc_local_options known;
        uint64_t tail;
    } newer = {.known = {.size = sizeof newer}, .tail = 1};
    CHECK(ipc_local_init(&local, 1, &newer.known), -E2BIG);
    const ipc_local_options empty = IPC_LOCAL_OPTIONS_INIT;
    CHECK(ipc_local_init(&local, SIZE_MAX, &empty), 0);
    assert_null(ipc_local_get(&local));
    assert_true(strlen(ipc_error_detail()) > 0);
    CHECK(ipc_local_fini(&local), 0);
    assert_null(ipc_local_get(&local));
    CHECK(ipc_local_fini(&local), -EINVAL);
}

static const struct test_case cases[] = {
    TEST_CASE(each_thread_has_its_own),
    TEST_CASE(values_end_with_their_thread),
    TEST_CASE(failed_init_leaves_no_value),
    TEST_CASE(fini_destroys_the_values_of_all),
    TEST_CASE(fini_waits_for_threads_that_are_ending),
    TEST_CASE(clear_destroys_the_callers_value),
    TEST_CASE(more_locals_than_the_system_has_keys),
    TEST_CASE(locals_come_and_go),
    TEST_CASE(locals_may_use_each_other),
    TEST_CASE(no_values_are_made_during_fini),
    TEST_CASE(init_may_end_the_thread),
    TEST_CASE(values_made_by_destructors_are_destroyed),
    TEST_CASE(no_keys_left),
    TEST_CASE(child_keeps_the_values_of_its_thread),
    TEST_CASE(bad_use_is_refused),
};
TEST_MAIN(cases)
