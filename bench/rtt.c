/* ipc-bench-rtt: how long it takes to put a message into one queue and get it
 * back through another one, from a process that does nothing else. */
#include "queue_tables.h"
#include "queue_team.h"

#include <err.h>
#include <stdlib.h>

/* So long, and longer until there are so many trips, or it is too long. */
#define WINDOW_NS     INT64_C(60000000)
#define WINDOW_MAX_NS INT64_C(240000000)
#define TRIPS_MIN     200

static const struct queue_shape shapes[] = {
    {"64B", 64, 1, 1, 1024, false},
    {"64B,1cpu", 64, 1, 1, 1024, true},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;

    return (x > y) - (x < y);
}

static void report(const struct bench_case *c, float *trips, uint64_t count)
{
    if (count == 0)
        errx(EXIT_FAILURE, "%s %s: hung", c->peer, c->params);
    qsort(trips, count, sizeof *trips, compare);
    bench_result(c, "", (double)trips[count / 2], "us");
    bench_result(c, ",p99", (double)trips[count - 1 - count / 100], "us");
}

static void run(const struct bench_case *c)
{
    struct queue_team team;
    float *trips = bench_shared(sizeof team.board->trips);
    uint64_t before;
    uint64_t count;
    int64_t start;
    int64_t used;
    int64_t ns;

    queue_team_start(&team, c, true);
    start = bench_now();
    used = queue_team_cpu_time(&team);
    before = queue_team_put(&team);
    do {
        bench_sleep_until(bench_now() + WINDOW_NS);
        ns = bench_now() - start;
        count = queue_team_put(&team) - before;
    } while (count < TRIPS_MIN && ns < WINDOW_MAX_NS);
    used = queue_team_cpu_time(&team) - used;
    memcpy(trips, &team.board->trips[before], count * sizeof *trips);
    queue_team_stop(&team);
    report(c, trips, count);
    bench_result(c, ",cpus", (double)used / (double)ns, "cores");
}

static void add_peers(struct bench *bench, const struct queue_shape *shape)
{
    for (size_t t = 0; queue_tables[t] != NULL; t++) {
        const struct queue_peer *peer = queue_tables[t];

        for (; peer->name != NULL; peer++) {
            if (peer->loops->ask != NULL)
                bench_add(bench, peer->name, shape->params, run, peer, shape);
        }
    }
    for (const struct queue_python_peer *peer = queue_python_peers;
         peer->name != NULL; peer++)
        bench_add(bench, peer->name, shape->params, queue_run_python, peer,
                  shape);
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "rtt"};

    queue_prepare();
    for (size_t s = 0; s < COUNT(shapes); s++)
        add_peers(&bench, &shapes[s]);
    return bench_main(&bench, argc, argv);
}
