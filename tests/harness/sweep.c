/* The sweep: a victim for every kill point; and what it has found. */
#include "harness/sweep.h"

#include "harness/internal.h"
#include "harness/scale.h"
#include "harness/victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_MAX_POINTS = 20000,
    MAX_MISSED = 3,
    MAX_PRINTED = 8,
    ALL_SCALE = 10, /* IPC_TEST_SCALE for every point */
    QUICKER = 4     /* quick runs have to be quicker than that */
};

/* ---- strides ---- */

/* Of this case: some of its points are left out, others each time. */
static bool some_left_out;

static bool is_prime(long n)
{
    for (long i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return true;
}

long sweep_stride(long quick)
{
    const long scale = test_scale();
    if (scale >= ALL_SCALE || quick <= scale)
        return 1;
    some_left_out = true;
    if (scale > 1)
        return quick / scale;
    long stride = QUICKER * quick;
    while (!is_prime(stride))
        stride++;
    return stride;
}

/* Without a seed always the same: what a quick run finds does not depend on
 * luck. */
long sweep_first(long stride)
{
    static struct test_random random;
    static bool seeded;
    if (stride <= 1)
        return 1;
    if (getenv("IPC_TEST_SEED") == NULL)
        return 1 + stride / 3;
    if (!seeded)
        random.state = test_seed();
    seeded = true;
    return test_random_between(&random, 1, stride);
}

/* ---- the run ---- */

static void restore(void *arg)
{
    const struct sweep *sweep = arg;
    if (sweep->reset != NULL)
        sweep->reset(sweep->ctx);
}

static void look(const struct sweep *sweep, struct sweep_point *point,
                 bool well, struct sweep_result *result)
{
    if (!well)
        sweep_wedge(result, point);
    result->points += !point->finished;
    result->woken += !point->finished && point->woken;
    sweep->oracle(sweep->ctx, point, result);
}

void sweep_run(const struct sweep *sweep, struct sweep_result *result)
{
    if (sweep_unavailable() != NULL)
        test_skip("%s", sweep_unavailable());
    *result = (struct sweep_result){.points = 0};
    long stride = sweep->stride > 0 ? sweep->stride : 1;
    long max = sweep->max_points > 0 ? sweep->max_points : DEFAULT_MAX_POINTS;
    struct victim victim = {.sweep = sweep,
                            .result = result,
                            .prepare = sweep->prepare,
                            .op = sweep->victim,
                            .with_meanwhile = sweep->meanwhile != NULL,
                            .restore = restore,
                            .arg = (void *)sweep};
    victim_init(&victim);

    struct sweep_point point = {.step = 0};
    bool well = victim_record(&victim, &point);
    look(sweep, &point, well, result);
    long count = victim.trace->count;
    result->thinned = some_left_out && stride > 1 && test_scale() == 1;
    if (count / stride > max)
        test_fail("%ld kill points, max_points is %ld", count / stride, max);

    /* Points at the end may be missed when the course is a shorter one. */
    int missed = 0;
    long step =
        some_left_out ? sweep_first(stride < count ? stride : count) : 1;
    for (; step <= count && missed < MAX_MISSED; step += stride) {
        point = (struct sweep_point){.step = step};
        well = victim_kill(&victim, step, &point);
        missed = point.finished ? missed + 1 : 0;
        look(sweep, &point, well, result);
    }
    victim_fini(&victim);
}

/* ---- findings ---- */

/* Where an instruction lies in its file.  The victims are forks of this
 * process: the same code at the same place. */
static void describe_place(uintptr_t where, char *out, size_t size)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    (void)snprintf(out, size, "?+0x%lx", (unsigned long)where);
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        /* from-to rights offset ... /path/of/file */
        char *rest;
        uintptr_t from = (uintptr_t)test__number(line, 16, &rest);
        uintptr_t to = (uintptr_t)test__number(rest + 1, 16, &rest);
        if (where < from || where >= to)
            continue;
        uintptr_t offset = (uintptr_t)test__number(rest + 6, 16, NULL);
        const char *file = strrchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(out, size, "%s+0x%lx", file ? file + 1 : "?",
                       (unsigned long)(where - from + offset));
        break;
    }
    if (maps != NULL)
        (void)fclose(maps);
}

void sweep_describe(const struct sweep_point *point, char *out, size_t size)
{
    char steps[64], place[300];
    (void)snprintf(steps, sizeof steps,
                   point->second > 0 ? "step %ld then %ld" : "step %ld",
                   point->step, point->second);
    describe_place(point->where, place, sizeof place);
    if (point->finished)
        (void)snprintf(out, size, "%s, not killed", steps);
    else
        (void)snprintf(
            out, size, "%s, %s %s", steps,
            point->after_call ? "after the system call at" : "before", place);
}

static void found(const char *what, long *counter, struct sweep_result *result,
                  const struct sweep_point *point)
{
    ++*counter;
    if (result->printed++ >= MAX_PRINTED)
        return;
    char text[512];
    sweep_describe(point, text, sizeof text);
    printf("%s: %s%s\n", what, text,
           result->printed == MAX_PRINTED ? " (no more are shown)" : "");
}

void sweep_wedge(struct sweep_result *result, const struct sweep_point *point)
{
    found("wedge", &result->wedges, result, point);
}

void sweep_torn(struct sweep_result *result, const struct sweep_point *point)
{
    found("torn", &result->torn, result, point);
}

void sweep_lost(struct sweep_result *result, const struct sweep_point *point)
{
    found("lost", &result->lost, result, point);
}

void sweep_leftover(struct sweep_result *result,
                    const struct sweep_point *point)
{
    found("leftover", &result->leftovers, result, point);
}

/* ---- results ---- */

static void report_one(const char *name, const char *what, long value)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s%s%s", name != NULL ? name : "",
                   name != NULL ? "." : "", what);
    test_report(text, value);
}

void sweep_report(const char *name, const struct sweep_result *result)
{
    report_one(name, "points", result->points);
    if (result->woken > 0)
        report_one(name, "woken", result->woken);
    report_one(name, "wedges", result->wedges);
    report_one(name, "torn", result->torn);
    if (result->lost > 0)
        report_one(name, "lost", result->lost);
    report_one(name, "leftovers", result->leftovers);
}

void sweep_expect_min_points_at(const struct sweep_result *result,
                                long min_points, const char *file, int line)
{
    if (result->thinned)
        min_points = (min_points + 5) / 6;
    if (result->points < min_points)
        test_fail_at(file, line, "only %ld kill points, expected %ld",
                     result->points, min_points);
}

void sweep_expect_clean_at(const struct sweep_result *result, long min_points,
                           const char *file, int line)
{
    if (result->wedges + result->torn + result->lost + result->leftovers != 0)
        test_fail_at(file, line,
                     "%ld wedges, %ld torn, %ld lost, %ld leftovers at %ld "
                     "points",
                     result->wedges, result->torn, result->lost,
                     result->leftovers, result->points);
    sweep_expect_min_points_at(result, min_points, file, line);
}
