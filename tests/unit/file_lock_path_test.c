/* The file of the file lock: what it may be, who may open it, what becomes of
 * its descriptors, and what happens when others touch it. */
#include "file_lock_support.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

static void expect_open_fails(const char *path, int error)
{
    ipc_file_lock *lock = (ipc_file_lock *)&lock;
    const int rc = ipc_file_lock_open(path, &lock);
    if (rc != error)
        test_fail("open of %s gave %d, not %d", path, rc, error);
    assert_ptr_equal(lock, &lock);
    assert_non_null(strstr(ipc_error_detail(), path));
}

/* ---- what it is ---- */

static void open_makes_a_file_that_is_free(void)
{
    char text[128];
    struct stat st;
    (void)umask(027);
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(stat(in_tmpdir("lock"), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    assert_int_equal(descriptors_of(in_tmpdir("lock")), 0);

    /* And leaves it as it is the next time. */
    lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    lock = open_lock("lock");
    assert_int_equal(read_text(in_tmpdir("lock"), text, sizeof text), 64);
    assert_memory_equal(text, "ipc-lock free ", 14);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void empty_file_is_free(void)
{
    write_text(in_tmpdir("lock"), "", 0);
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    /* As an editor or a shell might: the next one starts anew. */
    assert_int_equal(truncate(in_tmpdir("lock"), 0), 0);
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(other_process_tries(), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* 64 bytes. */
#define NO_OWNER "                                                  \n"

static void other_content_is_euclean_and_stays(void)
{
    static const struct {
        const char *text;
        size_t size;
    } contents[] = {
        {"x", 1},
        {"\0", 1},
        {"{\"tickets\": 3}\n", 15},
        {"ipc-lock free", 13},
        {"ipc-lock free\n", 14},
        {"ipc-lock free" NO_OWNER "\n", 65},
        /* 64 bytes that we would not write so */
        {"ipc-lock fred" NO_OWNER, 64},
        {"IPC-lock free" NO_OWNER, 64},
        {"ipc-lock held" NO_OWNER, 64},
        {"ipc-lock lost   pid      12 tid      12 since         1.000000 \n",
         64},
        {"ipc-lock held   pid 0000012 tid      12 since         1.000000\n\n",
         64},
        {"ipc-lock held   pid      12 tid      1x since         1.000000 \n",
         64},
        {"ipc-lock held   pid      12 tid      12 since         1.00000  \n",
         64},
    };
    const char *path = in_tmpdir("lock");
    char text[128];
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        write_text(path, contents[i].text, contents[i].size);
        expect_open_fails(path, -EUCLEAN);
        assert_int_equal(read_text(path, text, sizeof text), contents[i].size);
        assert_memory_equal(text, contents[i].text, contents[i].size);
        assert_int_equal(unlink(path), 0);
    }
}

static void content_spoiled_later_is_euclean(void)
{
    ipc_file_lock *lock = open_lock("lock");
    write_text(in_tmpdir("lock"), "scribble", 8);
    assert_int_equal(ipc_file_lock_acquire(lock), -EUCLEAN);
    assert_int_equal(ipc_file_lock_reset(lock), -EUCLEAN);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), -EUCLEAN);

    /* Nothing is held after the failure. */
    assert_int_equal(truncate(in_tmpdir("lock"), 0), 0);
    assert_int_equal(other_process_tries(), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void record_of_a_dead_program_is_told(void)
{
    static const char record[] =
        "ipc-lock held   pid      12 tid      13 since         1.000000 \n";
    write_text(in_tmpdir("lock"), record, 64);
    ipc_file_lock *lock = open_lock("lock");
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    assert_int_equal(ipc_file_lock_owner(lock, &holder), 0);
    assert_int_equal(holder.pid, 12);
    assert_int_equal(holder.tid, 13);
    assert_int_equal(holder.since_ns, 1000000000);
    assert_false(holder.alive);
    assert_int_equal(ipc_file_lock_acquire(lock), IPC_OWNER_DIED);
    assert_int_equal(ipc_file_lock_consistent(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* ---- what it is not ---- */

static void only_regular_files(void)
{
    expect_open_fails(test_tmpdir(), -EPERM);
    expect_open_fails("/dev/null", -EPERM);

    assert_int_equal(mkfifo(in_tmpdir("fifo"), 0666), 0);
    expect_open_fails(in_tmpdir("fifo"), -EPERM);

    assert_int_equal(mknod(in_tmpdir("socket"), S_IFSOCK | 0666, 0), 0);
    expect_open_fails(in_tmpdir("socket"), -EPERM);

    write_text(in_tmpdir("victim"), "precious", 8);
    assert_int_equal(symlink("victim", in_tmpdir("link")), 0);
    expect_open_fails(in_tmpdir("link"), -EPERM);
    assert_int_equal(symlink("nowhere", in_tmpdir("dangling")), 0);
    expect_open_fails(in_tmpdir("dangling"), -EPERM);
    assert_int_equal(access(in_tmpdir("nowhere"), F_OK), -1);
}

static void missing_folders_and_bad_names(void)
{
    char text[16];
    char name[300];
    expect_open_fails("", -ENOENT);
    expect_open_fails(in_tmpdir("folder/lock"), -ENOENT);
    write_text(in_tmpdir("file"), "precious", 8);
    expect_open_fails(in_tmpdir("file/lock"), -ENOTDIR);
    assert_int_equal(read_text(in_tmpdir("file"), text, sizeof text), 8);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    ipc_file_lock *lock;
    assert_int_equal(ipc_file_lock_open(name, &lock), -ENAMETOOLONG);
}

/* Link or rename "lock". */
static void put_at(const char *name, int (*how)(const char *, const char *))
{
    char from[256];
    (void)snprintf(from, sizeof from, "%s", in_tmpdir("lock"));
    assert_int_equal(how(from, in_tmpdir(name)), 0);
}

static void hard_links_are_one_lock(void)
{
    ipc_file_lock *lock = open_lock("lock");
    put_at("link", link);
    ipc_file_lock *other = open_lock("link");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_acquire(other), -EDEADLK);
    assert_int_equal(ipc_file_lock_close(other), 0);
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void relative_path_means_the_folder_of_open(void)
{
    ipc_file_lock *lock;
    assert_int_equal(chdir(test_tmpdir()), 0);
    assert_int_equal(ipc_file_lock_open("lock", &lock), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(other_process_tries(), -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* ---- other users ---- */

enum {
    NOBODY = 65534
};

static void become_nobody(void)
{
    if (geteuid() != 0)
        test_skip("needs root to become another user");
    assert_int_equal(setgid(NOBODY), 0);
    assert_int_equal(setuid(NOBODY), 0);
}

static void nobody_is_refused(void *arg)
{
    const char *path = arg;
    become_nobody();
    expect_open_fails(path, -EACCES);
}

static void nobody_locks(void *arg)
{
    become_nobody();
    try_once(arg);
}

static void folder_and_file_rights_are_kept(void)
{
    static char in_folder[256], file[256];
    if (geteuid() != 0)
        test_skip("needs root to become another user");
    assert_int_equal(chmod(test_tmpdir(), 0755), 0);
    (void)snprintf(in_folder, sizeof in_folder, "%s", in_tmpdir("new"));
    (void)snprintf(file, sizeof file, "%s", in_tmpdir("lock"));
    assert_int_equal(role_try(nobody_is_refused, in_folder, LIMIT_MS), 0);
    (void)umask(022);
    assert_int_equal(ipc_file_lock_close(open_lock("lock")), 0);
    assert_int_equal(role_try(nobody_is_refused, file, LIMIT_MS), 0);
}

/* As in /tmp, where the kernel may refuse O_CREAT for the files of others. */
static void file_of_another_user_in_a_sticky_folder(void)
{
    if (geteuid() != 0)
        test_skip("needs root to become another user");
    assert_int_equal(chmod(test_tmpdir(), 01777), 0);
    (void)umask(0);
    int *result = test_shared(sizeof *result);
    assert_int_equal(role_try(nobody_locks, result, LIMIT_MS), 0);
    assert_int_equal(*result, 0);
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(role_try(nobody_locks, result, LIMIT_MS), 0);
    assert_int_equal(*result, -EAGAIN);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* ---- removed, replaced ---- */

static void removed_file_is_estale(void)
{
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(unlink(in_tmpdir("lock")), 0);
    assert_int_equal(ipc_file_lock_acquire(lock), -ESTALE);
    assert_int_equal(ipc_file_lock_acquire_nowait(lock), -ESTALE);

    /* Another one may lie there by now; the old handle stays refused. */
    ipc_file_lock *fresh = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(fresh), 0);
    assert_int_equal(ipc_file_lock_acquire(lock), -ESTALE);
    assert_int_equal(ipc_file_lock_release(fresh), 0);
    assert_int_equal(ipc_file_lock_close(fresh), 0);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

static void expect_stale(void *arg)
{
    struct stage *stage = arg;
    ipc_file_lock *lock = open_lock("lock");
    meet_signal(&stage->ready);
    assert_int_equal(ipc_file_lock_acquire(lock), -ESTALE);
}

static void file_replaced_while_waiting_is_estale(void)
{
    struct stage *stage = new_stage();
    struct role role;
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    role_start(&role, expect_stale, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    wait_until_blocked(role.pid, LIMIT_MS);
    put_at("old", rename);
    write_text(in_tmpdir("lock"), "", 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(ipc_file_lock_close(lock), 0);
}

/* Exchanges two names without end. */
static void exchange(void *arg)
{
    char a[256], b[256];
    (void)snprintf(a, sizeof a, "%s", in_tmpdir("lock"));
    (void)snprintf(b, sizeof b, "%s", in_tmpdir("other"));
    meet_signal(arg);
    for (;;)
        if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) != 0)
            role_exit(TEST_SKIPPED);
}

/* What open() finds is not always what it opens.  A descriptor too many of a
 * file whose lock is held must not be closed before that lock is released. */
static void names_exchanged_during_open_lose_no_lock(void)
{
    struct stage *stage = new_stage();
    ipc_file_lock *known = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(known), 0);
    ipc_file_lock *unknown = open_lock("other");
    assert_int_equal(ipc_file_lock_close(unknown), 0);

    struct role role;
    role_start(&role, exchange, &stage->ready);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    const ipc_deadline end = ipc_after_ms(300);
    int spare = 0;
    while (ipc_now() < end) {
        ipc_file_lock *one = open_lock("lock");
        ipc_file_lock *two = open_lock("other");
        assert_int_equal(ipc_file_lock_close(one), 0);
        assert_int_equal(ipc_file_lock_close(two), 0);
    }
    (void)role_kill(&role);

    /* Whichever of the names it has now. */
    struct stat st;
    const char *names[] = {"lock", "other"};
    int held = 0;
    for (int i = 0; i < 2; i++) {
        ipc_file_lock *lock = open_lock(names[i]);
        held += ipc_file_lock_acquire_nowait(lock) == -EDEADLK;
        (void)ipc_file_lock_release(lock);
        assert_int_equal(stat(in_tmpdir(names[i]), &st), 0);
        spare += descriptors_of(in_tmpdir(names[i])) - 1;
        assert_int_equal(ipc_file_lock_close(lock), 0);
    }
    test_report("spare", spare);
    assert_int_equal(held, 1);
    assert_int_equal(ipc_file_lock_release(known), 0);
    assert_int_equal(ipc_file_lock_close(known), 0);
    assert_int_equal(descriptors_of(in_tmpdir("lock")), 0);
    assert_int_equal(descriptors_of(in_tmpdir("other")), 0);
}

/* ---- descriptors ---- */

static void no_descriptor_left_is_emfile(void)
{
    struct rlimit before, none;
    ipc_file_lock *known = open_lock("known");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(close(lowest), 0);
    none = (struct rlimit){(rlim_t)lowest, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

    expect_open_fails(in_tmpdir("lock"), -EMFILE);
    /* One that is open already needs no other. */
    ipc_file_lock *again = open_lock("known");
    assert_int_equal(ipc_file_lock_acquire(again), 0);
    assert_int_equal(ipc_file_lock_release(again), 0);
    assert_int_equal(ipc_file_lock_close(again), 0);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(ipc_file_lock_close(open_lock("lock")), 0);
    assert_int_equal(ipc_file_lock_close(known), 0);
}

static void without_standard_streams(void *arg)
{
    (void)arg;
    char text[128];
    for (int fd = 0; fd < 3; fd++)
        (void)close(fd);
    ipc_file_lock *lock = open_lock("lock");
    (void)printf("not into the lock file\n");
    (void)fflush(stdout);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);
    assert_int_equal(read_text(in_tmpdir("lock"), text, sizeof text), 64);
    assert_memory_equal(text, "ipc-lock free ", 14);
}

static void standard_streams_stay_out_of_it(void)
{
    assert_int_equal(role_try(without_standard_streams, NULL, LIMIT_MS), 0);
}

/* A program that closes all descriptors, as daemons do, and opens others. */
static void descriptor_closed_by_the_program(void)
{
    ipc_file_lock *lock = open_lock("lock");
    int fd = 3;
    struct stat file, st;
    assert_int_equal(stat(in_tmpdir("lock"), &file), 0);
    while (fstat(fd, &st) != 0 || st.st_ino != file.st_ino)
        fd++;
    assert_int_equal(close(fd), 0);
    assert_int_equal(ipc_file_lock_acquire(lock), -EBADF);

    const int other =
        open(in_tmpdir("other"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(other, fd);
    assert_int_equal(ipc_file_lock_acquire(lock), -EBADF);
    assert_int_equal(ipc_file_lock_close(lock), 0);
    assert_int_equal(fstat(other, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(close(other), 0);
}

static void many_handles_share_a_descriptor(void)
{
    enum {
        MANY = 100
    };
    ipc_file_lock *locks[MANY];
    for (int i = 0; i < MANY; i++)
        locks[i] = open_lock("lock");
    assert_int_equal(descriptors_of(in_tmpdir("lock")), 1);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(ipc_file_lock_acquire(locks[i]), 0);
        assert_int_equal(ipc_file_lock_release(locks[i]), 0);
        assert_int_equal(ipc_file_lock_close(locks[i]), 0);
    }
    assert_int_equal(descriptors_of(in_tmpdir("lock")), 0);
}

static void many_files(void)
{
    enum {
        MANY = 50
    };
    ipc_file_lock *locks[MANY];
    char name[24];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "lock-%d", i);
        locks[i] = open_lock(name);
        assert_int_equal(ipc_file_lock_acquire(locks[i]), 0);
    }
    for (int i = 0; i < MANY; i += 2) {
        assert_int_equal(ipc_file_lock_release(locks[i]), 0);
        assert_int_equal(ipc_file_lock_close(locks[i]), 0);
    }
    for (int i = 1; i < MANY; i += 2) {
        assert_int_equal(ipc_file_lock_release(locks[i]), 0);
        assert_int_equal(ipc_file_lock_close(locks[i]), 0);
    }
}

/* ---- a full disk ---- */

static void on_a_full_disk(void *arg)
{
    const char *folder = arg;
    ipc_file_lock *lock = NULL;
    char path[300];
    char page[4096] = {0};
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=8k,nr_inodes=10") != 0)
        test_skip("not permitted to mount");

    /* What was opened in time goes on. */
    (void)snprintf(path, sizeof path, "%s/early", folder);
    assert_int_equal(ipc_file_lock_open(path, &lock), 0);
    (void)snprintf(path, sizeof path, "%s/filler", folder);
    write_text(path, page, sizeof page);
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    assert_int_equal(ipc_file_lock_release(lock), 0);

    (void)snprintf(path, sizeof path, "%s/late", folder);
    expect_open_fails(path, -ENOSPC);
    expect_open_fails(path, -ENOSPC);
    (void)snprintf(path, sizeof path, "%s/filler", folder);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/late", folder);
    ipc_file_lock *late = NULL;
    assert_int_equal(ipc_file_lock_open(path, &late), 0);
    assert_int_equal(ipc_file_lock_acquire(late), 0);
}

static void read_only_disk(void *arg)
{
    const char *folder = arg;
    char path[300];
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", MS_RDONLY, "") != 0)
        test_skip("not permitted to mount");
    (void)snprintf(path, sizeof path, "%s/lock", folder);
    expect_open_fails(path, -EROFS);
}

static void run_on_a_disk_of_its_own(void (*fn)(void *))
{
    static char folder[256];
    (void)snprintf(folder, sizeof folder, "%s", in_tmpdir("disk"));
    assert_int_equal(mkdir(folder, 0777), 0);
    struct role role;
    role_start(&role, fn, folder);
    role_wait_ok(&role, LIMIT_MS);
}

static void full_disk_is_enospc(void)
{
    run_on_a_disk_of_its_own(on_a_full_disk);
}

static void read_only_disk_is_erofs(void)
{
    run_on_a_disk_of_its_own(read_only_disk);
}

/* ---- many at once ---- */

static void open_and_count(void *arg)
{
    struct stage *stage = arg;
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    ipc_file_lock *lock = open_lock("lock");
    assert_int_equal(ipc_file_lock_acquire(lock), 0);
    stage->counter++;
    assert_int_equal(ipc_file_lock_release(lock), 0);
}

static void all_who_open_at_once_get_the_same_lock(void)
{
    enum {
        WHO = 8
    };
    for (int round = 0; round < 20; round++) {
        struct stage *stage = new_stage();
        struct role roles[WHO];
        for (int i = 0; i < WHO; i++)
            role_start(&roles[i], open_and_count, stage);
        meet_wait(&stage->ready, WHO, LIMIT_MS);
        meet_signal(&stage->go);
        for (int i = 0; i < WHO; i++)
            role_wait_ok(&roles[i], LIMIT_MS);
        assert_int_equal(stage->counter, WHO);
        assert_int_equal(unlink(in_tmpdir("lock")), 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(open_makes_a_file_that_is_free),
    TEST_CASE(empty_file_is_free),
    TEST_CASE(other_content_is_euclean_and_stays),
    TEST_CASE(content_spoiled_later_is_euclean),
    TEST_CASE(record_of_a_dead_program_is_told),
    TEST_CASE(only_regular_files),
    TEST_CASE(missing_folders_and_bad_names),
    TEST_CASE(hard_links_are_one_lock),
    TEST_CASE(relative_path_means_the_folder_of_open),
    TEST_CASE(folder_and_file_rights_are_kept),
    TEST_CASE(file_of_another_user_in_a_sticky_folder),
    TEST_CASE(removed_file_is_estale),
    TEST_CASE(file_replaced_while_waiting_is_estale),
    TEST_CASE(names_exchanged_during_open_lose_no_lock),
    TEST_CASE(no_descriptor_left_is_emfile),
    TEST_CASE(standard_streams_stay_out_of_it),
    TEST_CASE(descriptor_closed_by_the_program),
    TEST_CASE(many_handles_share_a_descriptor),
    TEST_CASE(many_files),
    TEST_CASE(full_disk_is_enospc),
    TEST_CASE(read_only_disk_is_erofs),
    TEST_CASE(all_who_open_at_once_get_the_same_lock),
};
TEST_MAIN(cases)
