/* Store: what is in it, told once at the start. */
#include <errno.h>

#include "fail.h"
#include "store/parts.h"

struct loading {
    struct ipcm__store *store;
    const struct ipcm__store_loader *loader;
    void *arg;
};

static int tell_object(const struct loading *loading, sqlite3_stmt *row)
{
    struct ipcm__store_object object;
    const int rc = ipcm__store_read_object(row, &object);
    return rc < 0 ? rc : loading->loader->object(loading->arg, &object);
}

static int tell_entry(const struct loading *loading, sqlite3_stmt *row)
{
    struct ipcm__store_entry entry;
    uint64_t place;
    const int rc = ipcm__store_read_entry(row, &entry, &place);
    return rc < 0 ? rc : loading->loader->entry(loading->arg, &entry);
}

static int tell_answer(const struct loading *loading, sqlite3_stmt *row)
{
    struct ipcm__store_answer answer;
    const int rc = ipcm__store_read_answer(row, &answer);
    return rc < 0 ? rc : loading->loader->answer(loading->arg, &answer);
}

static int tell_all(const struct loading *loading, const char *sql,
                    int (*tell)(const struct loading *loading,
                                sqlite3_stmt *row))
{
    sqlite3_stmt *rows;
    int step = SQLITE_DONE;
    int rc = ipcm__store_sql_prepare(loading->store, sql, &rows);
    if (rc < 0)
        return rc;
    while (rc == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
        rc = tell(loading, rows);
    if (rc >= 0)
        rc = ipcm__store_sql_error(loading->store, step, "read");
    (void)sqlite3_finalize(rows);
    return rc;
}

int ipcm__store_load(struct ipcm__store *store,
                     const struct ipcm__store_loader *loader, void *arg)
{
    const struct loading loading = {store, loader, arg};
    int rc = tell_all(&loading, ipcm__store_select_objects, tell_object);
    if (rc == 0)
        rc = tell_all(&loading, ipcm__store_select_entries, tell_entry);
    if (rc == 0)
        rc = tell_all(&loading, ipcm__store_select_answers, tell_answer);
    return rc;
}
