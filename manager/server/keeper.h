/* Keeper: what is durable.  Between the server and its store.
 *
 * What is done to a durable object goes into the open group of the store; the
 * group is committed at the end of the turn, before anything is sent.  So no
 * reply leaves before what it promises holds, and nothing else has to be held
 * back: replies of a turn are gathered, and sent after ipcm__keeper_commit().
 * If that fails none of them may be sent, and the server ends.
 *
 * A server without a store has no keeper: NULL, and all of these do nothing. */
#ifndef IPC_MANAGER_KEEPER_H
#define IPC_MANAGER_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>
#include <ipc/time.h>

#include "server/server.h"
#include "store/store.h"

struct ipcm__keeper;

/* Opens the store that config names; none: *out is NULL.  Errors: those of
 * ipcm__store_open(). */
int ipcm__keeper_open(struct ipcm__server *server,
                      const struct ipcm__config *config,
                      struct ipcm__keeper **out);

/* Makes every object, then what is in them, then the sessions with their
 * answers, by the functions below. */
int ipcm__keeper_load(struct ipcm__keeper *keeper);

/* The same from a file that is only looked at; server has no keeper. */
int ipcm__keeper_look(struct ipcm__server *server, const char *path);

/* 0 or -EIO.  NULL is fine. */
int ipcm__keeper_close(struct ipcm__keeper *keeper);

/* Upper bits of the numbers of objects: ipcm__store_epoch(), 0 without. */
uint32_t ipcm__keeper_epoch(const struct ipcm__keeper *keeper);

/* ---- in a turn ---- */

/* A durable object was made: options are those of OPEN, as create() gets them
 * when it is loaded.  What is in a container from the beginning is to be logged
 * with ipcm__keep() as any other change, and not be among them. */
int ipcm__keeper_add(struct ipcm__keeper *keeper,
                     const struct ipcm__object *object, const ipc_any *options,
                     size_t count);

/* It is no more; or has no name any more. */
int ipcm__keeper_drop(struct ipcm__keeper *keeper,
                      const struct ipcm__object *object);
int ipcm__keeper_unname(struct ipcm__keeper *keeper,
                        const struct ipcm__object *object);

/* Has anything been kept since this was asked last?  Asked after each request:
 * then its answer is to be kept too, by the next call. */
bool ipcm__keeper_kept(struct ipcm__keeper *keeper);

/* The last answer of a session: the frame, without length; NULL: it is not
 * kept, being too long. */
int ipcm__keeper_answer(struct ipcm__keeper *keeper,
                        const struct ipcm__session *session, uint64_t request,
                        const void *reply, size_t bytes);

/* The session has ended. */
int ipcm__keeper_forget(struct ipcm__keeper *keeper,
                        const struct ipcm__session *session);

/* The end of the turn: makes the group hold, once a second syncs what has only
 * been committed, and now and then makes a snapshot.  -EIO: none of the turn's
 * replies may be sent, and the server is to end. */
int ipcm__keeper_commit(struct ipcm__keeper *keeper, ipc_deadline now);

/* When commit is to be called at the latest, though nothing comes. */
ipc_deadline ipcm__keeper_next(const struct ipcm__keeper *keeper);

/* As ipcm__store_figures(); zeros without a store. */
void ipcm__keeper_figures(const struct ipcm__keeper *keeper, uint64_t *bytes,
                          uint64_t *commits);

/* ---- what it needs of the others ---- */

/* Server: its keeper, or NULL. */
struct ipcm__keeper *ipcm__server_keeper(const struct ipcm__server *server);

/* Objects: make one as it was, by its number, kind->create() and all; without
 * references.  Nothing is logged.  -EUCLEAN there is no such kind. */
int ipcm__object_restore(struct ipcm__server *server,
                         const struct ipcm__store_object *row,
                         const ipc_any *options, size_t count,
                         struct ipcm__object **out);

/* Loading is over: anonymous objects that nothing holds are to go. */
int ipcm__objects_restored(struct ipcm__server *server);

/* Sessions: make it, if it is not there, with this answer, in its grace of
 * limits.restart_grace_ms. */
int ipcm__session_restore(struct ipcm__server *server,
                          const struct ipcm__store_answer *answer);

#endif
