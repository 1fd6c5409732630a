/* ipc-bench-manager: what a list does in a second that a server process holds,
 * over a Unix socket, for one client and for several; and how long it takes to
 * connect.
 *
 * With 1cpu server and clients share a CPU.  Otherwise a client that waits for
 * its answer measures the waking of an idle CPU, which is the same for all. */
#include "manager_peer.h"

#include <err.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WARM_UP_NS INT64_C(20000000)
#define WINDOW_NS  INT64_C(120000000)

/* A disk does some hundred things in a second. */
#define DISK_WINDOW_NS INT64_C(500000000)

#define CALLS_MAX 2000
#define CALLS_NS  INT64_C(100000000)

struct manager_shape {
    const char *params;
    enum object_op op;
    enum manager_way way;
    size_t members;
    bool one_cpu;
};

#define PLACED(params, ...)                                                    \
    {params, __VA_ARGS__, false},                                              \
    {                                                                          \
        params ",1cpu", __VA_ARGS__, true                                      \
    }

static const struct manager_shape shapes[] = {
    PLACED("append,sync,1client", LIST_APPEND, MANAGER_SYNC, 1),
    PLACED("append,sync,4clients", LIST_APPEND, MANAGER_SYNC, 4),
    PLACED("append,pipe16,1client", LIST_APPEND, MANAGER_PIPE, 1),
    PLACED("append,pipe16,4clients", LIST_APPEND, MANAGER_PIPE, 4),
    PLACED("get,sync,1client", LIST_GET, MANAGER_SYNC, 1),
    PLACED("get,sync,4clients", LIST_GET, MANAGER_SYNC, 4),
    PLACED("get,pipe16,1client", LIST_GET, MANAGER_PIPE, 1),
    PLACED("get,pipe16,4clients", LIST_GET, MANAGER_PIPE, 4),
};

static const struct manager_shape durable_shapes[] = {
    PLACED("append,always,sync,1client", LIST_APPEND, MANAGER_SYNC_ALWAYS, 1),
    PLACED("append,always,sync,4clients", LIST_APPEND, MANAGER_SYNC_ALWAYS, 4),
    PLACED("append,always,pipe16,1client", LIST_APPEND, MANAGER_PIPE_ALWAYS, 1),
    PLACED("append,interval,sync,1client", LIST_APPEND, MANAGER_SYNC_INTERVAL,
           1),
    PLACED("append,interval,sync,4clients", LIST_APPEND, MANAGER_SYNC_INTERVAL,
           4),
    PLACED("append,interval,pipe16,1client", LIST_APPEND, MANAGER_PIPE_INTERVAL,
           1),
};

static const struct manager_shape calls[] = {
    PLACED("connect", LIST_APPEND, MANAGER_SYNC, 1),
};

#ifdef IPC_BENCH_REDIS
static const struct manager_peer manager_redis = {
    .name = "redis-unix",
    .ways = {
        [MANAGER_SYNC] = &object_peers_redis[0],
        [MANAGER_PIPE] = &object_peers_redis[1],
        [MANAGER_SYNC_ALWAYS] = &object_peers_redis_durable[0],
        [MANAGER_PIPE_ALWAYS] = &object_peers_redis_durable[1],
        [MANAGER_SYNC_INTERVAL] = &object_peers_redis_durable[2],
        [MANAGER_PIPE_INTERVAL] = &object_peers_redis_durable[3],
    }};
#endif

static const struct manager_peer *const peers[] = {
    &manager_libipc,
    &manager_direct,
    &manager_echo,
#ifdef IPC_BENCH_REDIS
    &manager_redis,
#endif
    NULL,
};

static const struct manager_caller *const callers[] = {
    manager_callers_libipc,
    manager_callers_echo,
    NULL,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- where it runs ---- */

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

static void place(const struct manager_shape *shape)
{
    if (shape->one_cpu)
        use_one_cpu();
}

/* ---- a folder ---- */

#define FOLDER_SIZE 256

static void enter_folder(char folder[FOLDER_SIZE])
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    const char *parent = getenv("TMPDIR");
    int n = snprintf(folder, FOLDER_SIZE, "%s/ipc-bench-XXXXXX",
                     parent == NULL ? "/tmp" : parent);

    if (n < 0 || n >= FOLDER_SIZE || mkdtemp(folder) == NULL)
        err(EXIT_FAILURE, "%s", folder);
    if (chdir(folder) != 0)
        err(EXIT_FAILURE, "%s", folder);
}

static int remove_one(const char *path, const struct stat *status, int type,
                      struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static void remove_folder(const char *folder)
{
    if (chdir("/") != 0 ||
        nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        err(EXIT_FAILURE, "%s", folder);
}

/* ---- clients ---- */

/* The first word of a cache line. */
struct manager_line {
    __attribute__((aligned(64))) uint64_t word;
};

struct contest {
    const struct bench_case *c;
    const struct object_peer *peer;
    const struct manager_shape *shape;
    void *object;
    struct manager_line *stop;
    struct manager_line *done; /* operations of each member */
};

static const struct object_peer *peer_of(const struct manager_peer *peer,
                                         const struct manager_shape *shape)
{
    return peer->ways[shape->way];
}

/* Every number there is once, in an order of their own for each member. */
static void make_items(struct object_item *items, size_t member)
{
    size_t factor = 2 * member + 617; /* odd: no number comes twice */

    for (size_t i = 0; i < OBJECT_LENGTH; i++)
        items[i] = (struct object_item){.number = i * factor % OBJECT_LENGTH};
}

static uint64_t add_numbers(const struct object_item *items, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += items[i].number;
    return sum;
}

static void client(void *arg, size_t index)
{
    const struct contest *contest = arg;
    enum object_op op = contest->shape->op;
    size_t step = contest->shape->way == MANAGER_SYNC_ALWAYS ? 1 : OBJECT_STEP;
    uint64_t *done = &contest->done[index].word;
    struct object_item items[OBJECT_LENGTH];
    size_t at = 0;

    make_items(items, index);
    while (!__atomic_load_n(&contest->stop->word, __ATOMIC_RELAXED)) {
        const struct object_item *next = &items[at];
        uint64_t wanted = op == LIST_GET ? add_numbers(next, step) : 0;

        if (contest->peer->run[op](contest->object, index, next, step) !=
            wanted)
            errx(EXIT_FAILURE, "%s: wrong values", contest->c->peer);
        __atomic_store_n(done, *done + step, __ATOMIC_RELAXED);
        at = (at + step) % OBJECT_LENGTH;
    }
}

static uint64_t count_done(const struct contest *contest)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < contest->shape->members; i++)
        sum += __atomic_load_n(&contest->done[i].word, __ATOMIC_RELAXED);
    return sum;
}

static int64_t window_of(const struct manager_shape *shape)
{
    return shape->way == MANAGER_SYNC_ALWAYS ||
                   shape->way == MANAGER_PIPE_ALWAYS
               ? DISK_WINDOW_NS
               : WINDOW_NS;
}

/* Returns operations per second. */
static double watch(struct contest *contest)
{
    struct bench_team team;
    uint64_t before;
    uint64_t done;
    int64_t start;
    int64_t end;

    bench_team_start(&team, contest->shape->members, client, contest);
    bench_sleep_until(bench_now() + WARM_UP_NS);
    before = count_done(contest);
    start = bench_now();
    bench_sleep_until(start + window_of(contest->shape));
    done = count_done(contest) - before;
    end = bench_now();
    __atomic_store_n(&contest->stop->word, 1, __ATOMIC_RELAXED);
    bench_team_join(&team);
    return (double)done * 1e9 / (double)(end - start);
}

/* What is read has to be there first. */
static uint64_t fill(const struct contest *contest)
{
    struct object_item items[OBJECT_LENGTH];

    if (contest->shape->op != LIST_GET)
        return 0;
    for (size_t i = 0; i < OBJECT_LENGTH; i++)
        items[i] = (struct object_item){.number = i};
    contest->peer->run[LIST_APPEND](contest->object, 0, items, OBJECT_LENGTH);
    return OBJECT_LENGTH;
}

static void check_length(const struct contest *contest, uint64_t before)
{
    enum object_op op = contest->shape->op;
    uint64_t wanted = op == LIST_GET ? before : count_done(contest);
    uint64_t length;

    if (contest->peer->length == NULL)
        return;
    length = contest->peer->length(contest->object, op);
    if (length != wanted)
        errx(EXIT_FAILURE, "%s %s: %" PRIu64 " were done, it has %" PRIu64,
             contest->c->peer, contest->c->params, wanted, length);
}

static void run_contest(const struct bench_case *c)
{
    const struct manager_shape *shape = c->how;
    const struct object_peer *peer = peer_of(c->what, shape);
    struct manager_line *lines =
        bench_shared((shape->members + 1) * sizeof *lines);
    struct contest contest = {
        .c = c,
        .peer = peer,
        .shape = shape,
        .stop = &lines[0],
        .done = &lines[1],
    };
    char folder[FOLDER_SIZE];
    uint64_t before;
    double speed;

    place(shape);
    enter_folder(folder);
    contest.object = peer->make(shape->members);
    before = fill(&contest);
    speed = watch(&contest);
    check_length(&contest, before);
    peer->drop(contest.object);
    remove_folder(folder);
    bench_result(c, "", speed, "op/s");
}

/* ---- connecting ---- */

static void run_calls(const struct bench_case *c)
{
    static double samples[CALLS_MAX];
    const struct manager_caller *caller = c->what;
    size_t count = 0;
    char folder[FOLDER_SIZE];
    void *server;
    int64_t end;

    place(c->how);
    enter_folder(folder);
    server = caller->make();
    caller->hang_up(caller->call(server));
    end = bench_now() + CALLS_NS;
    do {
        int64_t start = bench_now();
        void *connection = caller->call(server);

        samples[count++] = (double)(bench_now() - start) / 1000;
        caller->hang_up(connection);
    } while (count < CALLS_MAX && bench_now() < end);
    caller->drop(server);
    remove_folder(folder);
    bench_result(c, "", bench_median(samples, count), "us");
}

/* ---- CPython ---- */

static void run_script(const struct bench_case *c, const char *variable,
                       const char *value, const char *name)
{
    struct bench_case script = *c;

    place(c->how);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (setenv(variable, value, 1) != 0)
        err(EXIT_FAILURE, "setenv");
    script.what = name;
    bench_run_python(&script);
}

static void run_python_list(const struct bench_case *c)
{
    const struct manager_shape *shape = c->how;
    char what[128];

    snprintf(what, sizeof what, "%s %s %s %s %zu %d", c->workload, c->peer,
             c->params, shape->op == LIST_GET ? "index" : "append",
             shape->members, OBJECT_LENGTH);
    run_script(c, "IPC_BENCH_OBJECT", what, "object_peers.py");
}

static void run_python_calls(const struct bench_case *c)
{
    char what[128];

    snprintf(what, sizeof what, "%s %s %s", c->workload, c->peer, c->params);
    run_script(c, "IPC_BENCH_MANAGER", what, "manager_peers.py");
}

/* ---- who is measured ---- */

static void add_contest(struct bench *bench, const struct manager_shape *shape)
{
    for (size_t p = 0; peers[p] != NULL; p++) {
        const struct object_peer *peer = peer_of(peers[p], shape);

        if (peer != NULL && peer->run[shape->op] != NULL)
            bench_add(bench, peers[p]->name, shape->params, run_contest,
                      peers[p], shape);
    }
    if (shape->way == MANAGER_SYNC)
        bench_add(bench, "mp-Manager-list", shape->params, run_python_list,
                  NULL, shape);
}

static void add_calls(struct bench *bench, const struct manager_shape *shape)
{
    for (size_t i = 0; callers[i] != NULL; i++) {
        for (const struct manager_caller *caller = callers[i];
             caller->name != NULL; caller++)
            bench_add(bench, caller->name, shape->params, run_calls, caller,
                      shape);
    }
    bench_add(bench, "mp-Manager", shape->params, run_python_calls, NULL,
              shape);
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "manager"};

#ifndef IPC_BENCH_REDIS
    warnx("hiredis was not installed when this was built: skipped");
#endif
    for (size_t s = 0; s < COUNT(shapes); s++)
        add_contest(&bench, &shapes[s]);
    for (size_t s = 0; s < COUNT(durable_shapes); s++)
        add_contest(&bench, &durable_shapes[s]);
    for (size_t s = 0; s < COUNT(calls); s++)
        add_calls(&bench, &calls[s]);
    return bench_main(&bench, argc, argv);
}
