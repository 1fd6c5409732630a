/* One use of the whole interface, for tests of faults.
 *
 * It goes on as far as it can: what could not be made is not used.  Every
 * error has to be one that the fault may cause; whatever was made is undone
 * and found to be as it should. */
#ifndef FAULT_EVERYTHING_H
#define FAULT_EVERYTHING_H

#include "unit/process_support.h"

struct everything {
    /* May the fault cause this error (negative)? */
    bool (*expected)(int error);
    bool no_threads; /* nor daemons, which have one */
    bool no_timers;

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
