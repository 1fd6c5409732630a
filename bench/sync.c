/* ipc-bench-sync: semaphores, rwlocks, events, conditions and barriers: what
 * they cost when nobody else wants them, when several do, and how long it
 * takes two processes to wait for each other. */
#include "sync_match.h"
#include "sync_peer.h"

#include <err.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAIRS_NS   INT64_C(80000000)
#define BATCH      2000
#define SAMPLES    50000
#define CONTEST_NS INT64_C(80000000)

#define WARM_UP_NS     INT64_C(10000000)
#define WARM_UP_MAX_NS INT64_C(1000000000)

#define ROUNDS_A_BATCH 20

static const struct sync_peers *const sources[] = {
    &sync_peers_libipc,
    &sync_peers_system,
    &sync_peers_raw,
#ifdef IPC_BENCH_BOOST
    &sync_peers_boost,
#endif
    NULL,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- alone ---- */

/* The median of many batches, as those in which the kernel ran somebody else
 * tell nothing about the object. */
static void measure_pairs(const struct bench_case *c, sync_pairs_fn *pairs,
                          void *object)
{
    static double samples[SAMPLES];
    size_t count = 0;
    int64_t begin;
    int64_t end;

    if (!pairs(object, BATCH)) /* first use may set something up */
        errx(EXIT_FAILURE, "%s does not work", c->peer);
    begin = end = bench_now();
    while (count < SAMPLES && end - begin < PAIRS_NS) {
        int64_t start = end;

        if (!pairs(object, BATCH))
            errx(EXIT_FAILURE, "%s stopped working", c->peer);
        end = bench_now();
        samples[count++] = (double)(end - start) / BATCH;
    }
    bench_result(c, "", bench_median(samples, count), "ns");
}

static void run_holdable(const struct bench_case *c)
{
    const struct sync_holdable *peer = c->what;
    void *object = peer->make(1);

    measure_pairs(c, peer->pairs, object);
    peer->drop(object);
}

static void run_reading(const struct bench_case *c)
{
    const struct sync_rwlock *peer = c->what;
    void *object = peer->make(0);

    measure_pairs(c, peer->read_pairs, object);
    peer->drop(object);
}

static void run_writing(const struct bench_case *c)
{
    const struct sync_rwlock *peer = c->what;
    void *object = peer->make(0);

    measure_pairs(c, peer->write_pairs, object);
    peer->drop(object);
}

/* ---- several who want it ---- */

struct contest_shape {
    const char *params;
    size_t processes;
    double work_ns;
    uint32_t permits;
    uint32_t write_percent;
    uint64_t work_loops; /* the same for all peers and rounds */
};

static struct contest_shape semaphore_shapes[] = {
    {"semaphore,1permit,2proc,cs20ns", 2, 20, 1, 0, 0},
    {"semaphore,1permit,2proc,cs500ns", 2, 500, 1, 0, 0},
    {"semaphore,1permit,4proc,cs20ns", 4, 20, 1, 0, 0},
    {"semaphore,1permit,4proc,cs500ns", 4, 500, 1, 0, 0},
    {"semaphore,2permits,2proc,cs500ns", 2, 500, 2, 0, 0},
    {"semaphore,2permits,4proc,cs500ns", 4, 500, 2, 0, 0},
};

static struct contest_shape lock_shapes[] = {
    {"lock,2proc,cs20ns", 2, 20, 1, 0, 0},
    {"lock,2proc,cs500ns", 2, 500, 1, 0, 0},
};

static struct contest_shape rwlock_shapes[] = {
    {"rwlock-read,2proc,cs20ns", 2, 20, 1, 0, 0},
    {"rwlock-10%writes,2proc,cs500ns", 2, 500, 1, 10, 0},
    {"rwlock-10%writes,4proc,cs500ns", 4, 500, 1, 10, 0},
};

struct contestant {
    sync_contend_fn *contend;
    void *object;
    struct sync_contest *contest;
};

static void contend(void *arg, size_t index)
{
    const struct contestant *one = arg;

    if (!one->contend(one->object, one->contest, index))
        errx(EXIT_FAILURE, "a contestant failed");
}

/* What each has won so far.  Returns the sum. */
static uint64_t look(const struct sync_contest *contest,
                     uint64_t won[BENCH_TEAM_MAX])
{
    uint64_t sum = 0;

    for (size_t i = 0; i < BENCH_TEAM_MAX; i++) {
        won[i] = __atomic_load_n(&contest->member[i].won, __ATOMIC_RELAXED);
        sum += won[i];
    }
    return sum;
}

/* Until all have joined in, or it seems that some are kept out. */
static void warm_up(const struct sync_contest *contest, size_t processes)
{
    int64_t start = bench_now();
    int64_t now = start;
    uint64_t won[BENCH_TEAM_MAX];
    size_t joined = 0;

    while (joined < processes && now - start < WARM_UP_MAX_NS) {
        bench_sleep_until(now + WARM_UP_NS);
        (void)look(contest, won);
        for (joined = 0; joined < processes && won[joined] > 0; joined++)
            ;
        now = bench_now();
    }
}

static void report_contest(const struct bench_case *c,
                           const uint64_t before[BENCH_TEAM_MAX],
                           const uint64_t after[BENCH_TEAM_MAX], int64_t ns)
{
    const struct contest_shape *shape = c->how;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    uint64_t sum = 0;

    for (size_t i = 0; i < shape->processes; i++) {
        uint64_t won = after[i] - before[i];

        sum += won;
        least = won < least ? won : least;
        most = won > most ? won : most;
    }
    if (most == 0)
        errx(EXIT_FAILURE, "%s was never acquired", c->peer);
    bench_result(c, "", (double)sum * 1e9 / (double)ns, "op/s");
    bench_result(c, ",fairness", (double)least / (double)most, "ratio");
}

static void run_contest(const struct bench_case *c, struct contestant *one)
{
    const struct contest_shape *shape = c->how;
    struct sync_contest *contest = one->contest;
    uint64_t before[BENCH_TEAM_MAX];
    uint64_t after[BENCH_TEAM_MAX];
    struct bench_team team;
    int64_t start;
    int64_t end;

    contest->work_loops = shape->work_loops;
    contest->write_percent = shape->write_percent;
    bench_team_start(&team, shape->processes, contend, one);
    warm_up(contest, shape->processes);
    start = bench_now();
    (void)look(contest, before);
    bench_sleep_until(start + CONTEST_NS);
    end = bench_now();
    (void)look(contest, after);
    __atomic_store_n(&contest->stop, 1, __ATOMIC_RELAXED);
    bench_team_join(&team);
    report_contest(c, before, after, end - start);
}

static void run_holdable_contest(const struct bench_case *c)
{
    const struct sync_holdable *peer = c->what;
    const struct contest_shape *shape = c->how;
    struct sync_contest *contest = bench_shared(sizeof *contest);
    struct contestant one = {peer->contend, peer->make(shape->permits),
                             contest};
    uint64_t won[BENCH_TEAM_MAX];

    run_contest(c, &one);
    if (shape->permits == 1 && look(contest, won) != contest->guarded)
        errx(EXIT_FAILURE, "%s did not exclude", c->peer);
    peer->drop(one.object);
    munmap(contest, sizeof *contest);
}

static void run_rwlock_contest(const struct bench_case *c)
{
    const struct sync_rwlock *peer = c->what;
    struct sync_contest *contest = bench_shared(sizeof *contest);
    struct contestant one = {peer->contend, peer->make(0), contest};

    run_contest(c, &one);
    if (contest->guarded != contest->twin)
        errx(EXIT_FAILURE, "%s did not exclude", c->peer);
    peer->drop(one.object);
    munmap(contest, sizeof *contest);
}

/* ---- a barrier ---- */

struct barrier_shape {
    const char *params;
    uint32_t parties;
};

static const struct barrier_shape barrier_shapes[] = {
    {"barrier,2proc", 2},
    {"barrier,4proc", 4},
};

struct parties {
    const struct sync_barrier *peer;
    void *barrier;

    /* Written by party 0 before a batch, read by all after it: the number of
     * the batch that is the last. */
    uint64_t *last;
    double *per_second;
};

/* The first batch waits for all to have started. */
static void party(void *arg, size_t index)
{
    const struct parties *all = arg;
    uint64_t batch = 0;
    int64_t start = 0;
    int64_t now = 0;

    do {
        if (index == 0 && batch > 1 && now - start >= CONTEST_NS)
            __atomic_store_n(all->last, batch, __ATOMIC_RELAXED);
        if (!all->peer->rounds(all->barrier, ROUNDS_A_BATCH))
            errx(EXIT_FAILURE, "%s stopped working", all->peer->name);
        now = bench_now();
        if (batch == 0)
            start = now;
    } while (batch++ == 0 ||
             __atomic_load_n(all->last, __ATOMIC_RELAXED) != batch - 1);
    if (index == 0)
        *all->per_second =
            (double)(batch - 1) * ROUNDS_A_BATCH * 1e9 / (double)(now - start);
}

static void run_barrier(const struct bench_case *c)
{
    const struct sync_barrier *peer = c->what;
    const struct barrier_shape *shape = c->how;
    uint64_t *last = bench_shared(sizeof *last);
    double *per_second = bench_shared(sizeof *per_second);
    struct parties all = {peer, peer->make(shape->parties), last, per_second};
    struct bench_team team;

    bench_team_start(&team, shape->parties, party, &all);
    bench_team_join(&team);
    peer->drop(all.barrier);
    bench_result(c, "", *per_second, "round/s");
    munmap(last, sizeof *last);
    munmap(per_second, sizeof *per_second);
}

/* ---- the list of cases ---- */

static void run_python(const struct bench_case *c)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (setenv("IPC_BENCH_SYNC", c->how, 1) != 0)
        err(EXIT_FAILURE, "setenv");
    bench_run_python(c);
}

static void add_python(struct bench *bench, const char *peer,
                       const char *subject)
{
    bench_add(bench, peer, subject, run_python, "sync_peers.py", subject);
}

/* For each peer of the tables MEMBER. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type and a declaration */
#define FOR_EACH_ENTRY(TYPE, PEER, MEMBER)                                     \
    for (size_t source = 0; sources[source] != NULL; source++)                 \
        for (const TYPE *PEER = sources[source]->MEMBER;                       \
             PEER != NULL && PEER->name != NULL; PEER++)
/* NOLINTEND(bugprone-macro-parentheses) */

static void calibrate(struct contest_shape *shapes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        shapes[i].work_loops = bench_work_loops(shapes[i].work_ns);
}

static void add_semaphores(struct bench *bench)
{
    calibrate(semaphore_shapes, COUNT(semaphore_shapes));
    FOR_EACH_ENTRY(struct sync_holdable, peer, semaphores)
        bench_add(bench, peer->name, "semaphore,1proc", run_holdable, peer,
                  NULL);
    add_python(bench, "mp-Semaphore", "semaphore");
    for (size_t s = 0; s < COUNT(semaphore_shapes); s++) {
        FOR_EACH_ENTRY(struct sync_holdable, peer, semaphores) {
            if (peer->contend != NULL)
                bench_add(bench, peer->name, semaphore_shapes[s].params,
                          run_holdable_contest, peer, &semaphore_shapes[s]);
        }
    }
}

static void add_locks(struct bench *bench)
{
    calibrate(lock_shapes, COUNT(lock_shapes));
    for (size_t s = 0; s < COUNT(lock_shapes); s++) {
        FOR_EACH_ENTRY(struct sync_holdable, peer, locks)
            bench_add(bench, peer->name, lock_shapes[s].params,
                      run_holdable_contest, peer, &lock_shapes[s]);
    }
}

static void add_rwlocks(struct bench *bench)
{
    calibrate(rwlock_shapes, COUNT(rwlock_shapes));
    FOR_EACH_ENTRY(struct sync_rwlock, peer, rwlocks)
        bench_add(bench, peer->name, "rwlock-read,1proc", run_reading, peer,
                  NULL);
    FOR_EACH_ENTRY(struct sync_rwlock, peer, rwlocks)
        bench_add(bench, peer->name, "rwlock-write,1proc", run_writing, peer,
                  NULL);
    for (size_t s = 0; s < COUNT(rwlock_shapes); s++) {
        FOR_EACH_ENTRY(struct sync_rwlock, peer, rwlocks)
            bench_add(bench, peer->name, rwlock_shapes[s].params,
                      run_rwlock_contest, peer, &rwlock_shapes[s]);
    }
}

static void add_matches(struct bench *bench)
{
    const struct sync_match_shape *shapes = sync_match_shapes;

    for (size_t s = 0; shapes[s].event_params != NULL; s++) {
        FOR_EACH_ENTRY(struct sync_match, peer, events)
            bench_add(bench, peer->name, shapes[s].event_params, sync_match_run,
                      peer, &shapes[s]);
    }
    add_python(bench, "mp-Event", "event");
    for (size_t s = 0; shapes[s].event_params != NULL; s++) {
        FOR_EACH_ENTRY(struct sync_match, peer, conditions)
            bench_add(bench, peer->name, shapes[s].condition_params,
                      sync_match_run, peer, &shapes[s]);
    }
    add_python(bench, "mp-Condition", "condition");
}

static void add_barriers(struct bench *bench)
{
    for (size_t s = 0; s < COUNT(barrier_shapes); s++) {
        FOR_EACH_ENTRY(struct sync_barrier, peer, barriers)
            bench_add(bench, peer->name, barrier_shapes[s].params, run_barrier,
                      peer, &barrier_shapes[s]);
    }
    add_python(bench, "mp-Barrier", "barrier");
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "sync"};

    add_semaphores(&bench);
    add_locks(&bench);
    add_rwlocks(&bench);
    add_matches(&bench);
    add_barriers(&bench);
    return bench_main(&bench, argc, argv);
}
