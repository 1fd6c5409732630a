#include "ticket_office.h"

#include "ticket_folder.h"
#include "ticket_say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the lock, of either kind ---- */

static int acquire(struct ticket_office *office)
{
    switch (office->options->lock) {
    case TICKET_LOCK_NONE:
        return 0;
    case TICKET_LOCK_FAMILY:
        return ipc_lock_acquire(office->lock);
    case TICKET_LOCK_FILE:
        return ipc_file_lock_acquire(office->file_lock);
    }
    return -EINVAL;
}

static int consistent(struct ticket_office *office)
{
    if (office->options->lock == TICKET_LOCK_FILE)
        return ipc_file_lock_consistent(office->file_lock);
    return ipc_lock_consistent(office->lock);
}

void ticket_office_leave(struct ticket_office *office)
{
    if (office->options->lock == TICKET_LOCK_FAMILY)
        ipc_lock_release(office->lock);
    else if (office->options->lock == TICKET_LOCK_FILE)
        ipc_file_lock_release(office->file_lock);
}

/* The owner died.  First the file is put right, then the lock is declared
 * consistent: who dies in between leaves both to the next one. */
static int repair(struct ticket_office *office, const char *who)
{
    int restored, rc;

    restored = ticket_db_recover(&office->db);
    if (restored < 0)
        return complain(who, office->db.error);
    rc = consistent(office);
    if (rc < 0)
        return complain_result(who, "consistent", rc);
    say(office->story_fd, "%s: the owner of the lock died; the file was %s",
        who, restored ? "torn and has been repaired" : "intact");
    return 0;
}

int ticket_office_enter(struct ticket_office *office, const char *who)
{
    int rc = acquire(office);

    if (rc < 0)
        return complain_result(who, "acquire", rc);
    if (rc == IPC_OWNER_DIED && repair(office, who) < 0) {
        /* Given up: without ..._consistent() nobody else gets it. */
        ticket_office_leave(office);
        return -1;
    }
    return rc;
}

/* ---- the file ---- */

int ticket_office_look(struct ticket_office *office, json_t **out_tickets,
                       long long *out_count)
{
    const ipc_deadline give_up = ipc_after_s(5);
    int rc, pause_ms;

    for (pause_ms = 1;; pause_ms = pause_ms < 50 ? 2 * pause_ms : 50) {
        rc = ticket_db_read(&office->db, out_tickets, out_count);
        if (rc != -EBADMSG || ipc_time_left(give_up) == 0)
            return rc;
        ipc_sleep_until(ipc_after_ms(pause_ms));
    }
}

/* The file is there, and may be read and written. */
static int find_file(struct ticket_office *office)
{
    const char *path = office->options->db;
    long long count = office->options->tickets;
    int rc;

    if (path == NULL)
        path = ticket_folder_make();
    if (path == NULL)
        return -1;
    if (count < 0)
        count = TICKET_OPTIONS_DEFAULT_TICKETS;
    rc = ticket_db_init(&office->db, path);
    if (rc == 0)
        rc = ticket_db_check(&office->db);
    if (rc == -ENOENT)
        rc = ticket_db_create(&office->db, count);
    return rc < 0 ? complain("", office->db.error) : 0;
}

static int make_lock(struct ticket_office *office)
{
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
    int rc = 0;

    if (office->options->lock == TICKET_LOCK_FAMILY) {
        options.label = "tickets";
        rc = ipc_lock_new(&options, &office->lock);
    } else if (office->options->lock == TICKET_LOCK_FILE) {
        snprintf(office->lock_path, sizeof office->lock_path, "%s.lock",
                 office->db.path);
        office->lock_is_new = access(office->lock_path, F_OK) < 0;
        rc = ipc_file_lock_open(office->lock_path, &office->file_lock);
    }
    return rc < 0 ? complain_result(office->lock_path, "lock", rc) : 0;
}

/* With the lock held.  Saving the undo file each time proves that there is
 * room for it, before it is needed. */
static int prepare(struct ticket_office *office)
{
    const bool locked = office->options->lock != TICKET_LOCK_NONE;
    const long long wanted = office->options->tickets;
    json_t *tickets = NULL;
    int rc = 0, fd;

    if (locked)
        rc = ticket_db_recover(&office->db);
    if (rc > 0)
        say(office->story_fd,
            "the file was torn by an earlier run and has been repaired");
    if (rc >= 0)
        rc = ticket_db_read(&office->db, &tickets, &office->tickets);
    if (rc < 0)
        return rc;

    if (locked)
        rc = ticket_db_save_undo(&office->db, tickets);
    if (rc == 0 && wanted >= 0 && wanted != office->tickets) {
        office->tickets = wanted;
        json_object_set_new(tickets, "count", json_integer(wanted));
        rc = fd = ticket_db_truncate(&office->db);
        if (fd >= 0)
            rc = ticket_db_write(&office->db, fd, tickets);
    }
    if (rc == 0 && locked)
        rc = ticket_db_commit(&office->db);
    if (rc < 0 && locked)
        (void)ticket_db_recover(&office->db);
    json_decref(tickets);
    return rc;
}

int ticket_office_open(struct ticket_office *office,
                       const struct ticket_options *options, int story_fd)
{
    int rc;

    memset(office, 0, sizeof *office);
    office->options = options;
    office->story_fd = story_fd;
    if (find_file(office) < 0 || make_lock(office) < 0 ||
        ticket_office_enter(office, "main") < 0)
        return -1;
    rc = prepare(office);
    if (rc < 0)
        rc = complain("", office->db.error);
    else if (options->kill && office->tickets == 0)
        rc = complain(office->db.path, "--kill needs at least 1 ticket");
    if (rc < 0 && office->lock_is_new)
        unlink(office->lock_path);
    ticket_office_leave(office);
    return rc;
}

void ticket_office_close(struct ticket_office *office)
{
    ipc_lock_free(office->lock);
    ipc_file_lock_close(office->file_lock);
    ticket_folder_remove();
}
