/* A connection's sender or receiver is killed at every instruction while others
 * sleep on either side.  They are woken as if it lived.  The re-check is turned
 * off: a wake-up that is lost would be a sleep for good. */
#include "crash/connection_sweep_support.h"

#include "core/waiting.h"

static struct role sleeping[2];
static int sleepers;

static bool asleep_anywhere(void *ctx, pid_t victim)
{
    (void)ctx;
    return asleep(victim);
}

static void receive_until_last(void *ctx)
{
    int number;
    (void)ctx;
    while ((number = get(IPC_TIME_FOREVER)) >= 0 && number != LAST)
        continue;
    meet_signal(&scene->served);
    for (;;)
        (void)pause();
}

static void start_sleepers(void (*fn)(void *ctx))
{
    for (int i = 0; i < sleepers; i++) {
        role_start(&sleeping[i], fn, NULL);
        wait_until_blocked(sleeping[i].pid, LIMIT_MS);
    }
}

static void end_sleepers(void)
{
    for (int i = 0; i < sleepers; i++)
        (void)role_kill(&sleeping[i]);
}

static void reset_with_receivers(void *ctx)
{
    reset(ctx);
    start_sleepers(receive_until_last);
}

/* For each of them one that tells it to stop: all have to come, behind what
 * the victim has sent or left. */
static void receivers_go_on(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    (void)ctx;
    for (int i = 0; i < sleepers; i++)
        put(LAST);
    if (!meet_within(&scene->served, (uint32_t)sleepers, WEDGE_MS))
        sweep_wedge(result, point);
    end_sleepers();
    if (scene->torn != 0)
        sweep_torn(result, point);
    if (!is_empty())
        sweep_leftover(result, point);
}

static void sweep_with_receivers(const char *name, int count, size_t bytes)
{
    struct sweep sweep = {.name = name,
                          .reset = reset_with_receivers,
                          .prepare = warm_up,
                          .victim = send_it,
                          .oracle = receivers_go_on};
    struct sweep_result result;
    sleepers = count;
    make_scene(0, FLAT, bytes);
    sweep_run(&sweep, &result);
    sweep_report(name, &result);
    sweep_expect_clean(&result, 20);
    end_scene();
}

static void killed_while_sending_to_sleepers(void)
{
    ipc__recheck_ns = INT64_MAX; /* nothing is found by looking again */
    sweep_with_receivers("one", 1, FLAT);
    sweep_with_receivers("two", 2, FLAT);
    sweep_with_receivers("large", 1, SPILLED);
}

/* The victim sleeps too, and both are woken: there is a message for each. */
static void wake_with_two(void *ctx, pid_t victim, bool dead)
{
    (void)ctx;
    (void)victim;
    (void)dead;
    put(3);
    put(3);
}

static void receive_one(void *ctx)
{
    (void)ctx;
    if (get(IPC_TIME_FOREVER) != 3)
        abort();
    meet_signal(&scene->served);
    for (;;)
        (void)pause();
}

static void reset_with_one(void *ctx)
{
    reset(ctx);
    start_sleepers(receive_one);
}

static void the_other_gets_his(void *ctx, const struct sweep_point *point,
                               struct sweep_result *result)
{
    if (!meet_within(&scene->served, 1, WEDGE_MS))
        sweep_wedge(result, point);
    end_sleepers();
    if (role_try(drain, ctx, WEDGE_MS) != 0)
        sweep_wedge(result, point);
    if (scene->torn != 0 || scene->count > (point->finished ? 0 : 1))
        sweep_torn(result, point);
}

static void killed_while_receiving_among_others(void)
{
    struct sweep sweep = {.name = "among",
                          .reset = reset_with_one,
                          .prepare = warm_up,
                          .victim = recv_it_into,
                          .meanwhile = wake_with_two,
                          .asleep = asleep_anywhere,
                          .oracle = the_other_gets_his};
    struct sweep_result result;
    ipc__recheck_ns = INT64_MAX;
    sleepers = 1;
    make_scene(0, FLAT, SPILLED);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 60);
    end_scene();
}

static void send_large(void *ctx)
{
    send_it(ctx);
    meet_signal(&scene->served);
    for (;;)
        (void)pause();
}

static void reset_with_senders(void *ctx)
{
    reset(ctx);
    while (ipc_connection_send_nowait(scene->ends.a, scene->message,
                                      scene->bytes) == 0)
        continue;
    start_sleepers(send_large);
}

static void senders_go_on(void *ctx, const struct sweep_point *point,
                          struct sweep_result *result)
{
    if (role_try(drain, ctx, WEDGE_MS) != 0 ||
        !meet_within(&scene->served, (uint32_t)sleepers, WEDGE_MS))
        sweep_wedge(result, point);
    end_sleepers();
    if (role_try(drain, ctx, WEDGE_MS) != 0)
        sweep_wedge(result, point);
    if (scene->torn != 0)
        sweep_torn(result, point);
    if (!is_empty())
        sweep_leftover(result, point);
}

static void killed_while_receiving_from_sleepers(void)
{
    struct sweep sweep = {.name = "senders",
                          .reset = reset_with_senders,
                          .prepare = warm_up,
                          .victim = recv_it_into,
                          .oracle = senders_go_on,
                          .stride = sweep_stride(3)};
    struct sweep_result result;
    ipc__recheck_ns = INT64_MAX;
    sleepers = 2;
    make_scene(0, FLAT, SPILLED);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 20);
    end_scene();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(killed_while_sending_to_sleepers, 60),
    TEST_CASE_LIMIT(killed_while_receiving_among_others, 60),
    TEST_CASE_LIMIT(killed_while_receiving_from_sleepers, 60),
};
TEST_MAIN(cases)
