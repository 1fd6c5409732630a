/* T26: who finds a queue empty, and gives its memory back, is killed at every
 * instruction.  The next one can fill and empty it, and reads what was put. */
#include "crash/look_once.h"
#include "harness/scale.h"
#include "harness/sweep.h"
#include "unit/queue_support.h"

#include "queue/store.h"

enum {
    IN_A_RING = 40,
    IN_A_STORE = IPC__STORE_PIECE + 40, /* more than it keeps memory for */
    SIZE = 400
};

static struct scene {
    ipc_queue_options options;
    unsigned messages;
    ipc_queue *queue;
    ipc_queue *other; /* for making a thread known */
    uint32_t torn;
} * scene;

/* Every 16th message lies in pages. */
static size_t size_of(unsigned number)
{
    return number % 16 == 0 ? LONG : SIZE;
}

/* In their order, or the other way round. */
static bool use(void)
{
    unsigned char message[LONG];
    size_t bytes;
    const bool lifo = (scene->options.flags & IPC_QUEUE_LIFO) != 0;
    for (unsigned i = 0; i < scene->messages; i++) {
        fill_message(message, size_of(i), i);
        if (ipc_queue_put_nowait(scene->queue, message, size_of(i)) != 0)
            return false;
    }
    for (unsigned i = 0; i < scene->messages; i++) {
        const unsigned number = lifo ? scene->messages - 1 - i : i;
        if (ipc_queue_get_nowait(scene->queue, message, sizeof message,
                                 &bytes) != 0 ||
            bytes != size_of(number) || !is_message(message, bytes, number))
            return false;
    }
    return ipc_queue_empty(scene->queue);
}

static void use_in_fresh_process(void *ctx)
{
    (void)ctx;
    scene->torn += !use();
    scene->torn += ipc_queue_get_nowait(scene->queue, NULL, 0, NULL) != -EAGAIN;
}

/* ---- the sweep ---- */

static void reset(void *ctx)
{
    (void)ctx;
    scene->torn = 0;
    if (!use())
        test_fail("it cannot be used: %s", ipc_error_detail());
}

/* It has been empty for long enough, whenever that was. */
static void prepare(void *ctx)
{
    char byte;
    (void)ctx;
    look_once();
    if (ipc_queue_put_nowait(scene->other, "x", 1) != 0 ||
        ipc_queue_get_nowait(scene->other, &byte, 1, NULL) != 0)
        abort();
    ipc__recheck_ns = 0;
}

static void find_nothing(void *ctx)
{
    char byte;
    (void)ctx;
    if (ipc_queue_get_nowait(scene->queue, &byte, 1, NULL) != -EAGAIN)
        abort();
}

static void oracle(void *ctx, const struct sweep_point *point,
                   struct sweep_result *result)
{
    (void)ctx;
    if (role_try(use_in_fresh_process, NULL, WEDGE_MS) != 0)
        sweep_wedge(result, point);
    if (scene->torn != 0)
        sweep_torn(result, point);
}

static void begin(uint32_t flags)
{
    scene = test_shared(sizeof *scene);
    scene->messages = flags == 0 ? IN_A_RING : IN_A_STORE;
    scene->options = queue_options(scene->messages, 4 * MIB, flags);
    expect_rc(ipc_queue_new(&scene->options, &scene->queue), 0);
    scene->other = new_queue(4, 0, 0);
    ipc__recheck_ns = INT64_MAX; /* nobody else does it */
}

static void end(void)
{
    free_queue(scene->queue);
    free_queue(scene->other);
}

static void sweep_idle(const char *name, uint32_t flags, long stride)
{
    struct sweep_result result;
    const struct sweep sweep = {.name = name,
                                .reset = reset,
                                .prepare = prepare,
                                .victim = find_nothing,
                                .oracle = oracle,
                                .stride = sweep_stride(stride)};
    begin(flags);
    sweep_run(&sweep, &result);
    end();
    sweep_report(name, &result);
    sweep_expect_clean(&result, 20);
}

static void t26_a_ring_gives_memory_back(void)
{
    sweep_idle("ring", 0, 7);
}

static void t26_a_store_gives_memory_back(void)
{
    sweep_idle("lifo", IPC_QUEUE_LIFO, 7);
    sweep_idle("leases", IPC_QUEUE_LEASES, 17);
}

/* ---- what this must find ---- */

static void reset_anew(void *ctx)
{
    expect_rc(ipc_queue_free(scene->queue), 0);
    expect_rc(ipc_queue_new(&scene->options, &scene->queue), 0);
    reset(ctx);
}

/* Without a look whether there is anything. */
static void give_back_what_is_used(void *ctx)
{
    struct ipc__store store;
    (void)ctx;
    if (ipc_queue_put_nowait(scene->queue, "x", 1) != 0 ||
        ipc__store_view(scene->queue, &store) != 0 ||
        ipc__store_lock(&store) != 0)
        abort();
    store.state->heap = 0;
    ipc__store_trim(&store);
    ipc__store_unlock(&store);
}

static void memory_given_back_too_soon_is_found(void)
{
    struct sweep_result result;
    const struct sweep sweep = {.name = "broken",
                                .reset = reset_anew,
                                .prepare = prepare,
                                .victim = give_back_what_is_used,
                                .oracle = oracle,
                                .stride = 97};
    begin(IPC_QUEUE_LIFO);
    sweep_run(&sweep, &result);
    end();
    sweep_report("broken", &result);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t26_a_ring_gives_memory_back, 60),
    TEST_CASE_LIMIT(t26_a_store_gives_memory_back, 60),
    TEST_CASE(memory_given_back_too_soon_is_found),
};
TEST_MAIN(cases)
