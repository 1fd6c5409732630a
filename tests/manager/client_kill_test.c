/* T72: clients of a manager are killed at random, amid calls that go through
 * the socket and calls that work on the arena directly.
 *
 * What each worker is about to do, and what it was told is done, it writes to
 * memory that its death leaves alone.  So in the end everything that was
 * acknowledged is accounted for, but for one call under way a death; nobody
 * who is still alive has waited for the dead; and the server has nothing of
 * theirs. */
#include "manager/client_support.h"

#include "harness/kills.h"
#include "harness/scale.h"

#include <ipc/time.h>

enum {
    WORKERS = 6,
    MOST = 1 << 18, /* messages of one worker in one place */
    FEW = 200,      /* that are in a place; above, one is taken out */
    PERMITS = 2,
    PAIRS = 8 /* of one transaction */
};

/* Where messages are put and taken out. */
enum place {
    DIRECT, /* a list in the arena that is given out */
    SERVED, /* a list that only the server has */
    QUEUE,
    PLACES
};

/* What became of a message. */
enum {
    BEGUN = 1, /* its put has begun */
    PUT = 2,   /* it was acknowledged */
    TAKEN = 4  /* somebody has it, for good */
};

struct ledger {
    uint32_t next[WORKERS];
    uint8_t state[WORKERS][MOST];
    uint32_t unsure; /* deaths while one was being taken */
};

/* Shared by all. */
static struct page {
    struct ledger places[PLACES];
    uint32_t taking[WORKERS]; /* from this place + 1 */
    uint32_t inside[2];       /* worker + 1: who has the lock */
    uint64_t tokens[2];       /* of its last owner */
    uint32_t inherited;       /* deaths that the next owner was told of */
    uint32_t births;
    uint64_t seed;
} * page;

/* The server and what is in it: the parent's handles, or a worker's own. */
static struct scene {
    struct client_server *server;
    ipc_manager *manager;
    ipc_list *lists[2]; /* DIRECT, SERVED */
    ipc_list *pair[2];  /* change together */
    ipc_managed *queue;
    ipc_managed *locks[2];
    ipc_managed *permits;
    ipc_managed *event; /* is never set */
} scene;

static struct test_random lot;
static int self;

#define add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define mark(p, v)  __atomic_fetch_or((p), (uint8_t)(v), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)

/* It was made, or was there. */
static void opened(int rc)
{
    if (rc < 0)
        test_fail("%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void open_all(void)
{
    ipc_manager *manager = scene.manager;
    OK(ipc_manager_list(manager, "direct", &scene.lists[DIRECT]));
    scene.lists[SERVED] = client_served_list(manager, "served");
    OK(ipc_manager_list(manager, "one", &scene.pair[0]));
    OK(ipc_manager_list(manager, "other", &scene.pair[1]));
    opened(ipc_manager_queue(manager, "queue", NULL, &scene.queue));
    opened(ipc_manager_lock(manager, "lock", &scene.locks[0]));
    opened(ipc_manager_rlock(manager, "rlock", &scene.locks[1]));
    opened(ipc_manager_bounded_semaphore(manager, "permits", PERMITS,
                                         &scene.permits));
    opened(ipc_manager_event(manager, "event", &scene.event));
}

static void close_all(void)
{
    for (int i = 0; i < 2; i++) {
        OK(ipc_list_close(scene.lists[i]));
        OK(ipc_list_close(scene.pair[i]));
        OK(ipc_managed_close(scene.locks[i]));
    }
    OK(ipc_managed_close(scene.queue));
    OK(ipc_managed_close(scene.permits));
    OK(ipc_managed_close(scene.event));
    OK(ipc_manager_close(scene.manager));
}

/* ---- messages ---- */

static void put_one(enum place place)
{
    struct ledger *ledger = &page->places[place];
    const uint32_t number = ledger->next[self];
    if (number == MOST)
        return;
    const int64_t message = (int64_t)self << 32 | number;
    store(&ledger->next[self], number + 1);
    (void)mark(&ledger->state[self][number], BEGUN);
    if (place == QUEUE)
        OK(ipc_managed_queue_put(scene.queue, ipc_i64(message)));
    else if (test_random_between(&lot, 0, 1) == 0)
        OK(ipc_list_append_i64(scene.lists[place], message));
    else
        OK(ipc_list_insert(scene.lists[place], 0, ipc_i64(message)));
    (void)mark(&ledger->state[self][number], PUT);
}

/* It was put, and nobody has it yet. */
static uint8_t *look_up(enum place place, int64_t message)
{
    const uint64_t worker = (uint64_t)message >> 32;
    const uint32_t number = (uint32_t)message;
    assert_true(worker < WORKERS && number < MOST);
    uint8_t *state = &page->places[place].state[worker][number];
    assert_true((load(state) & BEGUN) != 0);
    assert_true((load(state) & TAKEN) == 0);
    return state;
}

static void take_for_good(enum place place, int64_t message)
{
    assert_true((mark(look_up(place, message), TAKEN) & TAKEN) == 0);
}

static void pop_one(enum place place)
{
    int64_t message;
    const long end = test_random_between(&lot, -1, 0);
    store(&page->taking[self], (uint32_t)place + 1);
    const int rc = ipc_list_pop_i64(scene.lists[place], end, &message);
    if (rc != -ERANGE) {
        OK(rc);
        take_for_good(place, message);
    }
    store(&page->taking[self], 0);
}

static void get_one(void)
{
    ipc_any message;
    store(&page->taking[self], QUEUE + 1);
    const int rc =
        ipc_managed_queue_get_until(scene.queue, &message, ipc_after_us(300));
    if (rc != -ETIMEDOUT) {
        OK(rc);
        take_for_good(QUEUE, message.i64);
    }
    store(&page->taking[self], 0);
}

/* On a lease: it is there again if this worker dies before the ack. */
static void take_one(void)
{
    ipc_managed_lease lease;
    const int rc =
        ipc_managed_queue_take_until(scene.queue, &lease, ipc_after_us(300));
    if (rc == -ETIMEDOUT)
        return;
    OK(rc);
    (void)look_up(QUEUE, lease.message.i64);
    if (test_random_between(&lot, 0, 3) == 0) {
        OK(ipc_managed_queue_nack(scene.queue, &lease));
    } else {
        store(&page->taking[self], QUEUE + 1);
        OK(ipc_managed_queue_ack(scene.queue, &lease));
        take_for_good(QUEUE, lease.message.i64);
        store(&page->taking[self], 0);
    }
    ipc_managed_lease_free(&lease);
}

static void change_list(enum place place)
{
    const int64_t length = ipc_list_length(scene.lists[place]);
    assert_true(length >= 0);
    if (length > FEW || test_random_between(&lot, 0, 2) == 0)
        pop_one(place);
    else
        put_one(place);
}

static void change_queue(void)
{
    const int64_t length = ipc_managed_queue_size(scene.queue);
    assert_true(length >= 0);
    if (length < FEW && test_random_between(&lot, 0, 1) == 0)
        put_one(QUEUE);
    else if (test_random_between(&lot, 0, 2) == 0)
        get_one();
    else
        take_one();
}

/* ---- what is held ---- */

static void hold_lock(int which)
{
    uint64_t token;
    const int rc = ipc_managed_lock_acquire(scene.locks[which]);
    if (rc == IPC_OWNER_DIED)
        (void)add(&page->inherited, 1);
    else
        OK(rc);
    if (rc == 0)
        assert_int_equal(load(&page->inside[which]), 0);
    store(&page->inside[which], (uint32_t)self + 1);
    OK(ipc_managed_lock_token(scene.locks[which], &token));
    assert_true(token > load(&page->tokens[which]));
    store(&page->tokens[which], token);
    change_list(which == 0 ? DIRECT : SERVED);
    assert_int_equal(load(&page->inside[which]), self + 1);
    store(&page->inside[which], 0);
    OK(ipc_managed_lock_release(scene.locks[which]));
}

static void hold_permit(void)
{
    OK(ipc_managed_semaphore_acquire(scene.permits));
    change_list(SERVED);
    OK(ipc_managed_semaphore_release(scene.permits));
}

/* Both lists, or neither: in transactions.  Many of them, as they are short
 * beside a round trip, and death is to find somebody inside. */
static void change_pair_directly(ipc_arena *arena)
{
    for (int i = 0; i < 500; i++) {
        OK(ipc_atomic_begin(arena));
        const int64_t length = ipc_list_length(scene.pair[0]);
        assert_int_equal(length % PAIRS, 0);
        IS(ipc_list_length(scene.pair[1]), length);
        for (int k = 0; k < 2 * PAIRS; k++)
            OK(ipc_list_append_i64(scene.pair[k % 2], self));
        if (length > 10000)
            for (int k = 0; k < 2; k++)
                OK(ipc_list_clear(scene.pair[k]));
        OK(ipc_atomic_commit(arena));
    }
}

/* The same by a batch. */
static void change_pair(void)
{
    const ipc_any message = ipc_i64(self);
    ipc_arena *arena = ipc_manager_arena(scene.manager);
    ipc_calls *calls;
    if (arena != NULL) {
        change_pair_directly(arena);
        return;
    }
    OK(ipc_calls_new(scene.manager, &calls));
    for (int i = 0; i < 2 * PAIRS; i++)
        IS(ipc_calls_add(calls, ipc_any_list(scene.pair[i % 2]),
                         IPC_OP_LIST_APPEND, &message, 1),
           i);
    OK(ipc_calls_run(calls, IPC_CALLS_ATOMIC));
    OK(ipc_calls_free(calls));
}

/* Without names: nobody but this worker has them. */
static void have_things_of_its_own(void)
{
    ipc_list *outer;
    ipc_list *inner;
    ipc_managed *lock;
    OK(ipc_manager_list(scene.manager, NULL, &outer));
    OK(ipc_manager_list(scene.manager, NULL, &inner));
    OK(ipc_list_append(outer, ipc_any_list(inner)));
    OK(ipc_list_append_i64(inner, 1));
    opened(ipc_manager_lock(scene.manager, NULL, &lock));
    OK(ipc_managed_lock_acquire(lock));
    if (test_random_between(&lot, 0, 1) == 0)
        OK(ipc_managed_lock_release(lock));
    OK(ipc_managed_close(lock));
    OK(ipc_list_close(inner));
    OK(ipc_list_close(outer));
}

/* ---- workers ---- */

/* A third of them connect by themselves, a third of those too but without the
 * arena, and the others have what they inherit. */
static void connect_one(void)
{
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    if (self % 3 == 2)
        return;
    if (self % 3 == 1)
        options.flags = IPC_MANAGER_NO_ARENA;
    scene.manager = client_connect_with(scene.server->address, &options);
    open_all();
}

static void work(void *ctx, int index)
{
    (void)ctx;
    self = index;
    lot.state = page->seed + add(&page->births, 1);
    connect_one();
    while (kills_go_on()) {
        const long what = test_random_between(&lot, 0, 11);
        if (what < 2)
            hold_lock((int)what);
        else if (what < 4)
            change_list((enum place)(what - 2));
        else if (what < 6)
            change_queue();
        else if (what == 6)
            hold_permit();
        else if (what < 10)
            change_pair();
        else if (what == 10)
            have_things_of_its_own();
        else
            IS(ipc_managed_event_wait_until(scene.event, ipc_after_us(200)),
               -ETIMEDOUT);
    }
    close_all();
}

static void died(void *ctx, int index, pid_t pid)
{
    (void)ctx;
    (void)pid;
    const uint32_t place = page->taking[index];
    if (place != 0)
        page->places[place - 1].unsure++;
    page->taking[index] = 0;
}

/* ---- the end ---- */

static ipc_manager_stats figures(void)
{
    ipc_manager_stats stats = IPC_MANAGER_STATS_INIT;
    OK(ipc_manager_query(scene.manager, &stats));
    return stats;
}

/* The server hears of the last deaths; the limit means that it did not. */
static void wait_until_alone(uint64_t objects)
{
    const int64_t begin = test_now_ns();
    for (;;) {
        const ipc_manager_stats stats = figures();
        if (stats.sessions == 1 && stats.connections == 1 &&
            stats.waiting == 0 && stats.objects == objects)
            return;
        if (test_now_ns() - begin > (int64_t)5000 * 1000000) {
            ipc_any text;
            OK(ipc_manager_debug_info(scene.manager, &text));
            test_fail("left over, where there were %llu objects:\n%s",
                      (unsigned long long)objects, text.str);
        }
        poll_pause();
    }
}

static void expect_free(void)
{
    ipc_managed_queue_info info = IPC_MANAGED_QUEUE_INFO_INIT;
    OK(ipc_managed_queue_query(scene.queue, &info));
    assert_int_equal(info.leased, 0);
    IS(ipc_managed_semaphore_value(scene.permits), PERMITS);
    for (int i = 0; i < 2; i++) {
        IS(ipc_managed_lock_is_held(scene.locks[i]), 0);
        assert_true(ipc_managed_lock_acquire_nowait(scene.locks[i]) >= 0);
        OK(ipc_managed_lock_release(scene.locks[i]));
    }
}

static void take_the_rest(void)
{
    int64_t number;
    ipc_any message;
    for (int place = DIRECT; place <= SERVED; place++)
        while (ipc_list_pop_i64(scene.lists[place], -1, &number) == 0)
            take_for_good((enum place)place, number);
    while (ipc_managed_queue_get_nowait(scene.queue, &message) == 0)
        take_for_good(QUEUE, message.i64);
}

/* Lost are only those that somebody died over. */
static long expect_all(enum place place)
{
    const struct ledger *ledger = &page->places[place];
    uint32_t lost = 0;
    long count = 0;
    for (int w = 0; w < WORKERS; w++)
        for (uint32_t i = 0; i < ledger->next[w]; i++) {
            const uint8_t state = ledger->state[w][i];
            lost += (state & PUT) != 0 && (state & TAKEN) == 0;
            count += (state & PUT) != 0;
        }
    if (lost > ledger->unsure)
        test_fail("place %d: %u of %ld lost, %u deaths account for", place,
                  lost, count, ledger->unsure);
    return count;
}

static void expect_pair(void)
{
    const int64_t length = ipc_list_length(scene.pair[0]);
    assert_true(length >= 0);
    assert_int_equal(length % PAIRS, 0);
    IS(ipc_list_length(scene.pair[1]), length);
    for (int i = 0; i < 2; i++)
        OK(ipc_list_clear(scene.pair[i]));
}

static ipc_arena_info arena_info(void)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    OK(ipc_arena_query(ipc_manager_arena(scene.manager), &info));
    return info;
}

static void t72_clients_are_killed(void)
{
    struct kills_result result;
    const struct kills kills = {.workers = WORKERS,
                                .work = work,
                                .died = died,
                                .kills = 1000 * test_scale(),
                                .max_us = 3000,
                                .stall_limit_ms = 20000};
    page = test_shared(sizeof *page);
    page->seed = test_seed();
    scene.server = client_server_new(NULL);
    client_server_start(scene.server);
    scene.manager = client_connect(scene.server);
    open_all();
    const uint64_t objects = figures().objects;
    const ipc_arena_info before = arena_info();

    kills_run(&kills, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);

    wait_until_alone(objects);
    expect_free();
    take_the_rest();
    test_report("direct", expect_all(DIRECT));
    test_report("served", expect_all(SERVED));
    test_report("queued", expect_all(QUEUE));
    expect_pair();
    OK(ipc_arena_check(ipc_manager_arena(scene.manager)));
    assert_int_equal(arena_info().objects, before.objects);
    test_report("died_inside", (long long)arena_info().recoveries);
    test_report("inherited", page->inherited);
    assert_true(page->inherited > 0);
    close_all();
    client_server_kill(scene.server);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t72_clients_are_killed, 110),
};
TEST_MAIN(cases)
