/* ipc_value: an array of one, under its own name.  What arrays do is not
 * tried again in all its ways. */
#include "unit/array_support.h"

#include "harness/scale.h"

#include <stdlib.h>

/* ---- get, set, add ---- */

static void every_type_keeps_its_value(void)
{
    int32_t i32 = 0;
    double f64 = 0;
    char letter = 0;
    uint8_t byte = 0;
    for (uint32_t flags = 0; flags <= IPC_VALUE_RAW; flags++) {
        ipc_value *value = new_value(IPC_ELEMENT_INT32, flags);
        expect_rc(ipc_value_set_i32(value, -5), 0);
        expect_rc(ipc_value_get_i32(value, &i32), 0);
        assert_int_equal(i32, -5);
        expect_rc(ipc_value_add_i32(value, 7, &i32), 0);
        assert_int_equal(i32, -5);
        expect_rc(ipc_value_get(value, &i32, sizeof i32), 0);
        assert_int_equal(i32, 2);
        assert_true(ipc_value_is_raw(value) == (flags != 0));
        expect_rc(ipc_value_free(value), 0);

        value = new_value(IPC_ELEMENT_INT64, flags);
        expect_rc(ipc_value_set_i64(value, INT64_MIN), 0);
        assert_true(i64_of(value) == INT64_MIN);
        expect_rc(ipc_value_add_i64(value, -1, NULL), 0);
        assert_true(i64_of(value) == INT64_MAX); /* wraps */
        expect_rc(ipc_value_free(value), 0);

        value = new_value(IPC_ELEMENT_DOUBLE, flags);
        expect_rc(ipc_value_set_f64(value, 0.5), 0);
        expect_rc(ipc_value_add_f64(value, 0.25, &f64), 0);
        assert_true(f64 == 0.5);
        expect_rc(ipc_value_get_f64(value, &f64), 0);
        assert_true(f64 == 0.75);
        expect_rc(ipc_value_free(value), 0);

        value = new_value(IPC_ELEMENT_CHAR, flags);
        expect_rc(ipc_value_set_char(value, 'x'), 0);
        expect_rc(ipc_value_get_char(value, &letter), 0);
        assert_int_equal(letter, 'x');
        expect_rc(ipc_value_free(value), 0);

        value = new_value(IPC_ELEMENT_BYTE, flags);
        expect_rc(ipc_value_set_byte(value, 200), 0);
        expect_rc(ipc_value_get_byte(value, &byte), 0);
        assert_int_equal(byte, 200);
        expect_rc(ipc_value_free(value), 0);
    }
}

static void structures_fit_whatever_their_size(void)
{
    static const size_t sizes[] = {1, 12, 64, 65, 1000, 5000};
    unsigned char in[5000];
    unsigned char out[5000];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const ipc_element element = IPC_ELEMENT_STRUCT(sizes[i]);
        ipc_value *value = new_value(element, 0);
        memset(in, (int)i + 1, sizeof in);
        expect_rc(ipc_value_set(value, in, sizes[i]), 0);
        expect_rc(ipc_value_get(value, out, sizes[i]), 0);
        assert_memory_equal(in, out, sizes[i]);
        assert_memory_equal(ipc_value_data(value), in, sizes[i]);
        assert_true(ipc_value_element(value) == element);
        assert_int_equal(ipc_value_element_size(value), sizes[i]);
        expect_rc(ipc_value_free(value), 0);
    }
}

static void types_and_sizes_are_checked(void)
{
    ipc_value_options options = IPC_VALUE_OPTIONS_INIT;
    ipc_value *value = NULL;
    int64_t i64 = 3;
    double f64;
    options.label = "hits";
    expect_rc(ipc_value_new(IPC_ELEMENT_DOUBLE, &options, &value), 0);
    expect_rc(ipc_value_get_i64(value, &i64), -EINVAL);
    expect_detail("value \"hits\" of double, not of int64");
    expect_rc(ipc_value_set_i64(value, 1), -EINVAL);
    expect_rc(ipc_value_add_i64(value, 1, &i64), -EINVAL);
    expect_rc(ipc_value_get(value, &i64, 4), -EINVAL);
    expect_detail("value \"hits\": 4 bytes");
    expect_rc(ipc_value_set(value, &i64, 16), -EINVAL);
    expect_rc(ipc_value_get_f64(value, &f64), 0);
    assert_true(f64 == 0);
    assert_int_equal(i64, 3);
    expect_rc(ipc_value_free(value), 0);
}

/* ---- storage ---- */

static void a_value_is_a_field_of_a_structure(void)
{
    struct stats {
        ipc_value hits;
        ipc_value best;
    };
    const double best = 0.75;
    ipc_value_options options = IPC_VALUE_OPTIONS_INIT;
    struct stats *stats = ipc_shared_alloc(sizeof *stats);
    double is = 0;
    assert_non_null(stats);
    options.initial = &best;
    options.flags = IPC_VALUE_RAW;
    expect_rc(ipc_value_init(&stats->hits, sizeof stats->hits,
                             IPC_ELEMENT_INT64, NULL),
              0);
    expect_rc(ipc_value_init(&stats->best, sizeof stats->best,
                             IPC_ELEMENT_DOUBLE, &options),
              0);
    expect_rc(ipc_value_add_i64(&stats->hits, 3, NULL), 0);
    assert_int_equal(i64_of(&stats->hits), 3);
    expect_rc(ipc_value_get_f64(&stats->best, &is), 0);
    assert_true(is == best);
    expect_rc(ipc_value_free(&stats->best), -EINVAL); /* memory of stats */
    expect_rc(ipc_value_fini(&stats->hits), 0);
    expect_rc(ipc_value_fini(&stats->hits), -EUCLEAN);
    expect_rc(ipc_value_fini(&stats->best), 0);
    expect_rc(ipc_shared_free(stats), 0);
}

static void bytes_are_counted_and_checked(void)
{
    static ipc_value value;
    assert_int_equal(ipc_value_bytes(IPC_ELEMENT_BYTE), sizeof value);
    assert_int_equal(ipc_value_bytes(IPC_ELEMENT_STRUCT(64)), sizeof value);
    assert_int_equal(ipc_value_bytes(IPC_ELEMENT_STRUCT(65)), sizeof value + 1);
    assert_int_equal(ipc_value_bytes(0), 0);
    expect_detail("there is no element");
    expect_rc(ipc_value_init(&value, sizeof value - 1, IPC_ELEMENT_BYTE, NULL),
              -EMSGSIZE);
    expect_detail("such a value takes 256 bytes, there are 255");
    expect_rc(
        ipc_value_init(&value, sizeof value, IPC_ELEMENT_STRUCT(65), NULL),
        -EMSGSIZE);
    expect_rc(ipc_value_init(&value, sizeof value, 0, NULL), -EINVAL);
    expect_rc(ipc_value_get(&value, &value, 1), -EUCLEAN);
    expect_detail("a value at ");
    assert_null(ipc_value_data(&value));
    assert_true(ipc_value_element(&value) == 0);
    assert_int_equal(ipc_value_element_size(&value), 0);
    assert_false(ipc_value_is_raw(&value));
    expect_rc(
        ipc_value_init(&value, sizeof value, IPC_ELEMENT_STRUCT(64), NULL), 0);
    expect_rc(ipc_value_fini(&value), 0);
}

static void an_array_is_no_value(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 100, 0);
    ipc_value *value = (void *)array;
    int32_t is;
    expect_rc(ipc_value_get_i32(value, &is), -EUCLEAN);
    expect_rc(ipc_value_free(value), -EUCLEAN);
    expect_rc(ipc_array_free(array), 0);

    value = new_value(IPC_ELEMENT_INT32, 0);
    expect_rc(ipc_array_get_i32(&value->array_, 0, &is), -EUCLEAN);
    expect_rc(ipc_array_free(&value->array_), -EUCLEAN);
    expect_rc(ipc_value_free(value), 0);
    expect_rc(ipc_value_free(value), -EINVAL);
    expect_rc(ipc_value_free(NULL), 0);
}

static void named_values_are_created_opened_and_removed(void)
{
    const int64_t initial = 10;
    ipc_value_options options = IPC_VALUE_OPTIONS_INIT;
    ipc_value *one = NULL;
    ipc_value *two = NULL;
    ipc_array *array = NULL;
    options.initial = &initial;
    expect_rc(ipc_value_open("hits", 0, &one), -ENOENT);
    expect_rc(ipc_value_create("hits", IPC_ELEMENT_INT64, &options, &one), 0);
    expect_rc(ipc_value_create("hits", IPC_ELEMENT_INT64, NULL, &two), -EEXIST);
    expect_rc(ipc_value_open("hits", IPC_ELEMENT_DOUBLE, &two), -EINVAL);
    expect_detail("the value hits is of int64, not of double");
    expect_rc(
        ipc_value_open_or_create("hits", IPC_ELEMENT_STRUCT(500), NULL, &two),
        -EINVAL);
    expect_rc(ipc_array_open("hits", 0, 0, &array), -EINVAL);
    assert_null(two);
    expect_rc(ipc_value_open("hits", IPC_ELEMENT_INT64, &two), 0);
    expect_rc(ipc_value_add_i64(two, 1, NULL), 0);
    assert_int_equal(i64_of(one), 11);
    expect_rc(ipc_rlock_acquire(ipc_value_lock(one)), 0);
    expect_rc(ipc_value_close(two), -EBUSY);
    expect_rc(ipc_rlock_release(ipc_value_lock(two)), 0);
    expect_rc(ipc_value_close(two), 0);
    expect_rc(ipc_value_close(two), -EINVAL);
    expect_rc(ipc_value_close(NULL), 0);
    expect_rc(
        ipc_value_open_or_create("hits", IPC_ELEMENT_INT64, &options, &two), 0);
    assert_int_equal(i64_of(two), 11);
    expect_rc(ipc_value_close(two), 0);
    expect_rc(ipc_value_close(one), 0);
    expect_rc(ipc_array_unlink("hits"), -EINVAL);
    expect_rc(ipc_value_unlink("hits"), 0);
    expect_rc(ipc_value_unlink("hits"), -ENOENT);
    assert_int_equal(test_shm_names(), 0);
}

/* ---- many at once, and deaths ---- */

struct scene {
    ipc_value *value;
    uint32_t ready;
    long rounds;
};

static void add_in_two_ways(void *arg)
{
    struct scene *scene = arg;
    meet_signal(&scene->ready); /* all begin together */
    meet_wait(&scene->ready, 3, LIMIT_MS);
    for (long i = 0; i < scene->rounds; i++) {
        int64_t is = 0;
        int rc;
        if (i % 2 == 0) {
            rc = ipc_value_add_i64(scene->value, 1, NULL);
        } else {
            IPC_WITH_RLOCK(ipc_value_lock(scene->value), rc) {
                rc = ipc_value_get_i64(scene->value, &is);
                rc |= ipc_value_set_i64(scene->value, is + 1);
            }
        }
        if (rc != 0)
            abort();
    }
}

static void updates_of_processes_are_not_lost(void)
{
    struct scene *scene = test_shared(sizeof *scene);
    struct role roles[3];
    scene->value = new_value(IPC_ELEMENT_INT64, 0);
    scene->rounds = 20000 * test_scale();
    for (size_t i = 0; i < 3; i++)
        role_start(&roles[i], add_in_two_ways, scene);
    for (size_t i = 0; i < 3; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    assert_int_equal(i64_of(scene->value), 3 * scene->rounds);
    expect_rc(ipc_value_free(scene->value), 0);
}

static void hold_for_ever(void *arg)
{
    struct scene *scene = arg;
    expect_rc(ipc_rlock_acquire(ipc_value_lock(scene->value)), 0);
    meet_signal(&scene->ready);
    for (;;)
        (void)pause();
}

static void the_next_one_is_told_of_a_death(void)
{
    struct scene *scene = test_shared(sizeof *scene);
    struct role role;
    scene->value = new_value(IPC_ELEMENT_INT64, 0);
    role_start(&role, hold_for_ever, scene);
    meet_wait(&scene->ready, 1, LIMIT_MS);
    (void)role_kill(&role);
    expect_rc(ipc_value_add_i64(scene->value, 5, NULL), IPC_OWNER_DIED);
    assert_int_equal(i64_of(scene->value), 5);
    expect_rc(ipc_value_free(scene->value), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(every_type_keeps_its_value),
    TEST_CASE(structures_fit_whatever_their_size),
    TEST_CASE(types_and_sizes_are_checked),
    TEST_CASE(a_value_is_a_field_of_a_structure),
    TEST_CASE(bytes_are_counted_and_checked),
    TEST_CASE(an_array_is_no_value),
    TEST_CASE(named_values_are_created_opened_and_removed),
    TEST_CASE(updates_of_processes_are_not_lost),
    TEST_CASE(the_next_one_is_told_of_a_death),
};
TEST_MAIN(cases)
