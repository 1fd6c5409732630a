/* A round trip: the median of many batches of them; or the system calls of
 * one, on average, with both players. */
#include "sync_match.h"

#include "sync_calls.h"

#include <err.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#define WARM_UP_NS INT64_C(20000000)
#define MATCH_NS   INT64_C(80000000)
#define TURNS      20 /* from one look at the clock to the next */
#define SAMPLES    50000

const struct sync_match_shape sync_match_shapes[] = {
    {SYNC_ANYWHERE, false, "event,2cpu", "condition,2cpu"},
    {SYNC_ANYWHERE, true, "event,2cpu,calls", "condition,2cpu,calls"},
    {SYNC_APART, false, "event,2cpu-pinned", "condition,2cpu-pinned"},
    {SYNC_TOGETHER, false, "event,1cpu", "condition,1cpu"},
    {SYNC_TOGETHER, true, "event,1cpu,calls", "condition,1cpu,calls"},
    {0},
};

/* What the players share. */
struct match {
    /* Stored by player 0 before he has his turn of that number. */
    SYNC_LINE uint64_t last_warm;
    SYNC_LINE uint64_t last;

    SYNC_LINE double us; /* a round trip */
    bool uncounted;
    struct {
        SYNC_LINE uint64_t calls; /* from last_warm to last */
    } player[2];
};

struct players {
    const struct sync_match *peer;
    const struct sync_match_shape *shape;
    void *object;
    struct match *match;
};

static int count_cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        err(EXIT_FAILURE, "sched_getaffinity");
    return CPU_COUNT(&set);
}

static void run_on(const cpu_set_t *set)
{
    if (sched_setaffinity(0, sizeof *set, set) != 0)
        err(EXIT_FAILURE, "sched_setaffinity");
}

/* Run on the nth CPU from the end of those that may be used.  Returns those. */
static cpu_set_t pin(size_t nth)
{
    cpu_set_t set;
    cpu_set_t one;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        err(EXIT_FAILURE, "sched_getaffinity");
    CPU_ZERO(&one);
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0;) {
        if (CPU_ISSET(cpu, &set) && nth-- == 0) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    run_on(&one);
    return set;
}

static void play(const struct players *two, size_t me, uint64_t turns)
{
    if (!two->peer->turns(two->object, me, turns))
        errx(EXIT_FAILURE, "%s stopped working", two->peer->name);
}

/* The last turn of a phase tells the other one that it ends.  Returns how many
 * there have been, if it was done before. */
static uint64_t play_last(const struct players *two, uint64_t done,
                          uint64_t *last)
{
    __atomic_store_n(last, done + 1, __ATOMIC_RELAXED);
    play(two, 0, 1);
    return done + 1;
}

static void follow(const struct players *two, uint64_t done,
                   const uint64_t *last)
{
    if (!two->peer->follow(two->object, done, last))
        errx(EXIT_FAILURE, "%s stopped working", two->peer->name);
}

/* Player 0, who takes the time.  Returns the calls. */
static uint64_t lead(const struct players *two, uint64_t done)
{
    static double samples[SAMPLES];
    struct match *match = two->match;
    size_t count = 0;
    int64_t begin = bench_now();
    int64_t end;
    uint64_t calls;

    for (; bench_now() - begin < WARM_UP_NS; done += TURNS)
        play(two, 0, TURNS);
    done = play_last(two, done, &match->last_warm);
    calls = sync_calls();
    begin = end = bench_now();
    for (; count < SAMPLES && end - begin < MATCH_NS; done += TURNS) {
        int64_t start = end;

        play(two, 0, TURNS);
        end = bench_now();
        samples[count++] = (double)(end - start) / TURNS / 1e3;
    }
    (void)play_last(two, done, &match->last);
    match->us = bench_median(samples, count);
    return sync_calls() - calls;
}

/* Player 1.  Returns the calls. */
static uint64_t follow_all(const struct players *two, uint64_t done)
{
    const struct match *match = two->match;
    uint64_t calls;

    follow(two, done, &match->last_warm);
    calls = sync_calls();
    follow(two, match->last_warm, &match->last);
    return sync_calls() - calls;
}

/* Before the peer's first call, as it may look at what CPUs there are.  Left
 * to the kernel the two begin apart, or it would be chance how a short match
 * goes. */
static void place(const struct players *two, size_t index)
{
    cpu_set_t set;

    if (two->shape->placement == SYNC_TOGETHER)
        return;
    set = pin(index);
    if (two->shape->placement == SYNC_ANYWHERE && !two->peer->apart)
        run_on(&set);
}

static void player(void *arg, size_t index)
{
    const struct players *two = arg;
    struct match *match = two->match;

    place(two, index);
    play(two, index, 1); /* first use may set something up */
    if (two->shape->calls && !sync_calls_start())
        match->uncounted = true;
    match->player[index].calls = index == 0 ? lead(two, 1) : follow_all(two, 1);
}

static void report_calls(const struct bench_case *c, const struct match *match)
{
    uint64_t trips = match->last - match->last_warm;
    uint64_t calls = match->player[0].calls + match->player[1].calls;

    if (match->uncounted)
        bench_skip();
    bench_result(c, "", (double)calls / (double)trips, "calls");
}

void sync_match_run(const struct bench_case *c)
{
    const struct sync_match *peer = c->what;
    const struct sync_match_shape *shape = c->how;
    struct match *match = bench_shared(sizeof *match);
    struct players two = {peer, shape, NULL, match};
    struct bench_team team;

    if (shape->placement == SYNC_TOGETHER && peer->apart)
        bench_skip();
    if (shape->placement != SYNC_TOGETHER && count_cpus() < 2)
        bench_skip();
    if (shape->placement == SYNC_TOGETHER)
        (void)pin(0);
    two.object = peer->make(0);
    bench_team_start(&team, 2, player, &two);
    bench_team_join(&team);
    peer->drop(two.object);
    if (shape->calls)
        report_calls(c, match);
    else
        bench_result(c, "", match->us, "us");
    munmap(match, sizeof *match);
}
