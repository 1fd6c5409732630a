/* Somebody is killed in a call that changes a list, and the next one, who undoes
 * what he finds, is killed too: the third one finds all of it or nothing. */
#include "crash/list_scene.h"

static void visit(void *ctx)
{
    (void)ctx;
    must(ipc_list_length(state->list) < 0 ? -1 : 0);
}

/* The arena is not looked at before: that would repair it. */
static void look_elsewhere(void *ctx)
{
    (void)ctx;
    must(ipc_list_length(state->elsewhere) < 0 ? -1 : 0);
}

static void sweep_twice(const struct scene *which)
{
    struct sweep sweep = make_sweep(which);
    struct sweep_result result;
    twice = true;
    sweep.recoverer = visit;
    sweep.recoverer_prepare = look_elsewhere;
    must(ipc_list_new(NULL, &state->elsewhere));
    sweep2_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, SWEEP2_LEAST);
    must(ipc_list_free(state->elsewhere));
    end_scene();
}

static void t04_extend_a_full_list(void)
{
    static const struct scene which = {"twice", 16, true, NULL, extend, 1};
    sweep_twice(&which);
}

static void t04_clear(void)
{
    static const struct scene which = {"twice", 5, true, add_inner, clear, 1};
    sweep_twice(&which);
}

static void t04_a_transaction(void)
{
    static const struct scene which = {"twice",          7, true, NULL,
                                       several_together, 1};
    sweep_twice(&which);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t04_extend_a_full_list, 90),
    TEST_CASE_LIMIT(t04_clear, 90),
    TEST_CASE_LIMIT(t04_a_transaction, 90),
};
TEST_MAIN(cases)
