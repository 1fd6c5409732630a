/* Store: opening, groups, and the disk.
 *
 * State
 *   path, path-wal   SQLite's file and its log; the locking mode is exclusive,
 *                    so its index is in our memory, and there is no third file
 *   failed           the first error of writing: nothing is written after it
 *
 * Order
 *   A commit is written without waiting for the disk (synchronous=NORMAL), and
 *   then the log is synced if the group asks for it: that is what FULL does,
 *   but decided when the group is complete.  The disk is also waited for before
 *   pages are copied from the log to the file, and after it, by SQLite.
 *
 * Death
 *   before the commit has been written   nothing of the group is there;
 *   after it    all of it is; power gone before the sync: all or nothing, and
 *               groups before it too;
 *   while it is made    store/file.c;
 *   an error of fsync   the kernel may have dropped what it could not write, so
 *               trying again would lie: failed stays, and close leaves the
 *               files as they are, for the next opening to look at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "store/parts.h"

/* Pages in the log, of 4 KiB, before they are copied to the file. */
#define CHECKPOINT_PAGES 2000

/* ---- opening ---- */

static int committed(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct ipcm__store *store = arg;
    (void)db;
    (void)name;
    store->wal_frames = pages;
    return SQLITE_OK;
}

/* What is read may have been written by anybody who could; it is not to run
 * anything.  Closing it must not change the file before it was checked. */
static int configure(struct ipcm__store *store)
{
    static const char pragmas[] =
        "PRAGMA query_only = ON; PRAGMA locking_mode = EXCLUSIVE;"
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
        "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
        "PRAGMA cache_size = -8192; PRAGMA synchronous = NORMAL;";
    sqlite3 *db = store->db;
    int rc = 0;
    rc |= sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    rc |= sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    rc |= sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    rc |= sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    rc |= sqlite3_wal_autocheckpoint(db, 0);
    rc |= sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_wal_hook(db, committed, store);
    if (rc != SQLITE_OK)
        return ipcm__fail(-ENOTSUP, "store %s: this SQLite cannot do it",
                          store->path);
    return ipcm__store_sql_run(store, pragmas);
}

static int connect_file(struct ipcm__store *store)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    const int rc = ipcm__store_sql_error(
        store, sqlite3_open_v2(store->path, &store->db, flags, NULL), "open");
    if (rc < 0)
        return rc;
    if (sqlite3_db_readonly(store->db, "main") == 1)
        return ipcm__fail(-EACCES, "store %s: it cannot be written",
                          store->path);
    return configure(store);
}

/* From here on it is ours, and changes. */
static int take_over(struct ipcm__store *store)
{
    int64_t epoch = 0;
    int rc = ipcm__store_sql_run(store, "PRAGMA query_only = OFF");
    if (rc == 0)
        rc = ipcm__store_rows_prepare(store);
    if (rc == 0)
        rc = ipcm__store_rows_begin(store);
    if (rc == 0)
        rc = ipcm__store_rows_step(store, STATEMENT_OPENED);
    store->group_syncs = true;
    if (rc == 0)
        rc = ipcm__store_commit(store);
    if (rc == 0)
        rc = ipcm__store_sql_number(store, "SELECT epoch FROM store", &epoch);
    store->epoch = (uint32_t)epoch;
    store->commits = 0;
    return rc;
}

/* A log that was made by looking, and has nothing in it. */
static void remove_empty_log(const struct ipcm__store *store, bool was_there)
{
    struct stat st;
    if (!was_there && lstat(store->wal, &st) == 0 && st.st_size == 0)
        (void)unlink(store->wal);
}

static void end(struct ipcm__store *store)
{
    ipcm__store_rows_end(store);
    (void)sqlite3_close(store->db);
    ipcm__store_sizes_free(store);
    ipcm__map_free(&store->sessions);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    free(store->wal);
    free(store->path);
    free(store);
}

static int begin(const char *path, struct ipcm__store **out)
{
    struct ipcm__store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return -ENOMEM;
    store->lock_fd = -1;
    store->path = strdup(path);
    store->wal = ipcm__store_path(path, "-wal");
    if (store->path == NULL || store->wal == NULL) {
        end(store);
        return -ENOMEM;
    }
    *out = store;
    return 0;
}

static int open_file(struct ipcm__store *store, bool look_only)
{
    int rc = ipcm__store_file_open(store->path, &store->lock_fd);
    if (rc == 1 && look_only)
        return 1;
    if (rc == 1) {
        rc = ipcm__store_file_create(store->path);
        if (rc == 0)
            rc = ipcm__store_file_open(store->path, &store->lock_fd);
    }
    return rc == 1 ? -ENOENT : rc;
}

static int open_and_check(struct ipcm__store *store, bool look_only)
{
    struct stat st;
    const bool log_was_there = lstat(store->wal, &st) == 0;
    int rc = connect_file(store);
    if (rc == 0)
        rc = ipcm__store_check(store);
    if (rc == 0 && !look_only)
        return take_over(store);
    (void)sqlite3_close(store->db);
    store->db = NULL;
    remove_empty_log(store, log_was_there);
    return rc;
}

int ipcm__store_open(const char *path, uint32_t flags, struct ipcm__store **out)
{
    const bool look_only = (flags & IPCM__STORE_CHECK_ONLY) != 0;
    struct ipcm__store *store = NULL;
    int rc = begin(path, &store);
    if (rc < 0)
        return rc;
    rc = open_file(store, look_only);
    if (rc == 0)
        rc = open_and_check(store, look_only);
    if (rc < 0 || look_only) {
        end(store);
        store = NULL;
    }
    if (rc >= 0)
        *out = store;
    return rc < 0 ? rc : 0;
}

static int look(struct ipcm__store *store,
                const struct ipcm__store_loader *loader, void *arg)
{
    struct stat st;
    const bool log_was_there = lstat(store->wal, &st) == 0;
    int rc = connect_file(store);
    if (rc == 0)
        rc = ipcm__store_check(store);
    if (rc == 0)
        rc = ipcm__store_load(store, loader, arg);
    (void)sqlite3_close(store->db);
    store->db = NULL;
    remove_empty_log(store, log_was_there);
    return rc;
}

int ipcm__store_look(const char *path, const struct ipcm__store_loader *loader,
                     void *arg)
{
    struct ipcm__store *store = NULL;
    int rc = begin(path, &store);
    if (rc < 0)
        return rc;
    rc = open_file(store, true);
    if (rc == 0)
        rc = look(store, loader, arg);
    end(store);
    return rc < 0 ? rc : 0;
}

/* ---- groups ---- */

static int fail(struct ipcm__store *store, int rc)
{
    if (store->failed == 0)
        store->failed = rc;
    return -EIO;
}

/* fdatasync() of the log. */
static int sync_log(struct ipcm__store *store)
{
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(store->db, "main",
                                  SQLITE_FCNTL_JOURNAL_POINTER, (void *)&file);
    if (rc == SQLITE_OK && file != NULL && file->pMethods != NULL)
        rc = file->pMethods->xSync(file,
                                   SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    else
        rc = SQLITE_IOERR_FSYNC;
    if (rc != SQLITE_OK)
        return fail(store, ipcm__store_sql_error(store, rc, "fdatasync"));
    store->unsynced = false;
    return 0;
}

/* Copy the log to the file, and begin it anew with the next group. */
static int checkpoint(struct ipcm__store *store, int mode)
{
    int in_log = 0;
    int copied = 0;
    const int rc =
        sqlite3_wal_checkpoint_v2(store->db, "main", mode, &in_log, &copied);
    if (rc != SQLITE_OK)
        return fail(store, ipcm__store_sql_error(store, rc, "checkpoint"));
    if (copied == in_log)
        store->unsynced = false;
    store->wal_frames = 0;
    return 0;
}

int ipcm__store_commit(struct ipcm__store *store)
{
    const bool syncs = store->group_syncs;
    if (store->failed != 0)
        return -EIO;
    if (!store->group)
        return 0;
    store->group = false;
    store->group_syncs = false;
    if (ipcm__store_rows_step(store, STATEMENT_COMMIT) < 0)
        return -EIO;
    store->commits++;
    store->unsynced = true;
    if (syncs && sync_log(store) < 0)
        return -EIO;
    return store->wal_frames < CHECKPOINT_PAGES
               ? 0
               : checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
}

int ipcm__store_sync(struct ipcm__store *store)
{
    if (store->failed != 0)
        return -EIO;
    return store->unsynced ? sync_log(store) : 0;
}

bool ipcm__store_is_synced(const struct ipcm__store *store)
{
    return !store->unsynced && !store->group;
}

/* ---- the end ---- */

static int close_in_order(struct ipcm__store *store)
{
    int rc = ipcm__store_rows_begin(store);
    if (rc == 0)
        rc = ipcm__store_rows_step(store, STATEMENT_CLOSED);
    store->group_syncs = true;
    if (rc == 0)
        rc = ipcm__store_commit(store);
    if (rc == 0)
        rc = checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
    return rc;
}

int ipcm__store_close(struct ipcm__store *store)
{
    if (store == NULL)
        return 0;
    const int rc = close_in_order(store) < 0 ? -EIO : 0;
    ipcm__store_rows_end(store);
    memset(store->statements, 0, sizeof store->statements);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                            rc < 0 ? 1 : 0, NULL);
    end(store);
    return rc;
}

/* ---- asking ---- */

uint32_t ipcm__store_epoch(const struct ipcm__store *store)
{
    return store->epoch;
}

void ipcm__store_figures(const struct ipcm__store *store, uint64_t *bytes,
                         uint64_t *commits)
{
    struct stat st;
    *bytes = stat(store->path, &st) == 0 ? (uint64_t)st.st_size : 0;
    *bytes += stat(store->wal, &st) == 0 ? (uint64_t)st.st_size : 0;
    *commits = store->commits;
}
