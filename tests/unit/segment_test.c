/* Segments: the calls, their errors, and the files behind them. */
#include "unit/segment_support.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>

#include <ipc/lock.h>
#include <ipc/time.h>

#include "core/region.h"

/* ---- create, open, data ---- */

static bool is_zero(const void *memory, size_t size)
{
    const unsigned char *at = memory;
    return at[0] == 0 && memcmp(at, at + 1, size - 1) == 0;
}

static void data_is_zero_filled_aligned_and_shared(void)
{
    const char *name = shm_name("a");
    ipc_segment *one = make_segment(name, 10000);
    assert_int_equal(ipc_segment_size(one), 10000);
    assert_int_equal((uintptr_t)ipc_segment_data(one) % 4096, 0);
    assert_true(is_zero(ipc_segment_data(one), 10000));
    memset(ipc_segment_data(one), 7, 10000);

    ipc_segment *two = open_segment(name);
    assert_int_equal(ipc_segment_size(two), 10000);
    assert_int_equal(ipc_segment_id(two), ipc_segment_id(one));
    assert_ptr_not_equal(ipc_segment_data(two), ipc_segment_data(one));
    assert_int_equal(((char *)ipc_segment_data(two))[9999], 7);
    ((char *)ipc_segment_data(two))[0] = 8;
    assert_int_equal(((char *)ipc_segment_data(one))[0], 8);

    assert_int_equal(ipc_segment_close(one), 0);
    assert_int_equal(((char *)ipc_segment_data(two))[1], 7);
    assert_int_equal(ipc_segment_close(two), 0);
    assert_int_equal(ipc_segment_close(NULL), 0);
    unlink_segment(name);
    assert_false(shm_exists(name));
}

static void sizes_from_one_byte_on_are_kept_exactly(void)
{
    static const size_t sizes[] = {1, 8, 4095, 4096, 4097, 32768, 1000001};
    const char *name = shm_name("a");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ipc_segment *segment = make_segment(name, sizes[i]);
        assert_int_equal(ipc_segment_size(segment), sizes[i]);
        memset(ipc_segment_data(segment), 0xff, sizes[i]);
        assert_int_equal(ipc_segment_close(segment), 0);
        segment = open_segment(name);
        assert_int_equal(ipc_segment_size(segment), sizes[i]);
        assert_int_equal(ipc_segment_close(segment), 0);
        unlink_segment(name);
    }
}

static void sizes_out_of_range_are_refused(void)
{
    static const struct {
        size_t size;
        int error;
    } table[] = {{0, -EINVAL},
                 {((size_t)1 << 40) + 1, -EINVAL},
                 {SIZE_MAX, -EINVAL},
                 {(size_t)1 << 39, -ENOSPC}}; /* on no machine of today */
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        ipc_segment *segment = NULL;
        expect_failure(
            ipc_segment_create(shm_name("a"), table[i].size, NULL, &segment),
            table[i].error, "create");
        expect_failure(ipc_segment_open_or_create(shm_name("a"), table[i].size,
                                                  NULL, &segment),
                       table[i].error, "open_or_create");
    }
    assert_false(shm_exists(shm_name("a")));
}

static void names_that_are_none_are_refused(void)
{
    char long_name[260];
    memset(long_name, 'n', sizeof long_name);
    long_name[201] = '\0';
    const char *names[] = {"",     "/",          ".",      "..", ".hidden",
                           "/.x",  "a/b",        "//a",    "a/", "/a/",
                           "../a", "/dev/shm/a", long_name};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        expect_no_create(names[i], -EINVAL);
        expect_no_open(names[i], -EINVAL);
        expect_no_open_or_create(names[i], -EINVAL);
        expect_failure(ipc_segment_unlink(names[i]), -EINVAL, names[i]);
    }
}

static void longest_odd_and_slashed_names_work(void)
{
    char long_name[202];
    memset(long_name, 'n', sizeof long_name);
    long_name[0] = '/';
    long_name[201] = '\0';
    ipc_segment *segment = make_segment(long_name, 1);
    assert_true(shm_exists(long_name + 1));
    assert_int_equal(ipc_segment_close(segment), 0);
    ipc_segment *same = open_segment(long_name + 1);
    assert_int_equal(ipc_segment_close(same), 0);
    unlink_segment(long_name);

    segment = make_segment("a b%s\n\xc3\xa4*", 1);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment("a b%s\n\xc3\xa4*");
}

static void options_are_checked(void)
{
    struct {
        ipc_segment_options options;
        uint32_t newer[4];
    } given = {IPC_SEGMENT_OPTIONS_INIT, {0}};
    ipc_segment *segment = NULL;
    const char *name = shm_name("a");

    given.options.size = sizeof given; /* a newer program: zeros are fine */
    given.options.flags = IPC_SEGMENT_PERSIST;
    assert_int_equal(ipc_segment_create(name, 1, &given.options, &segment), 0);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);

    given.newer[3] = 1;
    expect_failure(ipc_segment_create(name, 1, &given.options, &segment),
                   -E2BIG, "newer");
    expect_failure(
        ipc_segment_open_or_create(name, 1, &given.options, &segment), -E2BIG,
        "newer");
    given.options = (ipc_segment_options)IPC_SEGMENT_OPTIONS_INIT;
    given.options.flags = 2;
    expect_failure(ipc_segment_create(name, 1, &given.options, &segment),
                   -EINVAL, "flags");
    given.options = (ipc_segment_options){.size = 0};
    expect_failure(ipc_segment_create(name, 1, &given.options, &segment),
                   -EINVAL, "no size");
    assert_false(shm_exists(name));
}

static void names_in_use_and_names_without_segment(void)
{
    const char *name = shm_name("a");
    expect_no_open(name, -ENOENT);
    expect_failure(ipc_segment_unlink(name), -ENOENT, "unlink");
    ipc_segment *segment = make_segment(name, 1);
    expect_no_create(name, -EEXIST);
    assert_int_equal(ipc_segment_close(segment), 0);
    expect_no_create(name, -EEXIST); /* closed properly: it stays */
    unlink_segment(name);
    expect_failure(ipc_segment_unlink(name), -ENOENT, "unlink");
    expect_no_open(name, -ENOENT);
}

static void open_or_create_opens_what_is_large_enough(void)
{
    const char *name = shm_name("a");
    ipc_segment *one = NULL;
    ipc_segment *two = NULL;
    assert_int_equal(ipc_segment_open_or_create(name, 1000, NULL, &one), 0);
    assert_true(is_zero(ipc_segment_data(one), 1000));
    static const size_t sizes[] = {1, 999, 1000};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ipc_segment_open_or_create(name, sizes[i], NULL, &two),
                         0);
        assert_int_equal(ipc_segment_id(two), ipc_segment_id(one));
        assert_int_equal(ipc_segment_size(two), 1000);
        assert_int_equal(ipc_segment_close(two), 0);
    }
    expect_failure(ipc_segment_open_or_create(name, 1001, NULL, &two),
                   -EMSGSIZE, "too small");
    assert_int_equal(ipc_segment_close(one), 0);
    expect_failure(ipc_segment_open_or_create(name, 1001, NULL, &two),
                   -EMSGSIZE, "too small");
    unlink_segment(name);
}

static void unlinked_segments_live_on_beside_the_next_one(void)
{
    const char *name = shm_name("a");
    ipc_segment *old = make_segment(name, 100);
    write_text(old, "old");
    unlink_segment(name);
    ipc_segment *new = make_segment(name, 100);
    assert_int_not_equal(ipc_segment_id(new), ipc_segment_id(old));
    assert_true(is_zero(ipc_segment_data(new), 100));
    assert_string_equal(ipc_segment_data(old), "old");
    assert_int_equal(ipc_segment_close(old), 0);
    assert_int_equal(ipc_segment_close(new), 0);
    unlink_segment(name);
}

/* More than a process notes in one piece. */
static void many_handles_in_one_process(void)
{
    enum {
        NAMES = 80,
        HANDLES = 3
    };
    static ipc_segment *all[NAMES][HANDLES];
    char what[16];
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(what, sizeof what, "n%d", i);
        all[i][0] = make_segment(shm_name(what), 64);
        for (int j = 1; j < HANDLES; j++)
            all[i][j] = open_segment(shm_name(what));
        ipc_lock *lock = ipc_segment_data(all[i][i % HANDLES]);
        assert_int_equal(ipc_lock_acquire(lock), 0);
        assert_int_equal(ipc_lock_release(lock), 0);
    }
    for (int i = 0; i < NAMES; i++)
        for (int j = 0; j < i; j++)
            assert_int_not_equal(ipc_segment_id(all[i][0]),
                                 ipc_segment_id(all[j][0]));
    for (int j = 0; j < HANDLES; j++)
        for (int i = 0; i < NAMES; i++)
            assert_int_equal(ipc_segment_close(all[i][j]), 0);
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(what, sizeof what, "n%d", i);
        unlink_segment(shm_name(what));
    }
}

/* ---- threads ---- */

static void *open_and_close(void *arg)
{
    const char *name = arg;
    for (int i = 0; i < 200; i++) {
        ipc_segment *segment = NULL;
        if (ipc_segment_open_or_create(name, 64, NULL, &segment) != 0)
            test_fail("open_or_create: %s", ipc_error_detail());
        ipc_lock *lock = ipc_segment_data(segment);
        if (ipc_lock_acquire(lock) != 0 || ipc_lock_release(lock) != 0)
            test_fail("lock: %s", ipc_error_detail());
        if (ipc_segment_close(segment) != 0)
            test_fail("close: %s", ipc_error_detail());
    }
    return NULL;
}

static void threads_open_and_close_at_once(void)
{
    char name[64];
    pthread_t threads[4];
    (void)snprintf(name, sizeof name, "%s", shm_name("a"));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, open_and_close, name), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    unlink_segment(name);
}

/* ---- the file ---- */

static void file_is_posix_shared_memory_of_mode_0600(void)
{
    const char *name = shm_name("a");
    const mode_t mask = umask(0);
    ipc_segment *segment = make_segment(name, 5000);
    (void)umask(mask);
    write_text(segment, "seen by shm_open");

    char slashed[80];
    (void)snprintf(slashed, sizeof slashed, "/%s", name);
    const int fd = shm_open(slashed, O_RDONLY, 0);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(st.st_uid, geteuid());
    assert_true(st.st_blocks * 512 >= st.st_size); /* allocated for real */
    char text[20];
    assert_int_equal(pread(fd, text, sizeof text, IPC__REGION_TABLE),
                     sizeof text);
    assert_string_equal(text, "seen by shm_open");
    (void)close(fd);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);
}

static void write_file(const char *name, size_t size, mode_t mode)
{
    const int fd = open(shm_path(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                        S_IRUSR | S_IWUSR);
    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i += 8)
        assert_int_equal(write(fd, "not ours", 8), 8);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static void expect_left_alone(const char *name, int error)
{
    struct stat before, after;
    assert_int_equal(lstat(shm_path(name), &before), 0);
    expect_no_open(name, error);
    expect_no_open_or_create(name, error);
    expect_failure(ipc_segment_unlink(name), error, name);
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_create(name, 100, NULL, &segment);
    if (rc != -EEXIST && rc != -EPERM && rc != -EUCLEAN)
        test_fail("create %s: %d", name, rc);
    run_gc(0);
    assert_int_equal(lstat(shm_path(name), &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(remove(shm_path(name)), 0);
}

static void what_is_no_segment_is_left_alone(void)
{
    const char *name = shm_name("a");
    static const size_t sizes[] = {0, 8, 64, 512, 4096, 32768, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_file(name, sizes[i], 0600);
        expect_left_alone(name, -EUCLEAN);
    }
    assert_int_equal(mkdir(shm_path(name), 0700), 0);
    expect_left_alone(name, -EPERM);
    assert_int_equal(mkfifo(shm_path(name), 0600), 0);
    expect_left_alone(name, -EPERM);
    assert_int_equal(symlink("/dev/null", shm_path(name)), 0);
    expect_left_alone(name, -EPERM);
    assert_int_equal(symlink("/nowhere/at/all", shm_path(name)), 0);
    expect_left_alone(name, -EPERM);
}

static void segments_that_others_may_reach_are_refused(void)
{
    const char *name = shm_name("a");
    const char *other = shm_name("b");
    ipc_segment *segment = make_segment(name, 10);
    assert_int_equal(chmod(shm_path(name), 0620), 0);
    expect_no_open(name, -EPERM);
    assert_int_equal(chmod(shm_path(name), 0602), 0);
    expect_no_open(name, -EPERM);
    assert_int_equal(chmod(shm_path(name), 0600), 0);
    assert_int_equal(link(shm_path(name), shm_path(other)), 0);
    expect_no_open(name, -EPERM);
    expect_no_open(other, -EPERM);
    assert_int_equal(unlink(shm_path(other)), 0);
    assert_int_equal(ipc_segment_close(open_segment(name)), 0);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);
}

/* Somebody else's file locks are somebody else's. */
static void locked_file_that_is_no_segment_is_not_waited_for(void)
{
    const char *name = shm_name("a");
    write_file(name, 40000, 0600);
    const int fd = open(shm_path(name), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    expect_no_open(name, -EUCLEAN);
    expect_failure(ipc_segment_unlink(name), -EUCLEAN, "unlink");
    (void)close(fd);
    assert_int_equal(unlink(shm_path(name)), 0);
}

/* The end of a pipe that waits for the other one. */
static void wait_for_writer(void *arg)
{
    const int fd = open(arg, O_RDONLY | O_CLOEXEC);
    role_exit(fd >= 0 ? 0 : 1);
}

static void pipe_under_the_name_does_not_notice(void)
{
    const char *name = shm_name("a");
    struct role role;
    char path[300];
    (void)snprintf(path, sizeof path, "%s", shm_path(name));
    assert_int_equal(mkfifo(path, 0600), 0);
    role_start(&role, wait_for_writer, path);
    wait_until_blocked(role.pid, LIMIT_MS);
    expect_no_open(name, -EPERM);
    expect_no_create(name, -EEXIST);
    run_gc(0);
    int status;
    assert_false(role_dead_within(&role, 50, &status));
    (void)role_kill(&role);
    assert_int_equal(unlink(path), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(data_is_zero_filled_aligned_and_shared),
    TEST_CASE(sizes_from_one_byte_on_are_kept_exactly),
    TEST_CASE(sizes_out_of_range_are_refused),
    TEST_CASE(names_that_are_none_are_refused),
    TEST_CASE(longest_odd_and_slashed_names_work),
    TEST_CASE(options_are_checked),
    TEST_CASE(names_in_use_and_names_without_segment),
    TEST_CASE(open_or_create_opens_what_is_large_enough),
    TEST_CASE(unlinked_segments_live_on_beside_the_next_one),
    TEST_CASE(many_handles_in_one_process),
    TEST_CASE(threads_open_and_close_at_once),
    TEST_CASE(file_is_posix_shared_memory_of_mode_0600),
    TEST_CASE(what_is_no_segment_is_left_alone),
    TEST_CASE(segments_that_others_may_reach_are_refused),
    TEST_CASE(locked_file_that_is_no_segment_is_not_waited_for),
    TEST_CASE(pipe_under_the_name_does_not_notice),
};
TEST_MAIN(cases)
