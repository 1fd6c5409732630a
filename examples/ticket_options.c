#include "ticket_options.h"

#include "ticket_say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUYERS_MAX   1000
#define TICKETS_MAX  1000000
#define THINK_MS_MAX 60000
#define KILL_BUYERS  3 /* two die, one is left to be told */

static const char help[] =
    "usage: ticket-race [options]\n"
    "\n"
    "Several processes look up and buy tickets from one JSON file,\n"
    "{\"count\": 3}: read it, think for a moment, write back one less.\n"
    "\n"
    "  --lock none   nobody waits for anybody: more is sold than there is\n"
    "  --lock lock   one at a time, by a lock in shared memory (default)\n"
    "  --lock file   one at a time, by FILE.lock: works for several\n"
    "                ticket-race that share nothing but --db FILE\n"
    "  --kill        kill -9 two buyers while they hold the lock: one between\n"
    "                reading and writing the file, one while it is half\n"
    "                written; the others repair it (needs 3 buyers, 1 ticket)\n"
    "\n"
    "  --buyers N    how many processes, 1 to 1000 (default 8)\n"
    "  --tickets N   how many tickets, 0 to 1000000 (default 3, or what the\n"
    "                file says)\n"
    "  --think-ms N  how long a buyer thinks, 0 to 60000 ms (default 20)\n"
    "  --db FILE     the file: made if it is missing; with --tickets its "
    "count\n"
    "                is set first; kept at the end, and FILE.lock too, if "
    "used\n"
    "                (default: a temporary file, removed at the end)\n"
    "  --json        the story to stderr, the result as JSON to stdout;\n"
    "                \"left\" is -1 if buyers without a lock spoilt the file\n"
    "  --help        this text\n"
    "\n"
    "With a lock, FILE.undo holds what FILE was while it is being written.\n"
    "Left by a program that was killed, it is put back by the next one.\n"
    "\n"
    "Exit code: 0 the run is complete, oversold or not; 1 something went\n"
    "wrong on the way; 2 wrong options, or a file that cannot be used.\n";

/* A whole number from min to max, digits only.  Returns 0 or -EINVAL. */
static int parse_number(const char *name, const char *text, long long min,
                        long long max, long long *out)
{
    long long value;

    errno = 0;
    value = strtoll(text, NULL, 10);
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0' ||
        errno != 0 || value < min || value > max) {
        say(STDERR_FILENO,
            "ticket-race: --%s takes a number from %lld to %lld, not '%s'",
            name, min, max, text);
        return -EINVAL;
    }
    *out = value;
    return 0;
}

static int parse_lock(const char *text, enum ticket_lock *out)
{
    static const char *const names[] = {
        [TICKET_LOCK_NONE] = "none",
        [TICKET_LOCK_FAMILY] = "lock",
        [TICKET_LOCK_FILE] = "file",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum ticket_lock)i;
            return 0;
        }
    }
    say(STDERR_FILENO, "ticket-race: --lock takes none, lock or file, not '%s'",
        text);
    return -EINVAL;
}

/* What no single option can see.  Returns 0 or -EINVAL. */
static int check_together(const struct ticket_options *options)
{
    const char *wrong = NULL;

    if (options->kill && options->lock == TICKET_LOCK_NONE)
        wrong = "--kill needs a lock: --lock lock or --lock file";
    else if (options->kill && options->buyers < KILL_BUYERS)
        wrong = "--kill needs at least 3 buyers";
    else if (options->kill && options->tickets == 0)
        wrong = "--kill needs at least 1 ticket";
    else if (options->db != NULL && options->db[0] == '\0')
        wrong = "--db takes a file name";
    if (wrong == NULL)
        return 0;
    say(STDERR_FILENO, "ticket-race: %s", wrong);
    return -EINVAL;
}

enum option_id {
    LOCK = 1,
    KILL,
    BUYERS,
    TICKETS,
    THINK_MS,
    DB,
    JSON,
    HELP
};

static int parse_one(enum option_id id, struct ticket_options *options)
{
    long long number = 0;
    int rc = 0;

    switch (id) {
    case LOCK:
        return parse_lock(optarg, &options->lock);
    case KILL:
        options->kill = true;
        return 0;
    case BUYERS:
        rc = parse_number("buyers", optarg, 1, BUYERS_MAX, &number);
        options->buyers = (int)number;
        return rc;
    case TICKETS:
        rc = parse_number("tickets", optarg, 0, TICKETS_MAX, &number);
        options->tickets = number;
        return rc;
    case THINK_MS:
        rc = parse_number("think-ms", optarg, 0, THINK_MS_MAX, &number);
        options->think_ms = (int)number;
        return rc;
    case DB:
        options->db = optarg;
        return 0;
    case JSON:
        options->json = true;
        return 0;
    case HELP:
        fputs(help, stdout);
        return 1;
    }
    return -EINVAL; /* getopt has said it */
}

int ticket_options_parse(int argc, char **argv, struct ticket_options *out)
{
    static const struct option table[] = {
        {"lock", required_argument, NULL, LOCK},
        {"kill", no_argument, NULL, KILL},
        {"buyers", required_argument, NULL, BUYERS},
        {"tickets", required_argument, NULL, TICKETS},
        {"think-ms", required_argument, NULL, THINK_MS},
        {"db", required_argument, NULL, DB},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    struct ticket_options options = {
        .lock = TICKET_LOCK_FAMILY,
        .buyers = 8,
        .tickets = -1,
        .think_ms = 20,
    };
    int id, rc;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet. */
    while ((id = getopt_long(argc, argv, "", table, NULL)) != -1) {
        rc = parse_one((enum option_id)id, &options);
        if (rc != 0)
            return rc;
    }
    if (optind < argc) {
        say(STDERR_FILENO, "ticket-race: unexpected argument '%s'",
            argv[optind]);
        return -EINVAL;
    }
    rc = check_together(&options);
    if (rc == 0)
        *out = options;
    return rc;
}

const char *ticket_options_mode(const struct ticket_options *options)
{
    if (options->kill)
        return "kill";
    switch (options->lock) {
    case TICKET_LOCK_NONE:
        return "none";
    case TICKET_LOCK_FAMILY:
        return "lock";
    case TICKET_LOCK_FILE:
        return "file";
    }
    return "none";
}
