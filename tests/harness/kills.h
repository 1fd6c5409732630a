/* Random kills under load.
 *
 *     static void work(void *ctx, int index)
 *     {
 *         while (kills_go_on()) {
 *             take(ctx); change(ctx); give(ctx);
 *         }
 *     }
 *
 *     struct kills kills = {.ctx = state, .workers = 6, .work = work,
 *                           .check = check};
 *     struct kills_result result;
 *     kills_run(&kills, &result);
 *     kills_report(&result);
 *     assert_int_equal(result.wedges, 0);
 *
 * Workers are processes that do the same over and over.  One after the other,
 * picked at random, every 50 to 2,000 microseconds, is killed and started
 * again.  After every 50 kills each worker must finish a round.  A wedge is
 * when nobody makes progress, or then one of them does not, or does not leave
 * at the end, for stall_limit_ms: all are killed, and the run is over.
 *
 * A kill inside of a short section is rare: see to it that the workers spend
 * their time where death hurts, and let the test check that it did happen. */
#ifndef HARNESS_KILLS_H
#define HARNESS_KILLS_H

#include "harness/harness.h"

#include <sys/types.h>

struct kills_result {
    long kills;
    long wedges;       /* 0 or 1 */
    long rounds;       /* by all workers together */
    long max_stall_us; /* the longest time without progress */
};

struct kills {
    void *ctx;
    int workers; /* 1 to 64 */

    /* In the worker, until kills_go_on() says false; then it returns. */
    void (*work)(void *ctx, int index);

    /* In the case's process after each kill, before the new worker starts;
     * and at the end, when all workers have left.  The end is not called after
     * a wedge.  May be NULL. */
    void (*died)(void *ctx, int index, pid_t pid);
    void (*check)(void *ctx, struct kills_result *result);

    long kills;         /* 0: kills_for(1000) */
    int min_us, max_us; /* between kills; 0: 50 and 2,000 */
    int stall_limit_ms; /* 0: 2,000 */
};

/* For `kills`: so many times IPC_TEST_SCALE where that is above 1; in a quick
 * run a fifth, but not less than 100 of them. */
long kills_for(long each);

/* Fails the case when a worker ends by itself, for instance by a failed
 * assertion.  Reports the seed of its random numbers, see scale.h. */
void kills_run(const struct kills *kills, struct kills_result *result);

/* In a worker, before each round: the round before is done, which is progress;
 * is there another one? */
bool kills_go_on(void);

/* Report kills, wedges, rounds and the longest stall. */
void kills_report(const struct kills_result *result);

#endif
