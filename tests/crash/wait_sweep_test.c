/* ipc_wait() is killed at every one of its instructions, while somebody else
 * waits for the same thing in the ordinary way, behind it: so the wake-up that
 * belongs to the other one comes to the victim, which was not going to take
 * the thing in any case.
 *
 * Without the re-check, the other one gets it
 *  - whenever the victim was killed before it was woken, or lived;
 *  - if it is a lock, always: the kernel hands the wake-up on.
 * With the re-check, always.  How often it needs that is counted as late: that
 * is between the wake-up of the victim and its handing on. */
#include "crash/look_once.h"
#include "harness/kills.h"
#include "harness/sweep.h"
#include "unit/wait_support.h"

#include <signal.h>

#include "core/owner.h"
#include "core/waiting.h"

enum kind {
    PERMIT,
    LOCK,
    MESSAGE,
    ROOM,
    ALL, /* a permit, among other things */
    FORGETFUL
};

enum {
    QUICK_RECHECK_MS = 5
};

struct scene {
    enum kind kind;
    bool rechecks; /* the other one does */
    ipc_semaphore *semaphore;
    ipc_lock *lock;
    ipc_queue *queue;
    ipc_event *event;
    uint32_t waits; /* the victim is about to */
    uint32_t served;
    long late;
};

static struct scene *scene;
static struct role other;

/* ---- the victim: what is stepped calls no assert ---- */

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void prepare(void *ctx)
{
    (void)ctx;
    ipc__recheck_ns = INT64_MAX;
    look_once();
    /* Be known, and have called everything once. */
    ipc_wait_item items[] = {IPC_WAIT_LOCK(scene->lock),
                             IPC_WAIT_SEMAPHORE(scene->semaphore),
                             IPC_WAIT_QUEUE(scene->queue)};
    must(ipc_wait(items, 3, 1) != -EINVAL);
    must(ipc__self_register(scene->lock) == 0);
    /* A sleep that ends at once. */
    ipc_event never;
    memset(&never, 0, sizeof never);
    ipc_wait_item sleep = IPC_WAIT_EVENT(&never);
    must(ipc_wait(&sleep, 1, ipc_after_us(1)) == -ETIMEDOUT);
}

/* As somebody might write it who thinks of himself alone. */
static void forget_the_others(void)
{
    uint32_t *word = &scene->semaphore->word_;
    struct ipc__pace pace = {0};
    for (;;) {
        const uint32_t now = __atomic_load_n(word, __ATOMIC_RELAXED);
        if (now >= 4)
            return;
        if (cas32_relaxed(word, now, now | 1))
            (void)ipc__sleep(&pace, word, now | 1, NULL, 0, IPC_TIME_FOREVER);
    }
}

/* Or for the event: the other one may have got the thing before the victim has
 * looked. */
static void wait_for_it(void *ctx)
{
    (void)ctx;
    ipc_wait_item items[] = {
        IPC_WAIT_EVENT(scene->event),
        IPC_WAIT_SEMAPHORE(scene->semaphore),
        IPC_WAIT_QUEUE(scene->queue),
        IPC_WAIT_LOCK(scene->lock),
    };
    const ipc_wait_item lock = items[3];
    const ipc_wait_item message = items[2];
    const ipc_wait_item room = IPC_WAIT_QUEUE_ROOM(scene->queue, 4);
    __atomic_store_n(&scene->waits, 1, __ATOMIC_SEQ_CST);
    if (scene->kind == FORGETFUL) {
        forget_the_others();
        return;
    }
    if (scene->kind != PERMIT && scene->kind != ALL)
        items[1] = scene->kind == LOCK      ? lock
                   : scene->kind == MESSAGE ? message
                                            : room;
    must(ipc_wait(items, scene->kind == ALL ? 4 : 2, IPC_TIME_FOREVER) > 0);
}

/* ---- who waits behind it ---- */

static int take_it(void)
{
    uint32_t number = 5;
    switch (scene->kind) {
    case LOCK:
        return ipc_lock_acquire(scene->lock);
    case MESSAGE:
        return ipc_queue_get(scene->queue, &number, sizeof number, NULL);
    case ROOM:
        return ipc_queue_put(scene->queue, &number, sizeof number);
    default:
        return ipc_semaphore_acquire(scene->semaphore);
    }
}

/* Does not end when it was served: its end might wake others. */
static void wait_behind(void *arg)
{
    (void)arg;
    ipc__recheck_ns =
        scene->rechecks ? QUICK_RECHECK_MS * NS_PER_MS : INT64_MAX;
    look_once();
    must(take_it() == 0);
    meet_signal(&scene->served);
    must(ipc_event_set(scene->event) == 0);
    for (;;)
        (void)pause();
}

static bool is_served(void)
{
    return __atomic_load_n(&scene->served, __ATOMIC_SEQ_CST) != 0;
}

static void let_it_happen(void)
{
    switch (scene->kind) {
    case LOCK:
        expect_rc(ipc_lock_release(scene->lock), 0);
        break;
    case MESSAGE:
        put_number(scene->queue, 5);
        break;
    case ROOM:
        (void)get_number(scene->queue);
        break;
    default:
        expect_rc(ipc_semaphore_release(scene->semaphore), 0);
        break;
    }
}

static bool sleeps(void *ctx, pid_t victim)
{
    (void)ctx;
    return __atomic_load_n(&scene->waits, __ATOMIC_SEQ_CST) != 0 &&
           asleep_in_futex(victim);
}

static void meanwhile(void *ctx, pid_t victim, bool dead)
{
    (void)ctx;
    (void)victim;
    (void)dead;
    role_start(&other, wait_behind, NULL);
    wait_until_sleeping(other.pid, HUNG_MS);
    let_it_happen();
}

/* ---- before and after ---- */

static void reset(void *ctx)
{
    (void)ctx;
    memset(scene->semaphore, 0, sizeof *scene->semaphore);
    memset(scene->lock, 0, sizeof *scene->lock);
    memset(scene->event, 0, sizeof *scene->event);
    expect_rc(ipc_lock_acquire(scene->lock), 0);
    scene->queue = new_queue(1);
    if (scene->kind == ROOM)
        put_number(scene->queue, 5);
    scene->waits = 0;
    scene->served = 0;
}

/* Served, or asleep and nobody will wake it. */
static bool settles(void)
{
    const int64_t end = test_now_ns() + WEDGE_MS * NS_PER_MS;
    int asleep_looks = 0;
    while (!is_served() && test_now_ns() < end) {
        asleep_looks = asleep_in_futex(other.pid) ? asleep_looks + 1 : 0;
        if (!scene->rechecks && asleep_looks == 3)
            return is_served();
        poll_pause();
    }
    return is_served();
}

static void oracle(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result)
{
    (void)ctx;
    if (!settles()) {
        const bool late = !scene->rechecks && point->woken && !point->finished;
        scene->late += late;
        if (!late || scene->kind == LOCK)
            sweep_wedge(result, point);
    }
    if (thread_ended(other.pid))
        test_fail("who waits behind has failed");
    (void)role_kill(&other);
    expect_rc(ipc_queue_free(scene->queue), 0);
}

static void run(const char *name, enum kind kind, bool rechecks,
                struct sweep_result *result)
{
    scene = ipc_shared_alloc(sizeof *scene);
    assert_non_null(scene);
    scene->kind = kind;
    scene->rechecks = rechecks;
    scene->semaphore = ipc_shared_alloc(sizeof *scene->semaphore);
    scene->lock = ipc_shared_alloc(sizeof *scene->lock);
    scene->event = ipc_shared_alloc(sizeof *scene->event);
    ipc__recheck_ns = INT64_MAX;
    const struct sweep sweep = {.name = name,
                                .reset = reset,
                                .prepare = prepare,
                                .victim = wait_for_it,
                                .meanwhile = meanwhile,
                                .asleep = sleeps,
                                .oracle = oracle,
                                .stride = sweep_stride(rechecks ? 28 : 13)};
    sweep_run(&sweep, result);
    sweep_report(name, result);
    test_report("late", scene->late);
}

/* ---- cases ---- */

static void sweep_kind(const char *name, enum kind kind)
{
    struct sweep_result result;
    run(name, kind, false, &result);
    sweep_expect_clean(&result, 40);
    assert_true(result.woken > 3);
}

static void others_get_the_permit(void)
{
    sweep_kind("permit", PERMIT);
}

static void others_get_the_lock_always(void)
{
    sweep_kind("lock", LOCK);
}

static void others_get_the_message(void)
{
    sweep_kind("message", MESSAGE);
}

static void others_get_the_room(void)
{
    sweep_kind("room", ROOM);
}

static void others_get_it_from_who_waits_for_much(void)
{
    sweep_kind("all", ALL);
}

static void sweep_with_recheck(const char *name, enum kind kind)
{
    struct sweep_result result;
    run(name, kind, true, &result);
    sweep_expect_clean(&result, 20);
}

static void others_always_get_the_permit_with_the_recheck(void)
{
    sweep_with_recheck("permit", PERMIT);
}

static void others_always_get_the_message_with_the_recheck(void)
{
    sweep_with_recheck("message", MESSAGE);
}

static void others_always_get_the_room_with_the_recheck(void)
{
    sweep_with_recheck("room", ROOM);
}

/* The sweep finds one who hands nothing on. */
static void one_who_hands_nothing_on_is_found(void)
{
    struct sweep_result result;
    run("forgetful", FORGETFUL, false, &result);
    assert_true(result.wedges > 0);
}

/* ---- at random moments, also beside descriptors ---- */

enum {
    WORKERS = 4
};

struct crowd {
    ipc_queue *queue;
    ipc_semaphore *semaphore;
    ipc_event *event;
    struct ends ends;
};

/* Long enough for the others to go to sleep. */
static void hold(void)
{
    ipc_sleep_until(ipc_after_us(50));
}

/* A message and a permit go round.  Who was told of one takes it if he can,
 * and gives it back.  Both come back from the dead: the message is on lease,
 * the permit tracked. */
static void work(void *ctx, int index)
{
    struct crowd *crowd = ctx;
    while (kills_go_on()) {
        ipc_wait_item items[] = {
            IPC_WAIT_QUEUE(crowd->queue),
            IPC_WAIT_SEMAPHORE(crowd->semaphore),
            IPC_WAIT_EVENT(crowd->event),
            IPC_WAIT_FD(crowd->ends.here, POLLIN),
        };
        ipc_message message;
        /* Some of them beside a descriptor, some without. */
        must(ipc_wait(items, index % 2 == 0 ? 4 : 3, ipc_after_s(10)) > 0);
        if (items[0].ready != 0 &&
            ipc_queue_take_nowait(crowd->queue, &message) == 0) {
            hold();
            must(ipc_queue_nack(crowd->queue, &message) == 0);
        }
        if (items[1].ready != 0 &&
            ipc_semaphore_acquire_nowait(crowd->semaphore) == 0) {
            hold();
            must(ipc_semaphore_release(crowd->semaphore) == 0);
        }
    }
}

static void check(void *ctx, struct kills_result *result)
{
    const struct crowd *crowd = ctx;
    if (ipc_semaphore_value(crowd->semaphore) != 1)
        test_fail("%u permits", ipc_semaphore_value(crowd->semaphore));
    ipc_message message;
    if (ipc_queue_take_nowait(crowd->queue, &message) != 0)
        test_fail("no message is left");
    expect_rc(ipc_queue_ack(crowd->queue, &message), 0);
    (void)result;
}

static void a_crowd_goes_on_whoever_is_killed(void)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    struct crowd crowd = {
        .semaphore = new_semaphore(1, IPC_SEMAPHORE_TRACKED),
        .event = new_event(),
        .ends = new_ends(),
    };
    struct kills_result result;
    const struct kills kills = {.ctx = &crowd,
                                .workers = WORKERS,
                                .work = work,
                                .check = check,
                                .kills = kills_for(400)};
    options.flags = IPC_QUEUE_LEASES;
    expect_rc(ipc_queue_new(&options, &crowd.queue), 0);
    put_number(crowd.queue, 1);
    kills_run(&kills, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    expect_rc(ipc_queue_free(crowd.queue), 0);
    expect_rc(ipc_semaphore_free(crowd.semaphore), 0);
    expect_rc(ipc_event_free(crowd.event), 0);
    close_ends(crowd.ends);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(others_get_the_permit, 60),
    TEST_CASE_LIMIT(others_get_the_lock_always, 60),
    TEST_CASE_LIMIT(others_get_the_message, 60),
    TEST_CASE_LIMIT(others_get_the_room, 60),
    TEST_CASE_LIMIT(others_get_it_from_who_waits_for_much, 60),
    TEST_CASE_LIMIT(others_always_get_the_permit_with_the_recheck, 60),
    TEST_CASE_LIMIT(others_always_get_the_message_with_the_recheck, 60),
    TEST_CASE_LIMIT(others_always_get_the_room_with_the_recheck, 60),
    TEST_CASE_LIMIT(one_who_hands_nothing_on_is_found, 60),
    TEST_CASE_LIMIT(a_crowd_goes_on_whoever_is_killed, 60),
};

TEST_MAIN(cases)
