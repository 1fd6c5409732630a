/* A victim: an operation, its course, and its many deaths. */
#ifndef HARNESS_VICTIM_H
#define HARNESS_VICTIM_H

#include "harness/step.h"

struct victim {
    const struct sweep *sweep;
    struct sweep_result *result;
    void (*prepare)(void *ctx);
    void (*op)(void *ctx);
    bool with_meanwhile; /* call sweep->meanwhile */

    /* Put everything where it is when the operation begins. */
    void (*restore)(void *arg);
    void *arg;

    struct step_trace *trace;
};

void victim_init(struct victim *victim);
void victim_fini(struct victim *victim);

/* Let it live, and write down its course in trace.  These return false when
 * it hung; it has been killed then.  They fail the case when it ends in any
 * way that was not asked for. */
bool victim_record(const struct victim *victim, struct sweep_point *point);

/* Kill it at its k-th point, from 1.  When it takes another course than the one
 * written down, and so gets away, the oracle looks at that, and another one is
 * sent. */
bool victim_kill(const struct victim *victim, long k,
                 struct sweep_point *point);

#endif
