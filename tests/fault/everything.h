/* One use of the whole interface, for tests of faults.
 *
 * It goes on as far as it can: what could not be made is not used.  Every
 * error has to be one that the fault may cause; whatever was made is undone
 * and found to be as it should. */
#ifndef FAULT_EVERYTHING_H
#define FAULT_EVERYTHING_H

#include "unit/process_support.h"

enum everything_part {
    ALL_PARTS,
    ONLY_OBJECTS,
    ONLY_MESSAGES, /* queues, connections, and to wait for several things */
    ONLY_POOLS,    /* and futures: not of all parts */
    ONLY_STARTS    /* fresh images and templates: nor these */
};

struct everything {
    /* May the fault cause this error (negative)? */
    bool (*expected)(int error);
    enum everything_part part;
    bool no_threads; /* nor daemons, which have one */
    bool no_timers;
    bool no_helper;    /* the thread that looks after what others poll */
    bool no_processes; /* for messages */
    bool blind;        /* the test itself cannot read, write and poll */

    /* Set by use_everything(). */
    int errors;
};

/* The working directory is one that a lock file may be made in. */
void use_everything(struct everything *use);

/* No error at all. */
void use_everything_well(void);

/* Calls of a fault that lasts may be unable to remove a name.  Do it, where
 * there is no fault. */
void remove_names_of_everything(void);

#endif
