/* Named and family memory where memory, files or the process's limits are at
 * an end. */
#include "harness/faults.h"
#include "unit/segment_support.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <ipc/lock.h>
#include <ipc/shared.h>

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)

static void run(void (*part)(void *arg), void *arg)
{
    struct role role;
    role_start(&role, part, arg);
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- a full /dev/shm ---- */

static unsigned long blocks_left(void)
{
    struct statvfs st;
    assert_int_equal(statvfs("/dev/shm", &st), 0);
    return (unsigned long)st.f_bfree;
}

static unsigned long files_left(void)
{
    struct statvfs st;
    assert_int_equal(statvfs("/dev/shm", &st), 0);
    return (unsigned long)st.f_ffree;
}

static void expect_full(const char *name, size_t size)
{
    const unsigned long before = blocks_left();
    ipc_segment *segment = NULL;
    expect_failure(ipc_segment_create(name, size, NULL, &segment), -ENOSPC,
                   "create");
    expect_failure(ipc_segment_open_or_create(name, size, NULL, &segment),
                   -ENOSPC, "open_or_create");
    assert_false(shm_exists(name));
    assert_int_equal(blocks_left(), before);
}

/* Another user of a segment, who writes all of it and uses a lock in it. */
static void write_all(void *arg)
{
    ipc_segment *segment = open_segment(arg);
    memset(ipc_segment_data(segment), 0xaa, ipc_segment_size(segment));
    memset(ipc_segment_data(segment), 0, ipc_segment_size(segment));
    ipc_lock *lock = ipc_segment_data(segment);
    assert_int_equal(ipc_lock_acquire(lock), 0);
    assert_int_equal(ipc_lock_release(lock), 0);
    assert_int_equal(ipc_segment_close(segment), 0);
}

static void fill_up(const char *name)
{
    static char block[4096];
    const int fd = open(shm_path(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(blocks_left(), 0);
    (void)close(fd);
}

static void use_small_shm(size_t size)
{
    char name[80];
    (void)snprintf(name, sizeof name, "%s", shm_name("a"));
    fault_small_shm(size, 0);
    expect_full(name, size);
    expect_full(name, size * 100);
    ipc_lock *lock = NULL;

    ipc_segment *segment = make_segment(name, size / 4);
    expect_full(shm_name("b"), size * 3 / 4);
    fill_up("filler");
    expect_full(shm_name("b"), 1);
    expect_failure(ipc_lock_create(shm_name("b"), NULL, &lock), -ENOSPC,
                   "lock");
    /* No SIGBUS: all pages are there. */
    memset(ipc_segment_data(segment), 0xff, size / 4);
    run(write_all, name);
    assert_int_equal(ipc_segment_close(segment), 0);
    run(write_all, name);
    unlink_segment(name);
    assert_int_equal(test_shm_names(), 1);
    assert_int_equal(unlink(shm_path("filler")), 0);
}

static void full_64_kib_is_an_error_and_never_sigbus(void)
{
    use_small_shm(64 * KIB);
}

static void full_1_mib_is_an_error_and_never_sigbus(void)
{
    use_small_shm(MIB);
}

static void no_file_left_is_an_error_that_leaves_nothing(void)
{
    char what[16];
    int count = 0;
    ipc_segment *all[16];
    fault_small_shm(8 * MIB, 10);
    for (;; count++) {
        assert_true(count < 16);
        (void)snprintf(what, sizeof what, "%d", count);
        const int rc =
            ipc_segment_create(shm_name(what), 100, NULL, &all[count]);
        if (rc != 0) {
            expect_failure(rc, -ENOSPC, "create");
            break;
        }
    }
    test_report("segments", count);
    assert_true(count >= 8);
    assert_int_equal(test_shm_names(), count);
    expect_full(shm_name(what), 100);
    ipc_lock *lock = NULL;
    expect_failure(ipc_lock_open_or_create(shm_name("lock"), NULL, &lock),
                   -ENOSPC, "lock");
    for (int i = 0; i < count; i++) {
        (void)snprintf(what, sizeof what, "%d", i);
        assert_int_equal(ipc_segment_close(all[i]), 0);
        unlink_segment(shm_name(what));
    }
    assert_int_equal(test_shm_names(), 0);
    assert_int_equal(files_left(), 9); /* the folder is one */
}

/* ---- a machine without memory ---- */

struct scarce {
    size_t size;
    long nth; /* that call finds no page; a sanitizer makes some of its own */
    uint32_t refused;
};

static void allocate_without_memory(void *arg)
{
    struct scarce *scarce = arg;
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    assert_int_equal(ipc_shared_init(), 0);
    void *before = ipc_shared_alloc(10);
    assert_non_null(before);
    fault_syscall_nth(SYS_madvise, scarce->nth, ENOMEM);
    unsigned char *memory = ipc_shared_alloc(scarce->size);
    if (memory == NULL) {
        scarce->refused++;
        assert_non_null(strstr(ipc_error_detail(), "no room"));
        assert_int_equal(ipc_shared_query(&info), 0);
        assert_int_equal(info.count, 1);
        memory = ipc_shared_alloc(scarce->size);
    }
    assert_non_null(memory);
    for (size_t i = 0; i < scarce->size; i++)
        assert_int_equal(memory[i], 0);
    assert_int_equal(ipc_shared_free(memory), 0);
    assert_int_equal(ipc_shared_free(before), 0);
}

static void init_without_memory(void *arg)
{
    struct scarce *scarce = arg;
    fault_syscall_nth(SYS_madvise, scarce->nth, ENOMEM);
    const int rc = ipc_shared_init();
    if (rc != 0) {
        scarce->refused++;
        if (rc != -ENOSYS) /* that it cannot wipe pages on fork */
            expect_failure(rc, -ENOMEM, "init");
        assert_int_equal(ipc_shared_init(), 0);
    }
    assert_int_equal(ipc_shared_free(ipc_shared_alloc(100)), 0);
}

static void family_memory_that_cannot_be_had_is_null(void)
{
    static const size_t sizes[] = {0, 100, 8192, 8193, MIB};
    struct scarce *scarce = test_shared(sizeof *scarce);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        scarce->refused = 0;
        scarce->size = sizes[i];
        for (scarce->nth = 1; scarce->nth <= 3; scarce->nth++)
            run(sizes[i] == 0 ? init_without_memory : allocate_without_memory,
                scarce);
        assert_true(scarce->refused > 0);
    }
}

/* ---- limits of the process ---- */

/* SIGXFSZ, which would end the role, is sent to who makes a file larger. */
static void create_with_small_files(void *arg)
{
    (void)arg;
    const rlim_t most = 256 * KIB;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){most, most}), 0);
    const unsigned long before = blocks_left();
    ipc_segment *segment = NULL;
    int rc = ipc_segment_create(shm_name("a"), MIB, NULL, &segment);
    if (rc >= 0 || ipc_error_detail()[0] == '\0')
        test_fail("create: %d", rc);
    assert_int_equal(blocks_left(), before);
    assert_false(shm_exists(shm_name("a")));
    segment = make_segment(shm_name("a"), 100 * KIB);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(shm_name("a"));
}

static void limited_file_size_is_an_error_and_no_signal(void)
{
    run(create_with_small_files, NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(full_64_kib_is_an_error_and_never_sigbus),
    TEST_CASE(full_1_mib_is_an_error_and_never_sigbus),
    TEST_CASE(no_file_left_is_an_error_that_leaves_nothing),
    TEST_CASE(family_memory_that_cannot_be_had_is_null),
    TEST_CASE(limited_file_size_is_an_error_and_no_signal),
};
TEST_MAIN(cases)
