#include "ticket_db.h"

#include <ipc/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20)

__attribute__((format(printf, 3, 4))) static int
failed(struct ticket_db *db, int rc, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(db->error, sizeof db->error, format, args);
    va_end(args);
    return rc;
}

/* A system call said no to what we wanted with path. */
static int failed_errno(struct ticket_db *db, const char *path)
{
    int rc = -errno;

    return failed(db, rc, "%s: %s", path, ipc_strerror(rc));
}

int ticket_db_init(struct ticket_db *db, const char *path)
{
    int length = snprintf(db->undo, sizeof db->undo, "%s.undo", path);

    if (length >= (int)sizeof db->undo)
        return failed(db, -ENAMETOOLONG, "the file name is too long");
    snprintf(db->path, sizeof db->path, "%s", path);
    db->error[0] = '\0';
    return 0;
}

/* Write JSON, with a newline at its end as text files have, and close. */
static int dump_and_close(struct ticket_db *db, const char *path, int fd,
                          json_t *tickets)
{
    char *text = json_dumps(tickets, 0);
    int rc = 0;

    if (text == NULL)
        rc = failed(db, -ENOMEM, "%s: no memory to write it", path);
    else if (dprintf(fd, "%s\n", text) < 0)
        rc = failed_errno(db, path);
    if (close(fd) < 0 && rc == 0)
        rc = failed_errno(db, path);
    free(text);
    return rc;
}

int ticket_db_create(struct ticket_db *db, long long count)
{
    json_t *tickets;
    int fd, rc;

    fd = open(db->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return failed_errno(db, db->path);
    tickets = json_pack("{s:I}", "count", (json_int_t)count);
    rc = dump_and_close(db, db->path, fd, tickets);
    json_decref(tickets);
    if (rc < 0)
        unlink(db->path);
    return rc;
}

/* Open a regular file, without waiting for whatever else may be there. */
static int open_regular(struct ticket_db *db, const char *path, int flags)
{
    struct stat st;
    int fd;

    fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return failed_errno(db, path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return failed(db, -EINVAL, "%s: not a regular file", path);
}

int ticket_db_check(struct ticket_db *db)
{
    int fd = open_regular(db, db->path, O_RDWR);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* All of a file, 1 MiB at most, as text that the caller frees. */
static int read_text(struct ticket_db *db, const char *path, char **out,
                     size_t *out_length)
{
    size_t length = 0;
    ssize_t n = 1;
    char *text;
    int fd, rc = 0;

    fd = open_regular(db, path, O_RDONLY);
    if (fd < 0)
        return fd;
    text = malloc(FILE_BYTES_MAX + 1);
    if (text == NULL)
        rc = failed(db, -ENOMEM, "%s: no memory to read it", path);
    while (rc == 0 && n != 0 && length <= FILE_BYTES_MAX) {
        n = read(fd, text + length, FILE_BYTES_MAX + 1 - length);
        if (n > 0)
            length += (size_t)n;
        else if (n < 0 && errno != EINTR)
            rc = failed_errno(db, path);
    }
    if (rc == 0 && length > FILE_BYTES_MAX)
        rc = failed(db, -EBADMSG, "%s: larger than 1 MiB", path);
    close(fd);
    if (rc < 0) {
        free(text);
        return rc;
    }
    *out = text;
    *out_length = length;
    return 0;
}

/* Is this what a file of tickets may be? */
static int check_tickets(struct ticket_db *db, const char *path,
                         const json_t *tickets, long long *out_count)
{
    const json_t *count = json_object_get(tickets, "count");

    if (!json_is_object(tickets))
        return failed(db, -EBADMSG, "%s: not a JSON object", path);
    if (count == NULL)
        return failed(db, -EBADMSG, "%s: has no \"count\"", path);
    if (!json_is_integer(count))
        return failed(db, -EBADMSG, "%s: \"count\" is not a whole number",
                      path);
    if (json_integer_value(count) < 0)
        return failed(db, -EBADMSG, "%s: \"count\" is negative", path);
    *out_count = json_integer_value(count);
    return 0;
}

static int read_tickets(struct ticket_db *db, const char *path,
                        json_t **out_tickets, long long *out_count)
{
    json_t *tickets;
    json_error_t error;
    size_t length;
    char *text;
    int rc;

    rc = read_text(db, path, &text, &length);
    if (rc < 0)
        return rc;
    tickets = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (tickets == NULL)
        return failed(db, -EBADMSG, "%s: not JSON: line %d: %s", path,
                      error.line, error.text);
    rc = check_tickets(db, path, tickets, out_count);
    if (rc < 0)
        json_decref(tickets);
    else
        *out_tickets = tickets;
    return rc;
}

int ticket_db_read(struct ticket_db *db, json_t **out_tickets,
                   long long *out_count)
{
    return read_tickets(db, db->path, out_tickets, out_count);
}

int ticket_db_save_undo(struct ticket_db *db, json_t *tickets)
{
    int fd, rc;

    fd = open(db->undo, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return failed_errno(db, db->undo);
    rc = dump_and_close(db, db->undo, fd, tickets);
    if (rc < 0)
        unlink(db->undo);
    return rc;
}

int ticket_db_truncate(struct ticket_db *db)
{
    int fd = open(db->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    return fd < 0 ? failed_errno(db, db->path) : fd;
}

int ticket_db_write(struct ticket_db *db, int fd, json_t *tickets)
{
    return dump_and_close(db, db->path, fd, tickets);
}

int ticket_db_commit(struct ticket_db *db)
{
    return unlink(db->undo) < 0 ? failed_errno(db, db->undo) : 0;
}

int ticket_db_recover(struct ticket_db *db)
{
    json_t *before = NULL;
    long long count;
    int fd, rc;

    if (access(db->undo, F_OK) < 0 && errno == ENOENT)
        return 0;
    rc = read_tickets(db, db->undo, &before, &count);
    if (rc == -EBADMSG) {
        /* The undo file is written before the file is touched: a torn one
         * means that its writer came no further. */
        return ticket_db_commit(db);
    }
    if (rc < 0)
        return rc;

    fd = ticket_db_truncate(db);
    rc = fd < 0 ? fd : ticket_db_write(db, fd, before);
    json_decref(before);
    if (rc == 0)
        rc = ticket_db_commit(db);
    return rc < 0 ? rc : 1;
}
