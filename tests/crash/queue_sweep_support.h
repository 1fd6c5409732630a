/* What the sweeps of queues have in common: a queue with messages that are told
 * apart, others who sleep on it, and somebody fresh who looks what is left.
 *
 * What is committed before the victim comes has the numbers 1, 2, ...; the
 * victim's is VICTIM; sleeping producers put THEIRS; and whoever looks ends it
 * with LAST, one for each who gets. */
#ifndef QUEUE_SWEEP_SUPPORT_H
#define QUEUE_SWEEP_SUPPORT_H

#include "crash/look_once.h"
#include "harness/scale.h"
#include "harness/sweep.h"
#include "unit/queue_support.h"

#include <stdio.h>

#include "queue/ring.h"

enum {
    VICTIM = 50,
    THEIRS = 60, /* and 61 */
    SECOND = 65, /* of who looks, and dies too */
    LAST = 70,
    GOT_MAX = 32,
    MOST_SLEEPERS = 2,
    BUFFER = 8192,
    QUICK_RECHECK_MS = 5
};

/* Before the victim comes. */
enum place {
    EMPTY,
    WRAPPED,  /* empty; the next message begins again at unit 0 */
    ONE_FREE, /* room for one more */
    FULL
};

struct scene {
    /* Given. */
    enum place place;
    size_t bytes;   /* of all messages but LAST */
    uint32_t flags; /* of the queue */
    bool unused;    /* it has had no messages yet, so it has no memory */
    int consumers;  /* that sleep */
    int producers;  /* that sleep */
    int wedge_ms;   /* 0: WEDGE_MS */

    ipc_queue *queue;
    char *message;      /* VICTIM, */
    char *second;       /* and SECOND */
    ipc_queue at_first; /* how the queue began */
    ipc_queue *other;   /* for what should have happened once, before */
    uint32_t before;    /* messages that were put before */

    /* What those who get have got. */
    uint32_t count;
    unsigned got[GOT_MAX];
    uint32_t torn;
    uint32_t served; /* sleepers that are done */
    const char *problem;

    /* Figures over all points. */
    long there; /* the victim's message was there */
    long taken; /* a message went down with the victim */
};

static struct scene *scene;
static struct role sleeping[2 * MOST_SLEEPERS];

static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

/* So that a sweep need not wait long at each point where it takes one. */
static inline void quick_recheck(void)
{
    ipc__recheck_ns = (int64_t)QUICK_RECHECK_MS * 1000000;
}

/* ---- messages by number; what is stepped calls no assert ---- */

static inline size_t bytes_of(unsigned number)
{
    return number == LAST ? sizeof number : scene->bytes;
}

static inline void note(unsigned number)
{
    const uint32_t i = __atomic_fetch_add(&scene->count, 1, __ATOMIC_SEQ_CST);
    if (i < GOT_MAX)
        scene->got[i] = number;
}

static inline void note_message(const void *data, size_t bytes)
{
    const unsigned number = bytes >= sizeof number ? number_of(data) : 0;
    if (bytes < sizeof number || bytes != bytes_of(number) ||
        !is_message(data, bytes, number))
        __atomic_store_n(&scene->torn, 1, __ATOMIC_SEQ_CST);
    note(number);
}

static inline int put_number(unsigned number, ipc_deadline deadline)
{
    char message[BUFFER];
    fill_message(message, bytes_of(number), number);
    return deadline == IPC_TIME_NOW
               ? ipc_queue_put_nowait(scene->queue, message, bytes_of(number))
               : ipc_queue_put_until(scene->queue, message, bytes_of(number),
                                     deadline);
}

/* Returns 1 when it was LAST, 0 for others, or a negative errno. */
static inline int get_number(ipc_deadline deadline)
{
    char buffer[BUFFER];
    size_t bytes = 0;
    const int rc =
        deadline == IPC_TIME_NOW
            ? ipc_queue_get_nowait(scene->queue, buffer, sizeof buffer, &bytes)
            : ipc_queue_get_until(scene->queue, buffer, sizeof buffer, &bytes,
                                  deadline);
    if (rc != 0)
        return rc;
    if (bytes == bytes_of(LAST) && number_of(buffer) == LAST)
        return 1;
    note_message(buffer, bytes);
    return 0;
}

/* ---- those who sleep ---- */

static inline void get_until_last(void *ctx)
{
    int rc;
    (void)ctx;
    look_once();
    while ((rc = get_number(IPC_TIME_FOREVER)) == 0)
        continue;
    if (rc != 1)
        abort();
    meet_signal(&scene->served);
    for (;;)
        (void)pause();
}

static inline void put_theirs(void *ctx)
{
    const int rc = put_number(THEIRS + *(unsigned *)ctx, IPC_TIME_FOREVER);
    look_once();
    if (rc != 0)
        abort();
    meet_signal(&scene->served);
    for (;;)
        (void)pause();
}

static inline void start_sleepers(void)
{
    static unsigned which[MOST_SLEEPERS] = {0, 1};
    struct role *role = sleeping;
    for (int i = 0; i < scene->consumers; i++)
        role_start(role++, get_until_last, NULL);
    for (int i = 0; i < scene->producers; i++)
        role_start(role++, put_theirs, &which[i]);
    for (int i = 0; i < scene->consumers + scene->producers; i++)
        wait_until_sleeping(sleeping[i].pid, LIMIT_MS);
}

static inline void end_sleepers(void)
{
    for (int i = 0; i < scene->consumers + scene->producers; i++)
        (void)role_kill(&sleeping[i]);
}

/* ---- the scene ---- */

static inline void must(bool yes)
{
    if (!yes)
        test_fail("the scene cannot be set: %s", ipc_error_detail());
}

/* To the end, from where the next message begins. */
static inline uint32_t units_left(void)
{
    return scene->queue->units - ipc__place_unit(scene->queue->put.at);
}

/* A next message of this many bytes begins again at unit 0. */
static inline bool is_wrapping(size_t bytes)
{
    return units_left() <
           (bytes <= IPC__INLINE_MAX ? 1 + (bytes + 15) / 16 : 2);
}

/* As it was when it was new, whatever was killed in it. */
static inline void begin_anew(void)
{
    struct ipc__ring ring;
    *scene->queue = scene->at_first;
    must(ipc__ring_view(scene->queue, &ring) == 0);
    ipc__pages_clear(&ring.pages);
    scene->count = scene->torn = scene->served = 0;
    scene->before = 0;
    scene->problem = NULL;
}

static inline void fill_up(uint32_t leave)
{
    while (scene->before + leave < ipc_queue_capacity(scene->queue))
        must(put_number(++scene->before, IPC_TIME_NOW) == 0);
}

static inline void set_scene(void)
{
    char buffer[BUFFER];
    begin_anew();
    while (scene->place == WRAPPED && !is_wrapping(scene->bytes)) {
        /* Records of two and of three units, so that one unit is left. */
        const bool three = (units_left() - 1) % 2 != 0;
        const size_t bytes = three ? 32 : 16;
        must(ipc_queue_put_nowait(scene->queue, scene->message, bytes) == 0);
        must(ipc_queue_get_nowait(scene->queue, buffer, bytes, NULL) == 0);
    }
    if (scene->place == FULL || scene->place == ONE_FREE)
        fill_up(scene->place == ONE_FREE);
}

static inline void reset(void *ctx)
{
    (void)ctx;
    set_scene();
    start_sleepers();
}

static inline bool says(const char *problem)
{
    if (scene->problem == NULL)
        scene->problem = problem;
    return false;
}

/* As many messages and bytes can be put as into a new one, which is empty. */
static inline bool is_whole(void)
{
    ipc_queue *queue = scene->queue;
    const uint32_t capacity = ipc_queue_capacity(queue);
    const size_t bytes = ipc_queue_bytes(queue);
    char *all = malloc(bytes);
    bool whole = all != NULL;
    for (uint32_t i = 0; i < capacity; i++)
        whole = whole && ipc_queue_put_nowait(queue, all,
                                              bytes / capacity / 16 * 16) == 0;
    if (!whole)
        return says("it holds less");
    for (uint32_t i = 0; i < capacity; i++)
        whole = whole && ipc_queue_get_nowait(queue, all, bytes, NULL) == 0;
    whole = whole && ipc_queue_put_nowait(queue, all, bytes) == 0 &&
            ipc_queue_get_nowait(queue, all, bytes, NULL) == 0;
    if (!whole)
        return says("it holds less in one piece");
    free(all);
    if (ipc_queue_size(queue) != 0 ||
        ipc_queue_get_nowait(queue, NULL, 0, NULL) != -EAGAIN)
        return says("it is not empty");
    return true;
}

/* A queue of four messages, or so many bytes. */
static inline void make_scene(const struct scene *given)
{
    scene = test_shared(sizeof *scene);
    *scene = *given;
    if (scene->wedge_ms == 0)
        scene->wedge_ms = WEDGE_MS;
    scene->queue =
        new_queue(4, 4 * ((scene->bytes + 15) / 16 * 16) + 64, scene->flags);
    scene->other = new_queue(4, 0, 0);
    scene->message = new_message(BUFFER, VICTIM);
    scene->second = new_message(BUFFER, SECOND);
    fill_message(scene->message, scene->bytes, VICTIM);
    fill_message(scene->second, scene->bytes, SECOND);
    scene->at_first = *scene->queue;
    if (scene->unused)
        return;
    must(is_whole());
    scene->at_first.put.units_present = scene->queue->put.units_present;
    scene->at_first.put.pages_present = scene->queue->put.pages_present;
}

static inline void end_scene(void)
{
    begin_anew();
    free_queue(scene->queue);
    free_queue(scene->other);
    free(scene->message);
    free(scene->second);
    test_report("there", scene->there);
    test_report("taken_by_dead", scene->taken);
}

/* In the victim: it is known where the queue lies, and it does not spin. */
static inline void warm_up(void *ctx)
{
    char buffer[8];
    (void)ctx;
    look_once();
    if (ipc_queue_put(scene->other, "x", 1) != 0 ||
        ipc_queue_get(scene->other, buffer, 1, NULL) != 0)
        abort();
}

/* The same for a victim that sleeps, while others look again soon: on its slow
 * way it would never come to sleep if it did that too. */
static inline void warm_up_to_sleep(void *ctx)
{
    warm_up(ctx);
    no_recheck();
}

/* ---- who looks ---- */

/* A fresh process puts LAST, one for each who gets, and gets what there is if
 * nobody else does. */
static inline void put_last(void)
{
    int rc = 0;
    for (int i = 0; i < (scene->consumers > 0 ? scene->consumers : 1); i++)
        while ((rc = put_number(LAST, IPC_TIME_NOW)) == -EAGAIN &&
               scene->consumers == 0 && get_number(IPC_TIME_NOW) >= 0)
            continue; /* it was full */
    if (rc != 0)
        role_exit(2);
}

static inline void look(void *ctx)
{
    int rc = 0;
    (void)ctx;
    put_last();
    if (scene->consumers == 0)
        while ((rc = get_number(IPC_TIME_FOREVER)) == 0)
            continue;
    if (rc < 0)
        role_exit(3);
    meet_wait(&scene->served, (uint32_t)(scene->consumers + scene->producers),
              LIMIT_MS);
    while (get_number(IPC_TIME_NOW) >= 0)
        continue; /* of sleeping producers, behind it */
    if (!is_whole())
        role_exit(4);
}

/* How often this number was got. */
static inline unsigned times(unsigned number)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < scene->count && i < GOT_MAX; i++)
        n += scene->got[i] == number;
    return n;
}

/* All that were there before, from this one on, in order; with more than one
 * who gets, in any. */
static inline bool has_all_before(unsigned first)
{
    unsigned next = first;
    for (uint32_t i = 0; i < scene->count && i < GOT_MAX; i++)
        if (scene->got[i] <= scene->before) {
            if (scene->consumers < 2 && scene->got[i] != next)
                return false;
            next++;
        }
    return next == scene->before + 1;
}

/* All go on, and all of the queue is there. */
static inline bool all_is_well(const struct sweep_point *point,
                               struct sweep_result *result)
{
    const int code = role_try(look, NULL, scene->wedge_ms);
    if (code == 4)
        sweep_leftover(result, point);
    else if (code != 0)
        sweep_wedge(result, point);
    if (code != 0 && result->printed < 10)
        printf("  who looks ended with %d, %u served, %s\n", code,
               scene->served, scene->problem != NULL ? scene->problem : "");
    end_sleepers();
    return code == 0;
}

/* Of a victim that puts: its message is there whole or not at all, and surely
 * if it lived. */
static inline void put_oracle(void *ctx, const struct sweep_point *point,
                              struct sweep_result *result)
{
    (void)ctx;
    if (!all_is_well(point, result))
        return;
    const unsigned there = times(VICTIM);
    if (scene->torn != 0 || there > 1 || scene->count > GOT_MAX ||
        scene->count != scene->before + there + (unsigned)scene->producers)
        sweep_torn(result, point);
    if (!has_all_before(1) || (point->finished && there != 1))
        sweep_lost(result, point);
    scene->there += there;
}

/* Of a victim that gets the first: at most that one went with it. */
static inline void get_oracle(void *ctx, const struct sweep_point *point,
                              struct sweep_result *result)
{
    (void)ctx;
    if (!all_is_well(point, result))
        return;
    const bool taken = times(1) == 0;
    if (scene->torn != 0 || times(VICTIM) != 0 || scene->count > GOT_MAX)
        sweep_torn(result, point);
    if (!has_all_before(taken ? 2 : 1) || (point->finished && !taken))
        sweep_lost(result, point);
    for (unsigned i = 0; i < (unsigned)scene->producers; i++)
        if (times(THEIRS + i) != 1)
            sweep_lost(result, point);
    scene->taken += taken && !point->finished;
}

/* ---- the double fault: who comes next puts one and gets one ---- */

static inline void put_and_get(void *ctx)
{
    char buffer[BUFFER];
    (void)ctx;
    const int rc =
        ipc_queue_put_nowait(scene->queue, scene->second, scene->bytes);
    if ((rc != 0 && rc != -EAGAIN) ||
        ipc_queue_get(scene->queue, buffer, sizeof buffer, NULL) != 0)
        abort();
    __atomic_store_n(&scene->got[0], number_of(buffer), __ATOMIC_SEQ_CST);
    __atomic_store_n(&scene->count, 1, __ATOMIC_SEQ_CST);
}

/* What it got is noted, or the first that was there went down with it; and
 * another one with a victim that gets. */
static inline void twice_oracle(void *ctx, const struct sweep_point *point,
                                struct sweep_result *result)
{
    const unsigned most =
        (ctx == NULL ? 1u : 0u) + (scene->count == 0 ? 1u : 0u);
    unsigned taken = 0;
    if (!all_is_well(point, result))
        return;
    while (taken < most && !has_all_before(1 + taken))
        taken++;
    if (scene->torn != 0 || times(VICTIM) > 1 || times(SECOND) > 1 ||
        scene->count > scene->before + 2)
        sweep_torn(result, point);
    if (!has_all_before(1 + taken))
        sweep_lost(result, point);
    scene->there += times(VICTIM);
    scene->taken += taken;
}

/* ---- to run one ---- */

static inline void run_sweep(const char *name, const struct scene *given,
                             const struct sweep *how, long min_points)
{
    struct sweep_result result;
    struct sweep sweep = *how;
    sweep.name = name;
    if (sweep.reset == NULL)
        sweep.reset = reset;
    if (sweep.prepare == NULL)
        sweep.prepare = warm_up;
    make_scene(given);
    sweep_run(&sweep, &result);
    end_scene();
    sweep_report(name, &result);
    sweep_expect_clean(&result, min_points);
}

/* ctx of a victim that gets: NULL. */
static inline void run_sweep2(const char *name, const struct scene *given,
                              const struct sweep *how)
{
    struct sweep_result result;
    struct sweep sweep = *how;
    sweep.name = name;
    if (sweep.reset == NULL)
        sweep.reset = reset;
    sweep.prepare = warm_up;
    sweep.oracle = twice_oracle;
    sweep.recoverer = put_and_get;
    sweep.recoverer_prepare = warm_up;
    make_scene(given);
    sweep2_run(&sweep, &result);
    end_scene();
    sweep_report(name, &result);
    sweep_expect_clean(&result, 100);
}

#endif
