/* ipc-managerd: what it writes to standard error, and what it finds there. */
#include "manager/daemon_support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>

static void knock(void)
{
    ipc_manager *manager = daemon_connect(daemon_address(), NULL);
    assert_int_equal(ipc_manager_close(manager), 0);
}

static void expect_in(const char *log, const char *text)
{
    if (strstr(log, text) == NULL)
        test_fail("no '%s' in: %s", text, log);
}

static void lines_begin_with_its_name(void)
{
    struct daemon daemon = {.words = {"--listen", daemon_address()}};
    daemon_start(&daemon);
    daemon_stop(&daemon, SIGTERM);
    char *log = daemon_log();
    for (const char *at = log; *at != '\0'; at += strcspn(at, "\n") + 1)
        if (strncmp(at, "ipc-managerd: ", 14) != 0)
            test_fail("a line without its name: %s", at);
    expect_in(log, "ipc-managerd: listening at unix:");
    free(log);
}

static void only_what_is_asked_for_is_logged(void)
{
    struct daemon daemon = {
        .words = {"--listen", daemon_address(), "--log-level", "debug"}};
    daemon_start(&daemon);
    knock();
    daemon_log_has("debug: ");
    daemon_stop(&daemon, SIGTERM);

    daemon.words[3] = "warning";
    daemon_start(&daemon);
    knock();
    daemon_stop(&daemon, SIGTERM);
    char *log = daemon_log();
    assert_string_equal(log, "");
    free(log);
}

/* ---- the journal ---- */

static void name_stream(int fd, char out[64])
{
    struct stat about;
    assert_int_equal(fstat(fd, &about), 0);
    (void)snprintf(out, 64, "%llu:%llu", (unsigned long long)about.st_dev,
                   (unsigned long long)about.st_ino);
}

static void to_the_journal_lines_begin_with_their_level(void)
{
    int ends[2];
    char stream[64], log[4096];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    name_stream(ends[1], stream);
    struct daemon daemon = {.words = {"--listen", daemon_address()},
                            .journal = stream,
                            .err = ends[1]};
    daemon_start(&daemon);
    daemon_stop(&daemon, SIGTERM);
    (void)close(ends[1]);
    const ssize_t bytes = read(ends[0], log, sizeof log - 1);
    assert_true(bytes > 0);
    log[bytes] = '\0';
    (void)close(ends[0]);
    for (const char *at = log; *at != '\0'; at += strcspn(at, "\n") + 1)
        if (strncmp(at, "<6>", 3) != 0)
            test_fail("a line without its level: %s", at);
    expect_in(log, "<6>listening at unix:");
}

/* JOURNAL_STREAM is inherited by all; standard error may be another by now. */
static void it_is_not_the_journal_because_somebody_says_so(void)
{
    struct daemon daemon = {.words = {"--listen", daemon_address()},
                            .journal = "1:1"};
    daemon_start(&daemon);
    daemon_stop(&daemon, SIGTERM);
    char *log = daemon_log();
    expect_in(log, "ipc-managerd: listening at");
    free(log);
}

/* ---- nobody reads it ---- */

static void fill(int fd)
{
    static const char zeros[4096];
    const int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        continue;
    assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

static void drain(int fd, char *out, size_t room)
{
    struct pollfd place = {.fd = fd, .events = POLLIN};
    size_t bytes = 0;
    while (poll(&place, 1, 0) == 1 && (place.revents & POLLIN) != 0) {
        char some[4096];
        const ssize_t n = read(fd, some, sizeof some);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            if (some[i] != '\0' && bytes + 1 < room)
                out[bytes++] = some[i];
    }
    out[bytes] = '\0';
}

static void who_does_not_read_the_log_does_not_hold_it_up(void)
{
    int ends[2];
    char log[4096];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fill(ends[1]);
    struct daemon daemon = {.words = {"--listen", daemon_address()},
                            .err = ends[1]};
    daemon_start(&daemon);
    knock();
    drain(ends[0], log, sizeof log);
    assert_string_equal(log, "");
    assert_int_equal(kill(daemon.role.pid, SIGHUP), 0);
    assert_int_equal(poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, 10000), 1);
    daemon_stop(&daemon, SIGTERM);
    drain(ends[0], log, sizeof log);
    expect_in(log, "warning: ");
    expect_in(log, " lines were not read, and lost\n");
    expect_in(log, "SIGHUP");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void it_goes_on_when_the_log_is_closed(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct daemon daemon = {.words = {"--listen", daemon_address()},
                            .err = ends[1]};
    daemon_start(&daemon);
    (void)close(ends[0]);
    (void)close(ends[1]);
    knock();
    assert_int_equal(kill(daemon.role.pid, SIGHUP), 0);
    knock();
    daemon_stop(&daemon, SIGTERM);
}

/* Or the first files that it opens would get its log. */
static void without_standard_descriptors_it_does_not_write_into_its_files(void)
{
    struct daemon daemon = {.words = {"--listen", daemon_address(), "--store",
                                      daemon_file("store"), "--durability",
                                      "always"},
                            .closed = true};
    daemon_start(&daemon);
    knock();
    daemon_stop(&daemon, SIGTERM);
    daemon_says(0, NULL, "--key-file", daemon_file("key"), "--listen",
                daemon_address(), "--store", daemon_file("store"), "--check");
}

/* ---- descriptors ---- */

/* "  1048576    1048576  files" */
static bool are_same(const char *soft)
{
    soft += strspn(soft, " ");
    const size_t bytes = strcspn(soft, " ");
    const char *hard = soft + bytes + strspn(soft + bytes, " ");
    return bytes != 0 && strncmp(soft, hard, bytes + 1) == 0;
}

static void it_may_have_as_many_descriptors_as_the_system_lets_it(void)
{
    char path[64], line[256];
    bool is_same = false;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 100 ? limit.rlim_max : 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct daemon daemon = {.words = {"--listen", daemon_address()}};
    daemon_start(&daemon);
    (void)snprintf(path, sizeof path, "/proc/%d/limits", daemon.role.pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "Max open files", 14) == 0)
            is_same = are_same(line + 14);
    (void)fclose(file);
    assert_true(is_same);
    daemon_stop(&daemon, SIGTERM);
}

static const struct test_case cases[] = {
    TEST_CASE(lines_begin_with_its_name),
    TEST_CASE(only_what_is_asked_for_is_logged),
    TEST_CASE(to_the_journal_lines_begin_with_their_level),
    TEST_CASE(it_is_not_the_journal_because_somebody_says_so),
    TEST_CASE(who_does_not_read_the_log_does_not_hold_it_up),
    TEST_CASE(it_goes_on_when_the_log_is_closed),
    TEST_CASE(without_standard_descriptors_it_does_not_write_into_its_files),
    TEST_CASE(it_may_have_as_many_descriptors_as_the_system_lets_it),
};

TEST_MAIN(cases)
