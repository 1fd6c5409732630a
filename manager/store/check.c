/* Store: is the file whole?  Asked before anything is written to it, so what is
 * refused stays as it was, for somebody to look at.
 *
 * SQLite's own check finds broken pages, not changed bytes in a value: so each
 * row has a sum, and all are read once.  After an unclean end its long check is
 * made, with indexes, else the short one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "store/parts.h"

static int damaged(const struct ipcm__store *store, const char *what)
{
    return ipcm__fail(-EUCLEAN, "store %s: damaged: %s", store->path, what);
}

/* The text that a statement results in: the caller's, until free(). */
static int text_of(struct ipcm__store *store, const char *sql, char **out)
{
    sqlite3_stmt *statement;
    int rc = ipcm__store_sql_prepare(store, sql, &statement);
    if (rc != 0)
        return rc;
    const int step = sqlite3_step(statement);
    rc = ipcm__store_sql_error(store, step, "check");
    if (rc == 0) {
        const unsigned char *text =
            step == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
        *out = strdup(text == NULL ? "" : (const char *)text);
        rc = *out == NULL ? -ENOMEM : 0;
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

/* The tables are those that we make: no more, no others, no triggers. */
static int check_schema(struct ipcm__store *store)
{
    char *text = NULL;
    const int rc =
        text_of(store,
                "SELECT group_concat(sql || ';' || char(10), '') FROM"
                " (SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"
                " ORDER BY rowid)",
                &text);
    if (rc != 0)
        return rc;
    const bool same = strcmp(text, ipcm__store_schema) == 0;
    free(text);
    return same ? 0 : damaged(store, "its tables are others");
}

static int check_pages(struct ipcm__store *store)
{
    int64_t closed = 0;
    char *text = NULL;
    int rc = ipcm__store_sql_number(
        store, "SELECT closed FROM store WHERE one = 1", &closed);
    if (rc == 0)
        rc = text_of(store,
                     closed != 0 ? "PRAGMA quick_check(1)"
                                 : "PRAGMA integrity_check(1)",
                     &text);
    if (rc != 0)
        return rc;
    rc = strcmp(text, "ok") == 0 ? 0 : damaged(store, text);
    free(text);
    return rc;
}

/* ---- rows ---- */

static int see_object(struct ipcm__store *store, sqlite3_stmt *row)
{
    struct ipcm__store_object object;
    const int rc = ipcm__store_read_object(row, &object);
    return rc < 0 ? rc
                  : ipcm__store_size_add(store, object.id, object.option_bytes,
                                         true);
}

static int see_entry(struct ipcm__store *store, sqlite3_stmt *row)
{
    struct ipcm__store_entry entry;
    uint64_t place;
    const int rc = ipcm__store_read_entry(row, &entry, &place);
    if (rc != 0)
        return rc;
    if (ipcm__map_get(&store->sizes, entry.object) == NULL)
        return damaged(store, "an entry of an object that there is not");
    if (place > store->sequence)
        store->sequence = place;
    return ipcm__store_size_add(store, entry.object, entry.arg_bytes,
                                sqlite3_column_int(row, 2) != 0);
}

static int see_answer(struct ipcm__store *store, sqlite3_stmt *row)
{
    struct ipcm__store_answer answer;
    (void)store;
    return ipcm__store_read_answer(row, &answer);
}

static int check_rows(struct ipcm__store *store, const char *sql,
                      int (*see)(struct ipcm__store *store, sqlite3_stmt *row))
{
    sqlite3_stmt *rows;
    int step = SQLITE_DONE;
    int rc = ipcm__store_sql_prepare(store, sql, &rows);
    if (rc != 0)
        return rc;
    while (rc == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
        rc = see(store, rows);
    if (rc == 0)
        rc = ipcm__store_sql_error(store, step, "read");
    else if (rc == -EUCLEAN)
        rc = damaged(store, ipc_error_detail());
    (void)sqlite3_finalize(rows);
    return rc;
}

int ipcm__store_check(struct ipcm__store *store)
{
    int rc = check_schema(store);
    if (rc == 0)
        rc = check_pages(store);
    if (rc == 0)
        rc = check_rows(store, ipcm__store_select_objects, see_object);
    if (rc == 0)
        rc = check_rows(store, ipcm__store_select_entries, see_entry);
    if (rc == 0)
        rc = check_rows(store, ipcm__store_select_answers, see_answer);
    return rc;
}
