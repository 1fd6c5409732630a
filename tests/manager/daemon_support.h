/* ipc-managerd for tests: run to its end, or as a server that tells by its
 * NOTIFY_SOCKET that it is ready. */
#ifndef MANAGER_DAEMON_SUPPORT_H
#define MANAGER_DAEMON_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <ipc/manager.h>

#define DAEMON_WORDS 16

/* Set a variable of this process and those it starts; NULL: unset it. */
void daemon_environment(const char *name, const char *value);

/* ---- to its end ---- */

struct daemon_run {
    const char *words[DAEMON_WORDS]; /* behind the program's name; till NULL */

    /* What came of it. */
    int code; /* of its exit; 256 and more: a signal */
    char out[8192];
    char err[2048];
};

void daemon_run(struct daemon_run *run);

/* It ends with this code, and says one line that has this text in it to
 * standard error, or nothing if text is NULL.  Words end with NULL. */
#define daemon_says(code, text, ...)                                           \
    daemon_says_at(__FILE__, __LINE__, (code), (text),                         \
                   (const char *const[]){__VA_ARGS__, NULL})
void daemon_says_at(const char *file, int line, int code, const char *text,
                    const char *const *words);

/* The path of a file in the case's folder, for instance "key": the case's. */
const char *daemon_file(const char *name);

/* "unix:" and daemon_file("run/manager"). */
const char *daemon_address(void);

/* A new key file "key", and its path. */
const char *daemon_key(void);

/* ---- as a server ---- */

struct daemon {
    const char *words[DAEMON_WORDS]; /* beyond --key-file */
    bool abstract;                   /* the name of the notify socket */
    const char *journal;             /* JOURNAL_STREAM */
    int err;                         /* its standard error; 0: a file */
    bool closed;                     /* it begins without 0, 1 and 2 */

    int notify;
    struct role role;
};

/* Start it, and wait until it says that it is ready. */
void daemon_start(struct daemon *daemon);

/* Start it, and do not wait. */
void daemon_begin(struct daemon *daemon);

/* What it tells next to the service manager, or fail. */
void daemon_told(struct daemon *daemon, char *out, size_t size);
void daemon_tells(struct daemon *daemon, const char *expected);

/* A signal; it says STOPPING=1 and ends with code 0. */
void daemon_stop(struct daemon *daemon, int sig);

void daemon_kill(struct daemon *daemon);

/* What it has written to its file up to now: the case's, until free(). */
char *daemon_log(void);

/* Wait until that has this text in it. */
void daemon_log_has(const char *text);

/* Connect, with the key file. */
ipc_manager *daemon_connect(const char *address,
                            const ipc_manager_connect_options *options);

#endif
