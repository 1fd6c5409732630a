/* Runs a case, judges how it ended, and cleans up after it. */
#include "harness/internal.h"
#include "harness/scale.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Without this the machine cannot run tests. */
static _Noreturn void give_up(const char *what)
{
    perror(what);
    exit(2); /* NOLINT(concurrency-mt-unsafe): the runner has one thread */
}

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    (void)remove(path);
    return 0;
}

/* SIGINT or SIGTERM has come: clean up before dying of it. */
static volatile sig_atomic_t told_to_stop;

static void on_stop(int signal_number)
{
    told_to_stop = signal_number;
}

static const int stop_signals[] = {SIGINT, SIGTERM};

void test__catch_stop(bool yes)
{
    struct sigaction action = {.sa_handler = yes ? on_stop : SIG_DFL};
    for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
        (void)sigaction(stop_signals[i], &action, NULL);
}

static bool wait_ended(pid_t pid, int limit_s)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        give_up("pidfd_open");
    int64_t end = test_now_ns() + (int64_t)limit_s * 1000000000;
    bool ended = false;
    for (;;) {
        int64_t left_ms = (end - test_now_ns()) / 1000000;
        struct pollfd item = {.fd = fd, .events = POLLIN};
        int rc = poll(&item, 1, left_ms > 0 ? (int)left_ms : 0);
        ended = rc > 0;
        if (ended || left_ms <= 0 || told_to_stop != 0)
            break;
    }
    (void)close(fd);
    return ended;
}

/* The orphans of a case come to us.  Those that end by themselves soon are
 * fine; the others are a cause of failure. */
static void collect_orphans(struct outcome *outcome)
{
    int64_t end = test_now_ns() + (int64_t)TEST_GRACE_MS * 1000000;
    struct lines alive = {NULL, 0};
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
            ;
        lines_free(&alive);
        if (test__children(&alive, false) == 0 || test_now_ns() > end)
            break;
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    for (size_t i = 0; i < alive.count; i++)
        lines_add(&outcome->causes, "process left: %s", alive.text[i]);
    lines_free(&alive);
    test__kill_children();
}

static void collect_names(const struct lines *before, struct outcome *outcome)
{
    struct lines after = {NULL, 0};
    test__shm_list(&after, !test__shm_private());
    for (size_t i = 0; i < after.count; i++) {
        if (lines_has(before, after.text[i]))
            continue;
        lines_add(&outcome->causes, "name left in /dev/shm: %s", after.text[i]);
        char path[300];
        (void)snprintf(path, sizeof path, "/dev/shm/%s", after.text[i]);
        (void)remove(path);
    }
    lines_free(&after);
}

static void add_leaks(const char *text, struct outcome *outcome)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        lines_add(&outcome->causes, "%.*s", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* How the process of the case ended, apart from what it left outside. */
static void judge(struct outcome *outcome)
{
    struct case_page *page = test__page;
    int status = outcome->status;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        lines_add(&outcome->causes, "assertion failed");
    else if (WIFSIGNALED(status))
        lines_add(&outcome->causes, "killed by SIG%s",
                  sigabbrev_np(WTERMSIG(status)));
    else if (page->leaks[0] != '\0')
        add_leaks(page->leaks, outcome);
    else if (!page->finished)
        lines_add(&outcome->causes, "left by exit(%d)", WEXITSTATUS(status));
    else if (status != 0)
        lines_add(&outcome->causes, "exit code %d after its end",
                  WEXITSTATUS(status));
}

static void wait_and_judge(pid_t pid, const struct test_case *test,
                           struct outcome *outcome)
{
    int limit_s = test->limit_s > 0 ? test->limit_s : TEST_LIMIT_S;
    limit_s *= (int)test_scale();
    bool ended = wait_ended(pid, limit_s);
    if (!ended) {
        char what[256];
        test__describe(pid, what, sizeof what);
        lines_add(&outcome->causes, "hung: killed after %d s: %s", limit_s,
                  what);
        (void)kill(-pid, SIGKILL);
    }
    (void)waitpid(pid, &outcome->status, 0);
    if (!ended) {
        test__kill_children();
    } else if (WIFEXITED(outcome->status) &&
               WEXITSTATUS(outcome->status) == TEST_SKIPPED) {
        outcome->verdict = SKIPPED;
        test__kill_children();
    } else {
        judge(outcome);
        /* What a failed case leaves behind is no news. */
        if (outcome->causes.count > 0)
            test__kill_children();
        else
            collect_orphans(outcome);
    }
}

static void open_page(struct outcome *outcome)
{
    struct case_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fd = memfd_create("test-log", MFD_CLOEXEC);
    if (page == MAP_FAILED || fd < 0 || fcntl(fd, F_SETFL, O_APPEND) != 0)
        give_up("memory for a case");
    *outcome = (struct outcome){.page = page, .log_fd = fd};
}

void test__outcome_free(struct outcome *outcome)
{
    (void)munmap(outcome->page, sizeof *outcome->page);
    (void)close(outcome->log_fd);
    lines_free(&outcome->causes);
}

void test__run_case(const struct test_case *test, struct outcome *outcome)
{
    open_page(outcome);
    struct case_page *outer = test__page;
    test__page = outcome->page;
    struct lines names = {NULL, 0};
    test__shm_list(&names, !test__shm_private());

    int64_t start = test_now_ns();
    pid_t runner = getpid();
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid == 0)
        test__case_main(test, outcome->log_fd, runner);
    wait_and_judge(pid, test, outcome);
    outcome->ms = (long)((test_now_ns() - start) / 1000000);

    collect_names(&names, outcome);
    if (outcome->causes.count > 0)
        outcome->verdict = FAILED;
    if (test__page->tmpdir[0] != '\0')
        (void)nftw(test__page->tmpdir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    lines_free(&names);
    test__page = outer;
    if (told_to_stop != 0) {
        test__catch_stop(false);
        (void)raise(told_to_stop);
    }
}
