/* What results mean, and the line about the last failure. */
#include "harness/harness.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/lock.h>
#include <ipc/process.h>
#include <ipc/rlock.h>
#include <ipc/segment.h>
#include <ipc/shared.h>
#include <ipc/version.h>

#include "core/error.h"

/* ---- ipc_strerror() ---- */

static void every_number_has_a_text(void)
{
    for (int result = -1000; result <= 1000; result++) {
        const char *text = ipc_strerror(result);
        assert_non_null(text);
        assert_true(strlen(text) > 3);
        assert_null(strchr(text, '\n'));
        assert_ptr_equal(ipc_strerror(result), text);
    }
    static const int others[] = {INT_MIN, INT_MIN + 1, -100000, 100000,
                                 INT_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_true(strlen(ipc_strerror(others[i])) > 3);
}

static void texts_tell_results_apart(void)
{
    static const int results[] = {
        0,          IPC_OWNER_DIED, -EAGAIN,          -ETIMEDOUT,
        -EDEADLK,   -EPERM,         -ENOTRECOVERABLE, -EBUSY,
        -EXDEV,     -EUCLEAN,       -EPROTONOSUPPORT, -E2BIG,
        -EINVAL,    -ENOMEM,        -ENOSPC,          -EMFILE,
        -ENFILE,    -EACCES,        -ENOENT,          -EEXIST,
        -EALREADY,  -ECHILD,        -ENOSYS,          -EMSGSIZE,
        -EOVERFLOW, -ESRCH,         -ENOLCK,          -ESTALE};
    enum {
        COUNT = sizeof results / sizeof results[0]
    };
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ipc_strerror(results[i]),
                                    ipc_strerror(results[j]));
    assert_string_equal(ipc_strerror(-ETIMEDOUT), "timed out");
    assert_string_equal(ipc_strerror(-ENOENT), strerrordesc_np(ENOENT));
}

/* ---- ipc_error_detail() ---- */

static const char *detail_of(int rc, int error)
{
    assert_int_equal(rc, error);
    return ipc_error_detail();
}

static void detail_is_about_the_last_failure(void)
{
    ipc_lock lock = {.word_ = 0};
    ipc_segment *segment;
    assert_non_null(strstr(detail_of(ipc_lock_release(&lock), -EPERM), "lock"));
    assert_non_null(strstr(
        detail_of(ipc_segment_open("no-such", &segment), -ENOENT), "no-such"));
    assert_non_null(
        strstr(detail_of(ipc_segment_create("a/b", 1, NULL, &segment), -EINVAL),
               "a/b"));

    /* What works leaves it alone. */
    char before[256];
    (void)snprintf(before, sizeof before, "%s", ipc_error_detail());
    assert_int_equal(ipc_lock_acquire(&lock), 0);
    assert_int_equal(ipc_lock_release(&lock), 0);
    assert_string_equal(ipc_error_detail(), before);
}

static void detail_names_the_object(void)
{
    const ipc_lock_options options = {.size = sizeof options,
                                      .label = "tickets"};
    ipc_lock lock;
    assert_int_equal(ipc_lock_init(&lock, &options), 0);
    assert_int_equal(ipc_lock_acquire(&lock), 0);
    assert_non_null(
        strstr(detail_of(ipc_lock_acquire(&lock), -EDEADLK), "\"tickets\""));
    assert_int_equal(ipc_lock_release(&lock), 0);
}

static void detail_is_one_line_however_long_the_names_are(void)
{
    char name[300];
    ipc_segment *segment;
    memset(name, 'n', sizeof name);
    name[200] = '\0';
    const char *detail = detail_of(ipc_segment_open(name, &segment), -ENOENT);
    assert_true(strlen(detail) > 150);
    assert_true(strlen(detail) < 256);
    (void)ipc__fail(-EIO, "%s%s%s%s%s%s", name, name, name, name, name, name);
    assert_int_equal(strlen(ipc_error_detail()), 1023);
}

static void detail_is_empty_when_there_is_nothing_to_say(void)
{
    assert_string_equal(ipc_error_detail(), "");
    (void)ipc__fail(-EIO, "%s", "something");
    assert_string_equal(ipc_error_detail(), "something");
    assert_int_equal(ipc__fail_plain(-EIO), -EIO);
    assert_string_equal(ipc_error_detail(), "");
}

static void *fail_in_a_thread(void *arg)
{
    assert_string_equal(ipc_error_detail(), "");
    (void)ipc__fail(-EIO, "%s", "of the thread");
    assert_string_equal(ipc_error_detail(), "of the thread");
    return arg;
}

static void each_thread_has_its_own_detail(void)
{
    pthread_t thread;
    (void)ipc__fail(-EIO, "%s", "of the main thread");
    assert_int_equal(pthread_create(&thread, NULL, fail_in_a_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(ipc_error_detail(), "of the main thread");
}

/* Every call that fails says something of its own: never what another one had
 * to say before. */
static const char old[] = "what was before";

static bool remember_the_old(void)
{
    return ipc__fail(-EIO, "%s", old) == -EIO;
}

static void expect_news(const char *call, int rc)
{
    if (rc >= 0 || strcmp(ipc_error_detail(), old) == 0)
        test_fail("%s gave %d, and the detail is \"%s\"", call, rc,
                  ipc_error_detail());
}

#define EXPECT_NEWS(call) expect_news(#call, remember_the_old() ? (call) : 0)

static void failures_of_processes_are_news(void)
{
    ipc_process p = {.state_ = 0};
    int code;
    EXPECT_NEWS(ipc_process_start(&p));
    EXPECT_NEWS(ipc_process_join(&p));
    EXPECT_NEWS(ipc_process_exitcode(&p, &code));
    EXPECT_NEWS(ipc_process_kill(&p));
    EXPECT_NEWS(ipc_process_fd(&p));
    EXPECT_NEWS(ipc_process_signal(ipc_current_process(), 1000));
    EXPECT_NEWS(ipc_process_join(ipc_current_process()));
    EXPECT_NEWS(ipc_process_close(ipc_current_process()));
}

static void failures_of_locks_are_news(void)
{
    ipc_lock lock = {.word_ = 0};
    ipc_lock given_up = {.word_ = UINT32_MAX};
    ipc_rlock rlock = {.depth_ = 0};
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    ipc_lock *named;
    EXPECT_NEWS(ipc_lock_release(&lock));
    EXPECT_NEWS(ipc_lock_consistent(&lock));
    EXPECT_NEWS(ipc_lock_reset(&lock));
    EXPECT_NEWS(ipc_lock_owner(&lock, &holder));
    EXPECT_NEWS(ipc_lock_acquire(&given_up));
    EXPECT_NEWS(ipc_lock_owner(&given_up, &holder));
    EXPECT_NEWS(ipc_lock_close(&lock));
    EXPECT_NEWS(ipc_lock_open("no-such", &named));
    EXPECT_NEWS(ipc_rlock_release(&rlock));
    assert_int_equal(ipc_lock_acquire(&lock), 0);
    EXPECT_NEWS(ipc_lock_acquire_nowait(&lock));
    EXPECT_NEWS(ipc_lock_fini(&lock));
    holder.size = 0;
    EXPECT_NEWS(ipc_lock_owner(&lock, &holder));
    assert_int_equal(ipc_lock_release(&lock), 0);
}

static void failures_of_memory_are_news(void)
{
    int own = 0;
    ipc_segment *segment;
    EXPECT_NEWS(ipc_segment_open("", &segment));
    EXPECT_NEWS(ipc_segment_create("one", 0, NULL, &segment));
    EXPECT_NEWS(ipc_segment_unlink("no-such"));
    EXPECT_NEWS(ipc_shared_free(&own));
    EXPECT_NEWS(ipc_shared_alloc(0) == NULL ? -1 : 0);
}

/* ---- version ---- */

static void version_is_that_of_the_header(void)
{
    assert_int_equal(ipc_version_number(), IPC_VERSION_NUMBER);
    assert_string_equal(ipc_version(), IPC_VERSION_STRING);
}

static const struct test_case cases[] = {
    TEST_CASE(every_number_has_a_text),
    TEST_CASE(texts_tell_results_apart),
    TEST_CASE(detail_is_about_the_last_failure),
    TEST_CASE(detail_names_the_object),
    TEST_CASE(detail_is_one_line_however_long_the_names_are),
    TEST_CASE(detail_is_empty_when_there_is_nothing_to_say),
    TEST_CASE(each_thread_has_its_own_detail),
    TEST_CASE(failures_of_processes_are_news),
    TEST_CASE(failures_of_locks_are_news),
    TEST_CASE(failures_of_memory_are_news),
    TEST_CASE(version_is_that_of_the_header),
};
TEST_MAIN(cases)
