/* ipc-bench-queue: how many messages get through a queue between processes,
 * by their size and by how many put and get; and how many CPUs are kept busy
 * by that. */
#include "queue_tables.h"
#include "queue_team.h"

#include <stdlib.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* So long, and longer until there are so many messages, or it is too long. */
#define WINDOW_NS     INT64_C(40000000)
#define WINDOW_MAX_NS INT64_C(200000000)
#define MESSAGES_MIN  100

/* Large messages come from memory, not from a cache. */
#define COPIES          64
#define LARGE           (64 * KIB)
#define COPIED_TOGETHER (8 * MIB)

static const struct queue_shape shapes[] = {
    {"8B,1x1", 8, 1, 1, 1024, false},
    {"8B,2x2", 8, 2, 2, 1024, false},
    {"8B,4x4", 8, 4, 4, 1024, false},
    {"8B,8x8", 8, 8, 8, 1024, false},
    {"64B,1x1", 64, 1, 1, 1024, false},
    {"64B,1x1,1cpu", 64, 1, 1, 1024, true},
    {"64B,2x2", 64, 2, 2, 1024, false},
    {"64B,4x4", 64, 4, 4, 1024, false},
    {"64B,8x8", 64, 8, 8, 1024, false},
    {"1KiB,1x1", KIB, 1, 1, 1024, false},
    {"1KiB,2x2", KIB, 2, 2, 1024, false},
    {"1KiB,4x4", KIB, 4, 4, 1024, false},
    {"1KiB,8x8", KIB, 8, 8, 1024, false},
    {"64KiB,1x1", 64 * KIB, 1, 1, 64, false},
    {"64KiB,2x2", 64 * KIB, 2, 2, 64, false},
    {"64KiB,4x4", 64 * KIB, 4, 4, 64, false},
    {"64KiB,8x8", 64 * KIB, 8, 8, 64, false},
    {"1MiB,1x1", MIB, 1, 1, 16, false},
    {"1MiB,2x2", MIB, 2, 2, 16, false},
    {"1MiB,4x4", MIB, 4, 4, 16, false},
    {"1MiB,8x8", MIB, 8, 8, 16, false},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void run(const struct bench_case *c)
{
    struct queue_team team;
    uint64_t before;
    uint64_t got;
    int64_t start;
    int64_t used;
    int64_t ns;

    queue_team_start(&team, c, false);
    start = bench_now();
    used = queue_team_cpu_time(&team);
    before = queue_team_got(&team);
    do {
        bench_sleep_until(bench_now() + WINDOW_NS);
        ns = bench_now() - start;
        got = queue_team_got(&team) - before;
    } while (got < MESSAGES_MIN && ns < WINDOW_MAX_NS);
    used = queue_team_cpu_time(&team) - used;
    queue_team_stop(&team);
    bench_result(c, "", (double)got * 1e9 / (double)ns, "msg/s");
    bench_result(c, ",cpus", (double)used / (double)ns, "cores");
}

/* What nobody can beat who copies: no queue, and only one copy. */
static void run_memcpy(const struct bench_case *c)
{
    const struct queue_shape *shape = c->how;
    size_t size = shape->size;
    size_t count = size < LARGE ? COPIES : COPIED_TOGETHER / size;
    unsigned char *from = bench_shared(count * size);
    unsigned char *to = bench_shared(count * size);
    uint64_t copied = 0;
    int64_t start;
    int64_t now;

    memset(from, 'm', count * size);
    memset(to, 'm', count * size);
    start = now = bench_now();
    while (now - start < WINDOW_NS) {
        for (size_t i = 0; i < COPIES; i++) {
            size_t offset = i % count * size;

            queue_copy(to + offset, from + offset, size);
            __asm__ volatile("" : : : "memory");
        }
        copied += COPIES;
        now = bench_now();
    }
    bench_result(c, "", (double)copied * 1e9 / (double)(now - start), "msg/s");
}

static bool fits(const struct queue_shape *shape, size_t size_max,
                 bool one_to_one)
{
    if (size_max != 0 && shape->size > size_max)
        return false;
    return !one_to_one || shape->producers + shape->consumers == 2;
}

static void add_peers(struct bench *bench, const struct queue_shape *shape)
{
    for (size_t t = 0; queue_tables[t] != NULL; t++) {
        const struct queue_peer *peer = queue_tables[t];

        for (; peer->name != NULL; peer++) {
            if (fits(shape, peer->size_max, peer->one_to_one))
                bench_add(bench, peer->name, shape->params, run, peer, shape);
        }
    }
    for (const struct queue_python_peer *peer = queue_python_peers;
         peer->name != NULL; peer++) {
        if (fits(shape, 0, peer->one_to_one))
            bench_add(bench, peer->name, shape->params, queue_run_python, peer,
                      shape);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "queue"};

    queue_prepare();
    for (size_t s = 0; s < COUNT(shapes); s++) {
        add_peers(&bench, &shapes[s]);
        if (fits(&shapes[s], 0, true) && !shapes[s].one_cpu)
            bench_add(&bench, "BASE-memcpy", shapes[s].params, run_memcpy, NULL,
                      &shapes[s]);
    }
    return bench_main(&bench, argc, argv);
}
