/* Store: what its sources share. */
#ifndef IPC_MANAGER_STORE_PARTS_H
#define IPC_MANAGER_STORE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "map.h"
#include "store/store.h"

/* "ipcM", and the version of what is in the tables. */
#define STORE_APPLICATION 0x6970634dU
#define STORE_VERSION     1

/* Statements that are prepared once, see store/rows.c. */
enum store_statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_OBJECT_ADD,
    STATEMENT_OBJECT_DROP,
    STATEMENT_OBJECT_UNNAME,
    STATEMENT_ENTRY_ADD,
    STATEMENT_ENTRY_DROP,
    STATEMENT_ANSWER_ADD,
    STATEMENT_ANSWER_TRIM,
    STATEMENT_ANSWER_DROP,
    STATEMENT_OPENED,
    STATEMENT_CLOSED,
    STATEMENTS
};

struct store_size {
    uint64_t log_bytes;
    uint64_t snapshot_bytes;
};

struct ipcm__store {
    char *path;
    char *wal; /* its log: path-wal */
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    int lock_fd;      /* of the file, locked with flock(2) */
    uint32_t epoch;   /* of this opening */
    int failed;       /* the first error of writing: it stays */
    bool group;       /* one is open */
    bool group_syncs; /* and has something of IPC_DURABLE_ALWAYS */
    bool unsynced;    /* something was committed that may not be on the disk */
    int wal_frames;   /* in the log after the last commit */
    uint64_t sequence;
    uint64_t snapshot;        /* the object one is made of; 0: none */
    struct store_size before; /* its size before that */
    uint64_t commits;
    struct ipcm__map sizes; /* object: struct store_size */
    /* By the first bytes of a session: answers since it was trimmed. */
    struct ipcm__map sessions;
    uint64_t log_bytes; /* of all objects */
    size_t cursor;      /* in sizes: see ipcm__store_worst() */
};

/* ---- file.c: the file as a file ---- */

/* Who may write it, whose it is, is it one of ours.  0: *out is locked; 1: there
 * is none.  Changes nothing. */
int ipcm__store_file_open(const char *path, int *out);

/* Make one: complete, or not at all.  0, also if somebody was faster. */
int ipcm__store_file_create(const char *path);

/* path with something behind; NULL: no memory. */
char *ipcm__store_path(const char *path, const char *suffix);

/* ---- sql.c ---- */

/* The detail line and error for what SQLite says. */
int ipcm__store_sql_error(const struct ipcm__store *store, int rc,
                          const char *what);

/* One or more statements without results. */
int ipcm__store_sql_run(struct ipcm__store *store, const char *sql);

/* The number that a statement results in. */
int ipcm__store_sql_number(struct ipcm__store *store, const char *sql,
                           int64_t *out);

int ipcm__store_sql_prepare(struct ipcm__store *store, const char *sql,
                            sqlite3_stmt **out);

/* The schema, one statement after the other, and the rows that are there from
 * the beginning. */
extern const char ipcm__store_schema[];

/* ---- check.c: is it whole?  Reads only ---- */

int ipcm__store_check(struct ipcm__store *store);

/* ---- rows.c ---- */

int ipcm__store_rows_prepare(struct ipcm__store *store);
void ipcm__store_rows_end(struct ipcm__store *store);

/* Open the group if there is none. */
int ipcm__store_rows_begin(struct ipcm__store *store);

/* Run a prepared statement that has no result, and make it ready again. */
int ipcm__store_rows_step(struct ipcm__store *store,
                          enum store_statement which);

/* Columns of a row: id, type, name, durability, options, sum; object, seq,
 * snapshot, op, args, sum; session, request, uid, reply, sum.  -EUCLEAN the sum
 * is another one.  What they point to is good until the next step. */
extern const char ipcm__store_select_objects[];
extern const char ipcm__store_select_entries[];
extern const char ipcm__store_select_answers[];
int ipcm__store_read_object(sqlite3_stmt *row, struct ipcm__store_object *out);
int ipcm__store_read_entry(sqlite3_stmt *row, struct ipcm__store_entry *out,
                           uint64_t *place);
int ipcm__store_read_answer(sqlite3_stmt *row, struct ipcm__store_answer *out);

/* ---- sizes.c ---- */

int ipcm__store_size_add(struct ipcm__store *store, uint64_t object,
                         uint64_t bytes, bool snapshot);
void ipcm__store_size_drop(struct ipcm__store *store, uint64_t object);
void ipcm__store_sizes_free(struct ipcm__store *store);

#endif
