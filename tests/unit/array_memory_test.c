/* ipc_array: where arrays are kept.  The caller's memory, segments, family
 * memory, names; and who sees them there. */
#include "unit/array_support.h"

/* ---- the caller's memory ---- */

static void the_callers_memory_is_enough_or_not(void)
{
    _Alignas(64) unsigned char place[IPC_ARRAY_BYTES(IPC_ELEMENT_INT32, 5) + 8];
    ipc_array *array = (void *)place;
    const size_t bytes = ipc_array_bytes(IPC_ELEMENT_INT32, 5);
    assert_int_equal(bytes, sizeof place - 8);

    memset(place, 0xab, sizeof place);
    expect_rc(ipc_array_init(array, bytes - 1, IPC_ELEMENT_INT32, 5, NULL),
              -EMSGSIZE);
    expect_detail("takes 212 bytes, there are 211");
    expect_rc(ipc_array_init(array, 0, IPC_ELEMENT_INT32, 5, NULL), -EMSGSIZE);
    expect_rc(ipc_array_init(array, bytes, IPC_ELEMENT_INT32, 0, NULL),
              -EINVAL);
    expect_rc(ipc_array_init(array, bytes, 17, 1, NULL), -EINVAL);
    for (size_t i = 0; i < sizeof place; i++)
        assert_int_equal(place[i], 0xab);

    expect_rc(ipc_array_init(array, bytes, IPC_ELEMENT_INT32, 5, NULL), 0);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(i32_at(array, i), 0);
    expect_rc(ipc_array_set_i32(array, -1, -1), 0);
    for (size_t i = bytes; i < sizeof place; i++)
        assert_int_equal(place[i], 0xab);
    expect_rc(ipc_array_fini(array), 0);
}

static void memory_that_is_not_aligned_is_refused(void)
{
    _Alignas(64) unsigned char place[512];
    int32_t is;
    for (size_t off = 1; off < 8; off++) {
        void *at = place + off;
        expect_rc(ipc_array_init(at, 300, IPC_ELEMENT_INT32, 5, NULL), -EINVAL);
        expect_detail("is not aligned");
        expect_rc(ipc_array_get_i32(at, 0, &is), -EINVAL);
    }
    void *at = place + 8;
    expect_rc(ipc_array_init(at, 300, IPC_ELEMENT_INT32, 5, NULL), 0);
    expect_rc(ipc_array_fini(at), 0);
}

static void what_is_fini_is_no_array(void)
{
    _Alignas(64) unsigned char place[512] = {0};
    ipc_array *array = (void *)place;
    int32_t is;
    expect_rc(ipc_array_get_i32(array, 0, &is), -EUCLEAN); /* not init'ed */
    expect_detail("there is none");
    expect_rc(ipc_array_fini(array), -EUCLEAN);
    expect_rc(ipc_array_init(array, sizeof place, IPC_ELEMENT_INT32, 5, NULL),
              0);
    int rc;
    IPC_WITH_RLOCK(ipc_array_lock(array), rc) {
        expect_rc(ipc_array_fini(array), -EBUSY);
        expect_rc(ipc_array_set_i32(array, 0, 1), 0);
    }
    expect_rc(rc, 0);
    expect_rc(ipc_array_fini(array), 0);
    expect_rc(ipc_array_get_i32(array, 0, &is), -EUCLEAN);
    expect_rc(ipc_array_set_i32(array, 0, 1), -EUCLEAN);
    expect_rc(ipc_array_read(array, 0, 1, &is, 4), -EUCLEAN);
    expect_rc(ipc_array_write(array, 0, 1, &is, 4), -EUCLEAN);
    expect_rc(ipc_array_add_i32(array, 0, 1, NULL), -EUCLEAN);
    expect_rc(ipc_array_fini(array), -EUCLEAN);
    assert_null(ipc_array_data(array));
    assert_int_equal(ipc_array_length(array), 0);
    assert_true(ipc_array_element(array) == 0);
    assert_int_equal(ipc_array_element_size(array), 0);
    assert_false(ipc_array_is_raw(array));
}

static void init_takes_the_place_of_an_older_array(void)
{
    static const double first[] = {0.5, 1.5};
    _Alignas(64) unsigned char place[512];
    ipc_array *array = (void *)place;
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    double is = 0;
    expect_rc(ipc_array_init(array, sizeof place, IPC_ELEMENT_BYTE, 300, NULL),
              0);
    for (int64_t i = 0; i < 300; i++)
        expect_rc(ipc_array_set_byte(array, i, 0xff), 0);
    options.initial = first;
    options.flags = IPC_ARRAY_RAW;
    expect_rc(
        ipc_array_init(array, sizeof place, IPC_ELEMENT_DOUBLE, 2, &options),
        0);
    expect_rc(ipc_array_get_f64(array, -1, &is), 0);
    assert_true(is == 1.5);
    expect_rc(ipc_array_fini(array), 0);
}

/* ---- segments ---- */

static void set_one_in_segment(void *arg)
{
    ipc_segment *segment = NULL;
    (void)arg;
    expect_rc(ipc_segment_open("board", &segment), 0);
    ipc_array *array = ipc_segment_data(segment);
    expect_rc(ipc_array_set_i32(array, -1, 4711), 0);
    expect_rc(ipc_array_set_i32(array, 5, 1), -ERANGE);
    expect_rc(ipc_segment_close(segment), 0);
}

static void an_array_may_lie_in_a_segment(void)
{
    ipc_segment *segment = NULL;
    const size_t bytes = ipc_array_bytes(IPC_ELEMENT_INT32, 5);
    expect_rc(ipc_segment_create("board", bytes, NULL, &segment), 0);
    ipc_array *array = ipc_segment_data(segment);
    expect_rc(ipc_array_init(array, ipc_segment_size(segment),
                             IPC_ELEMENT_INT32, 5, NULL),
              0);
    assert_int_equal(role_try(set_one_in_segment, NULL, LIMIT_MS), 0);
    assert_int_equal(i32_at(array, 4), 4711);
    expect_rc(ipc_array_close(array), -EINVAL); /* the segment's, not its own */
    expect_rc(ipc_array_free(array), -EINVAL);
    expect_rc(ipc_array_fini(array), 0);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("board"), 0);
}

/* ---- family memory ---- */

static void set_all(void *arg)
{
    ipc_array *array = arg;
    for (int32_t i = 0; i < 5; i++)
        expect_rc(ipc_array_set_i32(array, i, i * i), 0);
}

static void the_family_sees_one_array(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    assert_int_equal(role_try(set_all, array, LIMIT_MS), 0);
    for (int32_t i = 0; i < 5; i++)
        assert_int_equal(i32_at(array, i), i * i);
    expect_rc(ipc_array_free(array), 0);
}

static void only_what_new_gave_can_be_freed(void)
{
    _Alignas(64) static unsigned char place[512];
    ipc_array *array = (void *)place;
    int rc;
    expect_rc(ipc_array_free(NULL), 0);
    expect_rc(ipc_array_init(array, sizeof place, IPC_ELEMENT_INT32, 5, NULL),
              0);
    expect_rc(ipc_array_free(array), -EINVAL);
    expect_rc(ipc_array_fini(array), 0);

    array = new_array(IPC_ELEMENT_INT32, 5, 0);
    IPC_WITH_RLOCK(ipc_array_lock(array), rc)
        expect_rc(ipc_array_free(array), -EBUSY);
    expect_rc(rc, 0);
    array->length_ = 6;
    expect_rc(ipc_array_free(array), -EUCLEAN);
    array->length_ = 5;
    expect_rc(ipc_array_free(array), 0);
    expect_rc(ipc_array_free(array), -EINVAL);

    void *other = ipc_shared_alloc(1000);
    expect_rc(ipc_array_free(other), -EUCLEAN);
    expect_rc(ipc_shared_free(other), 0);
}

static void what_can_never_fit_is_refused(void)
{
    ipc_array *array = NULL;
    expect_rc(ipc_array_new(IPC_ELEMENT_INT64, (size_t)1 << 36, NULL, &array),
              -EINVAL);
    assert_null(array);
}

/* ---- names ---- */

static void named_arrays_are_created_opened_and_removed(void)
{
    static const int32_t first[] = {3, 1, 4, 1, 5};
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    ipc_array *one = NULL;
    ipc_array *two = NULL;
    expect_rc(ipc_array_open("scores", 0, 0, &one), -ENOENT);
    expect_rc(ipc_array_unlink("scores"), -ENOENT);
    options.initial = first;
    options.label = "scores";
    expect_rc(ipc_array_create("scores", IPC_ELEMENT_INT32, 5, &options, &one),
              0);
    expect_rc(ipc_array_create("scores", IPC_ELEMENT_INT32, 5, NULL, &two),
              -EEXIST);
    assert_null(two);
    expect_rc(ipc_array_open("scores", IPC_ELEMENT_INT32, 5, &two), 0);
    assert_true(one != two);
    assert_int_equal(i32_at(two, 2), 4);
    expect_rc(ipc_array_set_i32(two, 2, 40), 0);
    assert_int_equal(i32_at(one, 2), 40);

    expect_rc(ipc_rlock_acquire(ipc_array_lock(one)), 0);
    assert_true(ipc_rlock_is_mine(ipc_array_lock(two)));
    expect_rc(ipc_array_close(two), -EBUSY);
    expect_rc(ipc_rlock_release(ipc_array_lock(two)), 0);
    expect_rc(ipc_array_close(two), 0);
    expect_rc(ipc_array_close(two), -EINVAL);

    expect_rc(ipc_array_close(one), 0);
    expect_rc(ipc_array_open("scores", 0, 0, &one), 0); /* the name stays */
    assert_int_equal(i32_at(one, 2), 40);
    expect_rc(ipc_array_unlink("scores"), 0);
    assert_int_equal(i32_at(one, 2), 40); /* who has it keeps it */
    expect_rc(ipc_array_open("scores", 0, 0, &two), -ENOENT);
    expect_rc(ipc_array_close(one), 0);
    expect_rc(ipc_array_close(NULL), 0);
    assert_int_equal(test_shm_names(), 0);
}

static void an_existing_one_keeps_its_contents(void)
{
    static const int32_t first[] = {1, 2, 3};
    static const int32_t other[] = {7, 8, 9};
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    ipc_array *one = NULL;
    ipc_array *two = NULL;
    options.initial = first;
    expect_rc(
        ipc_array_open_or_create("kept", IPC_ELEMENT_INT32, 3, &options, &one),
        0);
    options.initial = other;
    options.flags = IPC_ARRAY_RAW;
    expect_rc(
        ipc_array_open_or_create("kept", IPC_ELEMENT_INT32, 3, &options, &two),
        0);
    assert_int_equal(i32_at(two, 0), 1);
    assert_false(ipc_array_is_raw(two));
    expect_rc(ipc_array_close(one), 0);
    expect_rc(ipc_array_close(two), 0);
    expect_rc(ipc_array_unlink("kept"), 0);
}

static void what_is_expected_is_checked(void)
{
    ipc_array *array = NULL;
    ipc_array *none = NULL;
    expect_rc(ipc_array_create("typed", IPC_ELEMENT_INT32, 5, NULL, &array), 0);
    expect_rc(ipc_array_open("typed", IPC_ELEMENT_DOUBLE, 0, &none), -EINVAL);
    expect_detail("the array typed is of int32, not of double");
    expect_rc(ipc_array_open("typed", IPC_ELEMENT_STRUCT(4), 5, &none),
              -EINVAL);
    expect_detail("is of int32, not of struct of 4 bytes");
    expect_rc(ipc_array_open("typed", IPC_ELEMENT_INT32, 4, &none), -EMSGSIZE);
    expect_detail("the array typed has a length of 5, not 4");
    expect_rc(ipc_array_open("typed", 0, 6, &none), -EMSGSIZE);
    /* More than there is, and less. */
    expect_rc(ipc_array_open_or_create("typed", IPC_ELEMENT_DOUBLE, 5000, NULL,
                                       &none),
              -EINVAL);
    expect_detail("not of double");
    expect_rc(
        ipc_array_open_or_create("typed", IPC_ELEMENT_INT32, 5000, NULL, &none),
        -EMSGSIZE);
    expect_rc(
        ipc_array_open_or_create("typed", IPC_ELEMENT_INT32, 1, NULL, &none),
        -EMSGSIZE);
    expect_rc(ipc_array_open_or_create("typed", 0, 5, NULL, &none), -EINVAL);
    expect_rc(
        ipc_array_open_or_create("typed", IPC_ELEMENT_INT32, 0, NULL, &none),
        -EINVAL);
    assert_null(none);
    expect_rc(ipc_array_open("typed", 0, 5, &none), 0);
    expect_rc(ipc_array_close(none), 0);
    expect_rc(ipc_array_open("typed", IPC_ELEMENT_INT32, 0, &none), 0);
    expect_rc(ipc_array_close(none), 0);
    expect_rc(ipc_array_close(array), 0);
    expect_rc(ipc_array_unlink("typed"), 0);
}

static void kinds_and_names_are_checked(void)
{
    static const char *const bad[] = {"", "/", "a/b", ".a"};
    ipc_array *array = NULL;
    ipc_value *value = NULL;
    ipc_lock *lock = NULL;
    ipc_segment *segment = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_rc(ipc_array_create(bad[i], IPC_ELEMENT_BYTE, 1, NULL, &array),
                  -EINVAL);
        expect_rc(ipc_array_open(bad[i], 0, 0, &array), -EINVAL);
        expect_rc(
            ipc_array_open_or_create(bad[i], IPC_ELEMENT_BYTE, 1, NULL, &array),
            -EINVAL);
        expect_rc(ipc_array_unlink(bad[i]), -EINVAL);
    }
    expect_rc(ipc_value_create("kind", IPC_ELEMENT_INT32, NULL, &value), 0);
    expect_rc(ipc_array_open("kind", 0, 0, &array), -EINVAL);
    expect_detail("is a value, not an array");
    expect_rc(
        ipc_array_open_or_create("kind", IPC_ELEMENT_INT32, 1, NULL, &array),
        -EINVAL);
    expect_rc(ipc_array_unlink("kind"), -EINVAL);
    expect_rc(ipc_lock_open("kind", &lock), -EINVAL);
    expect_rc(ipc_segment_open("kind", &segment), -EINVAL);
    expect_rc(ipc_array_close(&value->array_), -EINVAL);
    expect_rc(ipc_value_close(value), 0);
    expect_rc(ipc_value_unlink("kind"), 0);

    expect_rc(ipc_lock_create("kind", NULL, &lock), 0);
    expect_rc(ipc_array_open("kind", 0, 0, &array), -EINVAL);
    expect_detail("is a lock, not an array");
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink("kind"), 0);
    assert_null(array);
}

static void count_up(void *arg)
{
    ipc_array *array = NULL;
    (void)arg;
    expect_rc(
        ipc_array_open_or_create("counts", IPC_ELEMENT_INT64, 10, NULL, &array),
        0);
    for (int64_t i = 0; i < 5000; i++)
        expect_rc(ipc_array_add_i64(array, i % 10, 1, NULL), 0);
    expect_rc(ipc_array_close(array), 0);
}

static void unrelated_processes_share_it(void)
{
    struct role roles[3];
    ipc_array *array = NULL;
    int64_t is = 0;
    for (size_t i = 0; i < 3; i++)
        role_start(&roles[i], count_up, NULL);
    for (size_t i = 0; i < 3; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_rc(ipc_array_open("counts", IPC_ELEMENT_INT64, 10, &array), 0);
    for (int64_t i = 0; i < 10; i++) {
        expect_rc(ipc_array_get_i64(array, i, &is), 0);
        assert_int_equal(is, 1500);
    }
    expect_rc(ipc_array_close(array), 0);
    expect_rc(ipc_array_unlink("counts"), 0);
}

/* ---- when all users of a name have died ---- */

struct orphan {
    uint32_t flags;
    bool holding;
};

static void create_and_die(void *arg)
{
    const struct orphan *orphan = arg;
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    ipc_array *array = NULL;
    options.flags = orphan->flags;
    expect_rc(
        ipc_array_create("orphan", IPC_ELEMENT_INT32, 5, &options, &array), 0);
    expect_rc(ipc_array_set_i32(array, 0, 42), 0);
    if (orphan->holding)
        expect_rc(ipc_rlock_acquire(ipc_array_lock(array)), 0);
    _exit(0); /* without closing it: as good as killed */
}

static void leave_orphan(uint32_t flags, bool holding)
{
    struct orphan orphan = {flags, holding};
    assert_int_equal(role_try(create_and_die, &orphan, LIMIT_MS), 0);
}

static void remove_orphan(ipc_array *array)
{
    expect_rc(ipc_array_close(array), 0);
    expect_rc(ipc_array_unlink("orphan"), 0);
}

static void open_finds_what_the_dead_have_left(void)
{
    ipc_array *array = NULL;
    leave_orphan(0, false);
    expect_rc(ipc_array_open("orphan", 0, 0, &array), 0);
    assert_int_equal(i32_at(array, 0), 42);
    remove_orphan(array);
}

static void create_replaces_what_the_dead_have_left(void)
{
    ipc_array *array = NULL;
    leave_orphan(0, false);
    expect_rc(ipc_array_create("orphan", IPC_ELEMENT_INT32, 5, NULL, &array),
              0);
    assert_int_equal(i32_at(array, 0), 0);
    remove_orphan(array);
    leave_orphan(0, false);
    expect_rc(ipc_segment_gc(), 1);
    expect_rc(ipc_array_open("orphan", 0, 0, &array), -ENOENT);
}

static void news_of_a_death_is_kept_until_somebody_was_told(void)
{
    ipc_array *array = NULL;
    leave_orphan(0, true);
    expect_rc(ipc_segment_gc(), 0);
    expect_rc(ipc_array_create("orphan", IPC_ELEMENT_INT32, 5, NULL, &array),
              -EEXIST);
    expect_rc(ipc_array_open("orphan", 0, 0, &array), 0);
    expect_rc(ipc_array_set_i32(array, 1, 1), IPC_OWNER_DIED);
    assert_int_equal(i32_at(array, 0), 42);
    remove_orphan(array);
}

static void a_persistent_one_stays(void)
{
    ipc_array *array = NULL;
    leave_orphan(IPC_ARRAY_PERSIST, false);
    expect_rc(ipc_segment_gc(), 0);
    expect_rc(ipc_array_create("orphan", IPC_ELEMENT_INT32, 5, NULL, &array),
              -EEXIST);
    expect_rc(ipc_array_open("orphan", 0, 0, &array), 0);
    assert_int_equal(i32_at(array, 0), 42);
    remove_orphan(array);
}

static const struct test_case cases[] = {
    TEST_CASE(the_callers_memory_is_enough_or_not),
    TEST_CASE(memory_that_is_not_aligned_is_refused),
    TEST_CASE(what_is_fini_is_no_array),
    TEST_CASE(init_takes_the_place_of_an_older_array),
    TEST_CASE(an_array_may_lie_in_a_segment),
    TEST_CASE(the_family_sees_one_array),
    TEST_CASE(only_what_new_gave_can_be_freed),
    TEST_CASE(what_can_never_fit_is_refused),
    TEST_CASE(named_arrays_are_created_opened_and_removed),
    TEST_CASE(an_existing_one_keeps_its_contents),
    TEST_CASE(what_is_expected_is_checked),
    TEST_CASE(kinds_and_names_are_checked),
    TEST_CASE(unrelated_processes_share_it),
    TEST_CASE(open_finds_what_the_dead_have_left),
    TEST_CASE(create_replaces_what_the_dead_have_left),
    TEST_CASE(news_of_a_death_is_kept_until_somebody_was_told),
    TEST_CASE(a_persistent_one_stays),
};
TEST_MAIN(cases)
