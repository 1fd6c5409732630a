/* The store: files that it does not open, and leaves byte for byte as they
 * were: torn, truncated, empty, foreign, somebody else's, in use. */
#include "manager/store_support.h"

#include <sqlite3.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "harness/role.h"
#include "harness/scale.h"

/* ---- a store with something in it ---- */

static void fill_store(struct ipcm__store *store)
{
    add_object(store, 1, "one");
    add_object(store, 2, "two");
    for (int i = 0; i < 200; i++) {
        char text[200];
        memset(text, 'a' + i % 26, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        log_text(store, 1 + (uint64_t)i % 2, text);
    }
    add_answer(store, 's', 1, "reply", 8);
    ok(ipcm__store_commit(store));
}

static void make_store(void)
{
    struct ipcm__store *store = open_store();
    fill_store(store);
    ok(ipcm__store_close(store));
}

static void fill_and_die(void *arg)
{
    (void)arg;
    fill_store(open_store());
    (void)kill(getpid(), SIGKILL);
}

/* With a log beside it, as a killed server leaves it. */
static void make_unclean_store(void)
{
    struct role role;
    (void)test_tmpdir();
    (void)unlink(the_path);
    role_start(&role, fill_and_die, NULL);
    (void)role_wait_dead(&role, 10000);
    assert_true(is_there(store_file("-wal")));
}

/* ---- refused, and left alone ---- */

struct file {
    uint8_t *data;
    size_t bytes;
    bool there;
};

static struct file look_at(const char *path)
{
    struct file file = {.there = is_there(path)};
    if (file.there)
        file.data = slurp(path, &file.bytes);
    return file;
}

static void expect_same(const char *path, struct file *before)
{
    struct file now = look_at(path);
    assert_int_equal(now.there, before->there);
    assert_int_equal(now.bytes, before->bytes);
    if (now.there)
        assert_memory_equal(now.data, before->data, now.bytes);
    free(now.data);
    free(before->data);
}

static int open_for_look(uint32_t flags)
{
    struct file file = look_at(the_path);
    struct file wal = look_at(store_file("-wal"));
    struct file journal = look_at(store_file("-journal"));
    struct ipcm__store *store = NULL;
    const int rc = ipcm__store_open(the_path, flags, &store);
    char detail[512];
    (void)snprintf(detail, sizeof detail, "%s", ipc_error_detail());
    if (rc < 0 && strstr(detail, "/store") == NULL)
        test_fail("the detail does not name the file: %s", detail);
    assert_null(store);
    expect_same(the_path, &file);
    expect_same(store_file("-wal"), &wal);
    expect_same(store_file("-journal"), &journal);
    assert_false(is_there(store_file("-shm")));
    return rc;
}

#define refused(error, part)                                                   \
    do {                                                                       \
        expect_rc(open_for_look(IPCM__STORE_CHECK_ONLY), error);               \
        expect_detail(part);                                                   \
        expect_rc(open_for_look(0), error);                                    \
        expect_detail(part);                                                   \
    } while (0)

/* ---- whole ones ---- */

static void looking_changes_nothing(void)
{
    (void)test_tmpdir();
    ok(open_for_look(IPCM__STORE_CHECK_ONLY));
    assert_false(is_there(the_path));
    make_store();
    ok(open_for_look(IPCM__STORE_CHECK_ONLY));
    assert_false(is_there(store_file("-wal")));
    make_unclean_store();
    ok(open_for_look(IPCM__STORE_CHECK_ONLY));
}

/* ---- foreign ---- */

static void other_files_are_refused(void)
{
    static const char text[] = "shopping list\n\nbread, butter, and a text of "
                               "more than a hundred bytes, so that it could be "
                               "the beginning of a file of ours\n";
    spew(the_path, text, sizeof text);
    refused(-EPROTONOSUPPORT, "not one of ours");
    spew(the_path, "x", 1);
    refused(-EPROTONOSUPPORT, "not one of ours");
    assert_int_equal(unlink(the_path), 0);
    assert_int_equal(mkdir(the_path, 0700), 0);
    struct ipcm__store *store;
    expect_rc(ipcm__store_open(the_path, 0, &store), -EPROTONOSUPPORT);
    assert_int_equal(rmdir(the_path), 0);
    assert_int_equal(mkfifo(the_path, 0600), 0);
    expect_rc(ipcm__store_open(the_path, 0, &store), -EPROTONOSUPPORT);
    assert_int_equal(unlink(the_path), 0);
    assert_int_equal(symlink("elsewhere", the_path), 0);
    expect_rc(ipcm__store_open(the_path, 0, &store), -ELOOP);
}

static void make_with_sqlite(const char *sql)
{
    sqlite3 *db;
    (void)unlink(the_path);
    assert_int_equal(sqlite3_open(the_path, &db), SQLITE_OK);
    assert_int_equal(chmod(the_path, 0600), 0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void sqlite_files_of_others_are_refused(void)
{
    (void)test_tmpdir();
    make_with_sqlite("CREATE TABLE birds(name)");
    refused(-EPROTONOSUPPORT, "another program");
    make_with_sqlite("PRAGMA application_id = 1768973133;" /* ours */
                     "PRAGMA user_version = 2; CREATE TABLE birds(name)");
    refused(-EPROTONOSUPPORT, "version 2");
    make_with_sqlite("PRAGMA application_id = 1768973133;"
                     "PRAGMA user_version = 0; CREATE TABLE birds(name)");
    refused(-EUCLEAN, "header");
    make_with_sqlite("PRAGMA application_id = 1768973133;"
                     "PRAGMA user_version = 1; CREATE TABLE birds(name)");
    refused(-EUCLEAN, "header");
    make_with_sqlite("PRAGMA application_id = 1768973133;"
                     "PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
                     "CREATE TABLE birds(name)");
    refused(-EUCLEAN, "tables are others");
}

/* A trigger could change what is written. */
static void a_store_with_more_in_it_is_refused(void)
{
    sqlite3 *db;
    make_store();
    assert_int_equal(sqlite3_open(the_path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TRIGGER t AFTER INSERT ON object BEGIN"
                     " DELETE FROM entry; END",
                     NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    refused(-EUCLEAN, "tables are others");
}

/* ---- damaged ---- */

static void an_empty_file_is_refused(void)
{
    spew(the_path, "", 0);
    refused(-EUCLEAN, "empty");
}

/* At any length: never taken for a whole one. */
static void a_truncated_file_is_refused(void)
{
    size_t bytes;
    make_store();
    uint8_t *data = slurp(the_path, &bytes);
    struct test_random random = {test_seed()};
    for (long i = 0; i < 40 * test_scale(); i++) {
        const long at = i < 4
                            ? (long[]){1, 15, 99, 100}[i]
                            : test_random_between(&random, 1, (long)bytes - 1);
        spew(the_path, data, (size_t)at);
        const int rc = open_for_look((uint32_t)i % 2);
        if (rc != -EUCLEAN)
            test_fail("of %zu bytes %ld are left: %d, %s", bytes, at, rc,
                      ipc_error_detail());
    }
    free(data);
}

/* What is still opened then is what was written: the byte is in no row. */
static bool is_harmless(uint64_t wanted)
{
    struct ipcm__store *store = open_store();
    const uint64_t is = digest(store);
    ok(ipcm__store_close(store));
    return is == wanted;
}

static void a_changed_byte_is_found(void)
{
    size_t bytes;
    make_store();
    struct ipcm__store *store = open_store();
    const uint64_t wanted = digest(store);
    ok(ipcm__store_close(store));
    uint8_t *data = slurp(the_path, &bytes);
    struct test_random random = {test_seed()};
    long found = 0, harmless = 0, foreign = 0;
    for (long i = 0; i < 200 * test_scale(); i++) {
        const long at = test_random_between(&random, 0, (long)bytes - 1);
        const uint8_t was = data[at];
        data[at] ^= (uint8_t)test_random_between(&random, 1, 255);
        spew(the_path, data, bytes);
        const int rc = open_for_look(IPCM__STORE_CHECK_ONLY);
        found += rc == -EUCLEAN;
        foreign += rc == -EPROTONOSUPPORT;
        harmless += rc == 0;
        if ((rc != 0 && rc != -EUCLEAN && rc != -EPROTONOSUPPORT) ||
            (rc == 0 && !is_harmless(wanted)))
            test_fail("byte %ld: %d, %s", at, rc, ipc_error_detail());
        data[at] = was;
    }
    test_report("found", found);
    test_report("foreign", foreign);
    test_report("harmless", harmless);
    assert_true(found > harmless); /* most of the file is rows */
    free(data);
}

static void a_page_of_something_else_is_found(void)
{
    size_t bytes;
    make_unclean_store();
    struct ipcm__store *store = open_store();
    ok(ipcm__store_close(store));
    uint8_t *data = slurp(the_path, &bytes);
    for (size_t page = 1; page < bytes / 4096; page++) {
        uint8_t old[4096];
        memcpy(old, data + page * 4096, sizeof old);
        memset(data + page * 4096, 0, sizeof old);
        spew(the_path, data, bytes);
        const int rc = open_for_look(0);
        if (rc != -EUCLEAN)
            test_fail("page %zu of zeros: %d, %s", page, rc,
                      ipc_error_detail());
        memcpy(data + page * 4096, old, sizeof old);
    }
    free(data);
}

/* What was committed but not in the file yet is found damaged too. */
static void damage_that_is_only_in_the_log_is_found(void)
{
    size_t bytes, main_bytes;
    make_unclean_store();
    uint8_t *data = slurp(the_path, &main_bytes);
    uint8_t *wal = slurp(store_file("-wal"), &bytes);
    spew(store_file("-wal"), "garbage, which is no log", 24);
    refused(-EUCLEAN, "not its log");
    spew(store_file("-wal"), wal, bytes);
    spew(store_file("-journal"), "rollback me", 11);
    refused(-EUCLEAN, "not its log");
    assert_int_equal(unlink(store_file("-journal")), 0);
    memset(data + main_bytes - 200, 0xff, 200);
    spew(the_path, data, main_bytes);
    struct ipcm__store *store;
    const int rc = ipcm__store_open(the_path, 0, &store);
    assert_true(rc == 0 || rc == -EUCLEAN); /* the log may have that page */
    if (rc == 0)
        ok(ipcm__store_close(store));
    free(data);
    free(wal);
}

/* A torn end of the log is what a loss of power leaves: groups before it are
 * whole. */
static void a_torn_log_gives_the_groups_before(void)
{
    size_t bytes;
    struct ipcm__store *store = NULL;
    make_unclean_store();
    uint8_t *wal = slurp(store_file("-wal"), &bytes);
    size_t main_bytes;
    uint8_t *data = slurp(the_path, &main_bytes);
    for (size_t left = 0; left < bytes; left += 1024) {
        spew(the_path, data, main_bytes);
        spew(store_file("-wal"), wal, left);
        ok(ipcm__store_open(the_path, 0, &store));
        const char *text = NULL;
        ok(ipcm__store_drop(store, 1, false)); /* too long for contents() */
        ok(ipcm__store_drop(store, 2, false));
        text = contents(store);
        assert_true(text[0] == '\0' || strcmp(text, " s1=reply") == 0);
        ok(ipcm__store_close(store));
    }
    free(data);
    free(wal);
}

/* ---- whose ---- */

static void files_that_others_may_use_are_refused(void)
{
    make_store();
    static const mode_t modes[] = {0644, 0640, 0620, 0602, 0660, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(the_path, modes[i]), 0);
        refused(-EACCES, "others");
    }
    assert_int_equal(chmod(the_path, 0400), 0);
    refused(-EACCES, "read-only");
    assert_int_equal(chmod(the_path, 0600), 0);
    assert_int_equal(chmod(test_tmpdir(), 0777), 0);
    refused(-EACCES, "folder");
    assert_int_equal(chmod(test_tmpdir(), 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(the_path, 65534, 65534), 0);
        refused(-EACCES, "user 65534");
    }
}

static void a_folder_that_is_not_there_is_said_so(void)
{
    struct ipcm__store *store;
    char path[300];
    (void)snprintf(path, sizeof path, "%s/no/where/store", test_tmpdir());
    expect_rc(ipcm__store_open(path, 0, &store), -ENOENT);
    expect_detail("folder");
}

/* ---- in use ---- */

struct stage {
    uint32_t open;
    uint32_t go;
    uint32_t opened;
};

static int count_object(void *arg, const struct ipcm__store_object *object)
{
    (void)object;
    ++*(uint32_t *)arg;
    return 0;
}

static void hold_open(void *arg)
{
    struct stage *stage = arg;
    struct ipcm__store *store = open_store();
    meet_signal(&stage->open);
    meet_wait(&stage->go, 1, 10000);
    add_object(store, 1, "one");
    ok(ipcm__store_close(store));
}

static void a_second_server_is_turned_away(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    struct role role;
    (void)test_tmpdir();
    role_start(&role, hold_open, stage);
    meet_wait(&stage->open, 1, 10000);
    struct ipcm__store *store;
    expect_rc(ipcm__store_open(the_path, 0, &store), -EBUSY);
    expect_detail("another server");
    expect_rc(ipcm__store_open(the_path, IPCM__STORE_CHECK_ONLY, &store),
              -EBUSY);
    meet_signal(&stage->go);
    role_wait_ok(&role, 10000);
    store = open_store();
    assert_string_equal(contents(store), "list 1 one 3 opt;");
    ok(ipcm__store_close(store));
}

static void a_second_one_in_the_same_process_too(void)
{
    struct ipcm__store *store = open_store();
    struct ipcm__store *second;
    for (int i = 0; i < 3; i++) {
        expect_rc(ipcm__store_open(the_path, 0, &second), -EBUSY);
        log_text(store, 1, "a"); /* an object that there is not: as logged */
    }
    ok(ipcm__store_drop(store, 1, false));
    ok(ipcm__store_close(store));
    store = open_store();
    ok(ipcm__store_close(store));
}

/* Opens it for itself, or is refused. */
static void open_once(void *arg)
{
    struct stage *stage = arg;
    struct ipcm__store *store;
    meet_signal(&stage->open);
    meet_wait(&stage->go, 1, 10000);
    const int rc = ipcm__store_open(the_path, 0, &store);
    if (rc == -EBUSY)
        return;
    ok(rc);
    add_object(store, (uint64_t)getpid(), NULL);
    ok(ipcm__store_close(store));
    meet_signal(&stage->opened);
}

static void many_make_it_at_once(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    struct role roles[8];
    struct ipcm__store_loader loader = {count_object, NULL, NULL};
    uint32_t objects = 0;
    (void)test_tmpdir();
    for (int i = 0; i < 8; i++)
        role_start(&roles[i], open_once, stage);
    meet_wait(&stage->open, 8, 10000);
    meet_signal(&stage->go);
    for (int i = 0; i < 8; i++)
        role_wait_ok(&roles[i], 20000);
    struct ipcm__store *store = open_store();
    ok(ipcm__store_load(store, &loader, &objects));
    ok(ipcm__store_close(store));
    assert_true(objects >= 1);
    assert_int_equal(objects, stage->opened);
    test_report("opened", objects);
}

static const struct test_case cases[] = {
    TEST_CASE(looking_changes_nothing),
    TEST_CASE(other_files_are_refused),
    TEST_CASE(sqlite_files_of_others_are_refused),
    TEST_CASE(a_store_with_more_in_it_is_refused),
    TEST_CASE(an_empty_file_is_refused),
    TEST_CASE(a_truncated_file_is_refused),
    TEST_CASE(a_changed_byte_is_found),
    TEST_CASE(a_page_of_something_else_is_found),
    TEST_CASE(damage_that_is_only_in_the_log_is_found),
    TEST_CASE(a_torn_log_gives_the_groups_before),
    TEST_CASE(files_that_others_may_use_are_refused),
    TEST_CASE(a_folder_that_is_not_there_is_said_so),
    TEST_CASE(a_second_server_is_turned_away),
    TEST_CASE(a_second_one_in_the_same_process_too),
    TEST_CASE(many_make_it_at_once),
};
TEST_MAIN(cases)
