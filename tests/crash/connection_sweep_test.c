/* A connection's sender or receiver is killed at every instruction: with the
 * queue empty or not, with messages that lie in one piece, in two, in a memfd,
 * or are descriptors.  A message is sent or not, never torn; who receives takes
 * one along at most; nobody else waits. */
#include "crash/connection_sweep_support.h"

/* ---- killed while sending ---- */

static void send_a_descriptor(void *ctx)
{
    (void)ctx;
    if (ipc_connection_send_fd(scene->ends.a, 0) != 0)
        abort();
}

static void sent_or_not(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    const uint32_t before = (uint32_t)scene->before;
    if (role_try(drain, ctx, WEDGE_MS) != 0)
        sweep_wedge(result, point);
    if (scene->torn != 0 || scene->count > before + 1)
        sweep_torn(result, point);
    if (scene->count < before + (point->finished ? 1 : 0))
        sweep_lost(result, point);
    for (uint32_t i = 0; i < scene->count; i++)
        if (scene->got[i] != (i < before           ? i + 1
                              : scene->bytes == FD ? FD
                                                   : VICTIMS))
            sweep_torn(result, point);
    if (!is_empty())
        sweep_leftover(result, point);
}

static void sweep_send(const char *name, int before, size_t bytes,
                       long min_points)
{
    struct sweep sweep = {.name = name,
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = bytes == FD ? send_a_descriptor : send_it,
                          .oracle = sent_or_not};
    struct sweep_result result;
    make_scene(before, FLAT, bytes);
    sweep_run(&sweep, &result);
    sweep_report(name, &result);
    sweep_expect_clean(&result, min_points);
    end_scene();
}

static void killed_while_sending(void)
{
    sweep_send("flat", 0, FLAT, 20);
    sweep_send("flat2", 2, FLAT, 20);
    sweep_send("parts", 0, PARTS, 20);
}

static void killed_while_sending_a_large_message(void)
{
    sweep_send("spilled", 0, SPILLED, 60);
    sweep_send("spilled2", 2, SPILLED, 60);
}

static void killed_while_sending_a_descriptor(void)
{
    sweep_send("fd", 2, FD, 20);
}

/* ---- killed while receiving ---- */

static void recv_it(void *ctx)
{
    void *data;
    size_t bytes;
    (void)ctx;
    if (ipc_connection_recv(scene->ends.b, &data, &bytes) != 0)
        abort();
    free(data);
}

/* First into a buffer that is too small. */
static void recv_it_twice(void *ctx)
{
    size_t bytes;
    (void)ctx;
    if (ipc_connection_recv_into(scene->ends.b, scene->message, 1, &bytes) !=
            -EMSGSIZE ||
        ipc_connection_recv_into(scene->ends.b, scene->message, bytes,
                                 &bytes) != 0)
        abort();
}

static void recv_a_descriptor(void *ctx)
{
    int fd;
    (void)ctx;
    if (ipc_connection_recv_fd(scene->ends.b, &fd) != 0)
        abort();
    (void)close(fd);
}

/* Of the messages 1, 2, ... the first may be gone, one for each victim. */
static void received_or_not(void *ctx, const struct sweep_point *point,
                            struct sweep_result *result)
{
    const uint32_t before = (uint32_t)scene->before;
    if (role_try(drain, ctx, WEDGE_MS) != 0)
        sweep_wedge(result, point);
    if (scene->torn != 0 || scene->count > before ||
        (point->finished && scene->count >= before))
        sweep_torn(result, point);
    if (scene->count + scene->victims < before)
        sweep_lost(result, point);
    for (uint32_t i = 0; i < scene->count; i++) {
        const unsigned number = before - scene->count + 1 + i;
        if (scene->got[i] != (bytes_of(number) == FD ? FD : number))
            sweep_torn(result, point);
    }
    if (!is_empty())
        sweep_leftover(result, point);
}

static void sweep_recv(const char *name, void (*victim)(void *ctx),
                       size_t first, long stride)
{
    struct sweep sweep = {.name = name,
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = victim,
                          .oracle = received_or_not,
                          .stride = sweep_stride(stride)};
    struct sweep_result result;
    make_scene(3, first, SPILLED);
    scene->second = SPILLED;
    sweep_run(&sweep, &result);
    sweep_report(name, &result);
    sweep_expect_clean(&result, 60);
    end_scene();
}

/* What allocates memory, or makes up a message of error, has many instructions
 * that are not the connection's: some of these will do. */
static void killed_while_receiving(void)
{
    sweep_recv("flat", recv_it_into, FLAT, 1);
    sweep_recv("parts", recv_it_into, PARTS, 2);
    sweep_recv("fresh", recv_it, FLAT, 3);
    sweep_recv("again", recv_it_twice, PARTS, 11);
}

static void killed_while_receiving_a_large_message(void)
{
    sweep_recv("spilled", recv_it_into, SPILLED, 2);
    sweep_recv("fresh", recv_it, SPILLED, 7);
    sweep_recv("again", recv_it_twice, SPILLED, 11);
}

static void killed_while_receiving_a_descriptor(void)
{
    sweep_recv("fd", recv_a_descriptor, FD, 1);
}

static void the_next_receiver_is_killed_too(void)
{
    struct sweep sweep = {.name = "twice",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = recv_it_into,
                          .recoverer_prepare = warm_up,
                          .recoverer = recv_it_into,
                          .oracle = received_or_not};
    struct sweep_result result;
    make_scene(4, FLAT, SPILLED);
    scene->victims = 2;
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
    end_scene();
}

/* ---- what these must find ---- */

static void send_in_two_steps(void *ctx)
{
    (void)ctx;
    if (ipc_connection_send(scene->ends.a, scene->message, FLAT / 2) != 0 ||
        ipc_connection_send(scene->ends.a, scene->message + FLAT / 2,
                            FLAT / 2) != 0)
        abort();
}

static void a_message_in_two_steps_is_found(void)
{
    struct sweep sweep = {.name = "two steps",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = send_in_two_steps,
                          .oracle = sent_or_not,
                          .stride = 5};
    struct sweep_result result;
    make_scene(0, FLAT, FLAT);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_true(result.torn > 0);
    end_scene();
}

/* A lock that nobody takes over from the dead. */
static void recv_carelessly(void *ctx)
{
    __atomic_store_n(&scene->flag, 1, __ATOMIC_SEQ_CST);
    recv_it(ctx);
    __atomic_store_n(&scene->flag, 0, __ATOMIC_SEQ_CST);
}

static void a_lock_of_the_dead_is_found(void)
{
    struct sweep sweep = {.name = "careless",
                          .reset = reset,
                          .prepare = warm_up,
                          .victim = recv_carelessly,
                          .oracle = received_or_not,
                          .grain = SWEEP_SYSCALLS,
                          .stride = 2};
    struct sweep_result result;
    make_scene(3, FLAT, FLAT);
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_true(result.wedges > 0);
    end_scene();
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(killed_while_sending, 60),
    TEST_CASE_LIMIT(killed_while_sending_a_large_message, 60),
    TEST_CASE_LIMIT(killed_while_sending_a_descriptor, 60),
    TEST_CASE_LIMIT(killed_while_receiving, 60),
    TEST_CASE_LIMIT(killed_while_receiving_a_large_message, 60),
    TEST_CASE_LIMIT(killed_while_receiving_a_descriptor, 60),
    TEST_CASE_LIMIT(the_next_receiver_is_killed_too, 60),
    TEST_CASE_LIMIT(a_message_in_two_steps_is_found, 60),
    TEST_CASE_LIMIT(a_lock_of_the_dead_is_found, 60),
};
TEST_MAIN(cases)
