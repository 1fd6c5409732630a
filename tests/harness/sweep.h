/* Kill an operation at every one of its instructions.
 *
 *     static void victim(void *ctx) { take(ctx); change(ctx); give(ctx); }
 *
 *     static void oracle(void *ctx, const struct sweep_point *point,
 *                        struct sweep_result *result)
 *     {
 *         if (role_try(victim, ctx, 1000) != 0)
 *             sweep_wedge(result, point);
 *         if (is_torn(ctx))
 *             sweep_torn(result, point);
 *     }
 *
 *     struct sweep sweep = {.ctx = state, .reset = clear, .victim = victim,
 *                           .oracle = oracle};
 *     struct sweep_result result;
 *     sweep_run(&sweep, &result);
 *     sweep_report("take_give", &result);
 *     sweep_expect_clean(&result, 40);
 *
 * First the operation runs to its end one instruction at a time, by the trap
 * flag of the processor, and its course is written down.  Then for each point
 * of the course a process is forked that runs there and dies of SIGKILL before
 * that instruction, and the oracle looks at what is left.
 *
 * A system call gives two points: before it, and right after it, before the
 * next instruction.  A few points at the ends are not the operation's.  Each
 * iteration of "rep movs" is a point.  A point costs one or two milliseconds
 * and what the oracle does.  When the course differs from run to run and a
 * place is not reached, that run counts as one that finished, and the next one
 * is single-stepped to its k-th instruction, at 30,000 steps a second.
 *
 * What the operation forks is not killed.  A signal mask that it sets never
 * includes SIGTRAP.
 *
 * x86-64 and no sanitizers; elsewhere sweep_run() skips the case. */
#ifndef HARNESS_SWEEP_H
#define HARNESS_SWEEP_H

#include "harness/harness.h"
#include "harness/role.h"

enum sweep_grain {
    SWEEP_INSTRUCTIONS,
    SWEEP_SYSCALLS, /* kill before and after each system call only */
};

/* Where the victim died. */
struct sweep_point {
    long step;       /* before its step-th; 0: nobody was to be killed */
    long second;     /* sweep2_run(): that of the recoverer; 0: as above */
    bool finished;   /* it did not die: the operation is complete */
    bool woken;      /* it died (or finished) after `meanwhile` had run */
    uintptr_t where; /* the next instruction */
    bool after_call; /* right after the system call that is there */
    pid_t pid;       /* whose this was; reaped */
};

struct sweep_result {
    long points;    /* kill points tried; pairs of them by sweep2_run() */
    bool thinned;   /* sweep_stride() has left more out than it was asked */
    long woken;     /* of these: after `meanwhile` had run */
    long wedges;    /* somebody waits for ever, or the victim itself did */
    long torn;      /* an invariant does not hold */
    long lost;      /* what was committed is not there */
    long leftovers; /* memory, names, slots... that nobody will free */
    long printed;   /* findings described in the log of the case so far */
};

struct sweep {
    const char *name; /* for findings; may be NULL */
    void *ctx;

    /* In the case's process, before each run: put everything back, and start
     * whoever else takes part.  May be NULL. */
    void (*reset)(void *ctx);

    /* In the victim before stepping starts: attach, warm up.  May be NULL. */
    void (*prepare)(void *ctx);

    /* The operation. */
    void (*victim)(void *ctx);

    /* For a victim that goes to sleep in the middle.  Called once in the
     * case's process when the victim sleeps, or has died before: wake it up,
     * as its peers would.  Then the sweep goes on behind the wake-up.  The
     * victim's death has not been reaped yet. */
    void (*meanwhile)(void *ctx, pid_t victim, bool dead);

    /* Does it sleep where it should?  NULL: in any futex wait. */
    bool (*asleep)(void *ctx, pid_t victim);

    /* In the case's process after each run: use fresh processes to see that
     * all goes on, and count what is wrong by sweep_wedge() and the like; end
     * those that reset has started. */
    void (*oracle)(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result);

    /* sweep2_run() only: what the next process does, killed too before the
     * oracle is asked; and its prepare. */
    void (*recoverer)(void *ctx);
    void (*recoverer_prepare)(void *ctx);

    enum sweep_grain grain;
    bool always_step; /* to every point, without breakpoints: slow */
    long stride;      /* kill at every stride-th point; 0: 1 */
    long max_points;  /* fail when there are more; 0: 20,000 */
    int limit_ms;     /* a victim that lives longer hangs: a wedge; 0: 5,000 */
};

/* Fails the case when the victim ends in any other way than by the kill or by
 * finishing. */
void sweep_run(const struct sweep *sweep, struct sweep_result *result);

/* The double fault: for every i kill the victim at i, then for every j kill
 * the recoverer at j, then ask the oracle.  So that about SWEEP2_QUICK pairs
 * are tried, or SWEEP2_PAIRS times an IPC_TEST_SCALE above 1, it is every s-th
 * j, beginning elsewhere for each i; and when too few j were left, every s-th i
 * too. */
void sweep2_run(const struct sweep *sweep, struct sweep_result *result);

enum {
    SWEEP2_QUICK = 200,
    SWEEP2_PAIRS = 500,
    SWEEP2_LEAST = 120 /* at so many pairs sweep_expect_clean() */
};

/* For `stride`, when every point is too much for a quick run: a prime that is
 * at least four times as large as this; with an IPC_TEST_SCALE of 2, half as
 * large as this, and so on; from 10 on 1, which is every point.  Where the
 * sweeps of the case begin is then drawn by lot if IPC_TEST_SEED is set, so that
 * runs with other seeds try other points. */
long sweep_stride(long quick);

/* Where such a stride begins: from 1 to stride, as IPC_TEST_SEED says, or always
 * the same without one.  For loops other than those of sweep_run(). */
long sweep_first(long stride);

/* NULL, or why there are no sweeps here. */
const char *sweep_unavailable(void);

/* ---- findings ---- */

void sweep_wedge(struct sweep_result *result, const struct sweep_point *point);
void sweep_torn(struct sweep_result *result, const struct sweep_point *point);
void sweep_lost(struct sweep_result *result, const struct sweep_point *point);
void sweep_leftover(struct sweep_result *result,
                    const struct sweep_point *point);

/* "step 17, before ./prog+0x1234": addr2line finds the line. */
void sweep_describe(const struct sweep_point *point, char *out, size_t size);

/* ---- results ---- */

/* Report points, wedges, torn and leftovers, and if there are any, woken and
 * lost; as "name.points" or, for NULL, "points" and so on. */
void sweep_report(const char *name, const struct sweep_result *result);

/* Nothing was found, at at least so many points: a sweep that tried fewer did
 * not sweep what it was meant to.  Of a quick run that sweep_stride() has
 * thinned a sixth of them is expected. */
#define sweep_expect_clean(result, min_points)                                 \
    sweep_expect_clean_at((result), (min_points), __FILE__, __LINE__)
void sweep_expect_clean_at(const struct sweep_result *result, long min_points,
                           const char *file, int line);

#define sweep_expect_min_points(result, min_points)                            \
    sweep_expect_min_points_at((result), (min_points), __FILE__, __LINE__)
void sweep_expect_min_points_at(const struct sweep_result *result,
                                long min_points, const char *file, int line);

#endif
