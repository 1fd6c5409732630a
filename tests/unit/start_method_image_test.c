/* The fresh image: a program that does not call ipc_spawn_main(), one whose
 * file is gone, requests that are none. */
#include "unit/start_method_support.h"

#include "process/fresh.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

IPC_ENTRY(return_it);
IPC_ENTRY(return_zero);

#define MODE "START_METHOD_IMAGE_MODE"

static bool mode_is(const char *mode)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    const char *value = getenv(MODE);
    return value != NULL && strcmp(value, mode) == 0;
}

static void set_mode(const char *mode)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_equal(setenv(MODE, mode, 1), 0);
}

/* ---- programs that do not do as they should ---- */

/* Before main(), as what a program does too early.  Only in images of the
 * cases: modes are set there. */
__attribute__((constructor)) static void misbehave(void)
{
    if (mode_is("stay"))
        while (pause() != 0)
            continue;
    if (mode_is("leave"))
        _exit(3);
    if (mode_is("start-early") && !ipc__fresh_is_entered()) {
        ipc_process p;
        (void)ipc_process_init(&p, return_zero, NULL, NULL);
        const int rc = ipc_process_start(&p);
        (void)ipc_process_close(&p);
        const int server = ipc_forkserver_start(NULL);
        _exit(rc == -EPERM && server == -EPERM ? 66 : 67);
    }
    /* Its family is there before main(). */
    if (mode_is("use-early") && !ipc__fresh_is_entered())
        CHECK(ipc_shared_free(family(1000)), 0);
}

static void expect_early_end(const char *mode, int error, const char *detail)
{
    CHECK(ipc_shared_init(), 0);
    set_mode(mode);
    for (int m = FRESH; m < METHODS; m++) {
        const ipc_process_options options = by(methods[m]);
        expect_no_start(&options, return_zero, NULL, error);
        if (strstr(ipc_error_detail(), detail) == NULL)
            test_fail("the detail is %s", ipc_error_detail());
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void without_spawn_main_start_gives_up(void)
{
    ipc__fresh_patience_ns = 200000000;
    expect_early_end("stay", -ETIMEDOUT, "ipc_spawn_main()");
}

static void image_that_ends_early_is_reported(void)
{
    expect_early_end("leave", -EPIPE, "ended with 3");
}

static void nothing_is_started_before_spawn_main(void)
{
    expect_early_end("start-early", -EPIPE, "ended with 66");
}

static void family_is_there_before_main(void)
{
    set_mode("use-early");
    for (int m = FRESH; m < METHODS; m++)
        assert_int_equal(run_by(methods[m], return_zero, NULL), 0);
    no_server();
}

/* ---- the file ---- */

static void copy_program(const char *to)
{
    char buffer[65536];
    ssize_t n;
    const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_true(from >= 0 && fd >= 0);
    while ((n = read(from, buffer, sizeof buffer)) > 0)
        assert_int_equal(write(fd, buffer, (size_t)n), n);
    (void)close(from);
    (void)close(fd);
}

/* The copied program, before its main(): its file has another one's name by
 * now. */
static void start_what_it_is(void)
{
    char path[256];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(n > 0);
    path[n] = '\0';
    assert_int_equal(unlink(path), 0);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, "#!/bin/false\n", 13), 13);
    (void)close(fd);
    for (int m = 0; m < METHODS; m++) {
        ipc_process_options options = by(methods[m]);
        int code = 12;
        options.arg_bytes = sizeof code;
        assert_int_equal(run_with(&options, return_it, &code), 12);
    }
    no_server();
}

__attribute__((constructor)) static void be_the_copy(void)
{
    static char name[] = "copy";
    static char *argv[] = {name, NULL};
    if (!mode_is("copy"))
        return;
    ipc_spawn_main(1, argv);
    start_what_it_is();
    leave(0);
}

static void run_copy(void *arg)
{
    char *const argv[] = {arg, NULL};
    set_mode("copy");
    (void)execv(arg, argv);
}

static void replaced_program_starts_what_it_is(void)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/copy", test_tmpdir());
    copy_program(path);
    assert_int_equal(role_try(run_copy, path, LIMIT_MS), 0);
}

/* ---- the addresses ---- */

/* Sanitizers and the kernel may choose the family's place in the image for
 * something else; then it tries again. */
static void fifty_images_find_the_place(void)
{
    for (int i = 0; i < 50; i++) {
        char *memory = family(1000);
        assert_int_equal(run_by(IPC_START_SPAWN, return_zero, NULL), 0);
        CHECK(ipc_shared_free(memory), 0);
    }
}

static void too_little_room_is_reported(void *unused)
{
    (void)unused;
    const ipc_process_options options = by(IPC_START_SPAWN);
    CHECK(ipc_shared_init(), 0);
    /* More than the image, less than the range. */
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){1u << 30, 1u << 30}),
                     0);
    expect_no_start(&options, return_zero, NULL, -ENOMEM);
    assert_non_null(strstr(ipc_error_detail(), "family memory"));
}

static void image_without_room_for_the_family_says_so(void)
{
    if (SANITIZED)
        test_skip("a sanitizer needs more than all");
    assert_int_equal(role_try(too_little_room_is_reported, NULL, LIMIT_MS), 0);
}

/* ---- requests that are none ---- */

static void run_with_variable(void *arg)
{
    char list[] = "--list";
    char *const argv[] = {list, list, NULL};
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    (void)setenv(IPC__FRESH_VARIABLE, arg, 1);
    (void)close(1);
    (void)open("/dev/null", O_WRONLY);
    (void)execv("/proc/self/exe", argv);
}

/* An ordinary process it is then. */
static void foreign_variables_are_ignored(void)
{
    static const char *const values[] = {
        "",    "x",   "3",    "3,",  "-1,0", "999999999999,0", "3,0x",
        "0,0", "1,0", "99,0", ",,,", "3,-1", "3,99",           "200,0"};
    const int fd = memfd_create("test-file", 0);
    assert_int_equal(dup2(fd, 200), 200);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (int size = 0; size < 9000; size += 1500) {
            if (i + 1 < sizeof values / sizeof values[0] && size > 0)
                break;
            assert_int_equal(ftruncate(200, size), 0);
            assert_int_equal(role_try(run_with_variable,
                                      (void *)(uintptr_t)values[i], LIMIT_MS),
                             0);
        }
    }
    (void)close(200);
    (void)close(fd);
}

/* A request of another's: damaged, or for somebody else. */
static void write_request(int number, size_t at, unsigned char value)
{
    struct ipc__orders orders = {.fd = -1, .request.socket = -1};
    ipc_process process = {.name_ = "copy"};
    struct ipc__child child = {.process = &process, .starter = getpid()};
    child.start = ipc_shared_alloc(sizeof *child.start);
    assert_non_null(child.start);
    process.target_ = return_zero;
    assert_int_equal(ipc__orders_write(&orders, &child), 0);
    struct ipc__request_tables tables;
    struct ipc__request *copy = NULL;
    assert_int_equal(ipc__request_read(orders.fd, &copy, &tables), 0);
    (void)close(orders.fd);
    ((unsigned char *)copy)[at] ^= value;

    const size_t size = (sizeof *copy + 15) & ~(size_t)15;
    const int fd = memfd_create("test-file", MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, copy, size), size);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, 15), 0);
    assert_int_equal(dup2(fd, number), number);
    (void)close(fd);
    free(copy);
    CHECK(ipc_shared_free(child.start), 0);
}

/* Each byte of the head, so that each check has its turn.  The image may end;
 * it must not crash or hang. */
static void damaged_requests_do_no_harm(void)
{
    char variable[] = "200,0";
    CHECK(ipc_shared_init(), 0);
    for (size_t at = 0; at < sizeof(struct ipc__request); at += 3) {
        write_request(200, at, (unsigned char)(at % 2 == 0 ? 0x80 : 1));
        const int code = role_try(run_with_variable, variable, LIMIT_MS);
        if (code != 0 && code != 1)
            test_fail("byte %zu: the image ended with %d", at, code);
        (void)close(200);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(without_spawn_main_start_gives_up),
    TEST_CASE(image_that_ends_early_is_reported),
    TEST_CASE(nothing_is_started_before_spawn_main),
    TEST_CASE(family_is_there_before_main),
    TEST_CASE(replaced_program_starts_what_it_is),
    TEST_CASE(fifty_images_find_the_place),
    TEST_CASE(image_without_room_for_the_family_says_so),
    TEST_CASE(foreign_variables_are_ignored),
    TEST_CASE(damaged_requests_do_no_harm),
};
TEST_MAIN(cases)
