/* Test cases: each runs in a process of its own, has a limit, and must leave
 * nothing behind.
 *
 *     static void one_and_one_is_two(void)
 *     {
 *         assert_int_equal(1 + 1, 2);
 *     }
 *
 *     static const struct test_case cases[] = {
 *         TEST_CASE(one_and_one_is_two),
 *         TEST_CASE_LIMIT(sweep_of_everything, 120),
 *     };
 *     TEST_MAIN(cases)
 *
 * The program runs all cases, or those that its arguments name, and prints a
 * line for each; "--list" prints their names, "-v" shows what a case prints
 * also when it passes.  It exits 0 when all passed or were skipped, 77 when
 * all were skipped, 1 when one failed, 2 when it was called wrongly.
 *
 * A case ends by returning.  It fails by a cmocka assert_*() macro (in any
 * thread of it, and in any process forked from it whose end is looked at, see
 * role.h), by a signal, by exiting, by its limit, and when at its end there is
 *
 *  - a file descriptor more, or one less, than at its start;
 *  - a thread more;
 *  - a child, running or not waited for;
 *  - a mapping more of a file in /dev/shm or of a memfd: the memory of the
 *    library's family, "/memfd:libipc...", may have been mapped, once;
 *
 * and when it is over
 *
 *  - a process descended from it that does not end within TEST_GRACE_MS;
 *  - a name more in /dev/shm.
 *
 * What is left is then killed and removed.  Where the machine permits it the
 * program has a /dev/shm of its own, so that several may run at once; with
 * IPC_TEST_SHM=real in the environment it uses the machine's. */
#ifndef HARNESS_HARNESS_H
#define HARNESS_HARNESS_H

/* cmocka.h wants these before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdbool.h>

enum {
    TEST_LIMIT_S = 30,   /* for a case that names no limit */
    TEST_GRACE_MS = 500, /* for orphans that are about to end by themselves */
    TEST_SKIPPED = 77,   /* exit code, as automake and ctest know it */
};

struct test_case {
    const char *name;
    void (*run)(void);
    int limit_s; /* times IPC_TEST_SCALE, see scale.h; 0: TEST_LIMIT_S */
};

#define TEST_CASE(function) TEST_CASE_LIMIT(function, 0)
#define TEST_CASE_LIMIT(function, seconds)                                     \
    {                                                                          \
        .name = #function, .run = (function), .limit_s = (seconds)             \
    }

/* The main() of a test program. */
#define TEST_MAIN(cases)                                                       \
    int main(int argc, char **argv)                                            \
    {                                                                          \
        return test_run((cases), sizeof(cases) / sizeof(cases)[0], argc,       \
                        argv);                                                 \
    }

/* What TEST_MAIN calls: returns the exit code. */
int test_run(const struct test_case *cases, size_t count, int argc,
             char **argv);

/* ---- inside a case ---- */

/* End the case: it cannot run here, for this reason.  In a role (role.h) it
 * ends the role; role_wait_ok() then ends the case. */
_Noreturn void test_skip(const char *reason, ...)
    __attribute__((format(printf, 1, 2)));

/* Fail with a message.  For helpers: the file and line of their caller. */
#define test_fail(...) test_fail_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void test_fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Show a figure in the line of the case.  Also from roles.  The same name
 * again replaces the value. */
void test_report(const char *name, long long value);

/* A folder for this case, made by the first call, in the case or a role of it,
 * and removed after the case with all that is in it. */
const char *test_tmpdir(void);

/* Let the case end with descriptors that it did not start with and whose
 * target, as "ls -l /proc/self/fd" shows it, begins with this: for what the
 * library keeps open for the life of the process.  There is nothing of that
 * kind today. */
void test_allow_fd(const char *target_prefix);

/* How many names this process sees in /dev/shm. */
int test_shm_names(void);

/* Zero-filled memory that this process and those forked from it share, for
 * the whole life of the process; on failure the case fails. */
void *test_shared(size_t size);

/* Nanoseconds on the monotonic clock. */
int64_t test_now_ns(void);

#endif
