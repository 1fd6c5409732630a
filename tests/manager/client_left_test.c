/* What embedded servers leave in their folder when they are killed: the next
 * one that is started removes it, and nothing else. */
#include "manager/client_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/libipc/%s", test_tmpdir(), name);
    return path;
}

/* The folder of this case's embedded servers. */
static void begin(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_equal(setenv("XDG_RUNTIME_DIR", test_tmpdir(), 1), 0);
}

static void expect_files(int expected)
{
    int count = 0;
    char all[400] = "";
    DIR *folder = opendir(path_of("."));
    assert_non_null(folder);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours */
    for (const struct dirent *at; (at = readdir(folder)) != NULL;) {
        if (at->d_name[0] == '.')
            continue;
        count++;
        strncat(all, " ", sizeof all - strlen(all) - 1);
        strncat(all, at->d_name, sizeof all - strlen(all) - 1);
    }
    (void)closedir(folder);
    if (count != expected)
        test_fail("%d files, expected %d:%s", count, expected, all);
}

/* Be killed, and the server first: whatever it would do at its starter's end.
 * It has gone when all its threads have. */
static void die_with_the_server(void *arg)
{
    ipc_manager *manager = client_start(NULL);
    ipc_manager_stats stats = IPC_MANAGER_STATS_INIT;
    siginfo_t info;
    (void)arg;
    OK(ipc_manager_query(manager, &stats));
    assert_int_equal(kill((pid_t)stats.pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, stats.pid, &info, WEXITED | WNOWAIT), 0);
    raise(SIGKILL);
}

static void start_and_die(void)
{
    assert_int_equal(role_try(die_with_the_server, NULL, 10000),
                     ROLE_SIGNAL + SIGKILL);
}

static void what_the_killed_have_left_goes_with_the_next_start(void)
{
    begin();
    for (int i = 0; i < 3; i++)
        start_and_die();
    ipc_manager *manager = client_start(NULL);
    expect_files(2);
    OK(ipc_manager_ping(manager, ipc_after_ms(5000)));
    OK(ipc_manager_close(manager));
    expect_files(0);
}

static void what_lives_stays(void)
{
    begin();
    ipc_manager *one = client_start(NULL);
    start_and_die();
    ipc_manager *two = client_start(NULL);
    expect_files(4);
    size_t bytes = 0;
    const void *key = ipc_manager_key(one, &bytes);
    ipc_manager *other = NULL;
    OK(ipc_manager_connect(ipc_manager_address(one), key, bytes, NULL, &other));
    OK(ipc_manager_close(other));
    OK(ipc_manager_close(one));
    expect_files(2);
    OK(ipc_manager_close(two));
    expect_files(0);
}

static void make(const char *name)
{
    const int fd =
        open(path_of(name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void grow_old(const char *name)
{
    const struct timespec times[2] = {{.tv_sec = 1000000000},
                                      {.tv_sec = 1000000000}};
    assert_int_equal(
        utimensat(AT_FDCWD, path_of(name), times, AT_SYMLINK_NOFOLLOW), 0);
}

static void what_is_none_of_theirs_stays(void)
{
    static const char *const foreign[] = {
        "manager", /* another program's */
        "manager.lock",
        "m-0123456789abcde.lock", /* names that we do not give */
        "m-0123456789ABCDEF.lock",
        "m-0123456789abcdef0.lock",
        "m-0123456789abcdef.lock.lock",
        "m-00000000000000aa", /* no socket */
        "m-00000000000000aa.lock",
    };
    const int count = sizeof foreign / sizeof foreign[0];
    begin();
    assert_int_equal(mkdir(path_of(""), 0700), 0);
    for (int i = 0; i < count; i++) {
        make(foreign[i]);
        grow_old(foreign[i]);
    }
    char target[200];
    snprintf(target, sizeof target, "%s/target", test_tmpdir());
    const int fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlink(target, path_of("m-00000000000000bb.lock")), 0);
    grow_old("m-00000000000000bb.lock");
    assert_int_equal(mkfifo(path_of("m-00000000000000cc.lock"), 0600), 0);
    grow_old("m-00000000000000cc.lock");
    assert_int_equal(mkdir(path_of("m-00000000000000dd.lock"), 0700), 0);
    ipc_manager *manager = client_start(NULL);
    OK(ipc_manager_close(manager));
    expect_files(count + 3);
    assert_int_equal(access(target, F_OK), 0);
}

static void a_lock_file_of_one_that_is_just_starting_stays(void)
{
    begin();
    assert_int_equal(mkdir(path_of(""), 0700), 0);
    make("m-00000000000000aa.lock"); /* and locks it in a moment */
    make("m-00000000000000bb.lock");
    grow_old("m-00000000000000bb.lock");
    make("m-00000000000000cc.lock");
    grow_old("m-00000000000000cc.lock");
    const int fd = open(path_of("m-00000000000000cc.lock"), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    ipc_manager *manager = client_start(NULL);
    OK(ipc_manager_close(manager));
    assert_int_equal(access(path_of("m-00000000000000aa.lock"), F_OK), 0);
    assert_int_equal(access(path_of("m-00000000000000bb.lock"), F_OK), -1);
    assert_int_equal(access(path_of("m-00000000000000cc.lock"), F_OK), 0);
    close(fd);
}

static const struct test_case cases[] = {
    TEST_CASE(what_the_killed_have_left_goes_with_the_next_start),
    TEST_CASE(what_lives_stays),
    TEST_CASE(what_is_none_of_theirs_stays),
    TEST_CASE(a_lock_file_of_one_that_is_just_starting_stays),
};

TEST_MAIN(cases)
