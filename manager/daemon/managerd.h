/* ipc-managerd: its parts, and what they promise each other.
 *
 *     options   words to struct managerd_options
 *     number    numbers as people write them
 *     limits    the limits by name, and what they are if nobody says
 *     help      what --help prints
 *     config    struct managerd_options to ipc_manager_options
 *     key       key files
 *     log       lines to standard error
 *     notify    what the service manager is told
 *     signals   SIGTERM, SIGINT, SIGHUP
 *     main      all of it, in order */
#ifndef MANAGERD_H
#define MANAGERD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ipc/manager.h>

enum {
    MANAGERD_FAILED = 1, /* exit codes */
    MANAGERD_MISUSED = 2,

    MANAGERD_ADDRESSES_MAX = 8, /* as ipc_manager_options says */
    MANAGERD_UIDS_MAX = 64
};

/* ---- options ----
 *
 * Texts are those of argv. */
struct managerd_options {
    const char *addresses[MANAGERD_ADDRESSES_MAX];
    size_t address_count;
    uint32_t uids[MANAGERD_UIDS_MAX];
    size_t uid_count;
    const char *key_file;
    const char *store;
    uint32_t durability;     /* 0: not said */
    uint32_t snapshot_bytes; /* 0: not said */
    const char *tls_certificate;
    const char *tls_key;
    const char *tls_client_ca;
    ipc_manager_limits limits;
    uint32_t flags;
    int log_level;
    const char *make_key; /* then it is the only option */
    bool check;
};

/* 0; 1: it has printed what was asked for, and there is nothing else to do;
 * -EINVAL: it has said what is wrong, in one line. */
int managerd_options_parse(int argc, char **argv, struct managerd_options *out);

/* A whole number, and with `sizes` perhaps K, M or G behind it.  -EINVAL,
 * -ERANGE more than most. */
int managerd_number(const char *text, bool sizes, uint64_t most, uint64_t *out);

void managerd_help(FILE *out);

/* ---- limits ---- */

struct managerd_limit {
    const char *name; /* of the field */
    const char *what;
    uint64_t is; /* when it is 0 */
    size_t offset;
    bool is_64;
};

extern const struct managerd_limit managerd_limits[];
extern const size_t managerd_limit_count;

/* It is one of bytes. */
bool managerd_limit_is_size(const struct managerd_limit *limit);

/* "name=value".  As managerd_options_parse(). */
int managerd_limit_set(ipc_manager_limits *limits, const char *text);

/* ---- config and key ---- */

/* What ready is told: its arg. */
struct managerd_key {
    uint8_t bytes[IPC_MANAGER_KEY_MAX];
    size_t count;
};

/* The options point into all three.  Key: wiped once the server has it. */
void managerd_config(const struct managerd_options *options,
                     struct managerd_key *key, int stop_fd,
                     ipc_manager_options *out);

/* These say what is wrong, and return an exit code. */
int managerd_key_make(const char *path);
int managerd_key_read(const char *path, struct managerd_key *out);
void managerd_key_wipe(struct managerd_key *key);

/* ---- log ----
 *
 * A line a time: to the journal with its level, "<4>", to all others with our
 * name.  Who does not read standard error does not hold us up: lines are lost
 * then, and counted.  Threads: any. */
void managerd_log_begin(void);
void managerd_log_level(int level);
void managerd_log(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ipc_manager_options.log */
void managerd_log_line(void *arg, int level, const char *line);

/* What a call of the library said, and an exit code for it. */
int managerd_complain(int rc);

/* ---- the service manager ---- */

/* Tell it this state, "READY=1", if there is one. */
void managerd_notify(const char *state);

/* ---- signals ---- */

/* From now on a thread takes SIGTERM and SIGINT, and makes *stop_fd readable;
 * and SIGHUP, to say that it means nothing.  SIGPIPE is ignored.  Before any
 * other thread begins.  Negative errno. */
int managerd_signals_begin(int *stop_fd);

#endif
