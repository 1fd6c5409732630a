/* ipc-bench-lock: what a lock costs when nobody else wants it, and how much
 * work several processes get through one that all want. */
#include "lock_peer.h"

#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAIRS_NS   INT64_C(200000000)
#define BATCH      2000
#define BATCHES    50000
#define CONTEST_NS INT64_C(300000000)

/* How the lock is fought for: by how many, and what they do inside. */
struct contest_shape {
    const char *params;
    size_t processes;
    double work_ns;
    uint64_t work_loops; /* the same for all peers and rounds */
};

static struct contest_shape shapes[] = {
    {"2proc,cs20ns", 2, 20, 0},
    {"2proc,cs500ns", 2, 500, 0},
    {"4proc,cs20ns", 4, 20, 0},
    {"4proc,cs500ns", 4, 500, 0},
};

static const struct lock_peer *const tables[] = {
    lock_peers_libipc,
    lock_peers_system,
#ifdef IPC_BENCH_BOOST
    lock_peers_boost,
#endif
    NULL,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The median of many batches, as those in which the kernel ran somebody else
 * tell nothing about the lock. */
static void run_uncontended(const struct bench_case *c)
{
    static double samples[BATCHES];
    const struct lock_peer *peer = c->what;
    void *lock = peer->make();
    size_t count = 0;
    int64_t begin;
    int64_t end;

    if (!peer->pairs(lock, BATCH)) /* first use may set something up */
        errx(EXIT_FAILURE, "%s does not work", peer->name);
    begin = end = bench_now();
    while (count < BATCHES && end - begin < PAIRS_NS) {
        int64_t start = end;

        if (!peer->pairs(lock, BATCH))
            errx(EXIT_FAILURE, "%s stopped working", peer->name);
        end = bench_now();
        samples[count++] = (double)(end - start) / BATCH;
    }
    peer->drop(lock);
    bench_result(c, "", bench_median(samples, count), "ns");
}

struct contestant {
    const struct lock_peer *peer;
    void *lock;
    struct lock_contest *contest;
};

static void contend(void *arg, size_t index)
{
    struct contestant *one = arg;

    if (!one->peer->contend(one->lock, one->contest, index))
        errx(EXIT_FAILURE, "%s stopped working", one->peer->name);
}

static void report_contest(const struct bench_case *c,
                           const struct lock_contest *contest, int64_t ns)
{
    const struct contest_shape *shape = c->how;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    uint64_t sum = 0;

    for (size_t i = 0; i < shape->processes; i++) {
        uint64_t won = contest->member[i].won;

        sum += won;
        least = won < least ? won : least;
        most = won > most ? won : most;
    }
    if (most == 0)
        errx(EXIT_FAILURE, "%s was never acquired", c->peer);
    if (sum != contest->guarded)
        errx(EXIT_FAILURE, "%s did not exclude", c->peer);
    bench_result(c, "", (double)sum * 1e9 / (double)ns, "op/s");
    bench_result(c, ",fairness", (double)least / (double)most, "ratio");
}

static void run_contended(const struct bench_case *c)
{
    const struct lock_peer *peer = c->what;
    const struct contest_shape *shape = c->how;
    struct lock_contest *contest = bench_shared(sizeof *contest);
    struct contestant one = {peer, peer->make(), contest};
    struct bench_team team;
    int64_t start;
    int64_t end;

    contest->work_loops = shape->work_loops;
    bench_team_start(&team, shape->processes, contend, &one);
    start = bench_now();
    bench_sleep_until(start + CONTEST_NS);
    __atomic_store_n(&contest->stop, 1, __ATOMIC_RELAXED);
    end = bench_now();
    bench_team_join(&team);
    peer->drop(one.lock);
    report_contest(c, contest, end - start);
    munmap(contest, sizeof *contest);
}

static void add_table(struct bench *bench, const struct lock_peer *table,
                      const struct contest_shape *shape)
{
    for (const struct lock_peer *peer = table; peer->name != NULL; peer++) {
        if (shape == NULL)
            bench_add(bench, peer->name, "1proc", run_uncontended, peer, NULL);
        else if (peer->contended)
            bench_add(bench, peer->name, shape->params, run_contended, peer,
                      shape);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "lock"};

    for (size_t t = 0; tables[t] != NULL; t++)
        add_table(&bench, tables[t], NULL);
    bench_add(&bench, "mp-Lock, mp-RLock", "1proc", bench_run_python,
              "lock_peers.py", NULL);
    for (size_t s = 0; s < COUNT(shapes); s++) {
        shapes[s].work_loops = bench_work_loops(shapes[s].work_ns);
        for (size_t t = 0; tables[t] != NULL; t++)
            add_table(&bench, tables[t], &shapes[s]);
    }
    return bench_main(&bench, argc, argv);
}
