/* T21: processes that talk to each other through a condition are killed at
 * random.  They go on, and what they hand around comes out exact.
 *
 * They keep to the rule by which a program survives this: change and notify
 * while holding the lock, in this order; and who is told that an owner died
 * notifies everybody, for the dead one may not have come to it. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/condition_support.h"

#include "core/waiting.h"

enum {
    WORKERS = 6,
    ROOM = 2
};

/* In family memory. */
struct table {
    ipc_lock lock;
    ipc_condition changed; /* or: not empty */
    ipc_condition not_full;
    uint32_t leaving; /* no more rounds: nobody waits any longer */

    /* Taking turns: whose it is.  The only thing that changes. */
    uint64_t turn;

    /* A buffer.  put and got are the commit words. */
    uint64_t items[ROOM];
    uint64_t put, got;

    uint64_t acked[WORKERS]; /* rounds of each, counted after the release */
    uint64_t told;           /* that an owner died */
    uint64_t wrong;          /* what must not be */
    uint64_t waits;          /* that were not for nothing */
};

static struct table *table;

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p)      ((void)__atomic_add_fetch((p), 1, __ATOMIC_SEQ_CST))

/* ---- the rule ---- */

static void notify_everybody(void)
{
    expect_rc(ipc_condition_notify_all(&table->changed), 0);
    expect_rc(ipc_condition_notify_all(&table->not_full), 0);
}

static void hold(int rc)
{
    if (rc == IPC_OWNER_DIED) {
        add(&table->told);
        notify_everybody();
        expect_rc(ipc_lock_consistent(&table->lock), 0);
    } else {
        expect_rc(rc, 0);
    }
}

static void take(void)
{
    hold(ipc_lock_acquire(&table->lock));
}

static void give(void)
{
    expect_rc(ipc_lock_release(&table->lock), 0);
}

static void wait_in(ipc_condition *condition)
{
    add(&table->waits);
    hold(ipc_condition_wait(condition, &table->lock));
}

/* Some work, so that most deaths find somebody in the lock. */
static void think(void)
{
    for (volatile int i = 0; i < 200; i++)
        ;
}

/* Rounds until it is over, and then let the others see that. */
static void work_rounds(bool (*round)(int index), int index)
{
    while (kills_go_on() && round(index))
        add(&table->acked[index]);
    take();
    store(&table->leaving, 1);
    notify_everybody();
    give();
}

/* ---- taking turns ---- */

/* One lost wake-up and they all stand still. */
static bool take_turn(int index)
{
    take();
    while (load(&table->turn) % WORKERS != (uint64_t)index) {
        if (load(&table->leaving)) {
            give();
            return false;
        }
        wait_in(&table->changed);
    }
    think();
    add(&table->turn);
    think();
    expect_rc(ipc_condition_notify_all(&table->changed), 0);
    give();
    return true;
}

static void work_in_turns(void *ctx, int index)
{
    (void)ctx;
    work_rounds(take_turn, index);
}

/* ---- a buffer: one item, one notification ---- */

static bool put_item(void)
{
    take();
    while (load(&table->put) - load(&table->got) == ROOM) {
        if (load(&table->leaving)) {
            give();
            return false;
        }
        wait_in(&table->not_full);
    }
    const uint64_t put = load(&table->put);
    store(&table->items[put % ROOM], put);
    think();
    store(&table->put, put + 1);
    think();
    expect_rc(ipc_condition_notify(&table->changed, 1), 0);
    give();
    return true;
}

static bool get_item(void)
{
    take();
    while (load(&table->put) == load(&table->got)) {
        if (load(&table->leaving)) {
            give();
            return false;
        }
        wait_in(&table->changed);
    }
    const uint64_t got = load(&table->got);
    if (load(&table->items[got % ROOM]) != got)
        add(&table->wrong);
    think();
    store(&table->got, got + 1);
    think();
    expect_rc(ipc_condition_notify(&table->not_full, 1), 0);
    give();
    return true;
}

static bool put_or_get(int index)
{
    return index % 2 == 0 ? put_item() : get_item();
}

static void work_with_buffer(void *ctx, int index)
{
    (void)ctx;
    work_rounds(put_or_get, index);
}

/* ---- at the end ---- */

/* What was done is what was told to be done, and of the rounds that were
 * killed one each at most. */
static void expect_acked(uint64_t done, int first, int step, long kills)
{
    uint64_t acked = 0;
    for (int i = first; i < WORKERS; i += step)
        acked += table->acked[i];
    assert_true(done >= acked);
    assert_true(done - acked <= (uint64_t)kills);
}

static void expect_sound(const struct kills_result *result)
{
    take();
    give();
    assert_true(table->wrong == 0);
    assert_true(table->told > 0);
    assert_true(table->waits > 0);
    assert_int_equal(ipc_condition_waiting(&table->changed), 0);
    assert_int_equal(ipc_condition_waiting(&table->not_full), 0);
    expect_rc(ipc_condition_fini(&table->changed), 0);
    expect_rc(ipc_condition_fini(&table->not_full), 0);
    test_report("told", (long long)table->told);
    test_report("waits", (long long)table->waits);
    test_report("rounds_a_kill", result->rounds / (result->kills + 1));
}

static void check_turns(void *ctx, struct kills_result *result)
{
    (void)ctx;
    expect_sound(result);
    expect_acked(table->turn, 0, 1, result->kills);
}

static void check_buffer(void *ctx, struct kills_result *result)
{
    (void)ctx;
    expect_sound(result);
    assert_true(table->put - table->got <= ROOM);
    expect_acked(table->put, 0, 2, result->kills);
    expect_acked(table->got, 1, 2, result->kills);
    test_report("items", (long long)table->got);
}

static void kill_at_random(void (*work)(void *ctx, int index),
                           void (*check)(void *ctx,
                                         struct kills_result *result),
                           long kills)
{
    const struct kills plan = {.workers = WORKERS,
                               .work = work,
                               .check = check,
                               .kills = kills * test_scale(),
                               .stall_limit_ms = 5000};
    struct kills_result result;
    table = family_alloc(sizeof *table);
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    expect_rc(ipc_shared_free(table), 0);
}

static void t21_six_processes_take_turns(void)
{
    kill_at_random(work_in_turns, check_turns, 1000);
}

static void t21_six_processes_share_a_buffer(void)
{
    kill_at_random(work_with_buffer, check_buffer, 500);
}

/* ---- what these must find ---- */

/* Changes, releases, then notifies: of one who dies in between nobody is told,
 * and all wait.  Without the re-check, which passes on calls that went to
 * others who died, and so may hide it. */
static bool take_turn_carelessly(int index)
{
    take();
    while (load(&table->turn) % WORKERS != (uint64_t)index)
        wait_in(&table->changed);
    add(&table->turn);
    give();
    for (int i = 0; i < 1000; i++)
        think();
    expect_rc(ipc_condition_notify_all(&table->changed), 0);
    return true;
}

static void work_carelessly(void *ctx, int index)
{
    (void)ctx;
    ipc__recheck_ns = INT64_MAX;
    work_rounds(take_turn_carelessly, index);
}

static void a_notification_after_the_release_stands_still(void)
{
    const struct kills plan = {.workers = WORKERS,
                               .work = work_carelessly,
                               .kills = 2000,
                               .stall_limit_ms = 500};
    struct kills_result result;
    table = family_alloc(sizeof *table);
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 1);
    expect_rc(ipc_shared_free(table), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t21_six_processes_take_turns, 600),
    TEST_CASE_LIMIT(t21_six_processes_share_a_buffer, 600),
    TEST_CASE_LIMIT(a_notification_after_the_release_stands_still, 120),
};
TEST_MAIN(cases)
