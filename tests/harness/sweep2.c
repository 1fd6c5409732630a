/* The double fault: whoever repairs what a death left dies too. */
#include "harness/victim.h"

#include "harness/scale.h"

enum {
    SECOND_DEATHS = 4,      /* for one of the first, at least, and one more */
    STEPS_OF_A_DEATH = 500, /* for so many steps */
    SAMPLES = 5
};

struct pairs {
    const struct sweep *sweep;
    struct sweep_result *result;
    struct victim first, second;
    long i; /* where the first one dies */
    long stride_i, stride_j;
    long lot; /* moves all j */
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

/* Where to begin jumps about from i to i, so that few of them have seen the
 * whole course: by the golden section, which never repeats itself soon. */
static long begin(const struct pairs *pairs)
{
    const long turn = pairs->i / pairs->stride_i;
    const long jump = turn * 618 * pairs->stride_j / 1000;
    return 1 + (pairs->lot + jump) % pairs->stride_j;
}

/* All points of the second one, or every stride-th of them. */
static void kill_second(struct pairs *pairs)
{
    const struct sweep *sweep = pairs->sweep;
    long count = pairs->second.trace->count;
    for (long j = begin(pairs); j <= count; j += pairs->stride_j) {
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

static void put_in_order(long *counts, long n, long count)
{
    for (; n > 0 && counts[n - 1] > count; n--)
        counts[n] = counts[n - 1];
    counts[n] = count;
}

/* How many points the second one has depends on where the first one died: ask
 * here and there.  All but the shortest and the longest count, as a course may be
 * much longer once in a while: where the kernel has not told yet that the first
 * one is dead. */
static long count_seconds(struct pairs *pairs)
{
    long counts[SAMPLES] = {0};
    for (long part = 0; part < SAMPLES; part++) {
        pairs->i =
            1 + pairs->first.trace->count * (2 * part + 1) / (2 * SAMPLES + 1);
        record_second(pairs);
        put_in_order(counts, part, pairs->second.trace->count);
    }
    long sum = 0;
    for (long part = 1; part < SAMPLES - 1; part++)
        sum += counts[part];
    return sum / (SAMPLES - 2);
}

/* The second one's course is to be written down for each i, which takes the
 * longer the longer it is: so when there are too many pairs for all i, these
 * are thinned out, not the pairs of an i down to one. */
static void choose_strides(struct pairs *pairs)
{
    const long firsts = pairs->first.trace->count;
    const long seconds = count_seconds(pairs);
    const long scale = test_scale();
    const long most = scale > 1 ? SWEEP2_PAIRS * scale : SWEEP2_QUICK;
    const long least = SECOND_DEATHS + seconds / STEPS_OF_A_DEATH;
    pairs->stride_i = 1 + firsts * least / most;
    pairs->stride_j = 1 + firsts / pairs->stride_i * seconds / most;
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

    choose_strides(&pairs);
    const long count = pairs.first.trace->count;
    pairs.lot = sweep_first(pairs.stride_j);
    pairs.i = sweep_first(pairs.stride_i);
    for (; pairs.i <= count; pairs.i += pairs.stride_i) {
        record_second(&pairs);
        kill_second(&pairs);
    }
    victim_fini(&pairs.first);
    victim_fini(&pairs.second);
}
