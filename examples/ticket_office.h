/* The ticket office: the file of tickets, and the lock around it.
 *
 * Everybody who has the lock may trust the file: who gets it after a death
 * has repaired the file before ticket_office_enter() returns. */
#ifndef TICKET_OFFICE_H
#define TICKET_OFFICE_H

#include "ticket_db.h"
#include "ticket_options.h"

#include <ipc/ipc.h>

struct ticket_office {
    const struct ticket_options *options;
    int story_fd;
    struct ticket_db db;
    long long tickets;        /* in the file when it was opened */
    ipc_lock *lock;           /* --lock lock */
    ipc_file_lock *file_lock; /* --lock file */
    char lock_path[PATH_MAX + 8];
    bool lock_is_new; /* this program has made the lock file */
};

/* Find the file or make it, set its count if --tickets asks for it, repair
 * what an earlier run has left half written.  Returns 0, or -1 when that
 * cannot be done and a line on stderr has said why. */
int ticket_office_open(struct ticket_office *office,
                       const struct ticket_options *options, int story_fd);
void ticket_office_close(struct ticket_office *office);

/* Acquire the lock.  Returns 0, IPC_OWNER_DIED (the file has been repaired),
 * or -1 when that failed and a line on stderr has said why. */
int ticket_office_enter(struct ticket_office *office, const char *who);
void ticket_office_leave(struct ticket_office *office);

/* As ticket_db_read(), for those who have no lock: that the file is half
 * written for a moment is no error. */
int ticket_office_look(struct ticket_office *office, json_t **out_tickets,
                       long long *out_count);

#endif
