/* What the sweeps of queues of the second kind have in common: a queue with
 * numbered messages, others who sleep for one or for room, and what is found
 * after a death.
 *
 * Numbers below FIRST_OF_SLEEPERS are the case's: it says how often each may
 * come, when the victim is killed and when it finishes. */
#ifndef QUEUE_STORE_SCENE_H
#define QUEUE_STORE_SCENE_H

#include "crash/look_once.h"
#include "harness/scale.h"
#include "harness/sweep.h"
#include "unit/queue_store_support.h"

#include <ipc/shared.h>

#include "queue/store.h"

enum {
    NUMBERS = 32,
    FIRST_OF_SLEEPERS = 24,
    SLEEPERS_MAX = 2,
    LONG_MS = 600000, /* the life of a case */
    SPILLED = 1100    /* bytes: too many for a cell, few enough to step */
};

/* Without the re-check a wake-up or a notice of death that is lost is a sleep
 * for good, which needs no clock to be seen. */
static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

enum sleep_for {
    SLEEP_FOR_GET,
    SLEEP_FOR_TAKE,
    SLEEP_FOR_ROOM,
    SLEEP_FOR_DONE
};

struct sleeper {
    uint32_t waiting; /* it is about to ask */
    uint32_t served;
    int rc;
    uint32_t number; /* that it got, or put */
};

/* How often a message may come. */
struct expect {
    uint32_t least, most;                   /* the victim was killed */
    uint32_t least_finished, most_finished; /* it was not */
    uint32_t deliveries_least, deliveries_most;
};

/* In family memory. */
struct scene {
    /* What the case sets: */
    ipc_queue_options options;
    size_t bytes;    /* of messages */
    uint32_t before; /* messages 1, 2, ... before the victim comes */
    int sleepers;
    enum sleep_for sleep_for;
    bool closes; /* the victim does */
    struct expect expect[NUMBERS];

    ipc_queue *queue;
    ipc_queue *warm; /* for making a thread known */
    struct sleeper sleeper[SLEEPERS_MAX];
    uint32_t open;       /* sleepers that may come */
    ipc_message message; /* what the victim has in its hands, */
    ipc_message held;    /* and somebody who lives */

    uint32_t came[NUMBERS];
    uint32_t deliveries[NUMBERS];
    uint32_t drained;
    uint32_t torn;
    bool room;  /* there was some, before anything was drained */
    bool clean; /* afterwards nothing is taken, and all is done */

    long lost_wakes;
    long gone; /* messages that went down with a victim */
};

static struct scene *scene;
static struct role sleeping[SLEEPERS_MAX];

static inline bool has_leases(void)
{
    return (scene->options.flags & IPC_QUEUE_LEASES) != 0;
}

/* ---- what is stepped: it calls no assert ---- */

static inline void must(int rc)
{
    if (rc != 0)
        abort();
}

static char victims_bytes[SPILLED];

/* Make this thread known where the queue lies. */
static inline void warm_up(void *ctx)
{
    (void)ctx;
    look_once();
    char byte = 0;
    must(ipc_queue_put_nowait(scene->warm, &byte, 1));
    must(ipc_queue_get_nowait(scene->warm, &byte, 1, NULL));
    memset(victims_bytes, 0, sizeof victims_bytes);
}

/* ---- messages ---- */

static inline void note(uint32_t number, uint32_t deliveries)
{
    if (number >= NUMBERS) {
        scene->torn++;
        return;
    }
    (void)__atomic_fetch_add(&scene->came[number], 1, __ATOMIC_SEQ_CST);
    scene->deliveries[number] = deliveries;
}

/* Take one and acknowledge it, or get one and say that it is done. */
static inline int have_one(ipc_deadline deadline, uint32_t *number)
{
    ipc_message message;
    if (!has_leases()) {
        const int rc = get_number(scene->queue, number, deadline);
        return rc == 0 ? ipc_queue_task_done(scene->queue) : rc;
    }
    int rc = ipc_queue_take_until(scene->queue, &message, deadline);
    if (rc != 0)
        return rc;
    *number = number_of(message.data, message.bytes);
    if (*number < NUMBERS)
        scene->deliveries[*number] = message.deliveries;
    return ipc_queue_ack(scene->queue, &message);
}

/* ---- sleepers ---- */

static inline int sleeper_asks(struct sleeper *sleeper, uint32_t i)
{
    if (scene->sleep_for == SLEEP_FOR_DONE)
        return ipc_queue_join(scene->queue);
    if (scene->sleep_for != SLEEP_FOR_ROOM)
        return have_one(IPC_TIME_FOREVER, &sleeper->number);
    sleeper->number = FIRST_OF_SLEEPERS + i;
    fill_message(victims_bytes, scene->bytes, sleeper->number);
    return ipc_queue_put(scene->queue, victims_bytes, scene->bytes);
}

/* Does not end when it was served: its end would wake others, and hide that a
 * wake-up was lost. */
static inline void be_sleeper(void *arg)
{
    struct sleeper *sleeper = arg;
    const uint32_t i = (uint32_t)(sleeper - scene->sleeper);
    warm_up(NULL);
    meet_wait(&scene->open, 1 + i, LONG_MS);
    __atomic_store_n(&sleeper->waiting, 1, __ATOMIC_SEQ_CST);
    sleeper->rc = sleeper_asks(sleeper, i);
    meet_signal(&sleeper->served);
    for (;;)
        (void)pause();
}

static inline uint32_t peek(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline bool is_served(int i)
{
    return peek(&scene->sleeper[i].served) != 0;
}

static inline bool is_asleep(int i)
{
    return peek(&scene->sleeper[i].waiting) != 0 &&
           asleep_in_futex(sleeping[i].pid);
}

static inline void let_sleepers_in(void)
{
    for (int i = 0; i < scene->sleepers; i++) {
        meet_signal(&scene->open);
        while (!is_asleep(i) && !is_served(i) && !thread_ended(sleeping[i].pid))
            poll_pause();
    }
}

static inline bool is_settled(void)
{
    for (int look = 0; look < 3; look++) {
        for (int i = 0; i < scene->sleepers; i++)
            if (!is_served(i) && !is_asleep(i))
                return false;
        poll_pause();
    }
    return true;
}

static inline int count_served(void)
{
    int served = 0;
    for (int i = 0; i < scene->sleepers; i++)
        served += is_served(i);
    return served;
}

/* All have been served, or sleep for good; with the re-check, for longer than
 * that takes. */
static inline void let_settle(const struct sweep_point *point,
                              struct sweep_result *result)
{
    const int64_t begin = test_now_ns();
    const int64_t end = begin + INT64_C(2) * WEDGE_MS * NS_PER_MS;
    const int64_t least =
        ipc__recheck_ns == INT64_MAX ? 0 : begin + RECHECK_MS * NS_PER_MS;
    while (!is_settled() ||
           (count_served() < scene->sleepers && test_now_ns() < least))
        if (test_now_ns() > end) {
            sweep_wedge(result, point);
            return;
        }
}

static inline void start_sleepers(void)
{
    scene->open = 0;
    memset(scene->sleeper, 0, sizeof scene->sleeper);
    for (int i = 0; i < scene->sleepers; i++)
        role_start(&sleeping[i], be_sleeper, &scene->sleeper[i]);
}

static inline void end_sleepers(void)
{
    for (int i = 0; i < scene->sleepers; i++) {
        if (thread_ended(sleeping[i].pid))
            test_fail("a sleeper has failed");
        (void)role_kill(&sleeping[i]);
        const struct sleeper *sleeper = &scene->sleeper[i];
        if (!is_served(i))
            continue;
        if (scene->sleep_for < SLEEP_FOR_ROOM && sleeper->rc == 0)
            (void)__atomic_fetch_add(&scene->came[sleeper->number % NUMBERS], 1,
                                     __ATOMIC_SEQ_CST);
        else if (sleeper->rc != 0 && !(scene->closes && sleeper->rc == -EPIPE))
            test_fail("a sleeper got %d", sleeper->rc);
    }
}

/* ---- what is left: in fresh processes ---- */

static inline void look_for_room(void *ctx)
{
    (void)ctx;
    warm_up(NULL);
    scene->room = !ipc_queue_full(scene->queue);
}

static inline void drain(void *ctx)
{
    uint32_t number = NUMBERS;
    int rc;
    (void)ctx;
    warm_up(NULL);
    while ((rc = have_one(IPC_TIME_NOW, &number)) == 0 && scene->drained < 50) {
        note(number, number < NUMBERS ? scene->deliveries[number] : 0);
        scene->drained++;
    }
    if (rc != -EAGAIN && rc != -ETIMEDOUT && !(scene->closes && rc == -EPIPE))
        scene->torn++;
}

static inline void drain_dead(void *ctx)
{
    ipc_message message;
    (void)ctx;
    while (ipc_queue_take_dead(scene->queue, &message) == 0) {
        note(number_of(message.data, message.bytes), message.deliveries);
        must(ipc_queue_ack(scene->queue, &message));
    }
}

static inline bool all_is_free(const struct ipc__store *store)
{
    const struct ipc__store_state *state = store->state;
    for (uint32_t i = 0; i < store->pages.count; i += 64)
        if (store->pages.taken[i / 64] != 0)
            return false;
    for (uint32_t i = 0; i < state->high; i++)
        if (ipc__entry_state(store->slots[i].mark) != IPC__ENTRY_FREE)
            return false;
    return state->heap == 0 && state->busy == 0 && state->dead == 0 &&
           state->ready == 0 && state->free == state->high &&
           store->queue->put.used == 0;
}

/* What went down with its consumer nobody says to be done: it is said here. */
static inline void look_if_clean(void *ctx)
{
    struct ipc__store store;
    (void)ctx;
    warm_up(NULL);
    for (long i = 0; i < scene->gone; i++)
        if (ipc_queue_task_done(scene->queue) != 0)
            return;
    must(ipc__store_view(scene->queue, &store));
    must(ipc__store_lock(&store));
    scene->clean = all_is_free(&store);
    ipc__store_unlock(&store);
    scene->clean = scene->clean && ipc_queue_join_nowait(scene->queue) == 0;
}

static inline void in_fresh_process(void (*fn)(void *ctx),
                                    const struct sweep_point *point,
                                    struct sweep_result *result)
{
    const int how = role_try(fn, NULL, WEDGE_MS);
    if (how == ROLE_HUNG)
        sweep_wedge(result, point);
    else if (how != 0)
        test_fail("the next process failed: %d", how);
}

/* ---- around each run ---- */

static inline void reset(void *ctx)
{
    (void)ctx;
    memset(scene->came, 0, sizeof scene->came);
    memset(scene->deliveries, 0, sizeof scene->deliveries);
    scene->drained = 0;
    scene->torn = 0;
    scene->clean = false;
    scene->gone = 0;
    if (ipc_queue_is_closed(scene->queue)) {
        expect_rc(ipc_queue_free(scene->queue), 0);
        expect_rc(ipc_queue_new(&scene->options, &scene->queue), 0);
    }
    for (uint32_t i = 1; i <= scene->before; i++)
        expect_put(scene->queue, i, scene->bytes);
    start_sleepers();
}

static inline void check_number(uint32_t number,
                                const struct sweep_point *point,
                                struct sweep_result *result)
{
    const struct expect *e = &scene->expect[number];
    const uint32_t least = point->finished ? e->least_finished : e->least;
    const uint32_t most = point->finished ? e->most_finished : e->most;
    const uint32_t came = scene->came[number];
    if (came < least)
        sweep_lost(result, point);
    if (came > most)
        sweep_torn(result, point);
    const uint32_t deliveries = scene->deliveries[number];
    if (came > 0 && has_leases() && e->deliveries_most != 0 &&
        (deliveries < e->deliveries_least || deliveries > e->deliveries_most))
        sweep_torn(result, point);
}

static inline void count_gone(void)
{
    for (uint32_t i = 0; i < FIRST_OF_SLEEPERS; i++)
        if (!has_leases() && i > 0 && i <= scene->before &&
            scene->expect[i].least == 0 && scene->came[i] == 0)
            scene->gone++;
}

static inline void oracle(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    (void)ctx;
    let_settle(point, result);
    const int served = count_served();
    in_fresh_process(look_for_room, point, result);
    in_fresh_process(drain, point, result);
    if (served < scene->sleepers &&
        (scene->sleep_for == SLEEP_FOR_ROOM ? scene->room
                                            : scene->drained != 0)) {
        scene->lost_wakes++;
        sweep_wedge(result, point);
    }
    if (scene->sleep_for == SLEEP_FOR_ROOM && scene->sleepers > 0) {
        let_settle(point, result);
        in_fresh_process(drain, point, result);
        for (int i = 0; i < scene->sleepers; i++)
            scene->came[FIRST_OF_SLEEPERS + i] += !is_served(i);
    }
    end_sleepers();
    in_fresh_process(drain, point, result); /* what they had */
    if (has_leases())
        in_fresh_process(drain_dead, point, result);
    count_gone();
    in_fresh_process(look_if_clean, point, result);
    if (!scene->clean && !scene->closes)
        sweep_leftover(result, point);
    if (scene->torn != 0)
        sweep_torn(result, point);
    for (uint32_t i = 0; i < NUMBERS; i++)
        check_number(i, point, result);
}

/* ---- a case ---- */

/* It comes, whoever dies. */
static const struct expect comes = {1, 1, 1, 1, 0, 0};

static inline void make_scene(uint32_t flags, uint32_t capacity, size_t bytes,
                              uint32_t before)
{
    scene = ipc_shared_alloc(sizeof *scene);
    assert_non_null(scene);
    *scene = (struct scene){.options = store_options(flags, capacity),
                            .bytes = bytes,
                            .before = before};
    expect_rc(ipc_queue_new(&scene->options, &scene->queue), 0);
    const ipc_queue_options plain = IPC_QUEUE_OPTIONS_INIT;
    expect_rc(ipc_queue_new(&plain, &scene->warm), 0);
    for (uint32_t i = 1; i <= before; i++)
        scene->expect[i] = comes;
}

static inline void end_scene(void)
{
    expect_rc(ipc_queue_free(scene->queue), 0);
    expect_rc(ipc_queue_free(scene->warm), 0);
    expect_rc(ipc_shared_free(scene), 0);
}

static inline void have_sleepers(int count, enum sleep_for what)
{
    scene->sleepers = count;
    scene->sleep_for = what;
    for (int i = 0; i < count && what == SLEEP_FOR_ROOM; i++)
        scene->expect[FIRST_OF_SLEEPERS + i] = comes;
}

/* ---- figures: of all that a case sweeps ---- */

static struct sweep_result sum;

static inline void add_figures(const struct sweep_result *result)
{
    sum.points += result->points;
    sum.woken += result->woken;
    sum.wedges += result->wedges;
    sum.torn += result->torn;
    sum.lost += result->lost;
    sum.leftovers += result->leftovers;
    sweep_report(NULL, &sum);
}

static inline void sweep_scene(const struct sweep *sweep, long min_points)
{
    struct sweep_result result;
    sweep_run(sweep, &result);
    add_figures(&result);
    end_scene();
    sweep_expect_clean(&result, min_points);
}

static inline void sweep_scene_twice(const struct sweep *sweep, long min_points)
{
    struct sweep_result result;
    sweep2_run(sweep, &result);
    add_figures(&result);
    end_scene();
    sweep_expect_clean(&result, min_points);
}

#endif
