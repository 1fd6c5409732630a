/* The harness, run on cases that misbehave: each must be reported. */
#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a run inside of a case ---- */

struct inner_run {
    const struct test_case *cases;
    size_t count;
    char *argument;
    int out; /* what it printed */
};

static void run_inner(void *arg)
{
    const struct inner_run *run = arg;
    char program[] = "inner";
    char *argv[] = {program, run->argument, NULL};
    if (dup2(run->out, 1) < 0 || dup2(run->out, 2) < 0)
        role_exit(99);
    role_exit(test_run(run->cases, run->count, run->argument ? 2 : 1, argv));
}

/* Returns the exit code; text gets what was printed. */
static int run_cases(const struct test_case *cases, size_t count,
                     char *argument, char *text, size_t size)
{
    struct inner_run run = {cases, count, argument, -1};
    run.out = memfd_create("inner", MFD_CLOEXEC);
    assert_true(run.out >= 0);
    struct role role;
    role_start(&role, run_inner, &run);
    int status = role_wait_dead(&role, 20000);
    ssize_t length = pread(run.out, text, size - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    (void)close(run.out);
    fputs(text, stdout);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Run one case, which must fail and say so with this text. */
static void expect_failure_within(void (*fn)(void), const char *text,
                                  int limit_s)
{
    char printed[8192];
    const struct test_case inner = {"inner_case", fn, limit_s};
    assert_int_equal(run_cases(&inner, 1, NULL, printed, sizeof printed), 1);
    assert_non_null(strstr(printed, "FAIL  inner_case"));
    if (strstr(printed, text) == NULL)
        test_fail("the report does not say: %s", text);
}

static void expect_failure(void (*fn)(void), const char *text)
{
    expect_failure_within(fn, text, 10);
}

/* Shared by the processes of an inner run and by us: words, or a text. */
static uint32_t *word;

static void use_word(void)
{
    word = test_shared(4096);
}

/* ---- cases that misbehave ---- */

static void leaves_an_fd(void)
{
    assert_true(open("/dev/null", O_RDONLY) >= 0);
}

static void fd_left_is_reported(void)
{
    expect_failure(leaves_an_fd, "descriptor left open");
}

static void closes_a_foreign_fd(void)
{
    (void)close(0);
}

static void foreign_fd_closed_is_reported(void)
{
    expect_failure(closes_a_foreign_fd, "descriptor closed");
}

static int make_shm(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    return fd;
}

static void leaves_a_name(void)
{
    (void)close(make_shm("/harness_test_left"));
}

static void name_left_is_reported_and_removed(void)
{
    expect_failure(leaves_a_name, "left in /dev/shm: harness_test_left");
    assert_int_equal(shm_unlink("/harness_test_left"), -1);
    assert_int_equal(errno, ENOENT);
}

static void leaves_a_mapping(void)
{
    int fd = make_shm("/harness_test_mapped");
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    (void)close(fd);
    (void)shm_unlink("/harness_test_mapped");
}

static void mapping_left_is_reported(void)
{
    expect_failure(leaves_a_mapping, "mapping left: /dev/shm/");
}

static void map_memfd(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    (void)close(fd);
}

static void maps_family_memory(void)
{
    map_memfd("libipc");
}

static void maps_family_memory_twice(void)
{
    map_memfd("libipc");
    map_memfd("libipc");
}

static void family_memory_may_stay_mapped_once(void)
{
    char printed[8192];
    const struct test_case inner[] = {TEST_CASE(maps_family_memory)};
    assert_int_equal(run_cases(inner, 1, NULL, printed, sizeof printed), 0);
    expect_failure(maps_family_memory_twice, "mapping left: /memfd:libipc");
}

static void *wait_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        (void)pause();
    return NULL;
}

static void leaves_a_thread(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
    (void)pthread_detach(thread);
}

static void thread_left_is_reported(void)
{
    expect_failure(leaves_a_thread, "threads left running: 1");
}

/* In another session, and deaf to what can be ignored. */
static pid_t fork_stubborn(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setsid();
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN);
        word[1] = (uint32_t)getpid();
        meet_signal(word);
        (void)wait_for_ever(NULL);
    }
    assert_true(meet_within(word, 1, 5000));
    return pid;
}

static void expect_stubborn_gone(void)
{
    assert_int_not_equal(word[1], 0);
    assert_int_equal(kill((pid_t)word[1], 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void leaves_a_child(void)
{
    (void)fork_stubborn();
}

static void child_left_is_reported_and_killed(void)
{
    use_word();
    expect_failure(leaves_a_child, "child left");
    expect_stubborn_gone();
}

static void leaves_a_zombie(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void zombie_left_is_reported(void)
{
    expect_failure(leaves_a_zombie, "child left");
}

static void leaves_an_orphan(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)fork_stubborn();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void orphan_left_is_reported_and_killed(void)
{
    use_word();
    expect_failure(leaves_an_orphan, "process left: pid");
    expect_stubborn_gone();
}

static void hangs(void)
{
    (void)fork_stubborn();
    (void)wait_for_ever(NULL);
}

static void hang_is_reported_and_everything_killed(void)
{
    use_word();
    expect_failure_within(hangs, "hung: killed after", 1);
    expect_stubborn_gone();
}

static void crashes(void)
{
    (void)raise(SIGUSR1);
}

static void crash_is_reported(void)
{
    expect_failure(crashes, "killed by SIGUSR1");
}

static void exits(void)
{
    exit(0); /* NOLINT(concurrency-mt-unsafe): there is one thread */
}

static void early_exit_is_reported(void)
{
    expect_failure(exits, "left by exit(0)");
}

/* The line that must be named in a report. */
static char *line_text(int line)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "harness_test.c:%d", line);
    return text;
}

enum {
    ASSERTION_LINE = __LINE__ + 5
};

static void fails_an_assertion(void)
{
    assert_int_equal(1 + 1, 3);
}

static void failed_assertion_is_reported_with_its_line(void)
{
    expect_failure(fails_an_assertion, line_text(ASSERTION_LINE));
    expect_failure(fails_an_assertion, "assertion failed");
}

static void *assert_in_thread(void *arg)
{
    (void)arg;
    fails_an_assertion();
    return NULL;
}

static void fails_in_a_thread(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, assert_in_thread, NULL), 0);
    (void)pthread_join(thread, NULL);
}

static void assert_in_role(void *arg)
{
    (void)arg;
    fails_an_assertion();
}

static void fails_in_a_role(void)
{
    struct role role;
    role_start(&role, assert_in_role, NULL);
    role_wait_ok(&role, 5000);
}

static void failed_assertion_of_thread_or_role_is_reported(void)
{
    expect_failure(fails_in_a_thread, line_text(ASSERTION_LINE));
    expect_failure(fails_in_a_role, line_text(ASSERTION_LINE));
    expect_failure(fails_in_a_role, "was killed by SIGABRT");
}

/* ---- cases that behave ---- */

static void skips(void)
{
    test_skip("no %s here", "moon");
}

static void passes(void)
{
    test_report("answer", 41);
    test_report("answer", 42);
    const char *dir = test_tmpdir();
    char path[200];
    (void)snprintf(path, sizeof path, "%s/file", dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf((char *)word, 200, "%s", dir);
}

static void skip_and_figures_are_printed(void)
{
    char printed[8192];
    use_word();
    const struct test_case both[] = {TEST_CASE(passes), TEST_CASE(skips)};
    assert_int_equal(run_cases(both, 2, NULL, printed, sizeof printed), 0);
    assert_non_null(strstr(printed, "no moon here"));
    assert_non_null(strstr(printed, " answer=42\n"));
    assert_non_null(strstr(printed, "1 ok, 0 failed, 1 skipped"));

    struct stat st; /* the folder of the case is gone, with what was in it */
    assert_int_equal(stat((char *)word, &st), -1);
}

static void all_skipped_exits_with_77(void)
{
    char printed[8192];
    const struct test_case inner[] = {TEST_CASE(skips), TEST_CASE(skips)};
    assert_int_equal(run_cases(inner, 2, NULL, printed, sizeof printed), 77);
}

/* ---- the program is ended ---- */

static void makes_a_mess_and_hangs(void)
{
    (void)snprintf((char *)(word + 2), 200, "%s", test_tmpdir());
    (void)close(make_shm("/harness_test_mess"));
    hangs();
}

static void run_a_mess(void *arg)
{
    char program[] = "inner";
    char *argv[] = {program, NULL};
    const struct test_case inner[] = {TEST_CASE(makes_a_mess_and_hangs)};
    (void)arg;
    (void)test_run(inner, 1, 1, argv);
}

static void terminated_program_cleans_up(void)
{
    use_word();
    struct role role;
    role_start(&role, run_a_mess, NULL);
    meet_wait(word, 1, 5000);
    (void)kill(role.pid, SIGTERM);
    int status = role_wait_dead(&role, 5000);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    expect_stubborn_gone();
    struct stat st;
    assert_int_equal(stat((char *)(word + 2), &st), -1);
    assert_int_equal(shm_unlink("/harness_test_mess"), -1);
}

static void fd_left_may_be_allowed(void)
{
    test_allow_fd("/dev/zero");
    assert_true(open("/dev/zero", O_RDONLY) >= 0);
}

static void arguments_choose_cases(void)
{
    char printed[8192], list[] = "--list", one[] = "skips", none[] = "jump";
    const struct test_case both[] = {TEST_CASE(crashes), TEST_CASE(skips)};
    assert_int_equal(run_cases(both, 2, list, printed, sizeof printed), 0);
    assert_string_equal(printed, "crashes\nskips\n");
    assert_int_equal(run_cases(both, 2, one, printed, sizeof printed), 77);
    assert_int_equal(run_cases(both, 2, none, printed, sizeof printed), 2);
}

/* ---- roles and meeting ---- */

static void wait_for_two(void *arg)
{
    meet_wait((uint32_t *)arg, 2, 5000);
}

static void meeting_wakes_a_sleeping_role(void)
{
    use_word();
    struct role role;
    role_start(&role, wait_for_two, word);
    wait_until_sleeping(role.pid, 5000);
    assert_true(asleep_on(role.pid, word));
    meet_signal(word);
    wait_until_sleeping(role.pid, 5000);
    assert_false(thread_ended(role.pid));
    meet_signal(word);
    role_wait_ok(&role, 5000);
    assert_int_equal(*word, 2);
}

static void count_for_ever(void *arg)
{
    for (;;)
        (void)__atomic_add_fetch((uint32_t *)arg, 1, __ATOMIC_SEQ_CST);
}

static void stopped_role_stands_still(void)
{
    use_word();
    struct role role;
    role_start(&role, count_for_ever, word);
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0)
        poll_pause();
    assert_false(asleep_in_futex(role.pid));
    role_stop(&role);
    uint32_t seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 20; i++)
        poll_pause();
    assert_int_equal(__atomic_load_n(word, __ATOMIC_SEQ_CST), seen);
    role_cont(&role);
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == seen)
        poll_pause();
    int status = role_kill(&role);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void exit_with_seven(void *arg)
{
    (void)arg;
    role_exit(7);
}

static void trying_tells_how_it_ended(void)
{
    use_word();
    assert_int_equal(role_try(exit_with_seven, NULL, 5000), 7);
    assert_int_equal(role_try(count_for_ever, word, 20), ROLE_HUNG);
    assert_int_equal(role_try(assert_in_role, NULL, 5000),
                     ROLE_SIGNAL + SIGABRT);
}

static const struct test_case cases[] = {
    TEST_CASE(fd_left_is_reported),
    TEST_CASE(foreign_fd_closed_is_reported),
    TEST_CASE(fd_left_may_be_allowed),
    TEST_CASE(name_left_is_reported_and_removed),
    TEST_CASE(mapping_left_is_reported),
    TEST_CASE(family_memory_may_stay_mapped_once),
    TEST_CASE(thread_left_is_reported),
    TEST_CASE(child_left_is_reported_and_killed),
    TEST_CASE(zombie_left_is_reported),
    TEST_CASE(orphan_left_is_reported_and_killed),
    TEST_CASE(hang_is_reported_and_everything_killed),
    TEST_CASE(crash_is_reported),
    TEST_CASE(early_exit_is_reported),
    TEST_CASE(failed_assertion_is_reported_with_its_line),
    TEST_CASE(failed_assertion_of_thread_or_role_is_reported),
    TEST_CASE(skip_and_figures_are_printed),
    TEST_CASE(all_skipped_exits_with_77),
    TEST_CASE(terminated_program_cleans_up),
    TEST_CASE(arguments_choose_cases),
    TEST_CASE(meeting_wakes_a_sleeping_role),
    TEST_CASE(stopped_role_stands_still),
    TEST_CASE(trying_tells_how_it_ended),
};
TEST_MAIN(cases)
