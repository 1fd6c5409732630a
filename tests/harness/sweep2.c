/* The double fault: whoever repairs what a death left dies too. */
#include "harness/step.h"

#include "harness/scale.h"

#include <limits.h>

struct plan {
    const struct sweep *sweep;
    struct step_run victim;
    struct step_run recoverer;
};

/* Kill the victim at i and the recoverer at j.  The result is for the
 * recoverer. */
static struct sweep_point one_pair(const struct plan *plan, long i, long j,
                                   bool *victim_finished,
                                   struct sweep_result *result)
{
    const struct sweep *sweep = plan->sweep;
    if (sweep->reset != NULL)
        sweep->reset(sweep->ctx);
    struct sweep_point first = {.step = i}, both = {.step = i, .second = j};
    if (!step_run(&plan->victim, i, &first))
        sweep_wedge(result, &first);
    *victim_finished = first.finished;
    if (!step_run(&plan->recoverer, j, &both))
        sweep_wedge(result, &both);
    both.woken = first.woken;
    return both;
}

/* How many points each has when nobody kills it. */
static long count_points(const struct plan *plan, const struct step_run *run)
{
    struct sweep_point point = {.step = 0};
    if (plan->sweep->reset != NULL)
        plan->sweep->reset(plan->sweep->ctx);
    if (!step_run(run, LONG_MAX, &point))
        test_fail("nobody was killed, and it hangs");
    return step_last()->points;
}

static long choose_stride(const struct plan *plan)
{
    long victim = count_points(plan, &plan->victim);
    if (test_scale() > 1)
        return 1;
    /* After a victim that has died half-way the recoverer has work to do. */
    bool finished;
    struct sweep_result ignored = {.printed = LONG_MAX / 2};
    (void)one_pair(plan, victim / 2 + 1, LONG_MAX, &finished, &ignored);
    return (victim * step_last()->points + SWEEP2_PAIRS - 1) / SWEEP2_PAIRS;
}

void sweep2_run(const struct sweep *sweep, struct sweep_result *result)
{
    if (sweep_unavailable() != NULL)
        test_skip("%s", sweep_unavailable());
    *result = (struct sweep_result){.points = 0};
    struct plan plan = {
        sweep,
        {sweep->prepare, sweep->victim, sweep, sweep->meanwhile != NULL},
        {sweep->recoverer_prepare, sweep->recoverer, sweep, false}};
    long stride = choose_stride(&plan);
    bool victim_finished = false;
    for (long i = 1; !victim_finished; i++) {
        bool recovered = false;
        for (long j = 1 + i % stride; !recovered; j += stride) {
            struct sweep_point point =
                one_pair(&plan, i, j, &victim_finished, result);
            recovered = point.finished;
            result->points++;
            result->woken += point.woken;
            sweep->oracle(sweep->ctx, &point, result);
        }
    }
}
