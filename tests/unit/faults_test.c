/* The faults of the harness happen where they are asked for, and only there. */
#include "harness/faults.h"
#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void system_call_fails_from_now_on(void)
{
    assert_true(getppid() > 0);
    fault_syscall(SYS_getppid, EOWNERDEAD);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(syscall(SYS_getppid), -1);
        assert_int_equal(errno, EOWNERDEAD);
    }
    assert_true(getpid() > 0);
}

static void only_the_nth_system_call_fails(void)
{
    pid_t parent = getppid();
    fault_syscall_nth(SYS_getppid, 3, EIO);
    for (int i = 1; i <= 5; i++) {
        errno = 0;
        assert_int_equal(syscall(SYS_getppid), i == 3 ? -1 : parent);
        assert_int_equal(errno, i == 3 ? EIO : 0);
    }
    assert_int_equal(fault_syscall_count(), 5);
}

static void second_fork_fails(void)
{
    fault_syscall_nth(SYS_clone, 2, EAGAIN);
    for (int i = 1; i <= 3; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(20 + i);
        if (i == 2) {
            assert_int_equal(pid, -1);
            assert_int_equal(errno, EAGAIN);
            continue;
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 20 + i);
    }
}

/* The compiler may not reason about it. */
static void *(*volatile allocate)(size_t size) = malloc;
static char *(*volatile copy)(const char *text) = strdup;

static void nth_allocation_fails(void)
{
    fault_malloc_nth(2, false);
    void *a = allocate(10), *b = allocate(10), *c = calloc(2, 5);
    char *d = copy("counted, too");
    long count = fault_malloc_end();
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_non_null(d);
    assert_int_equal(count, 4);
    free(a);
    free(b);
    free(c);
    free(d);

    fault_malloc_nth(2, true);
    void *e = allocate(10), *f = allocate(10);
    char *g = copy("no");
    assert_int_equal(fault_malloc_end(), 3);
    assert_non_null(e);
    assert_null(f);
    assert_null(g);
    free(e);
    free(f);
    free(g);
}

static void small_shm_gets_full(void)
{
    fault_small_shm(65536, 4);
    assert_int_equal(test_shm_names(), 0);
    int fd = shm_open("/full", O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, 65536), 0);
    assert_int_equal(posix_fallocate(fd, 0, 131072), ENOSPC);
    (void)close(fd);

    const char *names[] = {"/two", "/three", "/four"};
    for (int i = 0; i < 3; i++) {
        fd = shm_open(names[i], O_RDWR | O_CREAT, 0600);
        assert_int_equal(fd >= 0, i < 2);
        if (fd >= 0)
            (void)close(fd);
    }
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(test_shm_names(), 3);
}

static void descriptors_run_out(void)
{
    int fds[3];
    fault_fds_left(2);
    for (int i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDONLY);
    assert_int_equal(errno, EMFILE);
    fault_fds_restore();
    assert_true(fds[0] >= 0 && fds[1] >= 0);
    assert_int_equal(fds[2], -1);
    int more = open("/dev/null", O_RDONLY);
    assert_true(more >= 0);
    (void)close(more);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void storm_interrupts_sleep(void)
{
    storm_start(1000);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pause(), -1);
        assert_int_equal(errno, EINTR);
    }
    long hits = storm_stop();
    test_report("hits", hits);
    assert_true(hits >= 20);
}

static void be_nobody(void *arg)
{
    (void)arg;
    become_nobody();
    assert_int_equal(getuid(), 65534);
    assert_int_equal(setresuid(0, 0, 0), -1);
}

static void role_becomes_nobody(void)
{
    struct role role;
    role_start(&role, be_nobody, NULL);
    role_wait_ok(&role, 5000);
    assert_int_not_equal(getuid(), 65534);
}

static void seed_repeats_the_numbers(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_equal(setenv("IPC_TEST_SEED", "4711", 1), 0);
    struct test_random a = {test_seed()}, b = {test_seed()};
    for (int i = 0; i < 1000; i++) {
        long value = test_random_between(&a, -3, 3);
        assert_in_range(value + 3, 0, 6);
        assert_int_equal(value, test_random_between(&b, -3, 3));
    }
    assert_true(test_scale() >= 1);
}

static const struct test_case cases[] = {
    TEST_CASE(system_call_fails_from_now_on),
    TEST_CASE(only_the_nth_system_call_fails),
    TEST_CASE(second_fork_fails),
    TEST_CASE(nth_allocation_fails),
    TEST_CASE(small_shm_gets_full),
    TEST_CASE(descriptors_run_out),
    TEST_CASE(storm_interrupts_sleep),
    TEST_CASE(role_becomes_nobody),
    TEST_CASE(seed_repeats_the_numbers),
};
TEST_MAIN(cases)
