/* ipc_semaphore: memory that holds no semaphore gives an error, whatever it
 * holds: never a crash, never a call that does not come back. */
#include "unit/semaphore_support.h"

#include <stdlib.h>

#include "harness/scale.h"

/* ---- all calls there are ---- */

/* What semaphore.h says they may answer. */
static const int errors[] = {
    0,      -EUCLEAN, -EAGAIN, -ETIMEDOUT, -EOVERFLOW,
    -EPERM, -EBUSY,   -EINVAL, -ENOMEM,    -ENOTSUP,
};

static void expect_sane(const char *call, int rc)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (rc == errors[i])
            return;
    test_fail("%s: %d (%s)", call, rc, ipc_strerror(rc));
}

#define EXPECT_SANE(call) expect_sane(#call, (call))

static void call_all(ipc_semaphore *s)
{
    EXPECT_SANE(ipc_semaphore_acquire_nowait(s));
    EXPECT_SANE(ipc_semaphore_release(s));
    EXPECT_SANE(ipc_semaphore_acquire_until(s, ipc_after_us(200)));
    EXPECT_SANE(ipc_semaphore_acquire_many_nowait(s, 3));
    EXPECT_SANE(ipc_semaphore_acquire_many_until(s, 2, ipc_after_us(200)));
    EXPECT_SANE(ipc_semaphore_release_many(s, 2));
    EXPECT_SANE(ipc_semaphore_release_many(s, 700));
    EXPECT_SANE(ipc_semaphore_transfer(s, 1, 1));
    EXPECT_SANE(ipc_semaphore_transfer(s, gettid(), 1));
    assert_true(ipc_semaphore_value(s) <= IPC_SEMAPHORE_MAX);
    (void)ipc_semaphore_held(s);
    EXPECT_SANE(ipc_semaphore_free(s));
    EXPECT_SANE(ipc_semaphore_close(s));
    EXPECT_SANE(ipc_semaphore_fini(s));
}

/* ---- every byte the same ---- */

static void expect_unclean(ipc_semaphore *s)
{
    expect_rc(ipc_semaphore_acquire(s), -EUCLEAN);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_acquire_nowait(s), -EUCLEAN);
    expect_rc(ipc_semaphore_acquire_until(s, ipc_after_ms(1)), -EUCLEAN);
    expect_rc(ipc_semaphore_acquire_many(s, 2), -EUCLEAN);
    expect_rc(ipc_semaphore_acquire_many_nowait(s, 2), -EUCLEAN);
    expect_rc(ipc_semaphore_release(s), -EUCLEAN);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(ipc_semaphore_release_many(s, 2), -EUCLEAN);
}

/* Memory as large as the largest, so that one that claims to be that large
 * does not run into something else. */
static size_t largest(void)
{
    return ipc_semaphore_bytes(IPC_SEMAPHORE_TRACKED_MAX, EVERY_FLAG);
}

static ipc_semaphore *memory_of_bytes(int byte)
{
    ipc_semaphore *memory = malloc(largest());
    assert_non_null(memory);
    memset(memory, byte, largest());
    return memory;
}

/* What check mode leaves of objects that are no more. */
static void be_used_after_the_end(void *arg)
{
    ipc_semaphore *semaphore = memory_of_bytes(0xdb);
    (void)arg;
    expect_unclean(semaphore);
    call_all(semaphore);
    expect_unclean(semaphore);
    free(semaphore);
}

static void bytes_of_0xdb_are_euclean(void)
{
    assert_int_equal(role_try(be_used_after_the_end, NULL, LIMIT_MS), 0);
}

/* ---- one part of it spoilt ---- */

/* In the memory of the caller, where nothing tells how large it is. */
static void spoilt_word(uint32_t flags)
{
    static const uint32_t words[] = {0x40000000u, 0x80000001u, 0xfffffffcu,
                                     UINT32_MAX};
    ipc_semaphore_options options = semaphore_options(flags, NULL);
    ipc_semaphore *semaphore = memory_of_bytes(0);
    options.bytes = largest();
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        expect_rc(ipc_semaphore_init(semaphore, 4, &options), 0);
        semaphore->word_ = words[i];
        if ((flags & TRACKED) == 0)
            expect_unclean(semaphore);
        call_all(semaphore);
    }
    free(semaphore);
}

static void an_impossible_word_is_euclean(void)
{
    for_kinds(0, 0, spoilt_word);
}

static void spoilt_guard(uint32_t flags)
{
    static const uint64_t guards[] = {
        UINT64_C(0xdeadbeef3fffffff), UINT64_C(0x00400001),
        UINT64_C(0xffffffffffffffff), UINT64_C(0xdeadbeef60000000)};
    ipc_semaphore_options options = semaphore_options(flags, NULL);
    ipc_semaphore *semaphore = memory_of_bytes(0);
    options.bytes = largest();
    for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++) {
        expect_rc(ipc_semaphore_init(semaphore, 4, &options), 0);
        semaphore->guard_ = guards[i];
        call_all(semaphore);
    }
    free(semaphore);
}

static void an_impossible_guard_hangs_nobody(void)
{
    for_kinds(0, 0, spoilt_guard);
}

/* ---- random bytes ---- */

enum {
    FILLS = 300
};

struct dice {
    struct test_random random;
    ipc_semaphore *semaphore;
    size_t words;
};

static uint32_t random_word(struct dice *dice)
{
    const uint64_t number = test_random_next(&dice->random);
    switch (number >> 60) {
    case 0:
    case 1:
    case 2:
    case 3: /* small: permits, places, flags */
        return (uint32_t)number % 16;
    case 4:
        return (uint32_t)number % 70000;
    case 5:
        return (uint32_t)getpid();
    case 6:
        return 0;
    default:
        return (uint32_t)number;
    }
}

/* What looks like an owner must not happen to be one that lives: a thread of
 * the kernel, born when the clock stood at nothing.  A guard would wait for
 * it, as it should. */
static void name_nobody(ipc_semaphore *semaphore, size_t words)
{
    uint32_t *word = (uint32_t *)(void *)semaphore;
    for (size_t i = 0; i + 1 < words; i += 2) {
        const bool is_owner =
            &word[i] != &semaphore->word_ && &word[i] != &semaphore->flags_;
        if (is_owner && word[i] != 0 && word[i + 1] < (1u << 20))
            word[i + 1] |= 1u << 31;
    }
}

static void fill(struct dice *dice)
{
    uint32_t *word = (uint32_t *)(void *)dice->semaphore;
    for (size_t i = 0; i < dice->words; i++)
        word[i] = random_word(dice);
}

/* A good one, in which some words are overwritten. */
static void spoil(struct dice *dice)
{
    const uint32_t flags = (uint32_t)test_random_between(&dice->random, 0, 7);
    ipc_semaphore_options options = semaphore_options(flags, "spoilt");
    uint32_t *word = (uint32_t *)(void *)dice->semaphore;
    options.bytes = largest();
    expect_rc(ipc_semaphore_init(dice->semaphore, 4, &options), 0);
    if (test_random_next(&dice->random) % 2 != 0)
        expect_rc(ipc_semaphore_acquire_many(dice->semaphore, 2), 0);
    const long last = (long)(ipc_semaphore_bytes(4, flags) / sizeof *word) - 1;
    for (long i = test_random_between(&dice->random, 1, 4); i > 0; i--)
        word[test_random_between(&dice->random, 0, last)] = random_word(dice);
}

static void throw_dice(void *arg)
{
    struct dice *dice = arg;
    for (long i = 0; i < FILLS * test_scale(); i++) {
        if (i % 2 == 0)
            spoil(dice);
        else
            fill(dice);
        name_nobody(dice->semaphore, dice->words);
        call_all(dice->semaphore);
    }
}

static void random_bytes_hang_nobody(void)
{
    struct dice dice = {.random = {test_seed()},
                        .semaphore = memory_of_bytes(0),
                        .words = largest() / sizeof(uint32_t) / 64};
    assert_int_equal(role_try(throw_dice, &dice, LIMIT_MS * (int)test_scale()),
                     0);
    free(dice.semaphore);
}

static const struct test_case cases[] = {
    TEST_CASE(bytes_of_0xdb_are_euclean),
    TEST_CASE(an_impossible_word_is_euclean),
    TEST_CASE(an_impossible_guard_hangs_nobody),
    TEST_CASE(random_bytes_hang_nobody),
};
TEST_MAIN(cases)
