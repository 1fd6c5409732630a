/* The making of an array is killed at every instruction, or system call.  It
 * is there with all its elements, or not at all. */
#include "harness/sweep.h"
#include "unit/array_support.h"

#include <stdlib.h>

enum {
    NUMBERS = 13,
    NEW = 0x22222222,
};

static const char name[] = "born";
static int32_t new_numbers[NUMBERS];
static const int64_t old_numbers[4] = {1, 2, 3, 4};

static struct state {
    ipc_array *array; /* made again in each run */
    int rc;           /* of opening it */
    int rc_read;
    int32_t numbers_are[NUMBERS];
} * state;

static void make_state(void)
{
    state = ipc_shared_alloc(sizeof *state);
    assert_non_null(state);
    for (size_t i = 0; i < NUMBERS; i++)
        new_numbers[i] = NEW;
    state->array = new_array(IPC_ELEMENT_INT32, NUMBERS, 0);
}

static int read_numbers(ipc_array *array)
{
    return ipc_array_read(array, 0, NUMBERS, state->numbers_are,
                          sizeof state->numbers_are);
}

static bool numbers_are_new(void)
{
    return memcmp(state->numbers_are, new_numbers, sizeof new_numbers) == 0;
}

/* ---- under a name ---- */

static void create_array(void *ctx)
{
    ipc_array *array;
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    (void)ctx;
    options.initial = new_numbers;
    (void)!ipc_array_create(name, IPC_ELEMENT_INT32, NUMBERS, &options, &array);
}

/* Removes it, if it is there. */
static void open_array(void *ctx)
{
    ipc_array *array = NULL;
    (void)ctx;
    state->rc = ipc_array_open(name, IPC_ELEMENT_INT32, NUMBERS, &array);
    if (state->rc != 0)
        return;
    state->rc_read = read_numbers(array);
    if (ipc_array_close(array) != 0 || ipc_array_unlink(name) != 0)
        abort();
}

static void created_oracle(void *ctx, const struct sweep_point *point,
                           struct sweep_result *result)
{
    if (role_try(open_array, ctx, WEDGE_MS) != 0)
        sweep_wedge(result, point);
    else if (state->rc == -ENOENT && !point->finished)
        return;
    else if (state->rc != 0)
        sweep_lost(result, point);
    else if (state->rc_read != 0 || !numbers_are_new())
        sweep_torn(result, point);
}

static void run(const char *what, void (*victim)(void *ctx),
                struct sweep_result *result)
{
    struct sweep sweep = {.name = what,
                          .victim = victim,
                          .oracle = created_oracle,
                          .grain = SWEEP_SYSCALLS};
    sweep_run(&sweep, result);
    sweep_report(NULL, result);
}

static void a_name_is_complete_or_not_there(void)
{
    struct sweep_result result;
    make_state();
    run("create", create_array, &result);
    sweep_expect_clean(&result, 10);
}

/* ---- in the caller's memory ---- */

/* Of another size and type than the one that takes its place. */
static void init_old(void *ctx)
{
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    (void)ctx;
    options.initial = old_numbers;
    expect_rc(ipc_array_init(state->array,
                             IPC_ARRAY_BYTES(IPC_ELEMENT_INT32, NUMBERS),
                             IPC_ELEMENT_INT64, 4, &options),
              0);
}

static void init_new(void *ctx)
{
    ipc_array_options options = IPC_ARRAY_OPTIONS_INIT;
    (void)ctx;
    options.initial = new_numbers;
    if (ipc_array_init(state->array,
                       IPC_ARRAY_BYTES(IPC_ELEMENT_INT32, NUMBERS),
                       IPC_ELEMENT_INT32, NUMBERS, &options) != 0)
        abort();
}

static void init_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    const ipc_element element = ipc_array_element(state->array);
    int64_t old[4] = {0};
    (void)ctx;
    if (element == IPC_ELEMENT_INT32) {
        if (read_numbers(state->array) != 0 || !numbers_are_new())
            sweep_torn(result, point);
    } else if (point->finished) {
        sweep_lost(result, point);
    } else if (element == IPC_ELEMENT_INT64) {
        if (ipc_array_read(state->array, 0, 4, old, sizeof old) != 0 ||
            memcmp(old, old_numbers, sizeof old) != 0)
            sweep_torn(result, point);
    }
}

static void init_leaves_an_array_or_none(void)
{
    struct sweep sweep = {.name = "init",
                          .reset = init_old,
                          .victim = init_new,
                          .oracle = init_oracle};
    struct sweep_result result;
    make_state();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, 100);
}

/* ---- what these must find ---- */

/* The name first, then what is in it. */
static void create_then_write(void *ctx)
{
    ipc_array *array;
    (void)ctx;
    if (ipc_array_create(name, IPC_ELEMENT_INT32, NUMBERS, NULL, &array) != 0)
        abort();
    (void)getppid(); /* a point to be killed at */
    (void)ipc_array_write(array, 0, NUMBERS, new_numbers, sizeof new_numbers);
}

static void a_name_that_comes_too_early_is_found(void)
{
    struct sweep_result result;
    make_state();
    run("early", create_then_write, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_name_is_complete_or_not_there, 60),
    TEST_CASE(init_leaves_an_array_or_none),
    TEST_CASE_LIMIT(a_name_that_comes_too_early_is_found, 60),
};
TEST_MAIN(cases)
