/* Store: rows, and what is written to them.
 *
 * Each row has a sum of all that is in it (of an object but for its name, which
 * may be taken from it), so that bytes that changed on the disk are found:
 * SipHash with a key that everybody knows, as the enemy is no person.
 *
 * Entries are ordered by object and then by a number that grows with every
 * entry of the store, so those of one object lie together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fail.h"
#include "store/parts.h"

static const char *const texts[STATEMENTS] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_OBJECT_ADD] = "INSERT INTO object VALUES(?, ?, ?, ?, ?, ?)",
    [STATEMENT_OBJECT_DROP] = "DELETE FROM object WHERE id = ?",
    [STATEMENT_OBJECT_UNNAME] = "UPDATE object SET name = NULL WHERE id = ?",
    [STATEMENT_ENTRY_ADD] = "INSERT INTO entry VALUES(?, ?, ?, ?, ?, ?)",
    [STATEMENT_ENTRY_DROP] = "DELETE FROM entry WHERE object = ?",
    [STATEMENT_ANSWER_ADD] = "INSERT OR REPLACE INTO answer"
                             " VALUES(?, ?, ?, ?, ?)",
    [STATEMENT_ANSWER_TRIM] =
        "DELETE FROM answer WHERE session = ?1 AND request <= (SELECT request"
        " FROM answer WHERE session = ?1 ORDER BY request DESC"
        " LIMIT 1 OFFSET ?2)",
    [STATEMENT_ANSWER_DROP] = "DELETE FROM answer WHERE session = ?",
    [STATEMENT_OPENED] = "UPDATE store SET epoch = epoch + 1,"
                         " twin = twin - 1, closed = 0",
    [STATEMENT_CLOSED] = "UPDATE store SET closed = 1",
};

const char ipcm__store_select_objects[] =
    "SELECT id, type, name, durability, options, sum FROM object ORDER BY id";
const char ipcm__store_select_entries[] =
    "SELECT object, seq, snapshot, op, args, sum FROM entry"
    " ORDER BY object, seq";
const char ipcm__store_select_answers[] =
    "SELECT session, request, uid, reply, sum FROM answer"
    " ORDER BY session, request";

/* ---- sums ---- */

struct summed {
    uint64_t numbers[3];
    const void *text;
    size_t text_bytes;
    const void *blob;
    size_t blob_bytes;
};

static int64_t sum_of(const struct summed *of)
{
    static const uint8_t key[crypto_shorthash_KEYBYTES] = "libipc store 01";
    struct {
        uint64_t numbers[5];
        uint8_t parts[2][crypto_shorthash_BYTES];
    } whole = {{of->numbers[0], of->numbers[1], of->numbers[2], of->text_bytes,
                of->blob_bytes},
               {{0}}};
    uint8_t out[crypto_shorthash_BYTES];
    int64_t sum;
    (void)crypto_shorthash(whole.parts[0], of->text, of->text_bytes, key);
    (void)crypto_shorthash(whole.parts[1], of->blob, of->blob_bytes, key);
    (void)crypto_shorthash(out, (const uint8_t *)&whole, sizeof whole, key);
    memcpy(&sum, out, sizeof sum);
    return sum;
}

static int64_t sum_object(const struct ipcm__store_object *object)
{
    const struct summed of = {{object->id, object->durability, 1},
                              object->type,
                              strlen(object->type),
                              object->options,
                              object->option_bytes};
    return sum_of(&of);
}

static int64_t sum_entry(const struct ipcm__store_entry *entry, uint64_t place)
{
    const struct summed of = {{entry->object, place, entry->op},
                              "",
                              0,
                              entry->args,
                              entry->arg_bytes};
    return sum_of(&of);
}

static int64_t sum_answer(const struct ipcm__store_answer *answer)
{
    const struct summed of = {
        {answer->request, answer->uid, answer->reply != NULL},
        answer->session,
        sizeof answer->session,
        answer->reply == NULL ? "" : answer->reply,
        answer->reply == NULL ? 0 : answer->reply_bytes};
    return sum_of(&of);
}

/* ---- reading ---- */

static int check_sum(sqlite3_stmt *row, int column, int64_t sum,
                     const char *what)
{
    return sqlite3_column_int64(row, column) == sum
               ? 0
               : ipcm__fail(-EUCLEAN, "%s is not what was written", what);
}

/* A blob without bytes is no NULL. */
static const void *blob_at(sqlite3_stmt *row, int column, size_t *bytes)
{
    const void *at = sqlite3_column_blob(row, column);
    *bytes = (size_t)sqlite3_column_bytes(row, column);
    if (at == NULL && sqlite3_column_type(row, column) != SQLITE_NULL)
        return "";
    return at;
}

int ipcm__store_read_object(sqlite3_stmt *row, struct ipcm__store_object *out)
{
    out->id = (uint64_t)sqlite3_column_int64(row, 0);
    out->type = (const char *)sqlite3_column_text(row, 1);
    out->name = blob_at(row, 2, &out->name_bytes);
    out->durability = (uint32_t)sqlite3_column_int64(row, 3);
    out->options = blob_at(row, 4, &out->option_bytes);
    if (out->type == NULL || out->options == NULL)
        return -ENOMEM;
    return check_sum(row, 5, sum_object(out), "an object");
}

int ipcm__store_read_entry(sqlite3_stmt *row, struct ipcm__store_entry *out,
                           uint64_t *place)
{
    out->object = (uint64_t)sqlite3_column_int64(row, 0);
    *place = (uint64_t)sqlite3_column_int64(row, 1);
    out->op = (uint32_t)sqlite3_column_int64(row, 3);
    out->args = blob_at(row, 4, &out->arg_bytes);
    if (out->args == NULL)
        return -ENOMEM;
    return check_sum(row, 5, sum_entry(out, *place), "an entry");
}

int ipcm__store_read_answer(sqlite3_stmt *row, struct ipcm__store_answer *out)
{
    size_t bytes;
    const void *session = blob_at(row, 0, &bytes);
    if (session == NULL || bytes != sizeof out->session)
        return ipcm__fail(-EUCLEAN, "a session is not what was written");
    memcpy(out->session, session, sizeof out->session);
    out->request = (uint64_t)sqlite3_column_int64(row, 1);
    out->uid = (uint32_t)sqlite3_column_int64(row, 2);
    out->reply = blob_at(row, 3, &out->reply_bytes);
    return check_sum(row, 4, sum_answer(out), "an answer");
}

/* ---- writing ---- */

int ipcm__store_rows_prepare(struct ipcm__store *store)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        const int rc =
            ipcm__store_sql_prepare(store, texts[i], &store->statements[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void ipcm__store_rows_end(struct ipcm__store *store)
{
    for (size_t i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(store->statements[i]);
}

/* The first error stays: what is in the group is not to be believed. */
static int spoil(struct ipcm__store *store, int rc)
{
    if (rc < 0 && store->failed == 0)
        store->failed = rc;
    return rc;
}

int ipcm__store_rows_step(struct ipcm__store *store, enum store_statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    const int rc =
        ipcm__store_sql_error(store, sqlite3_step(statement), texts[which]);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return spoil(store, rc);
}

int ipcm__store_rows_begin(struct ipcm__store *store)
{
    if (store->failed != 0)
        return ipcm__fail(-EIO, "store %s: it could not be written before",
                          store->path);
    if (store->group)
        return 0;
    const int rc = ipcm__store_rows_step(store, STATEMENT_BEGIN);
    store->group = rc == 0;
    return rc;
}

/* Bytes are the caller's until the step, which is in the same call. */
static void bind_bytes(sqlite3_stmt *statement, int column, const void *at,
                       size_t bytes)
{
    (void)sqlite3_bind_blob64(statement, column, at, bytes, SQLITE_STATIC);
}

static void bind_u64(sqlite3_stmt *statement, int column, uint64_t value)
{
    (void)sqlite3_bind_int64(statement, column, (int64_t)value);
}

static int drop_rows(struct ipcm__store *store, enum store_statement which,
                     uint64_t object)
{
    bind_u64(store->statements[which], 1, object);
    return ipcm__store_rows_step(store, which);
}

int ipcm__store_add(struct ipcm__store *store,
                    const struct ipcm__store_object *object, bool sync)
{
    sqlite3_stmt *row = store->statements[STATEMENT_OBJECT_ADD];
    int rc = ipcm__store_rows_begin(store);
    if (rc < 0)
        return rc;
    rc = spoil(store, ipcm__store_size_add(store, object->id,
                                           object->option_bytes, true));
    if (rc < 0)
        return rc;
    store->group_syncs |= sync;
    bind_u64(row, 1, object->id);
    (void)sqlite3_bind_text(row, 2, object->type, -1, SQLITE_STATIC);
    if (object->name != NULL)
        bind_bytes(row, 3, object->name, object->name_bytes);
    bind_u64(row, 4, object->durability);
    bind_bytes(row, 5, object->option_bytes == 0 ? "" : object->options,
               object->option_bytes);
    (void)sqlite3_bind_int64(row, 6, sum_object(object));
    return ipcm__store_rows_step(store, STATEMENT_OBJECT_ADD);
}

int ipcm__store_drop(struct ipcm__store *store, uint64_t object, bool sync)
{
    int rc = ipcm__store_rows_begin(store);
    store->group_syncs |= sync;
    if (rc == 0)
        rc = drop_rows(store, STATEMENT_OBJECT_DROP, object);
    if (rc == 0)
        rc = drop_rows(store, STATEMENT_ENTRY_DROP, object);
    ipcm__store_size_drop(store, object);
    return rc;
}

int ipcm__store_unname(struct ipcm__store *store, uint64_t object, bool sync)
{
    const int rc = ipcm__store_rows_begin(store);
    store->group_syncs |= sync;
    return rc < 0 ? rc : drop_rows(store, STATEMENT_OBJECT_UNNAME, object);
}

int ipcm__store_log(struct ipcm__store *store,
                    const struct ipcm__store_entry *entry, bool sync)
{
    const bool snapshot =
        store->snapshot != 0 && store->snapshot == entry->object;
    sqlite3_stmt *row = store->statements[STATEMENT_ENTRY_ADD];
    int rc = ipcm__store_rows_begin(store);
    if (rc == 0)
        rc = spoil(store, ipcm__store_size_add(store, entry->object,
                                               entry->arg_bytes, snapshot));
    if (rc < 0)
        return rc;
    const uint64_t place = ++store->sequence;
    store->group_syncs |= sync;
    bind_u64(row, 1, entry->object);
    bind_u64(row, 2, place);
    (void)sqlite3_bind_int(row, 3, snapshot);
    bind_u64(row, 4, entry->op);
    bind_bytes(row, 5, entry->arg_bytes == 0 ? "" : entry->args,
               entry->arg_bytes);
    (void)sqlite3_bind_int64(row, 6, sum_entry(entry, place));
    return ipcm__store_rows_step(store, STATEMENT_ENTRY_ADD);
}

int ipcm__store_snapshot_begin(struct ipcm__store *store, uint64_t object)
{
    int rc = ipcm__store_rows_begin(store);
    if (rc == 0)
        rc = drop_rows(store, STATEMENT_ENTRY_DROP, object);
    if (rc < 0)
        return rc;
    ipcm__store_sizes(store, object, &store->before.log_bytes,
                      &store->before.snapshot_bytes);
    ipcm__store_size_drop(store, object);
    store->snapshot = object;
    return spoil(store, ipcm__store_size_add(store, object, 0, true));
}

int ipcm__store_snapshot_end(struct ipcm__store *store)
{
    store->snapshot = 0;
    return store->failed != 0 ? -EIO : 0;
}

int ipcm__store_snapshot_undo(struct ipcm__store *store)
{
    const uint64_t object = store->snapshot;
    if (ipcm__store_snapshot_end(store) < 0)
        return -EIO;
    ipcm__store_size_drop(store, object);
    int rc =
        ipcm__store_size_add(store, object, store->before.log_bytes, false);
    if (rc == 0)
        rc = ipcm__store_size_add(store, object, store->before.snapshot_bytes,
                                  true);
    if (spoil(store, rc) == 0 && store->group)
        rc = ipcm__store_rows_step(store, STATEMENT_ROLLBACK);
    store->group = false;
    store->group_syncs = false;
    return rc;
}

/* ---- answers ---- */

static uint64_t session_key(const uint8_t session[IPCM__SESSION_BYTES])
{
    uint64_t key;
    memcpy(&key, session, sizeof key);
    return key | 1;
}

/* Now and then: so there are never more than twice as many. */
static int trim_answers(struct ipcm__store *store,
                        const struct ipcm__store_answer *answer, uint32_t keep)
{
    sqlite3_stmt *trim = store->statements[STATEMENT_ANSWER_TRIM];
    const uint64_t key = session_key(answer->session);
    const uintptr_t added = (uintptr_t)ipcm__map_get(&store->sessions, key) + 1;
    if (added < keep)
        return spoil(store,
                     ipcm__map_put(&store->sessions, key, (void *)added));
    (void)ipcm__map_take(&store->sessions, key);
    bind_bytes(trim, 1, answer->session, sizeof answer->session);
    bind_u64(trim, 2, keep);
    return ipcm__store_rows_step(store, STATEMENT_ANSWER_TRIM);
}

int ipcm__store_answer(struct ipcm__store *store,
                       const struct ipcm__store_answer *answer, uint32_t keep)
{
    sqlite3_stmt *row = store->statements[STATEMENT_ANSWER_ADD];
    int rc = ipcm__store_rows_begin(store);
    if (rc < 0)
        return rc;
    bind_bytes(row, 1, answer->session, sizeof answer->session);
    bind_u64(row, 2, answer->request);
    bind_u64(row, 3, answer->uid);
    if (answer->reply != NULL)
        bind_bytes(row, 4, answer->reply_bytes == 0 ? "" : answer->reply,
                   answer->reply_bytes);
    (void)sqlite3_bind_int64(row, 5, sum_answer(answer));
    rc = ipcm__store_rows_step(store, STATEMENT_ANSWER_ADD);
    return rc < 0 ? rc : trim_answers(store, answer, keep);
}

int ipcm__store_forget(struct ipcm__store *store,
                       const uint8_t session[IPCM__SESSION_BYTES])
{
    const int rc = ipcm__store_rows_begin(store);
    if (rc < 0)
        return rc;
    (void)ipcm__map_take(&store->sessions, session_key(session));
    bind_bytes(store->statements[STATEMENT_ANSWER_DROP], 1, session,
               IPCM__SESSION_BYTES);
    return ipcm__store_rows_step(store, STATEMENT_ANSWER_DROP);
}
