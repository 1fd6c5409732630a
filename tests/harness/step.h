/* One process that is single-stepped and killed.  Used by the sweeps. */
#ifndef HARNESS_STEP_H
#define HARNESS_STEP_H

#include "harness/sweep.h"

/* What the victim tells, in shared memory. */
struct step_page {
    uint32_t finished;
    uint32_t after_call;
    long points;     /* seen so far */
    uintptr_t where; /* the next instruction when it died */
};

/* Fork a process that calls prepare (if any) and then op, and dies before
 * point `limit` of it. */
pid_t step_start(void (*prepare)(void *ctx), void (*op)(void *ctx), void *ctx,
                 enum sweep_grain grain, long limit);

/* About the last one started. */
const struct step_page *step_last(void);

/* sweep.c: run one victim to its death or end.  Returns false when it hung;
 * it has been killed then.  Fails the case for any other death. */
struct step_run {
    void (*prepare)(void *ctx);
    void (*op)(void *ctx);
    const struct sweep *sweep;
    bool with_meanwhile;
};
bool step_run(const struct step_run *run, long limit,
              struct sweep_point *point);

#endif
