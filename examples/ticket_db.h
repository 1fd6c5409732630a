/* The tickets: one JSON file, {"count": 3}, written in place.
 *
 * Writing in place means truncating first: whoever dies in between leaves an
 * empty file.  A writer that holds a lock therefore keeps an undo file,
 * FILE.undo, while it writes:
 *
 *     ticket_db_save_undo()    FILE.undo holds what FILE is
 *     ticket_db_truncate()     FILE is empty
 *     ticket_db_write()        FILE is new
 *     ticket_db_commit()       FILE.undo is gone: the sale has happened
 *
 * and whoever gets the lock after a death calls ticket_db_recover(), which
 * puts an uncommitted change back.  It may be killed too: the next one does
 * the same again.  (The files are not synced: this is about processes that
 * die, not about power cuts.)
 *
 * Results are as in <ipc/error.h>; db->error says in words what went wrong. */
#ifndef TICKET_DB_H
#define TICKET_DB_H

#include <jansson.h>
#include <limits.h>

struct ticket_db {
    char path[PATH_MAX];
    char undo[PATH_MAX];
    char error[PATH_MAX + 256];
};

/* Name the file.  Errors: -ENAMETOOLONG. */
int ticket_db_init(struct ticket_db *db, const char *path);

/* Make the file.  Errors: -EEXIST and what open(2) and write(2) say. */
int ticket_db_create(struct ticket_db *db, long long count);

/* May it be read and written?  Touches nothing.
 * Errors: -EINVAL not a regular file; what open(2) says. */
int ticket_db_check(struct ticket_db *db);

/* Read it.  The caller owns out_tickets: json_decref().
 * Errors: -EBADMSG not JSON, or no count that makes sense; open(2), read(2). */
int ticket_db_read(struct ticket_db *db, json_t **out_tickets,
                   long long *out_count);

/* The steps of a change; all but truncate, which returns the descriptor that
 * write closes, return 0.  Without a lock leave out undo and commit. */
int ticket_db_save_undo(struct ticket_db *db, json_t *tickets);
int ticket_db_truncate(struct ticket_db *db);
int ticket_db_write(struct ticket_db *db, int fd, json_t *tickets);
int ticket_db_commit(struct ticket_db *db);

/* After a death, with the lock held: returns 0 when the file was intact, 1
 * when a change was under way and has been put back. */
int ticket_db_recover(struct ticket_db *db);

#endif
