/* ipc_array: headers that nobody of ours wrote.  A call gives an error or
 * works, and touches nothing outside of the memory that is mapped. */
#include "unit/array_support.h"

#include "harness/scale.h"

#include <stdlib.h>

#include "memory/array.h"
#include "memory/named.h"

enum {
    LENGTH = 8,
    FACTS = offsetof(ipc_array, magic_),
    FACTS_END = offsetof(ipc_array, reserved_)
};

/* What a role does and the case looks at. */
struct garbage {
    uint64_t seed;
    uint64_t step; /* where it was when it crashed */
    long good;
    long refused;
    uint32_t ready;
    uint32_t stop;
};

static struct garbage *garbage;

/* Its mapping is small, and what lies behind it is none of ours. */
static ipc_array *make_named(void)
{
    ipc_array *array = NULL;
    expect_rc(
        ipc_array_create("garbage", IPC_ELEMENT_INT32, LENGTH, NULL, &array),
        0);
    return array;
}

static void remove_named(ipc_array *array)
{
    expect_rc(ipc_array_close(array), 0);
    expect_rc(ipc_array_unlink("garbage"), 0);
}

static void seal(ipc_array *array)
{
    array->seal_ = ipc__array_seal(array->magic_, array->element_,
                                   array->length_, array->flags_);
}

/* All calls; each has to give this result. */
static void expect_all(ipc_array *array, int rc)
{
    int32_t is = 0;
    int32_t all[LENGTH] = {0};
    expect_rc(ipc_array_get_i32(array, 0, &is), rc);
    expect_rc(ipc_array_set_i32(array, 0, 0), rc);
    expect_rc(ipc_array_add_i32(array, 0, 0, &is), rc);
    expect_rc(ipc_array_get(array, 0, &is, sizeof is), rc);
    expect_rc(ipc_array_set(array, 0, &is, sizeof is), rc);
    expect_rc(ipc_array_read(array, 0, LENGTH, all, sizeof all), rc);
    expect_rc(ipc_array_write(array, 0, LENGTH, all, sizeof all), rc);
    assert_true((ipc_array_data(array) == NULL) == (rc < 0));
    assert_true((ipc_array_length(array) == 0) == (rc < 0));
    if (rc < 0)
        expect_rc(ipc_array_fini(array), rc);
}

/* ---- by accident ---- */

static void every_flipped_bit_is_noticed(void)
{
    ipc_array *array = make_named();
    const ipc_array good = *array;
    long bits = 0;
    for (size_t bit = 0; bit < (FACTS_END - FACTS) * (size_t)8; bit++) {
        ((unsigned char *)array)[FACTS + bit / 8] ^=
            (unsigned char)(1u << bit % 8);
        expect_all(array, -EUCLEAN);
        *array = good;
        bits++;
    }
    test_report("bits", bits);
    expect_all(array, 0);
    remove_named(array);
}

static void random_facts_are_noticed(void)
{
    struct test_random random = {test_seed()};
    ipc_array *array = make_named();
    const ipc_array good = *array;
    for (long i = 0; i < 2000 * test_scale(); i++) {
        uint64_t *fact = &array->magic_ + test_random_next(&random) % 5;
        *fact = test_random_next(&random) >> test_random_next(&random) % 64;
        if (memcmp(array, &good, sizeof good) != 0)
            expect_all(array, -EUCLEAN);
        *array = good;
    }
    expect_all(array, 0);
    remove_named(array);
}

static void the_rest_of_the_header_is_not_needed(void)
{
    ipc_array *array = make_named();
    memset(array->reserved_, 0xff, sizeof array->reserved_);
    expect_all(array, 0);
    /* A label without its end. */
    memset(array->lock_.lock_.label_, 'A', sizeof array->lock_.lock_.label_);
    expect_rc(ipc_array_set_i32(array, LENGTH, 0), -ERANGE);
    expect_detail("array \"AAAAAAAAAAAAAAAAAAAAAAA\" of 8");
    remove_named(array);
}

static void what_is_damaged_is_not_opened(void)
{
    ipc_array *array = make_named();
    ipc_array *none = NULL;
    array->length_++;
    expect_rc(ipc_array_open("garbage", 0, 0, &none), -EUCLEAN);
    expect_detail("its header is damaged");
    expect_rc(ipc_array_open_or_create("garbage", IPC_ELEMENT_INT32, LENGTH,
                                       NULL, &none),
              -EUCLEAN);
    array->magic_ = 0;
    expect_rc(ipc_array_open("garbage", 0, 0, &none), -EUCLEAN);
    expect_detail("there is none");
    assert_null(none);
    remove_named(array);
}

static void a_region_that_is_too_small_is_not_opened(void)
{
    static const size_t sizes[] = {1, sizeof(ipc_array) - 1, sizeof(ipc_array)};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct ipc__named what = {
            .name = "small", .kind = IPC__REGION_ARRAY, .size = sizes[i]};
        struct ipc__region *region = NULL;
        ipc_array *array = NULL;
        expect_rc(ipc__named_create(&what, &region), 0);
        expect_rc(ipc_array_open("small", 0, 0, &array),
                  sizes[i] < sizeof *array ? -EMSGSIZE : -EUCLEAN);
        assert_null(array);
        ipc__named_close(region);
        expect_rc(ipc_array_unlink("small"), 0);
    }
}

/* ---- on purpose: with the right seal ---- */

static void claims_are_held_against_the_memory(void)
{
    ipc_array *array = make_named();
    const size_t room = 4096 - sizeof *array; /* of the page that it has */
    const struct {
        ipc_element element;
        uint64_t length;
        int rc;
    } claims[] = {
        {IPC_ELEMENT_BYTE, room, 0},
        {IPC_ELEMENT_BYTE, room + 1, -EUCLEAN},
        {IPC_ELEMENT_INT32, room / 4, 0},
        {IPC_ELEMENT_INT32, room / 4 + 1, -EUCLEAN},
        {IPC_ELEMENT_INT64, room / 8 + 1, -EUCLEAN},
        {IPC_ELEMENT_STRUCT(4096 - 192), 1, 0},
        {IPC_ELEMENT_STRUCT(4096 - 191), 1, -EUCLEAN},
        {IPC_ELEMENT_BYTE, UINT64_MAX, -EUCLEAN},
        {IPC_ELEMENT_BYTE, INT64_MAX, -EUCLEAN},
        {IPC_ELEMENT_INT64, UINT64_C(1) << 61, -EUCLEAN},     /* 0 bytes, */
        {IPC_ELEMENT_INT64, UINT64_C(1) << 61 | 1, -EUCLEAN}, /* or 8 */
        {IPC_ELEMENT_STRUCT(UINT64_C(1) << 55), 1 << 9, -EUCLEAN},
        {UINT64_C(1) << 56 | 8, 1, -EUCLEAN}, /* an int32 of 8 bytes */
        {UINT64_C(9) << 56 | 1, 1, -EUCLEAN},
        {0, 1, -EUCLEAN},
    };
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        unsigned char last[4096];
        array->element_ = claims[i].element;
        array->length_ = claims[i].length;
        seal(array);
        const size_t size =
            claims[i].rc == 0 ? ipc_array_element_size(array) : sizeof(int32_t);
        const int rc = ipc_array_get(array, -1, last, size);
        if (rc != claims[i].rc)
            test_fail("claim %zu: %d (%s)", i, rc, ipc_error_detail());
        if (rc != 0 && claims[i].length > 1 << 10)
            expect_detail("it claims to be larger than its memory");
    }
    array->element_ = IPC_ELEMENT_INT32;
    array->length_ = LENGTH;
    seal(array);
    remove_named(array);
}

static void flags_that_are_not_known_do_no_harm(void)
{
    ipc_array *array = make_named();
    array->flags_ = UINT64_MAX - IPC_ARRAY_RAW;
    seal(array);
    expect_all(array, 0);
    assert_false(ipc_array_is_raw(array));
    remove_named(array);
}

static void the_end_of_the_memory_is_no_array(void)
{
    ipc_segment *segment = NULL;
    int32_t is;
    expect_rc(ipc_segment_create("end", 4096, NULL, &segment), 0);
    char *data = ipc_segment_data(segment);
    for (size_t left = 8; left < sizeof(ipc_array); left += 8) {
        void *array = data + 4096 - left;
        expect_rc(ipc_array_get_i32(array, 0, &is), -EUCLEAN);
        expect_detail("no room for it");
    }
    void *array = data + 4096 - sizeof(ipc_array);
    expect_rc(ipc_array_get_i32(array, 0, &is), -EUCLEAN);
    expect_detail("there is none");
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("end"), 0);
}

/* Read what it is said to have, at both ends. */
static void use(ipc_array *array)
{
    static unsigned char buffer[8192];
    const size_t length = ipc_array_length(array);
    const size_t size = ipc_array_element_size(array);
    if (length == 0) {
        garbage->refused++;
        return;
    }
    garbage->good++;
    if (size > sizeof buffer || length * size > sizeof buffer)
        test_fail("%zu of %zu bytes", length, size);
    if (ipc_array_get(array, 0, buffer, size) < 0 ||
        ipc_array_get(array, -1, buffer, size) < 0 ||
        ipc_array_set(array, -1, buffer, size) < 0 ||
        ipc_array_read(array, 0, length, buffer, length * size) < 0 ||
        ipc_array_write(array, 0, length, buffer, length * size) < 0)
        test_fail("%s", ipc_error_detail());
}

static uint64_t some_number(struct test_random *random)
{
    const uint64_t any = test_random_next(random);
    return any % 3 == 0 ? any >> 8 & 0x3f : any >> any % 64;
}

static void random_claims(void *arg)
{
    struct test_random random = {garbage->seed};
    ipc_array *array = arg;
    for (long i = 0; i < 20000 * test_scale(); i++) {
        garbage->step = (uint64_t)i;
        array->element_ = (test_random_next(&random) % 9) << 56 |
                          (some_number(&random) & UINT64_C(0xffffffffffffff));
        array->length_ = some_number(&random);
        array->flags_ = test_random_next(&random);
        seal(array);
        use(array);
    }
}

/* In a process of its own: what crashes is that one. */
static void run_garbage(void (*part)(void *arg), ipc_array *array)
{
    garbage->seed = test_seed();
    const int rc = role_try(part, array, 20000);
    test_report("good", garbage->good);
    test_report("refused", garbage->refused);
    if (rc != 0)
        test_fail("%d at step %llu", rc, (unsigned long long)garbage->step);
}

static void random_claims_lead_nowhere_else(void)
{
    ipc_array *array = make_named();
    garbage = test_shared(sizeof *garbage);
    run_garbage(random_claims, array);
    assert_true(garbage->good > 0 && garbage->refused > 0);
    remove_named(array);
}

/* ---- while it is being used ---- */

static void *change_claims(void *arg)
{
    ipc_array *array = arg;
    struct test_random random = {garbage->seed};
    meet_signal(&garbage->ready);
    while (!__atomic_load_n(&garbage->stop, __ATOMIC_SEQ_CST)) {
        const uint64_t length = some_number(&random) | 1;
        __atomic_store_n(&array->length_, length, __ATOMIC_SEQ_CST);
        __atomic_store_n(&array->seal_,
                         ipc__array_seal(array->magic_, array->element_, length,
                                         array->flags_),
                         __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void use_while_it_changes(void *arg)
{
    ipc_array *array = arg;
    pthread_t changer;
    assert_int_equal(pthread_create(&changer, NULL, change_claims, array), 0);
    meet_wait(&garbage->ready, 1, LIMIT_MS);
    /* Until both have been seen many times, or it is time to give up. */
    const int64_t end_ns = test_now_ns() + LIMIT_MS * NS_PER_MS;
    const long enough = 1000 * test_scale();
    while ((garbage->good < enough || garbage->refused < enough) &&
           test_now_ns() < end_ns) {
        int32_t is;
        const int rc = ipc_array_get_i32(array, -1, &is);
        if (rc == 0)
            garbage->good++;
        else
            garbage->refused++;
        if (rc != 0 && rc != -EUCLEAN)
            test_fail("%d: %s", rc, ipc_error_detail());
    }
    __atomic_store_n(&garbage->stop, 1, __ATOMIC_SEQ_CST);
    assert_int_equal(pthread_join(changer, NULL), 0);
}

static void what_was_checked_is_what_is_used(void)
{
    ipc_array *array = make_named();
    garbage = test_shared(sizeof *garbage);
    run_garbage(use_while_it_changes, array);
    assert_true(garbage->good > 0 && garbage->refused > 0);
    remove_named(array);
}

/* The lock in it is garbage: it is refused, or taken from somebody who is not
 * there. */
static void random_locks(void *arg)
{
    struct test_random random = {garbage->seed};
    ipc_array *array = arg;
    for (long i = 0; i < 1000 * test_scale(); i++) {
        uint64_t *word = (uint64_t *)(void *)&array->lock_;
        garbage->step = (uint64_t)i;
        for (size_t k = 0; k < sizeof array->lock_ / sizeof *word; k++)
            word[k] = test_random_next(&random);
        if (i % 2 == 0) { /* of a thread that might be there */
            word[0] &= UINT64_C(0xffffffffc03fffff);
            array->lock_.lock_.line_ = 0;
        }
        const int rc = ipc_array_set_i32(array, 0, (int32_t)i);
        if (rc >= 0)
            garbage->good++;
        else
            garbage->refused++;
        (void)ipc_rlock_reset(ipc_array_lock(array));
    }
}

static void a_lock_of_garbage_does_no_harm(void)
{
    ipc_array *array = make_named();
    garbage = test_shared(sizeof *garbage);
    run_garbage(random_locks, array);
    assert_true(garbage->good > 0 && garbage->refused > 0);
    memset(&array->lock_, 0, sizeof array->lock_);
    remove_named(array);
}

static const struct test_case cases[] = {
    TEST_CASE(every_flipped_bit_is_noticed),
    TEST_CASE(random_facts_are_noticed),
    TEST_CASE(the_rest_of_the_header_is_not_needed),
    TEST_CASE(what_is_damaged_is_not_opened),
    TEST_CASE(a_region_that_is_too_small_is_not_opened),
    TEST_CASE(claims_are_held_against_the_memory),
    TEST_CASE(flags_that_are_not_known_do_no_harm),
    TEST_CASE(the_end_of_the_memory_is_no_array),
    TEST_CASE(random_claims_lead_nowhere_else),
    TEST_CASE(what_was_checked_is_what_is_used),
    TEST_CASE(a_lock_of_garbage_does_no_harm),
};
TEST_MAIN(cases)
