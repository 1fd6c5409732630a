/* Store: the file from which durable objects come back.
 *
 * Objects live in memory; the file is a log of what was done to them, and for
 * each object a snapshot that the log of it begins with.  A snapshot is made of
 * operations too: those that rebuild the object from empty.  So the store knows
 * numbers, names and blobs, and nothing of lists or queues.
 *
 * What is logged is what happened, one row for one object, without reading
 * another one: a MERGE is logged as the UPDATE that it came to, a COPY as a new
 * object and an EXTEND, a GET that waited as the GET that was answered.  So the
 * rows of one object can be replayed without regard to those of others, and
 * each object can be snapshotted for itself.
 *
 * Groups.  What one turn of the server's loop logs is one transaction of the
 * file: all of it is there after a crash, or none.  The server holds back
 * replies to operations on durable objects until ipcm__store_commit().
 *
 * Nested containers have numbers like others: a row that put a reference into a
 * container says so by the number, as on the wire.  Loading makes all objects
 * first, and then what is in them.
 *
 * SQLite, WAL. synchronous=FULL for a group with IPC_DURABLE_ALWAYS in it, else
 * NORMAL, and ipcm__store_sync() once a second. application_id and user_version
 * say whose file it is; a row says how it was closed.  An error of writing or
 * fsync stays: -EIO from then on, and the server ends.
 *
 * One thread, in a process that does not fork while it is open. */
#ifndef IPC_MANAGER_STORE_H
#define IPC_MANAGER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/handshake.h"

struct ipcm__store;

#define IPCM__STORE_CHECK_ONLY 1u /* look, and change nothing; *out is NULL */

/* Open or make the file (0600, in a folder that only we may write; a new one
 * complete or not at all).
 *
 * Errors: -EUCLEAN damaged; -EPROTONOSUPPORT not ours, or of a newer version:
 * both leave it as it is, and the detail says what was found; -EBUSY another
 * server has it open; -EACCES others may write it; -EIO, -ENOSPC. */
int ipcm__store_open(const char *path, uint32_t flags,
                     struct ipcm__store **out);

/* Commits and syncs what is there, marks it as closed in order.  0 or -EIO.
 * NULL is fine. */
int ipcm__store_close(struct ipcm__store *store);

/* How often it was opened: the upper bits of the numbers of objects, so that no
 * number is used again.  From 1. */
uint32_t ipcm__store_epoch(const struct ipcm__store *store);

struct ipcm__store_object {
    uint64_t id;
    const char *type; /* "list", ..., ends with a zero byte */
    const char *name; /* NULL: nested, or held by a session */
    size_t name_bytes;
    uint32_t durability;
    const void *options; /* ipcm__encode_values() of what OPEN was told */
    size_t option_bytes;
};

struct ipcm__store_entry {
    uint64_t object;
    uint32_t op;      /* of wire.h and remote.h */
    const void *args; /* ipcm__encode_values() */
    size_t arg_bytes;
};

/* The last answers of a session that may come back. */
struct ipcm__store_answer {
    uint8_t session[IPCM__SESSION_BYTES];
    uint32_t uid;      /* of a Unix socket; UINT32_MAX: tcp or tls */
    uint64_t request;  /* its id */
    const void *reply; /* the frame, without length; NULL: no longer kept */
    size_t reply_bytes;
};

/* ---- at the start ---- */

/* Called in this order: every object; every entry, snapshot before log, those
 * of one object in order; every answer.  A negative result ends the loading,
 * and is its result. */
struct ipcm__store_loader {
    int (*object)(void *arg, const struct ipcm__store_object *object);
    int (*entry)(void *arg, const struct ipcm__store_entry *entry);
    int (*answer)(void *arg, const struct ipcm__store_answer *answer);
};

int ipcm__store_load(struct ipcm__store *store,
                     const struct ipcm__store_loader *loader, void *arg);

/* Open it, check it, tell what is in it and close it; nothing is changed, and a
 * file that is not there is not made. */
int ipcm__store_look(const char *path, const struct ipcm__store_loader *loader,
                     void *arg);

/* ---- in a turn of the loop ----
 *
 * Part of the open group.  Blobs are copied.  An error (-EIO, -ENOMEM,
 * -ENOSPC) spoils the group, and commit says so. */

/* sync: IPC_DURABLE_ALWAYS. */
int ipcm__store_add(struct ipcm__store *store,
                    const struct ipcm__store_object *object, bool sync);

/* The object is no more, with its rows. */
int ipcm__store_drop(struct ipcm__store *store, uint64_t object, bool sync);

/* Its name is no more; it lives on, held by others. */
int ipcm__store_unname(struct ipcm__store *store, uint64_t object, bool sync);

int ipcm__store_log(struct ipcm__store *store,
                    const struct ipcm__store_entry *entry, bool sync);

/* keep: how many answers of a session stay. */
int ipcm__store_answer(struct ipcm__store *store,
                       const struct ipcm__store_answer *answer, uint32_t keep);
int ipcm__store_forget(struct ipcm__store *store,
                       const uint8_t session[IPCM__SESSION_BYTES]);

/* The object as it is now, instead of all its rows: begin, the entries that
 * rebuild it by ipcm__store_log(), end. */
int ipcm__store_snapshot_begin(struct ipcm__store *store, uint64_t object);
int ipcm__store_snapshot_end(struct ipcm__store *store);

/* Instead of end: it could not be made, and all that is in the open group did
 * not happen. */
int ipcm__store_snapshot_undo(struct ipcm__store *store);

/* Make the group hold, at its level.  An empty one costs nothing.  -EIO: none
 * of it is to be answered, and nothing but close is left to call. */
int ipcm__store_commit(struct ipcm__store *store);

/* What was committed without sync is on the disk. */
int ipcm__store_sync(struct ipcm__store *store);
bool ipcm__store_is_synced(const struct ipcm__store *store);

/* ---- how large ---- */

/* Bytes of rows of an object since its last snapshot, and of the snapshot: the
 * server makes a new one when the first is more than the second and more than
 * its share of snapshot_bytes. */
void ipcm__store_sizes(const struct ipcm__store *store, uint64_t object,
                       uint64_t *log_bytes, uint64_t *snapshot_bytes);

/* The object with the most to gain from a snapshot when the log has more than
 * so many bytes in all; 0: none.  (Of very many objects only some are looked
 * at, other ones each time.) */
uint64_t ipcm__store_worst(struct ipcm__store *store, uint64_t bytes);

/* For the stats: bytes of the file with its log; commits since the opening. */
void ipcm__store_figures(const struct ipcm__store *store, uint64_t *bytes,
                         uint64_t *commits);

#endif
