/* Store: SQLite's calls and errors, in our terms. */
#include <errno.h>
#include <string.h>

#include "fail.h"
#include "store/parts.h"

const char ipcm__store_schema[] =
    "CREATE TABLE store(one INTEGER PRIMARY KEY CHECK(one = 1),"
    " epoch INTEGER NOT NULL, twin INTEGER NOT NULL CHECK(twin = -epoch),"
    " closed INTEGER NOT NULL) STRICT;\n"
    "CREATE TABLE object(id INTEGER PRIMARY KEY, type TEXT NOT NULL,"
    " name BLOB, durability INTEGER NOT NULL, options BLOB NOT NULL,"
    " sum INTEGER NOT NULL) STRICT;\n"
    "CREATE UNIQUE INDEX object_name ON object(name) WHERE name IS NOT NULL;\n"
    "CREATE TABLE entry(object INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " snapshot INTEGER NOT NULL, op INTEGER NOT NULL, args BLOB NOT NULL,"
    " sum INTEGER NOT NULL, PRIMARY KEY(object, seq)) STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE answer(session BLOB NOT NULL, request INTEGER NOT NULL,"
    " uid INTEGER NOT NULL, reply BLOB, sum INTEGER NOT NULL,"
    " PRIMARY KEY(session, request)) STRICT, WITHOUT ROWID;\n";

static int error_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:      /* a table that there is not */
    case SQLITE_CONSTRAINT: /* a row that there must not be */
        return -EUCLEAN;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        return -EIO;
    }
}

/* What was being done comes last: it may be long, and say little to people. */
int ipcm__store_sql_error(const struct ipcm__store *store, int rc,
                          const char *what)
{
    const int error = error_of(rc);
    if (error == 0)
        return 0;
    const int system = store->db == NULL ? 0 : sqlite3_system_errno(store->db);
    const bool tell = system != 0 && (error == -EIO || error == -EACCES);
    return ipcm__fail(
        error, "store %s: %s%s%s%s (%.40s)", store->path,
        error == -EUCLEAN ? "it is damaged: " : "",
        store->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(store->db),
        tell ? ": " : "", tell ? strerrordesc_np(system) : "", what);
}

int ipcm__store_sql_run(struct ipcm__store *store, const char *sql)
{
    return ipcm__store_sql_error(
        store, sqlite3_exec(store->db, sql, NULL, NULL, NULL), sql);
}

int ipcm__store_sql_prepare(struct ipcm__store *store, const char *sql,
                            sqlite3_stmt **out)
{
    return ipcm__store_sql_error(store,
                                 sqlite3_prepare_v3(store->db, sql, -1,
                                                    SQLITE_PREPARE_PERSISTENT,
                                                    out, NULL),
                                 "prepare");
}

int ipcm__store_sql_number(struct ipcm__store *store, const char *sql,
                           int64_t *out)
{
    sqlite3_stmt *statement;
    int rc = ipcm__store_sql_prepare(store, sql, &statement);
    if (rc < 0)
        return rc;
    const int step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    rc = step == SQLITE_DONE
             ? ipcm__fail(-EUCLEAN, "store %s: no row: %s", store->path, sql)
             : ipcm__store_sql_error(store, step, sql);
    (void)sqlite3_finalize(statement);
    return rc;
}
