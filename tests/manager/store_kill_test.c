/* The store: a writer that is killed at any moment, a disk that is full, a disk
 * that fails. */
#include "manager/store_support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "harness/faults.h"
#include "harness/role.h"
#include "harness/scale.h"

/* ---- kills ----
 *
 * The writer counts: each group says the next number for both of two objects,
 * and only when it is committed the number is told.  Now and then it makes a
 * snapshot of one, which is the number alone. */

struct stage {
    uint64_t told;    /* the last number that was acknowledged */
    uint64_t commits; /* of all writers */
};

static void log_number(struct ipcm__store *store, uint64_t object,
                       uint64_t number)
{
    const struct ipcm__store_entry entry = {
        .object = object, .op = 1, .args = &number, .arg_bytes = sizeof number};
    ok(ipcm__store_log(store, &entry, number % 16 == 0));
}

struct counted {
    uint64_t last[3]; /* by object */
    uint64_t answered;
    bool gap;
};

static int count_object(void *arg, const struct ipcm__store_object *object)
{
    (void)arg;
    (void)object;
    return 0;
}

static int count_entry(void *arg, const struct ipcm__store_entry *entry)
{
    struct counted *counted = arg;
    uint64_t number;
    assert_int_equal(entry->arg_bytes, sizeof number);
    memcpy(&number, entry->args, sizeof number);
    uint64_t *last = &counted->last[entry->object];
    counted->gap |= *last != 0 && number != *last + 1;
    *last = number;
    return 0;
}

static int count_answer(void *arg, const struct ipcm__store_answer *answer)
{
    struct counted *counted = arg;
    counted->answered = answer->request;
    return 0;
}

static void count(struct ipcm__store *store, struct counted *out)
{
    static const struct ipcm__store_loader loader = {count_object, count_entry,
                                                     count_answer};
    *out = (struct counted){{0}, 0, false};
    ok(ipcm__store_load(store, &loader, out));
}

static void snapshot(struct ipcm__store *store, uint64_t number)
{
    const uint64_t object = 1 + number / 16 % 2;
    ok(ipcm__store_snapshot_begin(store, object));
    log_number(store, object, number);
    ok(ipcm__store_snapshot_end(store));
    ok(ipcm__store_commit(store));
}

static void write_for_ever(void *arg)
{
    struct stage *stage = arg;
    struct counted counted;
    struct ipcm__store *store = open_store();
    count(store, &counted);
    if (counted.last[1] == 0 && stage->told == 0) {
        (void)ipcm__store_drop(store, 1, true);
        (void)ipcm__store_drop(store, 2, true);
        add_object(store, 1, "one");
        add_object(store, 2, "two");
    }
    for (uint64_t number = counted.last[1] + 1;; number++) {
        char reply[16];
        (void)snprintf(reply, sizeof reply, "%d", (int)number);
        log_number(store, 1, number);
        log_number(store, 2, number);
        add_answer(store, 's', number, reply, 8);
        ok(ipcm__store_commit(store));
        __atomic_store_n(&stage->told, number, __ATOMIC_RELEASE);
        __atomic_fetch_add(&stage->commits, 1, __ATOMIC_RELAXED);
        if (number % 32 == 0)
            snapshot(store, number);
    }
}

/* T70, of the store alone.  What lies beside the file is a log, and nothing
 * else. */
static void t71_nothing_acknowledged_is_lost_by_kills(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    struct test_random random = {test_seed()};
    const long rounds = 50 * test_scale();
    (void)test_tmpdir();
    for (long i = 0; i < rounds; i++) {
        struct counted counted;
        struct role role;
        role_start(&role, write_for_ever, stage);
        const int64_t until =
            test_now_ns() + test_random_between(&random, 200000, 40000000);
        while (test_now_ns() < until)
            poll_pause();
        (void)role_kill(&role);
        if (!is_there(the_path))
            continue; /* killed before it was made */
        struct ipcm__store *store = open_store();
        count(store, &counted);
        const uint64_t told = __atomic_load_n(&stage->told, __ATOMIC_ACQUIRE);
        if (counted.last[1] != counted.last[2] || counted.gap ||
            counted.last[1] < told || counted.last[1] > told + 1 ||
            counted.answered != counted.last[1])
            test_fail("round %ld: told %" PRIu64 ", there are %" PRIu64
                      ", %" PRIu64 " and answer %" PRIu64 "%s",
                      i, told, counted.last[1], counted.last[2],
                      counted.answered, counted.gap ? ", with a gap" : "");
        stage->told = counted.last[1];
        ok(ipcm__store_close(store));
        assert_false(is_there(store_file("-wal")));
    }
    test_report("kills", rounds);
    test_report("commits", (long long)stage->commits);
}

/* ---- a disk that is full ----
 *
 * How many groups were acknowledged before it was; and nothing is taken after
 * that. */

static int64_t write_until_it_fails(struct ipcm__store *store, int *error)
{
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    add_object(store, 1, "one");
    ok(ipcm__store_commit(store));
    for (int64_t n = 0; n < 100000; n++) {
        int rc = try_log(store, 1, text, n % 2 == 0);
        if (rc == 0)
            rc = ipcm__store_commit(store);
        if (rc == 0)
            continue;
        *error = rc;
        if (strlen(ipc_error_detail()) < 10)
            test_fail("no detail: %s", ipc_error_detail());
        expect_rc(try_log(store, 1, "more", true), -EIO);
        expect_rc(ipcm__store_commit(store), -EIO);
        expect_rc(ipcm__store_sync(store), -EIO);
        return n;
    }
    test_fail("it never failed");
}

static int count_rows(void *arg, const struct ipcm__store_entry *entry)
{
    (void)entry;
    ++*(int64_t *)arg;
    return 0;
}

static void expect_rows(int64_t least)
{
    static const struct ipcm__store_loader loader = {count_object, count_rows,
                                                     NULL};
    int64_t rows = 0;
    struct ipcm__store *store = open_store();
    ok(ipcm__store_load(store, &loader, &rows));
    assert_true(rows == least || rows == least + 1);
    ok(ipcm__store_close(store));
}

struct result {
    int64_t groups;
    int error;
    int closed;
};

static void fill_limited_file(void *arg)
{
    struct result *result = arg;
    const struct rlimit limit = {4u << 20, 4u << 20};
    struct ipcm__store *store = open_store();
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    result->groups = write_until_it_fails(store, &result->error);
    result->closed = ipcm__store_close(store);
}

static void a_file_that_may_not_grow_stops_it_loudly(void)
{
    struct result *result = test_shared(sizeof *result);
    struct role role;
    (void)test_tmpdir();
    role_start(&role, fill_limited_file, result);
    role_wait_ok(&role, 20000);
    test_report("groups", result->groups);
    assert_true(result->groups > 100);
    assert_int_equal(result->closed, -EIO);
    expect_rows(result->groups);
}

static void fill_with_other(size_t bytes)
{
    static const char zeros[4096];
    const int fd =
        open(store_file(".other"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t n = 0; n < bytes; n += sizeof zeros)
        if (write(fd, zeros, sizeof zeros) <= 0)
            break;
    assert_int_equal(close(fd), 0);
}

/* A small disk of the case's own. */
static void small_disk(void)
{
    fault_small_shm(3u << 20, 0);
    store_folder = "/dev/shm/disk";
    assert_int_equal(mkdir(store_folder, 0700), 0);
}

static void fill_disk(void *arg)
{
    struct result *result = arg;
    small_disk();
    fill_with_other(1u << 20);
    struct ipcm__store *store = open_store();
    result->groups = write_until_it_fails(store, &result->error);
    result->closed = ipcm__store_close(store);
    assert_int_equal(unlink(store_file(".other")), 0); /* room again */
    expect_rows(result->groups);
}

static void a_full_disk_stops_it_loudly_and_loses_nothing(void)
{
    struct result *result = test_shared(sizeof *result);
    struct role role;
    (void)test_tmpdir();
    role_start(&role, fill_disk, result);
    role_wait_ok(&role, 20000);
    test_report("groups", result->groups);
    assert_true(result->error == -ENOSPC || result->error == -EIO);
    assert_int_equal(result->closed, -EIO);
}

static void make_on_full_disk(void *arg)
{
    (void)arg;
    struct ipcm__store *store;
    small_disk();
    fill_with_other(SIZE_MAX / 2);
    expect_rc(ipcm__store_open(the_path, 0, &store), -ENOSPC);
    assert_false(is_there(the_path));
}

static void on_a_full_disk_none_is_made_by_half(void)
{
    struct role role;
    (void)test_tmpdir();
    role_start(&role, make_on_full_disk, NULL);
    role_wait_ok(&role, 20000);
}

/* ---- a disk that fails ---- */

static void fail_syncs(void *arg)
{
    (void)arg;
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    ok(ipcm__store_commit(store));
    fault_syscall(SYS_fdatasync, EIO);
    ok(try_log(store, 1, "a", false));
    ok(ipcm__store_commit(store)); /* it does not wait for the disk */
    expect_rc(ipcm__store_sync(store), -EIO);
    expect_rc(ipcm__store_commit(store), -EIO);
    expect_rc(try_log(store, 1, "b", true), -EIO);
    expect_rc(ipcm__store_close(store), -EIO);
}

static void a_failed_sync_is_never_tried_again(void)
{
    struct role role;
    (void)test_tmpdir();
    role_start(&role, fail_syncs, NULL);
    role_wait_ok(&role, 20000);
    struct ipcm__store *store = open_store();
    assert_string_equal(contents(store), "list 1 one 3 opt; 1:a");
    ok(ipcm__store_close(store));
}

static void fail_always(void *arg)
{
    (void)arg;
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    ok(ipcm__store_commit(store));
    fault_syscall(SYS_fdatasync, EIO);
    ok(try_log(store, 1, "a", true));
    expect_rc(ipcm__store_commit(store), -EIO);
    expect_detail("fdatasync");
    expect_rc(ipcm__store_close(store), -EIO);
}

static void level_always_waits_for_the_disk(void)
{
    struct role role;
    (void)test_tmpdir();
    role_start(&role, fail_always, NULL);
    role_wait_ok(&role, 20000);
}

/* The nth write fails, for each n until there are no more. */
static void one_failed_write(void *arg)
{
    const long *nth = arg;
    struct ipcm__store *store = NULL;
    fault_syscall_nth(SYS_pwrite64, *nth, EIO);
    int rc = ipcm__store_open(the_path, 0, &store);
    if (rc < 0)
        role_exit(rc == -EIO || rc == -EUCLEAN ? 1 : 9);
    struct told *before = malloc(sizeof *before);
    assert_non_null(before);
    log_text(store, 1, "again");
    rc = ipcm__store_commit(store);
    const int closed = ipcm__store_close(store);
    free(before);
    if (fault_syscall_count() < *nth)
        role_exit(0);
    role_exit(rc < 0 || closed < 0 ? 1 : 9);
}

static void every_write_that_fails_is_noticed(void)
{
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    log_text(store, 1, "first");
    ok(ipcm__store_close(store));
    for (long nth = 1;; nth++) {
        const int code = role_try(one_failed_write, &nth, 10000);
        if (code != 0 && code != 1)
            test_fail("write %ld failed, and it ended with %d", nth, code);
        store = open_store(); /* whole, whatever happened */
        const char *text = contents(store);
        if (strncmp(text, "list 1 one 3 opt; 1:first", 25) != 0)
            test_fail("after write %ld there is: %s", nth, text);
        ok(ipcm__store_close(store));
        if (code == 0) {
            test_report("writes", nth - 1);
            assert_true(nth > 4);
            return;
        }
    }
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t71_nothing_acknowledged_is_lost_by_kills, 60),
    TEST_CASE(a_file_that_may_not_grow_stops_it_loudly),
    TEST_CASE(a_full_disk_stops_it_loudly_and_loses_nothing),
    TEST_CASE(on_a_full_disk_none_is_made_by_half),
    TEST_CASE(a_failed_sync_is_never_tried_again),
    TEST_CASE(level_always_waits_for_the_disk),
    TEST_CASE(every_write_that_fails_is_noticed),
};
TEST_MAIN(cases)
