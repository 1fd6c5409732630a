/* ipc-bench-object: what shared lists and dicts do in a second, for one process
 * and for several at once; and what an item costs, in time and in memory, while
 * they grow. */
#include "object_peer.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define WARM_UP_NS INT64_C(10000000)
#define WINDOW_NS  INT64_C(100000000)

#define BATCH        500 /* so many operations between two looks at the clock */
#define GROWTHS_MAX  64
#define GROWTHS_NS   INT64_C(30000000)
#define READS_NS     INT64_C(50000000)
#define READS_MAX    20000
#define RANDOM_START UINT64_C(0x9e3779b97f4a7c15)

/* Several members at once, on an object that keeps its size, or on an empty
 * list that they append to. */
struct object_shape {
    const char *params;
    enum object_op op;
    size_t members;
};

static const struct object_shape shapes[] = {
    {"list,append,1proc", LIST_APPEND, 1},
    {"list,append,4proc", LIST_APPEND, 4},
    {"list,get,1proc", LIST_GET, 1},
    {"list,get,4proc", LIST_GET, 4},
    {"dict,set,1proc", DICT_SET, 1},
    {"dict,set,4proc", DICT_SET, 4},
    {"dict,get,1proc", DICT_GET, 1},
    {"dict,get,4proc", DICT_GET, 4},
    {"dict,transaction,1proc", DICT_ADD_TWO, 1},
    {"dict,transaction,4proc", DICT_ADD_TWO, 4},
};

/* Grown by one member: first the items, then reads of them at random. */
struct object_growth {
    const char *params;
    enum object_op put;
    enum object_op get;
    uint64_t count;
};

static const struct object_growth growths[] = {
    {"list,grow,1e4", LIST_APPEND, LIST_GET, 10000},
    {"list,grow,1e5", LIST_APPEND, LIST_GET, 100000},
    {"list,grow,1e6", LIST_APPEND, LIST_GET, 1000000},
    {"list,grow,1e7", LIST_APPEND, LIST_GET, 10000000},
    {"dict,grow,1e4", DICT_SET, DICT_GET, 10000},
    {"dict,grow,1e5", DICT_SET, DICT_GET, 100000},
    {"dict,grow,1e6", DICT_SET, DICT_GET, 1000000},
};

static const struct object_peer *const tables[] = {
    object_peers_libipc,
    object_peers_system,
#ifdef IPC_BENCH_GLIB
    object_peers_glib,
#endif
#ifdef IPC_BENCH_REDIS
    object_peers_redis,
#endif
    NULL,
};

static const char *const missing[] = {
#ifndef IPC_BENCH_GLIB
    "GLib",
#endif
#ifndef IPC_BENCH_REDIS
    "hiredis",
#endif
    NULL,
};

/* CPython's, which object_peers.py knows by these names. */
static const char *const op_names[] = {
    [LIST_APPEND] = "append",
    [LIST_GET] = "index",
    [DICT_SET] = "set",
    [DICT_GET] = "get",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- items ---- */

static bool is_list(enum object_op op)
{
    return op == LIST_APPEND || op == LIST_GET;
}

static void make_item(struct object_item *item, uint64_t number)
{
    item->number = number;
    snprintf(item->key, sizeof item->key, "key%" PRIu64, number);
}

/* Every number there is once, in an order of their own for each member. */
static void make_items(struct object_item *items, size_t member)
{
    size_t factor = 2 * member + 617; /* odd: no number comes twice */

    for (size_t i = 0; i < OBJECT_LENGTH; i++)
        make_item(&items[i], i * factor % OBJECT_LENGTH);
}

static uint64_t add_numbers(const struct object_item *items, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += items[i].number;
    return sum;
}

static bool reads(enum object_op op)
{
    return op == LIST_GET || op == DICT_GET;
}

static void check_length(const struct bench_case *c, void *object,
                         enum object_op op, uint64_t wanted)
{
    const struct object_peer *peer = c->what;
    uint64_t length = peer->length(object, op);

    if (length != wanted)
        errx(EXIT_FAILURE, "%s %s: %" PRIu64 " were done, it has %" PRIu64,
             c->peer, c->params, wanted, length);
}

/* ---- several at once ---- */

/* The first word of a cache line. */
struct object_line {
    __attribute__((aligned(64))) uint64_t word;
};

struct contest {
    const struct object_peer *peer;
    const struct object_shape *shape;
    void *object;
    struct object_line *stop;
    struct object_line *done; /* operations of each member */
};

static void contend(void *arg, size_t index)
{
    const struct contest *contest = arg;
    enum object_op op = contest->shape->op;
    object_run_fn *run = contest->peer->run[op];
    uint64_t *done = &contest->done[index].word;
    struct object_item items[OBJECT_LENGTH];
    uint64_t sums[OBJECT_LENGTH / OBJECT_STEP];
    size_t at = 0;

    make_items(items, index);
    for (size_t i = 0; i < COUNT(sums); i++)
        sums[i] =
            reads(op) ? add_numbers(&items[i * OBJECT_STEP], OBJECT_STEP) : 0;
    while (!__atomic_load_n(&contest->stop->word, __ATOMIC_RELAXED)) {
        if (run(contest->object, index, &items[at * OBJECT_STEP],
                OBJECT_STEP) != sums[at])
            errx(EXIT_FAILURE, "%s: wrong values", contest->peer->name);
        __atomic_store_n(done, *done + OBJECT_STEP, __ATOMIC_RELAXED);
        at = (at + 1) % COUNT(sums);
    }
}

static uint64_t count_done(const struct contest *contest)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < contest->shape->members; i++)
        sum += __atomic_load_n(&contest->done[i].word, __ATOMIC_RELAXED);
    return sum;
}

/* What is read, or set again and again, has to be there first. */
static void fill(const struct contest *contest)
{
    struct object_item items[OBJECT_LENGTH];
    enum object_op op = contest->shape->op;

    for (size_t i = 0; i < OBJECT_LENGTH; i++)
        make_item(&items[i], i);
    if (op == LIST_GET)
        contest->peer->run[LIST_APPEND](contest->object, 0, items,
                                        OBJECT_LENGTH);
    if (op == DICT_SET || op == DICT_GET)
        contest->peer->run[DICT_SET](contest->object, 0, items, OBJECT_LENGTH);
}

/* Returns operations per second. */
static double watch(const struct contest *contest)
{
    uint64_t before;
    uint64_t done;
    int64_t start;
    int64_t end;

    bench_sleep_until(bench_now() + WARM_UP_NS);
    before = count_done(contest);
    start = bench_now();
    bench_sleep_until(start + WINDOW_NS);
    done = count_done(contest) - before;
    end = bench_now();
    __atomic_store_n(&contest->stop->word, 1, __ATOMIC_RELAXED);
    return (double)done * 1e9 / (double)(end - start);
}

static double watch_processes(struct contest *contest)
{
    struct bench_team team;
    double speed;

    bench_team_start(&team, contest->shape->members, contend, contest);
    speed = watch(contest);
    bench_team_join(&team);
    return speed;
}

struct thread {
    struct contest *contest;
    size_t index;
    pthread_t thread;
};

static void *thread_body(void *arg)
{
    struct thread *thread = arg;

    contend(thread->contest, thread->index);
    return NULL;
}

static double watch_threads(struct contest *contest)
{
    struct thread threads[BENCH_TEAM_MAX];
    double speed;

    for (size_t i = 0; i < contest->shape->members; i++) {
        threads[i].contest = contest;
        threads[i].index = i;
        errno =
            pthread_create(&threads[i].thread, NULL, thread_body, &threads[i]);
        if (errno != 0)
            err(EXIT_FAILURE, "pthread_create");
    }
    speed = watch(contest);
    for (size_t i = 0; i < contest->shape->members; i++)
        pthread_join(threads[i].thread, NULL);
    return speed;
}

static void run_contest(const struct bench_case *c)
{
    const struct object_peer *peer = c->what;
    const struct object_shape *shape = c->how;
    struct object_line *lines =
        bench_shared((shape->members + 1) * sizeof *lines);
    struct contest contest = {
        .peer = peer,
        .shape = shape,
        .object = peer->make(shape->members),
        .stop = &lines[0],
        .done = &lines[1],
    };
    double speed;

    fill(&contest);
    speed = peer->threads ? watch_threads(&contest) : watch_processes(&contest);
    if (shape->op == LIST_APPEND || shape->op == DICT_ADD_TWO)
        check_length(c, contest.object, shape->op, count_done(&contest));
    else
        check_length(c, contest.object, shape->op, OBJECT_LENGTH);
    peer->drop(contest.object);
    bench_result(c, "", speed, "op/s");
}

/* ---- growing ---- */

static struct object_item batch[BATCH];

/* A list of ten million would wait for its keys longer than for its items. */
static void make_batch_item(enum object_op op, size_t index, uint64_t number)
{
    if (is_list(op))
        batch[index].number = number;
    else
        make_item(&batch[index], number);
}

/* Returns how long it took, in nanoseconds. */
static int64_t run_batch(const struct object_peer *peer, void *object,
                         enum object_op op)
{
    uint64_t wanted = reads(op) ? add_numbers(batch, BATCH) : 0;
    int64_t start = bench_now();
    uint64_t sum = peer->run[op](object, 0, batch, BATCH);
    int64_t ns = bench_now() - start;

    if (sum != wanted)
        errx(EXIT_FAILURE, "%s: wrong values", peer->name);
    return ns;
}

static int64_t grow(const struct object_peer *peer, void *object,
                    const struct object_growth *growth)
{
    int64_t ns = 0;

    for (uint64_t first = 0; first < growth->count; first += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            make_batch_item(growth->put, i, first + i);
        ns += run_batch(peer, object, growth->put);
    }
    return ns;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Returns nanoseconds for a read. */
static double read_at_random(const struct object_peer *peer, void *object,
                             const struct object_growth *growth)
{
    static double samples[READS_MAX];
    uint64_t state = RANDOM_START;
    int64_t end = bench_now() + READS_NS;
    size_t count = 0;

    do {
        for (size_t i = 0; i < BATCH; i++)
            make_batch_item(growth->get, i,
                            next_random(&state) % growth->count);
        samples[count++] =
            (double)run_batch(peer, object, growth->get) / (double)BATCH;
    } while (count < READS_MAX && bench_now() < end);
    return bench_median(samples, count);
}

static void report_memory(const struct bench_case *c, void *object)
{
    const struct object_peer *peer = c->what;
    const struct object_growth *growth = c->how;
    struct object_memory memory;

    if (peer->measure == NULL)
        return;
    peer->measure(object, &memory);
    bench_result(c, ",used", memory.used / (double)growth->count, "B");
    bench_result(c, ",present", memory.present / (double)growth->count, "B");
}

/* Small ones again and again, each from nothing. */
static void run_growth(const struct bench_case *c)
{
    static double samples[GROWTHS_MAX];
    const struct object_peer *peer = c->what;
    const struct object_growth *growth = c->how;
    void *object = peer->make(1);
    size_t count = 0;
    int64_t sum = 0;

    for (;;) {
        int64_t ns = grow(peer, object, growth);

        sum += ns;
        samples[count++] = (double)ns / (double)growth->count;
        if (count == GROWTHS_MAX || sum > GROWTHS_NS)
            break;
        peer->drop(object);
        object = peer->make(1);
    }
    check_length(c, object, growth->put, growth->count);
    bench_result(c, "", bench_median(samples, count), "ns");
    bench_result(c, ",random-get", read_at_random(peer, object, growth), "ns");
    report_memory(c, object);
    peer->drop(object);
}

/* ---- who is measured ---- */

static void run_python(const struct bench_case *c)
{
    const struct object_shape *shape = c->how;
    struct bench_case script = *c;
    char what[128];

    snprintf(what, sizeof what, "%s %s %s %s %zu %d", c->workload, c->peer,
             c->params, op_names[shape->op], shape->members, OBJECT_LENGTH);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (setenv("IPC_BENCH_OBJECT", what, 1) != 0)
        err(EXIT_FAILURE, "setenv");
    script.what = "object_peers.py";
    bench_run_python(&script);
}

static void add_contest(struct bench *bench, const struct object_shape *shape)
{
    for (size_t t = 0; tables[t] != NULL; t++) {
        for (const struct object_peer *peer = tables[t]; peer->name != NULL;
             peer++) {
            if (peer->run[shape->op] != NULL)
                bench_add(bench, peer->name, shape->params, run_contest, peer,
                          shape);
        }
    }
    if (shape->op != DICT_ADD_TWO)
        bench_add(bench,
                  is_list(shape->op) ? "mp-Manager-list" : "mp-Manager-dict",
                  shape->params, run_python, NULL, shape);
}

static void add_growth(struct bench *bench, const struct object_growth *growth)
{
    for (size_t t = 0; tables[t] != NULL; t++) {
        for (const struct object_peer *peer = tables[t]; peer->name != NULL;
             peer++) {
            if (peer->run[growth->put] != NULL &&
                growth->count <= peer->grow_max)
                bench_add(bench, peer->name, growth->params, run_growth, peer,
                          growth);
        }
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "object"};

    for (size_t i = 0; missing[i] != NULL; i++)
        warnx("%s was not installed when this was built: skipped", missing[i]);
    for (size_t s = 0; s < COUNT(shapes); s++)
        add_contest(&bench, &shapes[s]);
    for (size_t g = 0; g < COUNT(growths); g++)
        add_growth(&bench, &growths[g]);
    return bench_main(&bench, argc, argv);
}
