/* Random kills under load.
 *
 * A kill may hide what an earlier one broke: a worker that waits for ever is
 * replaced by one that looks at the state afresh.  So the killer holds its
 * fire when nobody has made progress for a while, and now and then waits until
 * each worker has. */
#include "harness/kills.h"

#include "harness/internal.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_WORKERS = 64,
    CALM_EVERY = 50,
    QUICK_KILLS = 100,
    HOLD_FIRE_MS = 50
};

/* Shared by killer and workers. */
static struct kills_page {
    uint32_t stop;
    struct {
        uint64_t rounds; /* of all who have worked at this place */
    } __attribute__((aligned(64))) place[MAX_WORKERS];
} * page;

static int own_place;
static bool in_round;

struct crew {
    const struct kills *kills;
    struct role roles[MAX_WORKERS];
    int64_t stall_limit_ns;
    uint64_t seen; /* rounds at the last look */
    int64_t since; /* and since when */
    int64_t stall; /* the longest */
};

/* ---- workers ---- */

bool kills_go_on(void)
{
    /* The first call ends no round: to be born is no progress. */
    if (in_round)
        (void)__atomic_add_fetch(&page->place[own_place].rounds, 1,
                                 __ATOMIC_RELAXED);
    in_round = true;
    return __atomic_load_n(&page->stop, __ATOMIC_RELAXED) == 0;
}

static void worker(void *arg)
{
    const struct kills *kills = arg;
    in_round = false;
    kills->work(kills->ctx, own_place);
}

static void start(struct crew *crew, int index)
{
    own_place = index; /* for the child */
    role_start(&crew->roles[index], worker, (void *)crew->kills);
}

static void kill_all(struct crew *crew)
{
    for (int i = 0; i < crew->kills->workers; i++)
        (void)role_kill(&crew->roles[i]);
}

static uint64_t rounds_at(int index)
{
    return __atomic_load_n(&page->place[index].rounds, __ATOMIC_RELAXED);
}

static uint64_t rounds_of_all(const struct crew *crew)
{
    uint64_t sum = 0;
    for (int i = 0; i < crew->kills->workers; i++)
        sum += rounds_at(i);
    return sum;
}

/* For the log: what those who have not left or moved are doing. */
static void describe(const struct crew *crew, int index)
{
    char text[256];
    if (crew->roles[index].pid == 0)
        return;
    test__describe(crew->roles[index].pid, text, sizeof text);
    printf("worker %d: %s\n", index, text);
}

/* ---- watching: false is a wedge ---- */

/* How long there has been no progress. */
static int64_t stalled_ns(struct crew *crew)
{
    uint64_t rounds = rounds_of_all(crew);
    int64_t now = test_now_ns();
    if (now - crew->since > crew->stall)
        crew->stall = now - crew->since;
    if (rounds != crew->seen) {
        crew->seen = rounds;
        crew->since = now;
    }
    return now - crew->since;
}

static bool pause_us(struct crew *crew, long us)
{
    int64_t end = test_now_ns() + us * 1000;
    for (;;) {
        int64_t left = end - test_now_ns();
        int64_t stalled = stalled_ns(crew);
        if (stalled > crew->stall_limit_ns) {
            printf("nobody makes progress:\n");
            for (int i = 0; i < crew->kills->workers; i++)
                describe(crew, i);
            return false;
        }
        if (left <= 0 && stalled < (int64_t)HOLD_FIRE_MS * 1000000)
            return true;
        if (left <= 0 || left > 500000)
            left = 500000;
        (void)nanosleep(&(struct timespec){0, (long)left}, NULL);
    }
}

/* Wait until each worker has finished a round. */
static bool calm(struct crew *crew)
{
    uint64_t before[MAX_WORKERS];
    for (int i = 0; i < crew->kills->workers; i++)
        before[i] = rounds_at(i);
    int64_t end = test_now_ns() + crew->stall_limit_ns;
    for (int i = 0; i < crew->kills->workers; i++) {
        while (rounds_at(i) == before[i]) {
            if (test_now_ns() > end) {
                printf("one makes no progress:\n");
                describe(crew, i);
                return false;
            }
            (void)stalled_ns(crew);
            (void)nanosleep(&(struct timespec){0, 200000}, NULL);
        }
    }
    return true;
}

/* ---- the run ---- */

long kills_for(long each)
{
    const long scale = test_scale();
    if (scale > 1 || each <= QUICK_KILLS)
        return each * scale;
    return each / 5 > QUICK_KILLS ? each / 5 : QUICK_KILLS;
}

static void kill_one(struct crew *crew, int index)
{
    pid_t pid = crew->roles[index].pid;
    int status = role_kill(&crew->roles[index]);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        test_fail("worker %d ended by itself: wait status 0x%x", index,
                  (unsigned)status);
    if (crew->kills->died != NULL)
        crew->kills->died(crew->kills->ctx, index, pid);
    start(crew, index);
}

static bool kill_many(struct crew *crew, struct kills_result *result)
{
    const struct kills *kills = crew->kills;
    long wanted = kills->kills > 0 ? kills->kills : kills_for(1000);
    long min_us = kills->min_us > 0 ? kills->min_us : 50;
    long max_us = kills->max_us > 0 ? kills->max_us : 2000;
    struct test_random random = {test_seed()};
    while (result->kills < wanted) {
        if (!pause_us(crew, test_random_between(&random, min_us, max_us)))
            return false;
        kill_one(crew,
                 (int)test_random_between(&random, 0, kills->workers - 1));
        result->kills++;
        if (result->kills % CALM_EVERY == 0 && !calm(crew))
            return false;
    }
    return true;
}

static bool let_leave(struct crew *crew)
{
    __atomic_store_n(&page->stop, 1, __ATOMIC_SEQ_CST);
    int64_t end = test_now_ns() + crew->stall_limit_ns;
    for (int i = 0; i < crew->kills->workers; i++) {
        int64_t left_ms = (end - test_now_ns()) / 1000000;
        int status;
        if (!role_dead_within(&crew->roles[i], left_ms > 0 ? (int)left_ms : 0,
                              &status)) {
            printf("one does not leave:\n");
            describe(crew, i);
            return false;
        }
        if (status != 0)
            test_fail("worker %d ended with wait status 0x%x", i,
                      (unsigned)status);
    }
    return true;
}

void kills_run(const struct kills *kills, struct kills_result *result)
{
    if (kills->workers < 1 || kills->workers > MAX_WORKERS)
        test_fail("1 to %d workers", (int)MAX_WORKERS);
    page = test_shared(sizeof *page);
    *result = (struct kills_result){.kills = 0};
    int limit_ms = kills->stall_limit_ms > 0 ? kills->stall_limit_ms : 2000;
    struct crew crew = {.kills = kills,
                        .stall_limit_ns = (int64_t)limit_ms * 1000000,
                        .since = test_now_ns()};
    for (int i = 0; i < kills->workers; i++)
        start(&crew, i);

    bool moving = kill_many(&crew, result) && let_leave(&crew);
    result->wedges = !moving;
    result->rounds = (long)rounds_of_all(&crew);
    result->max_stall_us = (long)(crew.stall / 1000);
    kill_all(&crew);
    if (moving && kills->check != NULL)
        kills->check(kills->ctx, result);
    (void)munmap(page, sizeof *page);
    page = NULL;
}

void kills_report(const struct kills_result *result)
{
    test_report("kills", result->kills);
    test_report("wedges", result->wedges);
    test_report("rounds", result->rounds);
    test_report("max_stall_us", result->max_stall_us);
}
