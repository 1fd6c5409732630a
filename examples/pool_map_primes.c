/* Counting primes: one after the other, with threads, with processes.
 *
 *     with ProcessPoolExecutor() as pool:
 *         counts = pool.map(primes_between, ranges, chunksize=...)
 *     print(sum(counts))
 *
 * In Python only processes are faster than the plain loop: one interpreter
 * runs one thread at a time.  Here threads are as good.  The work takes longer
 * for the larger numbers, so the ranges are many and small: whoever is done
 * with one takes the next. */
#include <ipc/ipc.h>
#include <ipc/pool.h>
#include <ipc/progress.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEP = 2000
};

struct range {
    uint32_t from;
    uint32_t to; /* not included */
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "primes: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static bool is_prime(uint32_t n)
{
    if (n < 4)
        return n >= 2;
    if (n % 2 == 0)
        return false;
    for (uint32_t d = 3; d * d <= n; d += 2)
        if (n % d == 0)
            return false;
    return true;
}

/* The task: a range in, a number out. */
static int primes_between(const void *arg, void *result, ipc_task *task)
{
    const struct range *range = arg;
    uint32_t *count = result; /* 0 so far */

    (void)task;
    for (uint32_t n = range->from; n < range->to; n++)
        *count += is_prime(n);
    return 0;
}

struct job {
    struct range *ranges;
    uint32_t *counts;
    size_t n;
    bool quiet;
};

static uint64_t sum(const struct job *job)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < job->n; i++)
        sum += job->counts[i];
    return sum;
}

static double run_serially(const struct job *job)
{
    const ipc_deadline began = ipc_now();

    for (size_t i = 0; i < job->n; i++) {
        job->counts[i] = 0;
        primes_between(&job->ranges[i], &job->counts[i], NULL);
    }
    return (double)(ipc_now() - began) / 1e6;
}

static double run_in_pool(const struct job *job, uint32_t kind)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_progress_bar_options looks = IPC_PROGRESS_BAR_OPTIONS_INIT;
    ipc_map_options map = IPC_MAP_OPTIONS_INIT;
    ipc_progress_bar bar;
    ipc_pool *pool;

    options.kind = kind;
    check(ipc_pool_new(&options, &pool));
    looks.quiet = job->quiet;
    looks.unit = "ranges";
    check(ipc_progress_bar_begin(
        &bar, kind == IPC_POOL_THREADS ? "threads" : "processes", job->n,
        &looks));
    map.progress = ipc_progress_bar_show;
    map.progress_arg = &bar;

    const ipc_deadline began = ipc_now();
    check(ipc_pool_map(pool, primes_between, job->ranges, sizeof *job->ranges,
                       job->n, job->counts, sizeof *job->counts, &map));
    const double ms = (double)(ipc_now() - began) / 1e6;
    ipc_progress_bar_end(&bar);
    check(ipc_pool_free(pool));
    return ms;
}

int main(int argc, char **argv)
{
    struct job job = {.quiet = argc > 1 && strcmp(argv[1], "--quiet") == 0};
    const uint32_t end = 1000000;

    job.n = end / STEP;
    job.ranges = calloc(job.n, sizeof *job.ranges);
    job.counts = calloc(job.n, sizeof *job.counts);
    if (job.ranges == NULL || job.counts == NULL)
        err(1, "calloc");
    for (uint32_t i = 0; i < job.n; i++)
        job.ranges[i] = (struct range){i * STEP, (i + 1) * STEP};

    const double serial = run_serially(&job);
    const uint64_t expected = sum(&job);
    printf("one after the other  %7.1f ms\n", serial);

    const double threads = run_in_pool(&job, IPC_POOL_THREADS);
    const bool threads_agree = sum(&job) == expected;
    printf("%3d threads          %7.1f ms  %.2f times as fast\n",
           ipc_cpu_quota(), threads, serial / threads);

    memset(job.counts, 0xff, job.n * sizeof *job.counts);
    const double processes = run_in_pool(&job, IPC_POOL_PROCESSES);
    const bool processes_agree = sum(&job) == expected;
    printf("%3d processes        %7.1f ms  %.2f times as fast\n",
           ipc_cpu_quota(), processes, serial / processes);

    free(job.ranges);
    free(job.counts);
    if (!threads_agree || !processes_agree)
        errx(1, "they do not agree");
    printf("all three: %llu primes below %u\n", (unsigned long long)expected,
           end);
    return 0;
}
