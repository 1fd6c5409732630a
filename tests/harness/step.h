/* One process that is killed at a chosen instruction.  Used by the sweeps. */
#ifndef HARNESS_STEP_H
#define HARNESS_STEP_H

#include "harness/sweep.h"

/* A kill point. */
struct step_target {
    uintptr_t where; /* before the instruction there */
    bool after_call; /* or after the system call that it is */
    long occurrence; /* when it is reached for the so-manieth time, from 1 */
};

enum {
    STEP_TRACE_POINTS = 200000,
    STEP_MASK_SITES = 8
};

/* The kill points of an operation, in the order of its course.  Lies in shared
 * memory: the victim writes it. */
struct step_trace {
    long count; /* may exceed what there is room for */
    struct step_target point[STEP_TRACE_POINTS];
    uintptr_t mask_site[STEP_MASK_SITES]; /* where the signal mask is set */
};

/* What the last victim told. */
struct step_page {
    bool finished;
    bool after_call;
    bool unreachable; /* no breakpoint could be put there */
    uintptr_t where;  /* the next instruction when it died */
    long points;      /* passed, when stepping */
};

struct step_plan {
    void (*prepare)(void *ctx); /* may be NULL */
    void (*op)(void *ctx);
    void *ctx;
    enum sweep_grain grain;

    /* Step to this point of the course... */
    long limit;
    /* ...and write the course down; may be NULL. */
    struct step_trace *record;

    /* Or run to here at full speed; the trace tells where the mask is set. */
    const struct step_target *target;
    const struct step_trace *trace;
};

/* Fork a process that calls prepare and then op, and dies there. */
pid_t step_start(const struct step_plan *plan);

const struct step_page *step_last(void);

#endif
