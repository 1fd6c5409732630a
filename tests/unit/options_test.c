/* Options and info structures of older and newer programs. */
#include "harness/harness.h"

#include <errno.h>
#include <string.h>

#include <ipc/lock.h>
#include <ipc/process.h>
#include <ipc/rlock.h>
#include <ipc/segment.h>
#include <ipc/shared.h>

#include "base/options.h"

/* ---- the one function that reads them ---- */

struct version_2 {
    uint32_t size;
    uint32_t flags;
    uint64_t old;
    uint64_t added;
};

static void all_sizes_are_read_or_refused(void)
{
    unsigned char given[5000];
    struct version_2 out;
    for (uint32_t size = 0; size < sizeof given; size++) {
        memset(given, 0, sizeof given);
        memset(given, 0x11, sizeof out);
        memcpy(given, &size, sizeof size);
        memset(&out, 0xff, sizeof out);
        const int rc = ipc__options_read(&out, sizeof out, given);
        if (size < 4 || size > 4096) {
            assert_int_equal(rc, -EINVAL);
            continue;
        }
        assert_int_equal(rc, 0);
        struct version_2 expected = {.size = 0};
        memcpy(&expected, given, size < sizeof out ? size : sizeof out);
        assert_memory_equal(&out, &expected, sizeof out);
    }
}

static void unknown_tail_is_refused_unless_it_is_zero(void)
{
    unsigned char given[4096];
    struct version_2 out;
    const uint32_t size = sizeof given;
    memset(given, 0, sizeof given);
    memcpy(given, &size, sizeof size);
    assert_int_equal(ipc__options_read(&out, sizeof out, given), 0);
    static const size_t places[] = {sizeof out, sizeof out + 1, 1000, 4095};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        given[places[i]] = 1;
        assert_int_equal(ipc__options_read(&out, sizeof out, given), -E2BIG);
        given[places[i]] = 0;
    }
}

static void none_are_the_defaults(void)
{
    struct version_2 out;
    const struct version_2 zero = {.size = 0};
    memset(&out, 0xff, sizeof out);
    assert_int_equal(ipc__options_read(&out, sizeof out, NULL), 0);
    assert_memory_equal(&out, &zero, sizeof out);
}

static void info_is_written_as_far_as_it_reaches(void)
{
    const struct version_2 ours = {.size = 1, .flags = 2, .old = 3, .added = 4};
    for (uint32_t size = 0; size <= sizeof ours + 8; size++) {
        unsigned char caller[64];
        memset(caller, 0xee, sizeof caller);
        memcpy(caller, &size, sizeof size);
        const int rc = ipc__info_write(caller, &ours, sizeof ours);
        assert_int_equal(rc, size < 4 ? -EINVAL : 0);
        const size_t n = size < sizeof ours ? size : sizeof ours;
        assert_memory_equal(caller, &size, sizeof size);
        if (n > 4)
            assert_memory_equal(caller + 4, (const char *)&ours + 4, n - 4);
        for (size_t i = n > 4 ? n : 4; i < sizeof caller; i++)
            assert_int_equal(caller[i], 0xee);
    }
}

/* ---- each function that takes some ---- */

static int target(void *arg)
{
    return arg == NULL;
}

static int run(ipc_process *self)
{
    return self == NULL;
}

static int use_process(const void *options)
{
    ipc_process p;
    const int rc = ipc_process_init(&p, target, NULL, options);
    if (rc != 0)
        assert_int_equal(ipc_process_start(&p), rc);
    assert_int_equal(ipc_process_close(&p), 0);
    return rc;
}

static int use_process_ops(const void *options)
{
    static const ipc_process_ops ops = {.run = run};
    ipc_process p;
    const int rc = ipc_process_init_ops(&p, &ops, options);
    if (rc != 0)
        assert_int_equal(ipc_process_start(&p), rc);
    assert_int_equal(ipc_process_close(&p), 0);
    return rc;
}

static int use_lock(const void *options)
{
    ipc_lock lock;
    return ipc_lock_init(&lock, options);
}

static int use_lock_new(const void *options)
{
    ipc_lock *lock = NULL;
    const int rc = ipc_lock_new(options, &lock);
    assert_int_equal(lock != NULL, rc == 0);
    return rc == 0 ? ipc_lock_free(lock) : rc;
}

static int use_lock_create(const void *options)
{
    ipc_lock *lock = NULL;
    const int rc = ipc_lock_create("one", options, &lock);
    assert_int_equal(lock != NULL, rc == 0);
    if (rc != 0)
        return rc;
    assert_int_equal(ipc_lock_close(lock), 0);
    return ipc_lock_unlink("one");
}

static int use_rlock(const void *options)
{
    ipc_rlock rlock;
    return ipc_rlock_init(&rlock, options);
}

static int use_rlock_open_or_create(const void *options)
{
    ipc_rlock *rlock = NULL;
    const int rc = ipc_rlock_open_or_create("two", options, &rlock);
    assert_int_equal(rlock != NULL, rc == 0);
    if (rc != 0)
        return rc;
    assert_int_equal(ipc_rlock_close(rlock), 0);
    return ipc_rlock_unlink("two");
}

static int use_segment(const void *options)
{
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_create("three", 10, options, &segment);
    assert_int_equal(segment != NULL, rc == 0);
    if (rc != 0)
        return rc;
    assert_int_equal(ipc_segment_close(segment), 0);
    return ipc_segment_unlink("three");
}

static int use_segment_open_or_create(const void *options)
{
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_open_or_create("four", 10, options, &segment);
    assert_int_equal(segment != NULL, rc == 0);
    if (rc != 0)
        return rc;
    assert_int_equal(ipc_segment_close(segment), 0);
    return ipc_segment_unlink("four");
}

static const struct {
    int (*use)(const void *options);
    size_t size;
    bool flags; /* a word of them follows the size */
} users[] = {
    {use_process, sizeof(ipc_process_options), false},
    {use_process_ops, sizeof(ipc_process_options), false},
    {use_lock, sizeof(ipc_lock_options), true},
    {use_lock_new, sizeof(ipc_lock_options), true},
    {use_lock_create, sizeof(ipc_lock_options), true},
    {use_rlock, sizeof(ipc_lock_options), true},
    {use_rlock_open_or_create, sizeof(ipc_lock_options), true},
    {use_segment, sizeof(ipc_segment_options), true},
    {use_segment_open_or_create, sizeof(ipc_segment_options), true},
};

enum {
    USERS = sizeof users / sizeof users[0]
};

/* Options of that size with one byte set. */
static int use_with(int user, uint32_t size, size_t place, unsigned char byte)
{
    _Alignas(8) unsigned char given[4200] = {0};
    given[place] = byte;
    memcpy(given, &size, sizeof size);
    return users[user].use(given);
}

static void all_functions_check_the_size(void)
{
    for (int i = 0; i < USERS; i++) {
        const uint32_t size = (uint32_t)users[i].size;
        assert_int_equal(users[i].use(NULL), 0);
        assert_int_equal(use_with(i, size, size, 0), 0);
        assert_int_equal(use_with(i, 4, 4100, 1), 0);
        assert_int_equal(use_with(i, 4096, size, 0), 0);
        assert_int_equal(use_with(i, 0, 4100, 1), -EINVAL);
        assert_int_equal(use_with(i, 3, 4100, 1), -EINVAL);
        assert_int_equal(use_with(i, 4097, 4100, 1), -EINVAL);
        assert_int_equal(use_with(i, UINT32_MAX, 4100, 1), -EINVAL);
        assert_int_equal(use_with(i, size + 1, size, 1), -E2BIG);
        assert_int_equal(use_with(i, 4096, 4095, 1), -E2BIG);
    }
}

static void all_functions_refuse_unknown_flags(void)
{
    for (int i = 0; i < USERS; i++)
        if (users[i].flags)
            assert_int_equal(use_with(i, (uint32_t)users[i].size, 7, 0x80),
                             -EINVAL);
}

static void info_functions_check_the_size(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    assert_int_equal(ipc_shared_query(&info), 0);
    assert_true(info.reserved > 0);
    info = (ipc_shared_info){.size = 4, .reserved = 4711};
    assert_int_equal(ipc_shared_query(&info), 0);
    assert_int_equal(info.reserved, 4711);
    info.size = 3;
    assert_int_equal(ipc_shared_query(&info), -EINVAL);

    ipc_lock lock = {.word_ = 0};
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_lock_acquire(&lock), 0);
    assert_int_equal(ipc_lock_owner(&lock, &holder), 0);
    assert_true(holder.pid > 0);
    holder = (ipc_lock_holder){.size = 8, .tid = 4711};
    assert_int_equal(ipc_lock_owner(&lock, &holder), 0);
    assert_true(holder.pid > 0);
    assert_int_equal(holder.tid, 4711);
    holder.size = 0;
    assert_int_equal(ipc_lock_owner(&lock, &holder), -EINVAL);
    assert_int_equal(ipc_lock_release(&lock), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(all_sizes_are_read_or_refused),
    TEST_CASE(unknown_tail_is_refused_unless_it_is_zero),
    TEST_CASE(none_are_the_defaults),
    TEST_CASE(info_is_written_as_far_as_it_reaches),
    TEST_CASE(all_functions_check_the_size),
    TEST_CASE(all_functions_refuse_unknown_flags),
    TEST_CASE(info_functions_check_the_size),
};
TEST_MAIN(cases)
