/* Named memory with other users about, and across pid namespaces: what is not
 * ours is refused and left alone, what is ours is not theirs. */
#include "harness/faults.h"
#include "unit/segment_support.h"

#include <sched.h>
#include <sys/wait.h>

#include <ipc/lock.h>
#include <ipc/shared.h>

static void run(void (*part)(void *arg), void *arg)
{
    struct role role;
    role_start(&role, part, arg);
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- names that somebody else took ---- */

struct squat {
    char name[80];
    char victim[200]; /* a file of ours, outside */
    int kind;
};

enum {
    SEGMENT,
    OPEN_SEGMENT, /* that everybody may write */
    PLAIN_FILE,
    SYMLINK,
    FIFO,
    FOLDER,
    HARD_LINK,
    SQUATS
};

static void take_the_name(void *arg)
{
    const struct squat *squat = arg;
    const char *path = shm_path(squat->name);
    become_nobody();
    switch (squat->kind) {
    case SEGMENT:
    case OPEN_SEGMENT: {
        ipc_segment *segment = make_segment(squat->name, 1000);
        assert_int_equal(ipc_segment_close(segment), 0);
        if (squat->kind == OPEN_SEGMENT)
            assert_int_equal(chmod(path, 0666), 0);
        break;
    }
    case PLAIN_FILE: {
        const int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
        assert_int_equal(write(fd, "mine", 4), 4);
        (void)close(fd);
        break;
    }
    case SYMLINK:
        assert_int_equal(symlink(squat->victim, path), 0);
        break;
    case FIFO:
        assert_int_equal(mkfifo(path, 0666), 0);
        break;
    case FOLDER:
        assert_int_equal(mkdir(path, 0777), 0);
        break;
    default:
        /* Of a segment of ours.  Kernels with protected hard links forbid
         * that. */
        if (link(shm_path("victim"), path) != 0)
            test_skip("hard links to files of others are forbidden here");
        break;
    }
}

static void expect_not_fooled(const struct squat *squat)
{
    struct stat before, after;
    ipc_segment *segment = NULL;
    ipc_lock *lock = NULL;
    assert_int_equal(lstat(shm_path(squat->name), &before), 0);
    expect_no_open(squat->name, -EPERM);
    expect_no_open_or_create(squat->name, -EPERM);
    int rc = ipc_segment_create(squat->name, 100, NULL, &segment);
    if (rc != -EEXIST && rc != -EPERM)
        test_fail("create: %d", rc);
    rc = ipc_lock_open_or_create(squat->name, NULL, &lock);
    if (rc != -EPERM)
        test_fail("lock: %d", rc);
    expect_failure(ipc_segment_unlink(squat->name), -EPERM, "unlink");
    run_gc(0);
    assert_int_equal(lstat(shm_path(squat->name), &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_mode, before.st_mode);
}

static void expect_victim_untouched(const char *path)
{
    char text[16] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof text - 1), 6);
    assert_string_equal(text, "intact");
    (void)close(fd);
}

static void need_root(void)
{
    if (geteuid() != 0)
        test_skip("only root can become another user");
}

static void squat_and_look(int kind)
{
    struct squat squat = {.kind = kind};
    struct role role;
    need_root();
    (void)snprintf(squat.name, sizeof squat.name, "%s", shm_name("squat"));
    (void)snprintf(squat.victim, sizeof squat.victim, "%s/victim",
                   test_tmpdir());
    const int fd =
        open(squat.victim, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "intact", 6), 6);
    (void)close(fd);

    role_start(&role, take_the_name, &squat);
    role_wait_ok(&role, LIMIT_MS);
    expect_not_fooled(&squat);
    expect_victim_untouched(squat.victim);
    assert_int_equal(unlink(squat.victim), 0);
    assert_int_equal(remove(shm_path(squat.name)), 0);
}

static void names_taken_by_another_user_are_refused(void)
{
    for (int kind = 0; kind < HARD_LINK; kind++)
        squat_and_look(kind);
}

static void hard_links_by_another_user_are_refused(void)
{
    need_root();
    ipc_segment *segment = make_segment("victim", 100);
    write_text(segment, "intact");
    struct squat squat = {.kind = HARD_LINK};
    struct role role;
    int status = 0;
    (void)snprintf(squat.name, sizeof squat.name, "%s", shm_name("squat"));
    role_start(&role, take_the_name, &squat);
    assert_true(role_dead_within(&role, LIMIT_MS, &status));
    if (status == 0) {
        expect_no_open(squat.name, -EPERM);
        assert_int_equal(unlink(shm_path(squat.name)), 0);
    }
    assert_string_equal(ipc_segment_data(segment), "intact");
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment("victim");
    if (status != 0)
        test_skip("hard links to files of others are forbidden here");
}

/* ---- what is ours is not theirs ---- */

/* -EACCES by the kernel, or -EPERM by us, whoever looks first. */
static void expect_refused(int rc, const char *what)
{
    if ((rc != -EACCES && rc != -EPERM) || ipc_error_detail()[0] == '\0')
        test_fail("%s: %d", what, rc);
}

static void expect_all_refused(const char *name)
{
    ipc_segment *segment = NULL;
    expect_refused(ipc_segment_open(name, &segment), "open");
    expect_refused(ipc_segment_open_or_create(name, 10, NULL, &segment),
                   "open_or_create");
    expect_refused(ipc_segment_unlink(name), "unlink");
    expect_no_create(name, -EEXIST);
}

static void try_as_nobody(void *arg)
{
    ipc_lock *lock = NULL;
    become_nobody();
    expect_all_refused(arg);
    expect_refused(ipc_lock_open(shm_name("lock"), &lock), "lock");
    run_gc(0);
    assert_true(shm_exists(shm_name("abandoned")));
}

static void try_open_file_as_nobody(void *arg)
{
    become_nobody();
    expect_all_refused(arg);
}

static void expect_mode_0600(const char *name)
{
    struct stat st;
    assert_int_equal(stat(shm_path(name), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void another_user_cannot_attach(void)
{
    char name[80];
    ipc_lock *lock = NULL;
    need_root();
    (void)snprintf(name, sizeof name, "%s", shm_name("a"));
    const mode_t mask = umask(0);
    ipc_segment *segment = make_segment(name, 100);
    assert_int_equal(ipc_lock_create(shm_name("lock"), NULL, &lock), 0);
    (void)umask(mask);
    leave_abandoned(shm_name("abandoned"), 0);
    expect_mode_0600(name);
    expect_mode_0600(shm_name("lock"));
    expect_mode_0600(shm_name("abandoned"));
    run(try_as_nobody, name);

    assert_int_equal(chmod(shm_path(name), 0666), 0);
    run(try_open_file_as_nobody, name);
    assert_int_equal(chmod(shm_path(name), 0600), 0);

    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);
    assert_int_equal(ipc_lock_close(lock), 0);
    assert_int_equal(ipc_lock_unlink(shm_name("lock")), 0);
    run_gc(1);
    assert_false(shm_exists(shm_name("abandoned")));
}

/* ---- pid namespaces ---- */

/* Names too: inside there is no session to name them after. */
struct outside {
    char segment[80];
    char lock[80];
    char abandoned[80];
    char removed[80];
    ipc_lock *inherited;
    void *memory;
};

static void look_from_inside(const struct outside *outside)
{
    ipc_lock *lock = NULL;
    expect_no_open(outside->segment, -EXDEV);
    expect_no_open_or_create(outside->segment, -EXDEV);
    expect_no_create(outside->segment, -EEXIST);
    expect_failure(ipc_lock_open(outside->lock, &lock), -EXDEV, "lock");
    run_gc(0); /* the abandoned one is not ours to judge */
    assert_true(shm_exists(outside->abandoned));

    expect_failure(ipc_shared_init(), -EXDEV, "init");
    assert_null(ipc_shared_alloc(10));
    expect_failure(ipc_shared_free(outside->memory), -EXDEV, "free");
    expect_failure(ipc_lock_acquire(outside->inherited), -EXDEV, "acquire");
    /* A name can be removed without being used. */
    unlink_segment(outside->removed);
}

static void enter_and_look(void *arg)
{
    int flags = CLONE_NEWPID;
    if (geteuid() != 0)
        flags |= CLONE_NEWUSER;
    if (unshare(flags) != 0)
        test_skip("no pid namespaces here: %m");
    /* Not a role: it could not see that we are its parent. */
    const pid_t pid = fork();
    if (pid == 0) {
        look_from_inside(arg);
        role_exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void another_pid_namespace_cannot_attach(void)
{
    struct outside outside;
    ipc_lock *lock = NULL;
    (void)snprintf(outside.segment, sizeof outside.segment, "%s",
                   shm_name("a"));
    (void)snprintf(outside.lock, sizeof outside.lock, "%s", shm_name("lock"));
    (void)snprintf(outside.abandoned, sizeof outside.abandoned, "%s",
                   shm_name("abandoned"));
    (void)snprintf(outside.removed, sizeof outside.removed, "%s",
                   shm_name("removed"));
    outside.memory = ipc_shared_alloc(100);
    assert_non_null(outside.memory);
    assert_int_equal(ipc_lock_new(NULL, &outside.inherited), 0);
    ipc_segment *segment = make_segment(outside.segment, 100);
    assert_int_equal(ipc_lock_create(outside.lock, NULL, &lock), 0);
    assert_int_equal(ipc_segment_close(make_segment(outside.removed, 1)), 0);
    leave_abandoned(outside.abandoned, 0);

    struct role role;
    int status = 0;
    role_start(&role, enter_and_look, &outside);
    assert_true(role_dead_within(&role, LIMIT_MS, &status));

    run_gc(1);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(outside.segment);
    assert_int_equal(ipc_lock_close(lock), 0);
    assert_int_equal(ipc_lock_unlink(outside.lock), 0);
    assert_int_equal(ipc_lock_free(outside.inherited), 0);
    assert_int_equal(ipc_shared_free(outside.memory), 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED) {
        unlink_segment(outside.removed);
        test_skip("no pid namespaces here");
    }
    assert_int_equal(status, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(names_taken_by_another_user_are_refused),
    TEST_CASE(hard_links_by_another_user_are_refused),
    TEST_CASE(another_user_cannot_attach),
    TEST_CASE(another_pid_namespace_cannot_attach),
};
TEST_MAIN(cases)
