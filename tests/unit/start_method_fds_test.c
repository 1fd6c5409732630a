/* Descriptors: what a fresh image has, and what it has not. */
#include "unit/start_method_support.h"

#include "harness/faults.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* In family memory: what the child looks at, and what it saw. */
struct look {
    int numbers[8];
    int count;
    struct {
        int flags; /* -1: not open */
        ino_t inode;
    } seen[8];
    int open; /* descriptors in all but 0, 1, 2 and the library's */
};

static int is_of_the_library(int fd)
{
    char path[64];
    char target[64] = "";
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    (void)readlink(path, target, sizeof target - 1);
    return strncmp(target, "/memfd:libipc", 13) == 0 ||
           strncmp(target, "anon_inode:[pidfd]", 18) == 0 ||
           strncmp(target, "pidfd:", 6) == 0;
}

static int look(void *arg)
{
    struct look *l = arg;
    for (int i = 0; i < l->count; i++) {
        struct stat st = {.st_ino = 0};
        l->seen[i].flags = fcntl(l->numbers[i], F_GETFD);
        (void)fstat(l->numbers[i], &st);
        l->seen[i].inode = st.st_ino;
    }
    l->open = 0;
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0 && !is_of_the_library(fd))
            l->open++;
    return 0;
}
IPC_ENTRY(look);

static int open_at(int number, int flags)
{
    const int fd = memfd_create("test-file", 0);
    assert_true(fd >= 0);
    if (fd != number) {
        assert_int_equal(dup2(fd, number), number);
        (void)close(fd);
    }
    assert_int_equal(
        fcntl(number, F_SETFD, flags == O_CLOEXEC ? FD_CLOEXEC : 0), 0);
    return number;
}

static ino_t inode_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static void look_with(struct look *l, uint32_t method, const int *fds,
                      uint32_t count)
{
    ipc_process_options options = by(method);
    options.fds = fds;
    options.fd_count = count;
    assert_int_equal(run_with(&options, look, l), 0);
}

static void passed_ones_survive_and_others_do_not(void)
{
    struct look *l = family(sizeof *l);
    /* Lower ones may have been open before. */
    const int numbers[] = {open_at(13, 0),         open_at(14, O_CLOEXEC),
                           open_at(15, 0),         open_at(17, O_CLOEXEC),
                           open_at(200, 0),        open_at(201, O_CLOEXEC),
                           open_at(700, O_CLOEXEC)};
    const int passed[] = {200, 14, 13, 700, 13, 1};
    memcpy(l->numbers, numbers, sizeof numbers);
    l->count = 7;
    for (int m = FRESH; m < METHODS; m++) {
        for (int i = 0; i < 2; i++) {
            look_with(l, methods[m], passed, 6);
            static const int flags[] = {0, FD_CLOEXEC, -1,        -1,
                                        0, -1,         FD_CLOEXEC};
            for (int j = 0; j < 7; j++) {
                assert_int_equal(l->seen[j].flags, flags[j]);
                if (flags[j] >= 0)
                    assert_int_equal(l->seen[j].inode, inode_of(numbers[j]));
            }
            assert_int_equal(l->open, 4);
            look_with(l, methods[m], NULL, 0);
            assert_int_equal(l->open, 0);
        }
    }
    for (int i = 0; i < 7; i++)
        (void)close(numbers[i]);
    CHECK(ipc_shared_free(l), 0);
    no_server();
}

/* Every number, so that each of the library's own is hit. */
static void any_number_can_be_passed(void)
{
    struct look *l = family(sizeof *l);
    l->count = 1;
    for (int m = FRESH; m < METHODS; m++) {
        for (int fd = 3; fd < 120;
             fd += methods[m] == IPC_START_SPAWN ? 9 : 1) {
            if (fcntl(fd, F_GETFD) >= 0)
                continue; /* the library's, in this process */
            (void)open_at(fd, 0);
            l->numbers[0] = fd;
            look_with(l, methods[m], &fd, 1);
            assert_int_equal(l->seen[0].flags, 0);
            assert_int_equal(l->seen[0].inode, inode_of(fd));
            assert_int_equal(l->open, 1);
            (void)close(fd);
        }
    }
    CHECK(ipc_shared_free(l), 0);
    no_server();
}

/* A whole set of them at once, each where another one was sent to. */
static void many_can_be_passed(void)
{
    struct look *l = family(sizeof *l);
    int fds[IPC_PROCESS_FDS_MAX + 1];
    int count = 0;
    for (int fd = 3; count <= IPC_PROCESS_FDS_MAX; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            fds[count++] = open_at(fd, 0);
    for (int m = FRESH; m < METHODS; m++) {
        l->count = 8;
        for (size_t i = 0; i < 8; i++)
            l->numbers[i] = fds[i * 15];
        look_with(l, methods[m], fds, IPC_PROCESS_FDS_MAX);
        assert_int_equal(l->open, IPC_PROCESS_FDS_MAX);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(l->seen[i].inode, inode_of(fds[i * 15]));
        ipc_process_options options = by(methods[m]);
        options.fds = fds;
        options.fd_count = IPC_PROCESS_FDS_MAX + 1;
        expect_no_start(&options, look, l, -EINVAL);
    }
    for (int i = 0; i < count; i++)
        (void)close(fds[i]);
    CHECK(ipc_shared_free(l), 0);
    no_server();
}

static void closed_ones_are_refused(void)
{
    for (int m = FRESH; m < METHODS; m++) {
        static const int bad[] = {999, -1, 1 << 30};
        for (int i = 0; i < 3; i++) {
            ipc_process_options options = by(methods[m]);
            options.fds = &bad[i];
            options.fd_count = 1;
            expect_no_start(&options, look, NULL, -EBADF);
        }
    }
    no_server();
}

/* ---- 0, 1, 2 ---- */

static int say_it(void *unused)
{
    (void)unused;
    printf("said on stdout\n");
    (void)fflush(stdout);
    fprintf(stderr, "said on stderr\n");
    return 0;
}
IPC_ENTRY(say_it);

/* Also with a template that has begun with others. */
static void standard_ones_are_those_of_now(void)
{
    CHECK(ipc_forkserver_start(NULL), 0);
    for (int m = FRESH; m < METHODS; m++) {
        const int file = memfd_create("test-file", MFD_CLOEXEC);
        const int out = fcntl(1, F_DUPFD_CLOEXEC, 3);
        const int err = fcntl(2, F_DUPFD_CLOEXEC, 3);
        char text[100] = "";
        (void)fflush(stdout);
        assert_int_equal(dup2(file, 1), 1);
        assert_int_equal(dup2(file, 2), 2);
        const int code = run_by(methods[m], say_it, NULL);
        assert_int_equal(dup2(out, 1), 1);
        assert_int_equal(dup2(err, 2), 2);
        assert_int_equal(code, 0);
        assert_true(pread(file, text, sizeof text - 1, 0) > 0);
        assert_string_equal(text, "said on stdout\nsaid on stderr\n");
        (void)close(out);
        (void)close(err);
        (void)close(file);
    }
    no_server();
}

static void closed_standard_ones_stay_closed(void)
{
    struct look *l = family(sizeof *l);
    l->count = 3;
    for (int i = 0; i < 3; i++)
        l->numbers[i] = i;
    for (int m = FRESH; m < METHODS; m++) {
        const int in = fcntl(0, F_DUPFD_CLOEXEC, 3);
        (void)close(0);
        look_with(l, methods[m], NULL, 0);
        assert_int_equal(dup2(in, 0), 0);
        (void)close(in);
        assert_int_equal(l->seen[0].flags, -1);
        assert_int_equal(l->seen[1].flags, 0);
        assert_int_equal(l->seen[2].flags, 0);
        assert_int_equal(l->open, 0);
    }
    CHECK(ipc_shared_free(l), 0);
    no_server();
}

/* ---- the library's own ---- */

static int family_descriptor(void)
{
    for (int fd = 3; fd < 1024; fd++) {
        char path[64];
        char target[64] = "";
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        (void)readlink(path, target, sizeof target - 1);
        if (strncmp(target, "/memfd:libipc", 13) == 0)
            return fd;
    }
    return -1;
}

static void closed_descriptor_of_the_family(void *unused)
{
    (void)unused;
    CHECK(ipc_shared_init(), 0);
    const int fd = family_descriptor();
    assert_true(fd >= 100);
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            (void)close(fd);
        else /* the number is another file's */
            (void)open_at(fd, 0);
        for (int m = FRESH; m < METHODS; m++) {
            const ipc_process_options options = by(methods[m]);
            expect_no_start(&options, return_zero, NULL, -EBADF);
        }
        assert_int_equal(run(return_zero, NULL), 0);
        void *memory = family(1000);
        CHECK(ipc_shared_free(memory), 0);
    }
}
IPC_ENTRY(return_zero);

static void without_the_familys_descriptor_all_else_works(void)
{
    assert_int_equal(role_try(closed_descriptor_of_the_family, NULL, LIMIT_MS),
                     0);
}

/* A template begins with the limits of its owner, and keeps them. */
static void start_without_descriptors(const char *what, uint32_t method,
                                      bool with_server)
{
    const ipc_process_options options = by(method);
    for (int left = 0;; left++) {
        ipc_process p;
        if (with_server && ipc_forkserver_pid() == 0)
            CHECK(ipc_forkserver_start(NULL), 0);
        const int fds = count_fds();
        CHECK(ipc_process_init(&p, return_zero, NULL, &options), 0);
        fault_fds_left(left);
        const int rc = ipc_process_start(&p);
        fault_fds_restore();
        if (rc == 0) {
            assert_int_equal(end_of(&p), 0);
            no_server();
            test_report(what, left);
            return;
        }
        CHECK(rc, -EMFILE);
        CHECK(ipc_process_close(&p), 0);
        if (!with_server)
            no_server();
        assert_int_equal(count_fds(), fds);
    }
}

static void too_few_descriptors_say_so(void)
{
    CHECK(ipc_shared_init(), 0);
    start_without_descriptors("spawn", IPC_START_SPAWN, false);
    start_without_descriptors("forkserver", IPC_START_FORKSERVER, false);
    start_without_descriptors("served", IPC_START_FORKSERVER, true);
}

static void low_limit_leaves_a_lower_number(void *unused)
{
    (void)unused;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){40, 40}), 0);
    for (int m = 0; m < METHODS; m++)
        assert_int_equal(run_by(methods[m], return_zero, NULL), 0);
    assert_in_range(family_descriptor(), 20, 39);
    no_server();
}

static void low_limit_on_descriptors_is_enough(void)
{
    assert_int_equal(role_try(low_limit_leaves_a_lower_number, NULL, LIMIT_MS),
                     0);
}

static const struct test_case cases[] = {
    TEST_CASE(passed_ones_survive_and_others_do_not),
    TEST_CASE(any_number_can_be_passed),
    TEST_CASE(many_can_be_passed),
    TEST_CASE(closed_ones_are_refused),
    TEST_CASE(standard_ones_are_those_of_now),
    TEST_CASE(closed_standard_ones_stay_closed),
    TEST_CASE(without_the_familys_descriptor_all_else_works),
    TEST_CASE(too_few_descriptors_say_so),
    TEST_CASE(low_limit_on_descriptors_is_enough),
};
TEST_MAIN(cases)
