/* ipc_array: elements, indexes and slices, and every error of theirs. */
#include "unit/array_support.h"

#include <stdlib.h>

/* ---- one element ---- */

static void elements_begin_as_zero(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(i32_at(array, i), 0);
    expect_rc(ipc_array_free(array), 0);
}

static void elements_begin_as_they_were_given(void)
{
    static const int32_t first[] = {3, 1, 4, 1, 5};
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    ipc_array *array = NULL;
    options.initial = first;
    expect_rc(ipc_array_new(IPC_ELEMENT_INT32, 5, &options, &array), 0);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(i32_at(array, i), first[i]);
    expect_rc(ipc_array_free(array), 0);
}

static void every_type_keeps_its_values(void)
{
    int32_t i32 = 0;
    int64_t i64 = 0;
    double f64 = 0;
    char letter = 0;
    uint8_t byte = 0;
    for (uint32_t flags = 0; flags <= IPC_ARRAY_RAW; flags++) {
        ipc_array *array = new_array(IPC_ELEMENT_INT32, 3, flags);
        expect_rc(ipc_array_set_i32(array, 1, INT32_MIN), 0);
        expect_rc(ipc_array_get_i32(array, 1, &i32), 0);
        assert_int_equal(i32, INT32_MIN);
        expect_rc(ipc_array_free(array), 0);

        array = new_array(IPC_ELEMENT_INT64, 3, flags);
        expect_rc(ipc_array_set_i64(array, 1, INT64_MIN), 0);
        expect_rc(ipc_array_get_i64(array, 1, &i64), 0);
        assert_true(i64 == INT64_MIN);
        expect_rc(ipc_array_free(array), 0);

        array = new_array(IPC_ELEMENT_DOUBLE, 3, flags);
        expect_rc(ipc_array_set_f64(array, 1, -0.1), 0);
        expect_rc(ipc_array_get_f64(array, 1, &f64), 0);
        assert_true(f64 == -0.1);
        expect_rc(ipc_array_free(array), 0);

        array = new_array(IPC_ELEMENT_CHAR, 3, flags);
        expect_rc(ipc_array_set_char(array, 1, 'x'), 0);
        expect_rc(ipc_array_get_char(array, 1, &letter), 0);
        assert_int_equal(letter, 'x');
        expect_rc(ipc_array_free(array), 0);

        array = new_array(IPC_ELEMENT_BYTE, 3, flags);
        expect_rc(ipc_array_set_byte(array, 1, 255), 0);
        expect_rc(ipc_array_get_byte(array, 1, &byte), 0);
        assert_int_equal(byte, 255);
        expect_rc(ipc_array_free(array), 0);
    }
}

/* Each in its place: its neighbours are not touched. */
static void structures_of_any_size_keep_their_place(void)
{
    unsigned char in[80];
    unsigned char out[80];
    for (size_t size = 1; size <= sizeof in; size++) {
        ipc_array *array = new_array(IPC_ELEMENT_STRUCT(size), 3, 0);
        unsigned char *data = ipc_array_data(array);
        assert_int_equal(ipc_array_element_size(array), size);
        memset(data, 0xee, 3 * size);
        for (size_t i = 0; i < size; i++)
            in[i] = (unsigned char)(i + 1);
        expect_rc(ipc_array_set(array, 1, in, size), 0);
        memset(out, 0, sizeof out);
        expect_rc(ipc_array_get(array, 1, out, size), 0);
        assert_memory_equal(in, out, size);
        assert_memory_equal(data + size, in, size);
        for (size_t i = 0; i < size; i++)
            if (data[i] != 0xee || data[2 * size + i] != 0xee)
                test_fail("size %zu: a neighbour was written", size);
        expect_rc(ipc_array_free(array), 0);
    }
}

static void negative_indexes_count_from_the_end(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    for (int32_t i = 0; i < 5; i++)
        expect_rc(ipc_array_set_i32(array, i, 10 + i), 0);
    for (int64_t i = -5; i < 0; i++)
        assert_int_equal(i32_at(array, i), 10 + 5 + i);
    expect_rc(ipc_array_set_i32(array, -1, 99), 0);
    assert_int_equal(i32_at(array, 4), 99);
    expect_rc(ipc_array_free(array), 0);
}

static void indexes_are_checked(void)
{
    static const int64_t none[] = {5, 6, 10, -6, -7, INT64_MAX, INT64_MIN};
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char said[64];
        int32_t is = 7;
        (void)snprintf(said, sizeof said, "index %lld of an array of 5",
                       (long long)none[i]);
        expect_rc(ipc_array_get_i32(array, none[i], &is), -ERANGE);
        expect_detail(said);
        assert_int_equal(is, 7); /* left alone */
        expect_rc(ipc_array_get(array, none[i], &is, sizeof is), -ERANGE);
        expect_rc(ipc_array_set_i32(array, none[i], 1), -ERANGE);
        expect_rc(ipc_array_set(array, none[i], &is, sizeof is), -ERANGE);
        expect_rc(ipc_array_add_i32(array, none[i], 1, &is), -ERANGE);
        assert_int_equal(is, 7);
    }
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(i32_at(array, i), 0);
    expect_rc(ipc_array_free(array), 0);
}

static void types_and_sizes_are_checked(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_INT64, 5, 0);
    int32_t i32 = 1;
    int64_t i64 = 1;
    double f64 = 1;
    char letter = 1;
    uint8_t byte = 1;
    expect_rc(ipc_array_get_i32(array, 0, &i32), -EINVAL);
    expect_detail("an array of int64, not of int32");
    expect_rc(ipc_array_get_f64(array, 0, &f64), -EINVAL); /* as large */
    expect_detail("an array of int64, not of double");
    expect_rc(ipc_array_get_char(array, 0, &letter), -EINVAL);
    expect_detail("not of char");
    expect_rc(ipc_array_get_byte(array, 0, &byte), -EINVAL);
    expect_detail("not of byte");
    expect_rc(ipc_array_set_i32(array, 0, 1), -EINVAL);
    expect_rc(ipc_array_set_f64(array, 0, 1), -EINVAL);
    expect_rc(ipc_array_set_char(array, 0, 1), -EINVAL);
    expect_rc(ipc_array_set_byte(array, 0, 1), -EINVAL);
    expect_rc(ipc_array_add_i32(array, 0, 1, &i32), -EINVAL);
    expect_rc(ipc_array_add_f64(array, 0, 1, &f64), -EINVAL);
    expect_rc(ipc_array_get(array, 0, &i32, sizeof i32), -EINVAL);
    expect_detail("4 bytes for 1 elements of 8");
    expect_rc(ipc_array_set(array, 0, &i64, 0), -EINVAL);
    expect_rc(ipc_array_get(array, 0, &i64, sizeof i64), 0);
    assert_int_equal(i64, 0);
    assert_int_equal(i32, 1);
    expect_rc(ipc_array_free(array), 0);

    array = new_array(IPC_ELEMENT_STRUCT(sizeof(struct record)), 5, 0);
    expect_rc(ipc_array_get_i32(array, 0, &i32), -EINVAL);
    expect_detail("an array of struct of 12 bytes, not of int32");
    expect_rc(ipc_array_free(array), 0);
}

static void the_label_is_in_the_detail(void)
{
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    ipc_array *array = NULL;
    int32_t is;
    options.label = "scores";
    expect_rc(ipc_array_new(IPC_ELEMENT_INT32, 5, &options, &array), 0);
    expect_rc(ipc_array_get_i32(array, 5, &is), -ERANGE);
    expect_detail("index 5 of array \"scores\" of 5");
    expect_rc(ipc_array_free(array), 0);
    options.label = "a label that is longer than what is kept of it";
    expect_rc(ipc_array_new(IPC_ELEMENT_INT32, 5, &options, &array), 0);
    expect_rc(ipc_array_get_i32(array, 5, &is), -ERANGE);
    expect_detail("array \"a label that is longer \" of 5");
    expect_rc(ipc_array_free(array), 0);
}

/* ---- add ---- */

static void add_gives_what_it_was(void)
{
    int32_t i32 = 0;
    int64_t i64 = 0;
    double f64 = 0;
    for (uint32_t flags = 0; flags <= IPC_ARRAY_RAW; flags++) {
        ipc_array *array = new_array(IPC_ELEMENT_INT32, 2, flags);
        expect_rc(ipc_array_add_i32(array, -1, 5, NULL), 0);
        expect_rc(ipc_array_add_i32(array, 1, -7, &i32), 0);
        assert_int_equal(i32, 5);
        assert_int_equal(i32_at(array, 1), -2);
        expect_rc(ipc_array_set_i32(array, 0, INT32_MAX), 0);
        expect_rc(ipc_array_add_i32(array, 0, 1, &i32), 0);
        assert_int_equal(i32_at(array, 0), INT32_MIN); /* wraps */
        expect_rc(ipc_array_free(array), 0);

        array = new_array(IPC_ELEMENT_INT64, 2, flags);
        expect_rc(ipc_array_add_i64(array, 1, INT64_C(1) << 40, NULL), 0);
        expect_rc(ipc_array_add_i64(array, 1, -1, &i64), 0);
        assert_true(i64 == INT64_C(1) << 40);
        expect_rc(ipc_array_free(array), 0);

        array = new_array(IPC_ELEMENT_DOUBLE, 2, flags);
        expect_rc(ipc_array_add_f64(array, 1, 0.5, NULL), 0);
        expect_rc(ipc_array_add_f64(array, 1, 0.25, &f64), 0);
        assert_true(f64 == 0.5);
        expect_rc(ipc_array_get_f64(array, 1, &f64), 0);
        assert_true(f64 == 0.75);
        expect_rc(ipc_array_free(array), 0);
    }
}

/* ---- slices ---- */

/* All starts and lengths, against a copy; sizes that are copied word by word
 * with heads and tails, and one that is not. */
static void slices_of(size_t size, uint32_t flags)
{
    enum {
        LENGTH = 20
    };
    ipc_array *array = new_array(IPC_ELEMENT_STRUCT(size), LENGTH, flags);
    unsigned char model[LENGTH * 16] = {0};
    unsigned char buffer[LENGTH * 16 + 1];
    unsigned char next = 1;
    for (size_t first = 0; first <= LENGTH; first++) {
        for (size_t count = 0; first + count <= LENGTH; count++) {
            const int64_t index = (first + count) % 2 == 0 || first == LENGTH
                                      ? (int64_t)first
                                      : (int64_t)first - LENGTH;
            unsigned char *mine = buffer + count % 2; /* not aligned */
            for (size_t i = 0; i < count * size; i++)
                mine[i] = model[first * size + i] = next++;
            expect_rc(ipc_array_write(array, index, count, mine, count * size),
                      0);
            assert_memory_equal(ipc_array_data(array), model, LENGTH * size);
            memset(buffer, 0, sizeof buffer);
            expect_rc(ipc_array_read(array, index, count, mine, count * size),
                      0);
            assert_memory_equal(mine, model + first * size, count * size);
            for (size_t i = count * size; mine + i < buffer + sizeof buffer;
                 i++)
                assert_int_equal(mine[i], 0);
        }
    }
    expect_rc(ipc_array_free(array), 0);
}

static void slices_are_copied_out_and_in(void)
{
    static const size_t sizes[] = {1, 2, 3, 4, 8, 12, 16};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        slices_of(sizes[i], 0);
        slices_of(sizes[i], IPC_ARRAY_RAW);
    }
}

static void slices_are_checked(void)
{
    static const struct {
        int64_t first;
        size_t count;
    } none[] = {{0, 6},  {1, 5},  {4, 2},  {5, 1},         {6, 0},
                {-6, 1}, {-1, 2}, {-6, 0}, {INT64_MAX, 1}, {INT64_MIN, 1}};
    ipc_array *array = new_array(IPC_ELEMENT_INT32, 5, 0);
    int32_t buffer[16] = {7};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        const size_t bytes = none[i].count * sizeof buffer[0];
        expect_rc(
            ipc_array_read(array, none[i].first, none[i].count, buffer, bytes),
            -ERANGE);
        expect_detail(" of an array of 5");
        expect_rc(
            ipc_array_write(array, none[i].first, none[i].count, buffer, bytes),
            -ERANGE);
    }
    assert_int_equal(buffer[0], 7);
    expect_rc(ipc_array_read(array, 0, 5, buffer, 5), -EINVAL);
    expect_detail("5 bytes for 5 elements of 4");
    expect_rc(ipc_array_write(array, 0, 5, buffer, sizeof buffer), -EINVAL);
    /* A number of bytes that is right when it has wrapped around. */
    expect_rc(ipc_array_read(array, 0, SIZE_MAX / 4 + 2, buffer, 4), -EINVAL);
    expect_rc(ipc_array_read(array, 0, SIZE_MAX, buffer, SIZE_MAX - 3),
              -EINVAL);
    expect_rc(ipc_array_read(array, 5, 0, buffer, 0), 0);
    expect_rc(ipc_array_write(array, 0, 0, buffer, 0), 0);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(i32_at(array, i), 0);
    expect_rc(ipc_array_free(array), 0);
}

/* ---- the array itself ---- */

static void it_says_what_it_is(void)
{
    ipc_array *array = new_array(IPC_ELEMENT_DOUBLE, 1000, IPC_ARRAY_RAW);
    assert_int_equal(ipc_array_length(array), 1000);
    assert_true(ipc_array_element(array) == IPC_ELEMENT_DOUBLE);
    assert_int_equal(ipc_array_element_size(array), 8);
    assert_true(ipc_array_is_raw(array));
    assert_ptr_equal(ipc_array_data(array), (char *)array + sizeof *array);
    assert_int_equal((uintptr_t)ipc_array_data(array) % 64, 0);
    expect_rc(ipc_array_free(array), 0);

    array = new_array(IPC_ELEMENT_STRUCT(12), 1, 0);
    assert_true(ipc_array_element(array) == IPC_ELEMENT_STRUCT(12));
    assert_int_equal(ipc_array_element_size(array), 12);
    assert_false(ipc_array_is_raw(array));
    expect_rc(ipc_array_free(array), 0);
}

static void bytes_are_counted_and_checked(void)
{
    static const ipc_element none[] = {
        0,
        1,
        4,
        UINT64_C(1) << 56,           /* an int32 without bytes */
        UINT64_C(1) << 56 | 8,       /* of 8 */
        UINT64_C(4) << 56 | 2,       /* a char of 2 */
        IPC_ELEMENT_STRUCT(0),       /* nothing */
        UINT64_C(7) << 56 | 4,       /* no kind */
        UINT64_C(0xff) << 56 | 4,    /* no kind */
        UINT64_C(1) << 63 | 1 << 20, /* no kind */
    };
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_INT32, 5), 192 + 20);
    assert_int_equal(IPC_ARRAY_BYTES(IPC_ELEMENT_INT32, 5), 192 + 20);
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_STRUCT(7), 3), 192 + 21);
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_BYTE, 1), 193);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        ipc_array *array = NULL;
        assert_int_equal(ipc_array_bytes(none[i], 1), 0);
        expect_detail("there is no element 0x");
        expect_rc(ipc_array_new(none[i], 1, NULL, &array), -EINVAL);
        assert_null(array);
    }
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_BYTE, 0), 0);
    expect_detail("at least one element");
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_BYTE, (size_t)1 << 40), 0);
    expect_detail("1 TiB or more");
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_BYTE, SIZE_MAX), 0);
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_INT64, (size_t)1 << 61), 0);
    assert_int_equal(ipc_array_bytes(IPC_ELEMENT_STRUCT(INT64_C(1) << 55), 512),
                     0);
}

static void options_are_checked(void)
{
    ipc_array *array = NULL;
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    options.flags = 4;
    expect_rc(ipc_array_new(IPC_ELEMENT_INT32, 5, &options, &array), -EINVAL);
    expect_detail("unknown flags 0x4");
    options.flags = 0;
    options.size = 2;
    expect_rc(ipc_array_new(IPC_ELEMENT_INT32, 5, &options, &array), -EINVAL);
    struct {
        ipc_array_options known;
        uint64_t more;
    } newer = {.known = {.size = sizeof newer}, .more = 1};
    expect_rc(ipc_array_new(IPC_ELEMENT_INT32, 5, &newer.known, &array),
              -E2BIG);
    assert_null(array);
    newer.more = 0;
    expect_rc(ipc_array_new(IPC_ELEMENT_INT32, 5, &newer.known, &array), 0);
    expect_rc(ipc_array_free(array), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(elements_begin_as_zero),
    TEST_CASE(elements_begin_as_they_were_given),
    TEST_CASE(every_type_keeps_its_values),
    TEST_CASE(structures_of_any_size_keep_their_place),
    TEST_CASE(negative_indexes_count_from_the_end),
    TEST_CASE(indexes_are_checked),
    TEST_CASE(types_and_sizes_are_checked),
    TEST_CASE(the_label_is_in_the_detail),
    TEST_CASE(add_gives_what_it_was),
    TEST_CASE(slices_are_copied_out_and_in),
    TEST_CASE(slices_are_checked),
    TEST_CASE(it_says_what_it_is),
    TEST_CASE(bytes_are_counted_and_checked),
    TEST_CASE(options_are_checked),
};
TEST_MAIN(cases)
