/* The command line of ticket-race. */
#ifndef TICKET_OPTIONS_H
#define TICKET_OPTIONS_H

#include <stdbool.h>

enum ticket_lock {
    TICKET_LOCK_NONE,
    TICKET_LOCK_FAMILY, /* an ipc_lock in family memory */
    TICKET_LOCK_FILE,   /* an ipc_file_lock beside the file */
};

struct ticket_options {
    enum ticket_lock lock;
    bool kill;
    bool json;
    int buyers;
    long long tickets; /* -1: not given */
    int think_ms;
    const char *db; /* NULL: a temporary file */
};

#define TICKET_OPTIONS_DEFAULT_TICKETS 3

/* Read the command line into out.  Returns 0; 1 when help was printed and
 * there is nothing else to do; -EINVAL when it is wrong and one line on stderr
 * has said why. */
int ticket_options_parse(int argc, char **argv, struct ticket_options *out);

/* "none", "lock", "file", or "kill" whichever the lock. */
const char *ticket_options_mode(const struct ticket_options *options);

#endif
