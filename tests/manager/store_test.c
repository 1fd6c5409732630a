/* The store: what was committed is there when it is opened again; groups,
 * levels, snapshots, answers, sizes. */
#include "manager/store_support.h"

#include <sys/wait.h>

#include "harness/role.h"

/* ---- opening again ---- */

static void a_new_store_is_empty(void)
{
    struct ipcm__store *store = open_store();
    assert_string_equal(contents(store), "");
    assert_true(ipcm__store_epoch(store) != 0);
    ok(ipcm__store_close(store));
    struct stat st;
    assert_int_equal(stat(the_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(is_there(store_file("-wal")));
    assert_false(is_there(store_file("-shm")));
    ok(ipcm__store_close(NULL));
}

static void what_was_committed_is_there_again(void)
{
    struct ipcm__store *store = open_store();
    add_object(store, 7, "seven");
    add_object(store, 3, NULL);
    log_text(store, 7, "a");
    log_text(store, 3, "b");
    log_text(store, 7, "c");
    add_answer(store, 's', 11, "yes", 8);
    add_answer(store, 's', 12, NULL, 8);
    ok(ipcm__store_commit(store));
    const uint32_t epoch = ipcm__store_epoch(store);
    ok(ipcm__store_close(store));
    store = open_store();
    assert_string_equal(contents(store), "list 3 - 3 opt;list 7 seven 3 opt;"
                                         " 3:b 7:a 7:c s11=yes s12=-");
    assert_int_equal(ipcm__store_epoch(store), epoch + 1);
    ok(ipcm__store_close(store));
}

static void close_commits_what_is_open(void)
{
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    ok(ipcm__store_close(store));
    store = open_store();
    assert_string_equal(contents(store), "list 1 one 3 opt;");
    ok(ipcm__store_close(store));
}

static void rows_may_be_empty_and_large(void)
{
    struct ipcm__store *store = open_store();
    const size_t large = (size_t)3 << 20;
    char *text = malloc(large + 1);
    assert_non_null(text);
    memset(text, 'x', large);
    text[large] = '\0';
    add_object(store, 1, "");
    log_text(store, 1, "");
    ok(ipcm__store_commit(store));
    ok(ipcm__store_close(store));
    store = open_store();
    assert_string_equal(contents(store), "list 1  3 opt; 1:");
    log_text(store, 1, text);
    ok(ipcm__store_commit(store));
    uint64_t log, snapshot;
    ipcm__store_sizes(store, 1, &log, &snapshot);
    assert_int_equal(log, large);
    ok(ipcm__store_close(store));
    store = open_store();
    ipcm__store_sizes(store, 1, &log, &snapshot);
    assert_int_equal(log, large);
    ok(ipcm__store_close(store));
    free(text);
}

static void dropped_and_unnamed_objects_stay_so(void)
{
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    add_object(store, 2, "two");
    log_text(store, 1, "a");
    log_text(store, 2, "b");
    ok(ipcm__store_commit(store));
    ok(ipcm__store_drop(store, 1, true));
    ok(ipcm__store_unname(store, 2, true));
    add_object(store, 3, "two");
    ok(ipcm__store_commit(store));
    ok(ipcm__store_close(store));
    store = open_store();
    assert_string_equal(contents(store),
                        "list 2 - 3 opt;list 3 two 3 opt; 2:b");
    ok(ipcm__store_close(store));
}

/* ---- the death of the process ---- */

struct death {
    const char *path;
    bool commit;
    bool sync;
};

/* One group is committed, the second perhaps; then it is killed. */
static void write_and_die(void *arg)
{
    const struct death *death = arg;
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    ok(ipcm__store_commit(store));
    ok(try_log(store, 1, "a", death->sync));
    ok(try_log(store, 1, "b", death->sync));
    if (death->commit) {
        ok(ipcm__store_commit(store));
        assert_int_equal(ipcm__store_is_synced(store), death->sync);
        ok(ipcm__store_sync(store));
        assert_true(ipcm__store_is_synced(store));
    }
    (void)kill(getpid(), SIGKILL);
}

static void expect_after_death(bool commit, bool sync, const char *wanted)
{
    struct death death = {the_path, commit, sync};
    struct role role;
    role_start(&role, write_and_die, &death);
    const int status = role_wait_dead(&role, 10000);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct ipcm__store *store = open_store();
    assert_string_equal(contents(store), wanted);
    ok(ipcm__store_close(store));
}

static void a_killed_process_loses_nothing_committed(void)
{
    (void)test_tmpdir();
    expect_after_death(true, false, "list 1 one 3 opt; 1:a 1:b");
}

static void nor_what_was_synced(void)
{
    (void)test_tmpdir();
    expect_after_death(true, true, "list 1 one 3 opt; 1:a 1:b");
}

static void a_group_that_was_not_committed_is_not_there(void)
{
    (void)test_tmpdir();
    expect_after_death(false, true, "list 1 one 3 opt;");
}

/* ---- levels ---- */

static void a_group_with_one_synced_row_is_synced(void)
{
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    ok(ipcm__store_commit(store));
    assert_true(ipcm__store_is_synced(store));
    log_text(store, 1, "a");
    assert_false(ipcm__store_is_synced(store));
    ok(ipcm__store_commit(store));
    assert_false(ipcm__store_is_synced(store));
    log_text(store, 1, "b");
    ok(try_log(store, 1, "c", true));
    log_text(store, 1, "d");
    ok(ipcm__store_commit(store));
    assert_true(ipcm__store_is_synced(store));
    ok(ipcm__store_close(store));
}

static void an_empty_group_costs_nothing(void)
{
    struct ipcm__store *store = open_store();
    uint64_t bytes, commits;
    ipcm__store_figures(store, &bytes, &commits);
    assert_true(bytes > 0);
    assert_int_equal(commits, 0);
    for (int i = 0; i < 10; i++)
        ok(ipcm__store_commit(store));
    add_object(store, 1, "one");
    ok(ipcm__store_commit(store));
    ok(ipcm__store_commit(store));
    ipcm__store_figures(store, &bytes, &commits);
    assert_int_equal(commits, 1);
    ok(ipcm__store_close(store));
}

/* ---- snapshots ---- */

static void a_snapshot_takes_the_place_of_the_log(void)
{
    struct ipcm__store *store = open_store();
    uint64_t log, snapshot;
    add_object(store, 1, "one");
    add_object(store, 2, "two");
    log_text(store, 1, "aaaaa");
    log_text(store, 2, "x");
    log_text(store, 1, "bbbbb");
    ok(ipcm__store_commit(store));
    ok(ipcm__store_snapshot_begin(store, 1));
    log_text(store, 1, "ab");
    ok(ipcm__store_snapshot_end(store));
    log_text(store, 1, "c");
    ok(ipcm__store_commit(store));
    ipcm__store_sizes(store, 1, &log, &snapshot);
    assert_int_equal(log, 1);
    assert_int_equal(snapshot, 2);
    ok(ipcm__store_close(store));
    store = open_store();
    assert_string_equal(contents(store), "list 1 one 3 opt;list 2 two 3 opt;"
                                         " 1:ab 1:c 2:x");
    ipcm__store_sizes(store, 1, &log, &snapshot);
    assert_int_equal(log, 1);
    assert_int_equal(snapshot, 2 + 3);
    ok(ipcm__store_close(store));
}

static void a_snapshot_that_is_given_up_has_changed_nothing(void)
{
    struct ipcm__store *store = open_store();
    uint64_t log, snapshot;
    add_object(store, 1, "one");
    log_text(store, 1, "aaaaa");
    ok(ipcm__store_commit(store));
    ok(ipcm__store_snapshot_begin(store, 1));
    log_text(store, 1, "ab");
    ok(ipcm__store_snapshot_undo(store));
    ipcm__store_sizes(store, 1, &log, &snapshot);
    assert_int_equal(log, 5);
    log_text(store, 1, "c");
    ok(ipcm__store_commit(store));
    assert_string_equal(contents(store), "list 1 one 3 opt; 1:aaaaa 1:c");
    ok(ipcm__store_close(store));
}

static void the_worst_is_the_one_with_most_to_gain(void)
{
    struct ipcm__store *store = open_store();
    add_object(store, 1, NULL);
    add_object(store, 2, NULL);
    add_object(store, 3, NULL);
    log_text(store, 1, "12345678901234567890");
    log_text(store, 2, "1234567890123456789012345678901234567890");
    log_text(store, 3, "1");
    ok(ipcm__store_commit(store));
    assert_int_equal(ipcm__store_worst(store, 61), 0);
    assert_int_equal(ipcm__store_worst(store, 60), 2);
    ok(ipcm__store_snapshot_begin(store, 2));
    log_text(store, 2, "1234567890123456789012345678901234567890");
    ok(ipcm__store_snapshot_end(store));
    ok(ipcm__store_commit(store));
    assert_int_equal(ipcm__store_worst(store, 20), 1);
    ok(ipcm__store_drop(store, 1, false));
    assert_int_equal(ipcm__store_worst(store, 0), 0);
    ok(ipcm__store_close(store));
}

static void the_log_of_the_file_does_not_grow_for_ever(void)
{
    struct ipcm__store *store = open_store();
    char text[8000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    add_object(store, 1, "one");
    for (int i = 0; i < 4000; i++) {
        if (i % 100 == 99)
            ok(ipcm__store_snapshot_begin(store, 1));
        log_text(store, 1, text);
        if (i % 100 == 99)
            ok(ipcm__store_snapshot_end(store));
        ok(ipcm__store_commit(store));
    }
    uint64_t bytes, commits;
    ipcm__store_figures(store, &bytes, &commits);
    test_report("bytes", (long long)bytes);
    assert_true(bytes < (uint64_t)16 << 20);
    ok(ipcm__store_close(store));
}

/* ---- answers ---- */

static void the_last_answers_of_each_session_stay(void)
{
    struct ipcm__store *store = open_store();
    for (uint64_t i = 1; i <= 100; i++) {
        char reply[16];
        (void)snprintf(reply, sizeof reply, "r%d", (int)i);
        add_answer(store, 'a', i, reply, 4);
        if (i <= 2)
            add_answer(store, 'b', i, "b", 4);
    }
    ok(ipcm__store_commit(store));
    const char *text = contents(store);
    assert_non_null(strstr(text, "a97=r97 a98=r98 a99=r99 a100=r100"));
    assert_null(strstr(text, "a92="));
    assert_non_null(strstr(text, "b1=b b2=b"));
    struct ipcm__store_answer answer;
    memset(answer.session, 'a', sizeof answer.session);
    ok(ipcm__store_forget(store, answer.session));
    add_answer(store, 'b', 2, "again", 4);
    ok(ipcm__store_commit(store));
    assert_string_equal(contents(store), " b1=b b2=again");
    ok(ipcm__store_close(store));
}

/* ---- what the loader says ---- */

static int refuse_entry(void *arg, const struct ipcm__store_entry *entry)
{
    (void)entry;
    return --*(int *)arg < 0 ? -EUCLEAN : 0;
}

static int take_object(void *arg, const struct ipcm__store_object *object)
{
    (void)arg;
    (void)object;
    return 0;
}

static void a_loader_that_fails_ends_the_loading(void)
{
    static const struct ipcm__store_loader loader = {take_object, refuse_entry,
                                                     NULL};
    struct ipcm__store *store = open_store();
    int left = 1;
    add_object(store, 1, "one");
    log_text(store, 1, "a");
    log_text(store, 1, "b");
    add_answer(store, 'a', 1, "r", 4);
    ok(ipcm__store_commit(store));
    expect_rc(ipcm__store_load(store, &loader, &left), -EUCLEAN);
    ok(ipcm__store_close(store));
}

static const struct test_case cases[] = {
    TEST_CASE(a_new_store_is_empty),
    TEST_CASE(what_was_committed_is_there_again),
    TEST_CASE(close_commits_what_is_open),
    TEST_CASE(rows_may_be_empty_and_large),
    TEST_CASE(dropped_and_unnamed_objects_stay_so),
    TEST_CASE(a_killed_process_loses_nothing_committed),
    TEST_CASE(nor_what_was_synced),
    TEST_CASE(a_group_that_was_not_committed_is_not_there),
    TEST_CASE(a_group_with_one_synced_row_is_synced),
    TEST_CASE(an_empty_group_costs_nothing),
    TEST_CASE(a_snapshot_takes_the_place_of_the_log),
    TEST_CASE(a_snapshot_that_is_given_up_has_changed_nothing),
    TEST_CASE(the_worst_is_the_one_with_most_to_gain),
    TEST_CASE(the_log_of_the_file_does_not_grow_for_ever),
    TEST_CASE(the_last_answers_of_each_session_stay),
    TEST_CASE(a_loader_that_fails_ends_the_loading),
};
TEST_MAIN(cases)
