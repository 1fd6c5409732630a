/* ipc_semaphore: where it lies, how it begins and ends. */
#include "unit/semaphore_support.h"

#include <stdlib.h>

/* ---- zero-filled memory ---- */

static void zero_filled_memory_is_a_plain_one_without_permits(void)
{
    static ipc_semaphore semaphore;
    expect_permits(&semaphore, 0);
    expect_rc(ipc_semaphore_acquire_nowait(&semaphore), -EAGAIN);
    expect_rc(ipc_semaphore_acquire_until(&semaphore, ipc_after_ms(5)),
              -ETIMEDOUT);
    expect_rc(ipc_semaphore_release(&semaphore), 0);
    expect_rc(ipc_semaphore_release_many(&semaphore, 2), 0);
    expect_permits(&semaphore, 3);
    expect_rc(ipc_semaphore_acquire_many(&semaphore, 3), 0);
    expect_held(&semaphore, 0);
    expect_rc(ipc_semaphore_transfer(&semaphore, gettid(), 1), -ENOTSUP);
    expect_rc(ipc_semaphore_fini(&semaphore), 0);
}

static void in_the_memory_of_a_test(bool threads)
{
    ipc_semaphore *semaphore = test_shared(sizeof *semaphore);
    struct guest *guest = new_guests(semaphore, 1, threads);
    guest_start_asleep(guest);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(guest, 0);
    guest_ends(guest);
    expect_permits(semaphore, 1);
    expect_rc(ipc_semaphore_fini(semaphore), 0);
}

static void memory_of_ones_own_is_fine_too(void)
{
    in_the_memory_of_a_test(true);
    in_the_memory_of_a_test(false);
}

/* ---- init ---- */

static ipc_semaphore *unused_memory(size_t size)
{
    ipc_semaphore *memory = malloc(size);
    assert_non_null(memory);
    memset(memory, 0xff, size);
    return memory;
}

/* In memory that is not a byte larger than it says. */
static void inited(uint32_t flags)
{
    ipc_semaphore_options options = semaphore_options(flags, "mine");
    const size_t bytes = ipc_semaphore_bytes(4, flags);
    ipc_semaphore *semaphore = unused_memory(bytes);
    options.bytes = bytes;
    expect_rc(ipc_semaphore_init(semaphore, 4, &options), 0);
    assert_string_equal(semaphore->label_, "mine");
    expect_permits(semaphore, 4);
    expect_rc(ipc_semaphore_acquire_many(semaphore, 4), 0);
    expect_rc(ipc_semaphore_acquire_until(semaphore, ipc_after_ms(5)),
              -ETIMEDOUT);
    expect_rc(ipc_semaphore_release_many(semaphore, 4), 0);
    expect_permits(semaphore, 4);
    expect_rc(ipc_semaphore_fini(semaphore), 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(((char *)semaphore)[i], 0);
    free(semaphore);
}

static void init_needs_no_more_memory_than_bytes_says(void)
{
    for_kinds(0, 0, inited);
}

static void init_keeps_a_label_of_23_bytes(void)
{
    const ipc_semaphore_options options =
        semaphore_options(PLAIN, "abcdefghijklmnopqrstuvwxyz");
    ipc_semaphore semaphore;
    memset(&semaphore, 0xff, sizeof semaphore);
    expect_rc(ipc_semaphore_init(&semaphore, 0, &options), 0);
    assert_string_equal(semaphore.label_, "abcdefghijklmnopqrstuvw");
    expect_rc(ipc_semaphore_acquire_nowait(&semaphore), -EAGAIN);
    expect_detail("\"abcdefghijklmnopqrstuvw\"");
    expect_rc(ipc_semaphore_init(&semaphore, 7, NULL), 0);
    assert_string_equal(semaphore.label_, "");
    expect_permits(&semaphore, 7);
}

static void bytes_grow_with_what_is_asked_for(void)
{
    const size_t plain = sizeof(ipc_semaphore);
    assert_int_equal(plain, 128);
    assert_int_equal(ipc_semaphore_bytes(0, PLAIN), plain);
    assert_int_equal(ipc_semaphore_bytes(1000, PLAIN), plain);
    assert_int_equal(ipc_semaphore_bytes(1000, BOUNDED), plain);
    assert_true(ipc_semaphore_bytes(1, TRACKED) > plain);
    assert_true(ipc_semaphore_bytes(1, FAIR) > plain);
    assert_true(ipc_semaphore_bytes(1, TRACKED | FAIR) >
                ipc_semaphore_bytes(1, TRACKED));
    assert_true(ipc_semaphore_bytes(9, TRACKED) >
                ipc_semaphore_bytes(8, TRACKED));
}

static void too_little(uint32_t flags)
{
    ipc_semaphore_options options = semaphore_options(flags, NULL);
    const size_t bytes = ipc_semaphore_bytes(4, flags);
    const size_t too_few[] = {0, sizeof(ipc_semaphore), bytes - 1};
    unsigned char memory[sizeof(ipc_semaphore)], before[sizeof memory];
    memset(memory, 0x5a, sizeof memory);
    memcpy(before, memory, sizeof memory);
    for (size_t i = 0; i < sizeof too_few / sizeof too_few[0]; i++) {
        options.bytes = too_few[i];
        expect_rc(
            ipc_semaphore_init((ipc_semaphore *)(void *)memory, 4, &options),
            -EMSGSIZE);
        assert_true(ipc_error_detail()[0] != '\0');
        assert_memory_equal(memory, before, sizeof memory);
    }
}

static void init_of_too_little_memory_is_refused(void)
{
    for_kinds(FAIR, 0, too_little);
    for_kinds(TRACKED, 0, too_little);
}

/* Nobody has to say how large a plain one is. */
static void bytes_of_small_ones_need_not_be_told(void)
{
    for (uint32_t flags = PLAIN; flags <= BOUNDED; flags++) {
        ipc_semaphore semaphore;
        ipc_semaphore_options options = semaphore_options(flags, NULL);
        expect_rc(ipc_semaphore_init(&semaphore, 1, &options), 0);
        options.bytes = sizeof semaphore;
        expect_rc(ipc_semaphore_init(&semaphore, 1, &options), 0);
    }
}

struct newer_options {
    ipc_semaphore_options known;
    uint64_t unknown;
};

static void options_are_checked(void)
{
    ipc_semaphore semaphore;
    ipc_semaphore *made = NULL;
    ipc_semaphore_options options = semaphore_options(8, NULL);
    struct newer_options newer = {.known = IPC_SEMAPHORE_OPTIONS_INIT};
    newer.known.size = sizeof newer;

    expect_rc(ipc_semaphore_init(&semaphore, 1, &options), -EINVAL);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_new(1, &options, &made), -EINVAL);
    options.flags = 0x80000000u;
    expect_rc(ipc_semaphore_init(&semaphore, 1, &options), -EINVAL);

    expect_rc(ipc_semaphore_init(&semaphore, 1, &newer.known), 0);
    newer.unknown = 1;
    expect_rc(ipc_semaphore_init(&semaphore, 1, &newer.known), -E2BIG);
    expect_rc(ipc_semaphore_new(1, &newer.known, &made), -E2BIG);
    assert_null(made);
}

static void too_many_permits(uint32_t flags)
{
    ipc_semaphore_options options = semaphore_options(flags, NULL);
    const uint32_t most =
        (flags & TRACKED) != 0 ? IPC_SEMAPHORE_TRACKED_MAX : IPC_SEMAPHORE_MAX;
    static const uint32_t more[] = {0x40000000u, 0x80000000u, UINT32_MAX};
    ipc_semaphore semaphore;
    ipc_semaphore *made = NULL;
    options.bytes = SIZE_MAX;
    expect_rc(ipc_semaphore_init(&semaphore, most + 1, &options), -EINVAL);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_new(most + 1, &options, &made), -EINVAL);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        expect_rc(ipc_semaphore_new(more[i], &options, &made), -EINVAL);
    assert_null(made);
}

static void init_with_too_many_permits_is_refused(void)
{
    for_kinds(0, 0, too_many_permits);
}

/* ---- the end of its use ---- */

static void finished(uint32_t flags)
{
    ipc_semaphore *semaphore = new_labelled(3, flags, "label");
    const size_t bytes = ipc_semaphore_bytes(3, flags);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    if ((flags & TRACKED) != 0) { /* a living thread holds one: the caller */
        expect_rc(ipc_semaphore_fini(semaphore), -EBUSY);
        expect_detail("label");
        expect_rc(ipc_semaphore_free(semaphore), -EBUSY);
        expect_held(semaphore, 1);
        expect_rc(ipc_semaphore_release(semaphore), 0);
    }
    expect_rc(ipc_semaphore_fini(semaphore), 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(((char *)semaphore)[i], 0);
    expect_rc(ipc_semaphore_free(semaphore), 0);
}

static void fini_zero_fills_what_nobody_holds(void)
{
    for_kinds(0, 0, finished);
}

static void waited_for(uint32_t flags, bool threads)
{
    ipc_semaphore *semaphore = new_labelled(1, flags, "label");
    struct guest *guest = new_guests(semaphore, 1, threads);
    expect_rc(ipc_semaphore_acquire(semaphore), 0);
    guest_start_asleep(guest);
    expect_rc(ipc_semaphore_fini(semaphore), -EBUSY);
    expect_detail("label");
    expect_rc(ipc_semaphore_free(semaphore), -EBUSY);
    guest_asleep(guest); /* and not harmed */
    expect_rc(ipc_semaphore_release(semaphore), 0);
    guest_returns(guest, 0);
    guest_ends(guest);
    free_with(semaphore, 1);
}

static void waited_for_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, waited_for);
}

static void fini_refuses_what_somebody_waits_for(void)
{
    for_kinds(0, 0, waited_for_in_each_form);
}

static void free_refuses_what_is_not_its_own(void)
{
    static ipc_semaphore semaphore;
    ipc_semaphore *made = new_semaphore(1, PLAIN);
    expect_rc(ipc_semaphore_free(NULL), 0);
    expect_rc(ipc_semaphore_free(&semaphore), -EINVAL);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_close(&semaphore), -EINVAL);
    expect_rc(ipc_semaphore_close(made), -EINVAL);
    expect_rc(ipc_semaphore_close(NULL), 0);
    expect_rc(ipc_semaphore_free(made), 0);
    expect_rc(ipc_semaphore_free(made), -EINVAL);
}

static void nothing_is_left_in_family_memory(void)
{
    ipc_shared_info before = IPC_SHARED_INFO_INIT, after = before;
    for (int round = 0; round < 2; round++) {
        expect_rc(ipc_shared_query(&before), 0);
        for (uint32_t flags = 0; flags <= EVERY_FLAG; flags++)
            free_with(new_semaphore(100, flags), 100);
        expect_rc(ipc_shared_query(&after), 0);
        assert_int_equal(after.count, before.count);
        assert_int_equal(after.used, before.used);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(zero_filled_memory_is_a_plain_one_without_permits),
    TEST_CASE(memory_of_ones_own_is_fine_too),
    TEST_CASE(init_needs_no_more_memory_than_bytes_says),
    TEST_CASE(init_keeps_a_label_of_23_bytes),
    TEST_CASE(bytes_grow_with_what_is_asked_for),
    TEST_CASE(init_of_too_little_memory_is_refused),
    TEST_CASE(bytes_of_small_ones_need_not_be_told),
    TEST_CASE(options_are_checked),
    TEST_CASE(init_with_too_many_permits_is_refused),
    TEST_CASE(fini_zero_fills_what_nobody_holds),
    TEST_CASE(fini_refuses_what_somebody_waits_for),
    TEST_CASE(free_refuses_what_is_not_its_own),
    TEST_CASE(nothing_is_left_in_family_memory),
};
TEST_MAIN(cases)
