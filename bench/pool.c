/* ipc-bench-pool: how many tasks a pool of two workers gets done, how long one
 * alone takes from its submission to its result, and how fast a function is
 * mapped over an array. */
#include "pool_peer.h"

#include <err.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH       10000
#define CHUNK       100 /* of map, where the peer has no map */
#define BATCH_NS    INT64_C(80000000)
#define BATCHES_MIN 3

#define TRIPS_NS  INT64_C(80000000)
#define TRIPS_MAX ((size_t)1 << 18)
#define WARM_UP   200

enum pool_kind {
    TASKS, /* a batch of them */
    ONE,   /* one at a time */
    MAP    /* an item is a word */
};

struct pool_shape {
    const char *params;
    size_t words;
    enum pool_kind kind;
    bool processes;
    bool one_cpu; /* all on one, or else where the kernel likes */
};

static const struct pool_shape shapes[] = {
    {"processes,tasks,8B", 1, TASKS, true, false},
    {"processes,tasks,1KiB", POOL_WORDS_MAX, TASKS, true, false},
    {"processes,one,8B", 1, ONE, true, false},
    {"processes,one,8B,1cpu", 1, ONE, true, true},
    {"processes,one,1KiB", POOL_WORDS_MAX, ONE, true, false},
    {"processes,one,1KiB,1cpu", POOL_WORDS_MAX, ONE, true, true},
    {"processes,map,8B", 1, MAP, true, false},
    {"threads,tasks,8B", 1, TASKS, false, false},
    {"threads,one,8B", 1, ONE, false, false},
    {"threads,one,8B,1cpu", 1, ONE, false, true},
    {"threads,map,8B", 1, MAP, false, false},
};

static const struct pool_peer *const tables[] = {
    pool_peers_libipc,
    pool_peers_system,
#ifdef IPC_BENCH_BOOST
    pool_peers_boost,
#endif
#ifdef IPC_BENCH_TBB
    pool_peers_tbb,
#endif
#ifdef IPC_BENCH_GOMP
    pool_peers_gomp,
#endif
#ifdef IPC_BENCH_LIBUV
    pool_peers_libuv,
#endif
#ifdef IPC_BENCH_GLIB
    pool_peers_glib,
#endif
    NULL,
};

/* CPython's, which pool_peers.py knows by these names. */
static const struct {
    const char *name;
    bool processes;
    bool kinds[MAP + 1];
} python_peers[] = {
    {"ProcessPoolExecutor-submit", true, {[TASKS] = true, [ONE] = true}},
    {"ProcessPoolExecutor-map1", true, {[MAP] = true}},
    {"ProcessPoolExecutor-map100", true, {[MAP] = true}},
    {"mp-Pool-apply_async", true, {[TASKS] = true}},
    {"mp-Pool-apply", true, {[ONE] = true}},
    {"mp-Pool-map1", true, {[MAP] = true}},
    {"mp-Pool-map100", true, {[MAP] = true}},
    {"mp-Pool-imap1", true, {[MAP] = true}},
    {"mp-Pool-imap100", true, {[MAP] = true}},
    {"ThreadPoolExecutor-submit", false, {[TASKS] = true, [ONE] = true}},
    {"ThreadPoolExecutor-map", false, {[MAP] = true}},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- tasks ---- */

/* It stands for a function of the user, who has it called for each item. */
__attribute__((noinline)) void pool_add_one(const uint64_t *arg,
                                            uint64_t *result, size_t words)
{
    for (size_t i = 0; i < words; i++)
        result[i] = arg[i] + 1;
}

static void add_one_each(const uint64_t *arg, uint64_t *result, size_t words)
{
    for (size_t i = 0; i < words; i++)
        pool_add_one(&arg[i], &result[i], 1);
}

size_t pool_message_size(size_t words)
{
    return offsetof(struct pool_message, words) + words * sizeof(uint64_t);
}

size_t pool_write(struct pool_message *message, const struct pool_batch *batch,
                  size_t index)
{
    message->fn = batch->fn;
    message->index = index;
    memcpy(message->words, pool_arg(batch, index),
           batch->words * sizeof(uint64_t));
    return pool_message_size(batch->words);
}

static size_t count_words(size_t size)
{
    return (size - offsetof(struct pool_message, words)) / sizeof(uint64_t);
}

void pool_answer(const struct pool_message *message, size_t size,
                 struct pool_message *out_answer)
{
    out_answer->fn = message->fn;
    out_answer->index = message->index;
    message->fn(message->words, out_answer->words, count_words(size));
}

void pool_read(const struct pool_message *answer, size_t size,
               const struct pool_batch *batch)
{
    if (size != pool_message_size(batch->words) ||
        answer->index >= batch->count)
        errx(EXIT_FAILURE, "a wrong message came back");
    memcpy(pool_result(batch, answer->index), answer->words,
           batch->words * sizeof(uint64_t));
}

static uint64_t *make_words(const struct pool_peer *peer,
                            const struct pool_batch *batch)
{
    size_t bytes = batch->count * batch->words * sizeof(uint64_t);

    return peer->memory != NULL ? peer->memory(bytes) : bench_shared(bytes);
}

/* Other arguments than the last time, and no results. */
static void prepare(const struct pool_batch *batch, uint64_t *args,
                    uint64_t first)
{
    size_t count = batch->count * batch->words;

    for (size_t i = 0; i < count; i++)
        args[i] = first + i;
    memset(batch->results, 0, count * sizeof *batch->results);
}

static void check(const struct pool_batch *batch)
{
    for (size_t i = 0; i < batch->count * batch->words; i++) {
        if (batch->results[i] != batch->args[i] + 1)
            errx(EXIT_FAILURE, "%" PRIu64 " came back as %" PRIu64,
                 batch->args[i], batch->results[i]);
    }
}

/* ---- what is measured ---- */

/* The last of the CPUs that may be used, for this process and its children. */
static void use_one_cpu(void)
{
    cpu_set_t set;
    size_t cpu = CPU_SETSIZE;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        err(EXIT_FAILURE, "sched_getaffinity");
    while (cpu-- > 0 && !CPU_ISSET(cpu, &set))
        ;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        err(EXIT_FAILURE, "sched_setaffinity");
}

/* Batches, one after the other; only the pool's work is timed. */
static void run_batches(const struct bench_case *c)
{
    const struct pool_peer *peer = c->what;
    const struct pool_shape *shape = c->how;
    bool map = shape->kind == MAP;
    bool chunks = map && peer->map == NULL;
    void (*run)(void *, const struct pool_batch *) =
        map && !chunks ? peer->map : peer->run;
    struct pool_batch batch = {
        .fn = chunks ? add_one_each : pool_add_one,
        .words = chunks ? CHUNK : shape->words,
        .count = chunks ? BATCH / CHUNK : BATCH,
    };
    uint64_t *args = make_words(peer, &batch);
    uint64_t batches = 0;
    int64_t ns = 0;
    void *pool;

    batch.args = args;
    batch.results = make_words(peer, &batch);
    pool = peer->start(batch.words, batch.count);
    run(pool, &batch);
    check(&batch);
    while (ns < BATCH_NS || batches < BATCHES_MIN) {
        int64_t start;

        prepare(&batch, args, ++batches);
        start = bench_now();
        run(pool, &batch);
        ns += bench_now() - start;
        check(&batch);
    }
    peer->stop(pool);
    bench_result(c, "", (double)(batches * BATCH) * 1e9 / (double)ns,
                 map ? "items/s" : "tasks/s");
}

/* One task at a time: submitted, and its result awaited. */
static void run_one(const struct bench_case *c)
{
    static double trips[TRIPS_MAX];
    const struct pool_peer *peer = c->what;
    const struct pool_shape *shape = c->how;
    struct pool_batch one = {
        .fn = pool_add_one, .words = shape->words, .count = 1};
    uint64_t *args = make_words(peer, &one);
    size_t count = 0;
    double sum = 0;
    int64_t end;
    void *pool;

    if (shape->one_cpu)
        use_one_cpu();
    one.args = args;
    one.results = make_words(peer, &one);
    pool = peer->start(one.words, one.count);
    for (int i = 0; i < WARM_UP; i++)
        peer->run(pool, &one);
    end = bench_now() + TRIPS_NS;
    for (int64_t now = 0; now < end && count < TRIPS_MAX; count++) {
        int64_t start;

        prepare(&one, args, count);
        start = bench_now();
        peer->run(pool, &one);
        now = bench_now();
        check(&one);
        trips[count] = (double)(now - start) / 1e3;
        sum += trips[count];
    }
    peer->stop(pool);
    bench_result(c, "", bench_median(trips, count), "us");
    bench_result(c, ",mean", sum / (double)count, "us");
}

static void run_python(const struct bench_case *c)
{
    static const char *const kinds[] = {"tasks", "one", "map"};
    const struct pool_shape *shape = c->how;
    struct bench_case script = *c;
    char what[256];

    snprintf(what, sizeof what, "%s %s %s %s %zu %d", c->workload, c->peer,
             c->params, kinds[shape->kind], shape->words, shape->one_cpu);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (setenv("IPC_BENCH_POOL", what, 1) != 0)
        err(EXIT_FAILURE, "setenv");
    script.what = "pool_peers.py";
    bench_run_python(&script);
}

/* ---- who is measured ---- */

static const char *const missing[] = {
#ifndef IPC_BENCH_BOOST
    "Boost",
#endif
#ifndef IPC_BENCH_TBB
    "TBB",
#endif
#ifndef IPC_BENCH_GOMP
    "OpenMP",
#endif
#ifndef IPC_BENCH_LIBUV
    "libuv",
#endif
#ifndef IPC_BENCH_GLIB
    "GLib",
#endif
    NULL,
};

static bool can(const struct pool_peer *peer, const struct pool_shape *shape)
{
    return peer->processes == shape->processes &&
           (peer->run != NULL || (shape->kind == MAP && peer->map != NULL));
}

static void add_peers(struct bench *bench, const struct pool_shape *shape)
{
    bench_run_fn *run = shape->kind == ONE ? run_one : run_batches;

    for (size_t t = 0; tables[t] != NULL; t++) {
        for (const struct pool_peer *peer = tables[t]; peer->name != NULL;
             peer++) {
            if (can(peer, shape))
                bench_add(bench, peer->name, shape->params, run, peer, shape);
        }
    }
    for (size_t i = 0; i < COUNT(python_peers); i++) {
        if (python_peers[i].processes == shape->processes &&
            python_peers[i].kinds[shape->kind])
            bench_add(bench, python_peers[i].name, shape->params, run_python,
                      NULL, shape);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "pool"};

    for (size_t i = 0; missing[i] != NULL; i++)
        warnx("%s was not installed when this was built: skipped", missing[i]);
    for (size_t s = 0; s < COUNT(shapes); s++)
        add_peers(&bench, &shapes[s]);
    return bench_main(&bench, argc, argv);
}
