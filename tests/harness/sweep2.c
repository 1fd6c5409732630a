/* The double fault: whoever repairs what a death left dies too. */
#include "harness/victim.h"

#include "harness/scale.h"

struct pairs {
    const struct sweep *sweep;
    struct sweep_result *result;
    struct victim first, second;
    long i; /* where the first one dies */
};

static void restore_first(void *arg)
{
    const struct pairs *pairs = arg;
    if (pairs->sweep->reset != NULL)
        pairs->sweep->reset(pairs->sweep->ctx);
}

static void restore_second(void *arg)
{
    struct pairs *pairs = arg;
    struct sweep_point point = {.step = pairs->i};
    if (!victim_kill(&pairs->first, pairs->i, &point))
        sweep_wedge(pairs->result, &point);
}

/* All points of the second one, or every stride-th of them.  Where to begin
 * changes with i, so that many i see all of them. */
static void kill_second(struct pairs *pairs, long stride)
{
    const struct sweep *sweep = pairs->sweep;
    long count = pairs->second.trace->count;
    for (long j = 1 + pairs->i % stride; j <= count; j += stride) {
        struct sweep_point point = {.step = pairs->i, .second = j};
        if (!victim_kill(&pairs->second, j, &point))
            sweep_wedge(pairs->result, &point);
        pairs->result->points += !point.finished;
        sweep->oracle(sweep->ctx, &point, pairs->result);
    }
}

static void record_second(struct pairs *pairs)
{
    const struct sweep *sweep = pairs->sweep;
    struct sweep_point point = {.step = pairs->i};
    if (!victim_record(&pairs->second, &point))
        sweep_wedge(pairs->result, &point);
    sweep->oracle(sweep->ctx, &point, pairs->result);
}

/* How many points the second one has depends on where the first one died: ask
 * in the middle. */
static long choose_stride(struct pairs *pairs)
{
    pairs->i = pairs->first.trace->count / 2 + 1;
    record_second(pairs);
    const long all = pairs->first.trace->count * pairs->second.trace->count;
    return 1 + all / (SWEEP2_PAIRS * test_scale());
}

void sweep2_run(const struct sweep *sweep, struct sweep_result *result)
{
    if (sweep_unavailable() != NULL)
        test_skip("%s", sweep_unavailable());
    *result = (struct sweep_result){.points = 0};
    struct pairs pairs = {.sweep = sweep, .result = result};
    pairs.first = (struct victim){.sweep = sweep,
                                  .result = result,
                                  .prepare = sweep->prepare,
                                  .op = sweep->victim,
                                  .with_meanwhile = sweep->meanwhile != NULL,
                                  .restore = restore_first,
                                  .arg = &pairs};
    pairs.second = (struct victim){.sweep = sweep,
                                   .result = result,
                                   .prepare = sweep->recoverer_prepare,
                                   .op = sweep->recoverer,
                                   .restore = restore_second,
                                   .arg = &pairs};
    victim_init(&pairs.first);
    victim_init(&pairs.second);

    struct sweep_point point = {.step = 0};
    if (!victim_record(&pairs.first, &point))
        sweep_wedge(result, &point);
    sweep->oracle(sweep->ctx, &point, result);

    long stride = choose_stride(&pairs);
    for (pairs.i = 1; pairs.i <= pairs.first.trace->count; pairs.i++) {
        record_second(&pairs);
        kill_second(&pairs, stride);
    }
    victim_fini(&pairs.first);
    victim_fini(&pairs.second);
}
