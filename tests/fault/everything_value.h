/* One use of arrays and values: a part of everything.c, where DONE() is. */
#ifndef FAULT_EVERYTHING_VALUE_H
#define FAULT_EVERYTHING_VALUE_H

#include <ipc/array.h>
#include <ipc/atomic.h>
#include <ipc/shared.h>
#include <ipc/value.h>

enum {
    LENGTH = 6,
    EACH = 50
};

/* ---- each of them ---- */

/* Of int64, all zero.  The first call that takes the lock may find out that
 * something is missing; after it the thread is known. */
static void use_array(ipc_array *array)
{
    int64_t all[LENGTH] = {1, 2, 3};
    int64_t one = 0;
    int32_t small = 0;
    assert_int_equal(ipc_array_length(array), LENGTH);
    assert_int_equal(ipc_array_element_size(array), sizeof one);
    if (!DONE(ipc_array_set_i64(array, -1, 40)))
        return;
    CHECK(ipc_array_add_i64(array, LENGTH - 1, 2, &one), 0);
    assert_int_equal(one, 40);
    CHECK(ipc_array_get(array, -1, &one, sizeof one), 0);
    assert_int_equal(one, 42);
    CHECK(ipc_array_write(array, 0, LENGTH, all, sizeof all), 0);
    CHECK(ipc_rlock_acquire(ipc_array_lock(array)), 0);
    CHECK(ipc_array_get_i64(array, 2, &one), 0);
    CHECK(ipc_array_set(array, 2, &one, sizeof one), 0);
    CHECK(ipc_rlock_release(ipc_array_lock(array)), 0);
    assert_int_equal(one, 3);
    memset(all, 0, sizeof all);
    CHECK(ipc_array_read(array, -LENGTH, 3, all, 3 * sizeof one), 0);
    assert_int_equal(all[1], 2);
    assert_int_equal(((int64_t *)ipc_array_data(array))[1], 2);
    CHECK(ipc_array_get_i32(array, 0, &small), -EINVAL);
    CHECK(ipc_array_set_i64(array, LENGTH, 1), -ERANGE);
}

/* Of double. */
static void use_value(ipc_value *value)
{
    double is = 0;
    int32_t small = 0;
    if (!DONE(ipc_value_set_f64(value, 1.5)))
        return;
    CHECK(ipc_value_add_f64(value, 1, &is), 0);
    assert_true(is > 1.4 && is < 1.6);
    CHECK(ipc_value_get_f64(value, &is), 0);
    assert_true(is > 2.4 && is < 2.6);
    CHECK(ipc_value_set(value, &is, sizeof is), 0);
    CHECK(ipc_rlock_acquire(ipc_value_lock(value)), 0);
    CHECK(ipc_value_get(value, &is, sizeof is), 0);
    CHECK(ipc_rlock_release(ipc_value_lock(value)), 0);
    assert_non_null(ipc_value_data(value));
    CHECK(ipc_value_add_i32(value, 1, &small), -EINVAL);
}

/* ---- in all places ---- */

static const ipc_array_options as_raw = {sizeof as_raw, IPC_ARRAY_RAW, "raw",
                                         NULL};

/* In memory of its own, in the family's, with a lock and without, and by
 * name.  What has another element under that name is not opened. */
#define USE_ARRAY_IN_ALL_PLACES(x, other, ...)                                 \
    static void use_places_of_##x(void)                                        \
    {                                                                          \
        _Alignas(64) static unsigned char own[512];                            \
        ipc_##x *at = (ipc_##x *)(void *)own;                                  \
        ipc_##x *made = NULL;                                                  \
        ipc_##x *named = NULL;                                                 \
        CHECK(ipc_##x##_init(at, sizeof own, __VA_ARGS__, NULL), 0);           \
        use_##x(at);                                                           \
        (void)DONE(ipc_##x##_fini(at));                                        \
        const ipc_array_options *const options[] = {NULL, &as_raw};            \
        for (int i = 0; i < 2; i++) {                                          \
            if (!DONE(ipc_##x##_new(__VA_ARGS__, options[i], &made)))          \
                continue;                                                      \
            assert_int_equal(ipc_##x##_is_raw(made), i == 1);                  \
            use_##x(made);                                                     \
            CHECK(ipc_##x##_free(made), 0);                                    \
        }                                                                      \
        if (!DONE(ipc_##x##_open_or_create("the-" #x, __VA_ARGS__, NULL,       \
                                           &named)))                           \
            return;                                                            \
        int rc = ipc_##x##_create("the-" #x, __VA_ARGS__, NULL, &made);        \
        assert_true(rc == -EEXIST || !done("create", rc));                     \
        rc = (other);                                                          \
        assert_true(rc == -EINVAL || !done("open", rc));                       \
        if (DONE(ipc_##x##_open("the-" #x, __VA_ARGS__, &made))) {             \
            use_##x(made);                                                     \
            CHECK(ipc_##x##_close(made), 0);                                   \
        }                                                                      \
        use_##x(named);                                                        \
        CHECK(ipc_##x##_close(named), 0);                                      \
        (void)DONE(ipc_##x##_unlink("the-" #x));                               \
    }

USE_ARRAY_IN_ALL_PLACES(array,
                        ipc_array_open("the-array", IPC_ELEMENT_CHAR, LENGTH,
                                       &made),
                        IPC_ELEMENT_INT64, LENGTH)
USE_ARRAY_IN_ALL_PLACES(value,
                        ipc_value_open("the-value", IPC_ELEMENT_INT64, &made),
                        IPC_ELEMENT_DOUBLE)

/* ---- of all elements ---- */

static void use_elements(void)
{
    static const ipc_element elements[] = {
        IPC_ELEMENT_INT32, IPC_ELEMENT_CHAR, IPC_ELEMENT_BYTE,
        IPC_ELEMENT_STRUCT(12), IPC_ELEMENT_STRUCT(100)};
    static const unsigned char initial[4 * 100] = {1, 2, 3};
    const ipc_array_options options = {sizeof options, 0, "table", initial};
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
        const size_t size = IPC_ELEMENT_SIZE(elements[i]);
        unsigned char all[sizeof initial];
        ipc_array *array;
        ipc_value *value;
        if (DONE(ipc_array_new(elements[i], 4, &options, &array))) {
            if (DONE(ipc_array_read(array, 0, 4, all, 4 * size)))
                assert_memory_equal(all, initial, 4 * size);
            CHECK(ipc_array_free(array), 0);
        }
        if (DONE(ipc_value_new(elements[i], &options, &value))) {
            if (DONE(ipc_value_get(value, all, size)))
                assert_memory_equal(all, initial, size);
            CHECK(ipc_value_free(value), 0);
        }
    }
}

static void use_large_array(void)
{
    enum {
        MANY = 20000
    };
    ipc_array *array;
    double last = 1;
    if (!DONE(ipc_array_new(IPC_ELEMENT_DOUBLE, MANY, NULL, &array)))
        return;
    if (DONE(ipc_array_set_f64(array, MANY - 1, 0.5)))
        CHECK(ipc_array_get_f64(array, -1, &last), 0);
    assert_true(last > 0.4);
    CHECK(ipc_array_free(array), 0);
}

/* ---- two processes ---- */

struct sums {
    ipc_value *value;
    int64_t done; /* additions that were reported as done */
};

static int add_to_sums(void *arg)
{
    struct sums *sums = arg;
    for (int i = 0; i < EACH; i++)
        if (DONE(ipc_value_add_i64(sums->value, 1, NULL)))
            (void)ipc_atomic_add_i64(&sums->done, 1);
    return 0;
}

static void use_value_together(void)
{
    int64_t sum = -1;
    ipc_process process;
    struct sums *sums = ipc_shared_alloc(sizeof *sums);
    if (sums == NULL) {
        (void)done("ipc_shared_alloc", -ENOMEM);
        return;
    }
    if (DONE(ipc_value_new(IPC_ELEMENT_INT64, NULL, &sums->value))) {
        CHECK(ipc_process_init(&process, add_to_sums, sums, NULL), 0);
        const bool started = DONE(ipc_process_start(&process));
        (void)add_to_sums(sums);
        finish(&process, started, 0);
        if (DONE(ipc_value_get_i64(sums->value, &sum)))
            assert_int_equal(sum, ipc_atomic_load_i64(&sums->done));
        CHECK(ipc_value_free(sums->value), 0);
    }
    CHECK(ipc_shared_free(sums), 0);
}

/* ---- all of it ---- */

static void use_arrays(void)
{
    use_places_of_array();
    use_places_of_value();
    use_elements();
    use_large_array();
    use_value_together();
}

static void remove_names_of_arrays(void)
{
    (void)ipc_array_unlink("the-array");
    (void)ipc_value_unlink("the-value");
}

#endif
