/* A list is killed at the instructions of every call that changes it.  The next
 * one finds the change whole, or nothing of it, and nothing is lost. */
#include "crash/list_scene.h"

/* ---- broken variants ---- */

static void enter(struct ipc__visit *v, struct ipc__list *l)
{
    struct ipc__object *object;
    must(ipc__handle_enter(v, &state->list->handle, IPC_TYPE_LIST, &object));
    if (!ipc__list_look(v, object, l))
        must(v->rc);
}

/* Counts an item before it is there, without the journal. */
static void append_unsaved(void)
{
    struct ipc__visit v;
    struct ipc__list l;
    enter(&v, &l);
    struct ipc__item *slot = ipc__list_slot(&l, l.count);
    store_relaxed(&l.body->head.count, l.count + 1);
    slot->words[0] = IPC_TYPE_I64;
    slot->words[1] = 5;
    ipc__object_changed(&v, l.object);
    must(ipc__arena_leave(&v));
}

/* Moves items that it has not saved. */
static void pop_unsaved(void)
{
    struct ipc__visit v;
    struct ipc__list l;
    enter(&v, &l);
    struct ipc__item *slot = ipc__list_slot(&l, 0);
    for (uint64_t i = 0; i + 1 < l.count; i++)
        slot[i] = slot[i + 1];
    ipc__put64(&v, &l.body->head.count, l.count - 1);
    ipc__object_changed(&v, l.object);
    must(ipc__arena_leave(&v));
}

/* Forgets the string that was there. */
static void set_forgetful(void)
{
    struct ipc__visit v;
    struct ipc__list l;
    const struct ipc__item item = {.words = {IPC_TYPE_I64, 5}};
    enter(&v, &l);
    ipc__item_put(&v, ipc__list_slot(&l, 1), &item);
    ipc__object_changed(&v, l.object);
    must(ipc__arena_leave(&v));
}

static void expect_torn(const struct scene *broken)
{
    struct sweep sweep = make_sweep(broken);
    struct sweep_result result;
    sweep.stride = 1;
    sweep_run(&sweep, &result);
    test_report(broken->name, result.torn);
    assert_true(result.torn > 0);
    end_scene();
}

static void what_is_not_saved_is_found(void)
{
    static const struct scene append_broken = {
        .name = "append", .size = 3, .act = append_unsaved};
    static const struct scene pop_broken = {
        .name = "pop", .size = 4, .act = pop_unsaved};
    static const struct scene set_broken = {
        .name = "set", .size = 4, .mixed = true, .act = set_forgetful};
    expect_torn(&append_broken);
    expect_torn(&pop_broken);
    expect_torn(&set_broken);
}

/* ---- each call ---- */

static void sweep_scenes(const struct scene *scenes, size_t count)
{
    long points = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sweep sweep = make_sweep(&scenes[i]);
        struct sweep_result result;
        sweep_run(&sweep, &result);
        sweep_expect_clean(&result, 20);
        points += result.points;
        end_scene();
    }
    test_report("points", points);
}

#define SWEEP(scenes) sweep_scenes(scenes, sizeof(scenes) / sizeof(scenes)[0])

static void append_is_whole_or_not(void)
{
    static const struct scene scenes[] = {
        {"the first item", 0, false, NULL, append, 23},
        {"a free slot", 5, false, NULL, append, 1},
        {"a larger chunk", 4, true, NULL, append, 11},
        {"a directory", 1024, false, NULL, append, 29},
        {"a larger directory", 2048, false, NULL, append, 23},
        {"a large list", 2000, false, NULL, append, 3},
        {"a long string", 5, false, NULL, append_long, 11},
        {"a new list", 5, false, NULL, append_list, 23},
        {"a long string in a new chunk", 16, true, NULL, append_long, 29},
    };
    SWEEP(scenes);
}

static void insert_is_whole_or_not(void)
{
    static const struct scene scenes[] = {
        {"before all", 6, true, NULL, insert_first, 7},
        {"before a full chunk", 16, false, NULL, insert_first, 17},
        {"before a full directory", 2048, false, NULL, insert_first, 31},
        {"before most", 9, true, NULL, insert_third, 17},
        {"behind most", 9, true, NULL, insert_third_last, 11},
    };
    SWEEP(scenes);
}

static void pop_is_whole_or_not(void)
{
    static const struct scene scenes[] = {
        {"the last", 5, false, NULL, pop_last, 5},
        {"the only one", 1, false, NULL, pop_last, 7},
        {"the last, a string", 5, true, NULL, pop_last, 17},
        {"the last of a chunk", 1025, false, NULL, pop_last, 7},
        {"the first", 5, false, NULL, pop_first, 7},
        {"one in the middle", 9, true, NULL, pop_fifth, 19},
        {"a list", 3, true, add_inner, drop_inner, 31},
    };
    SWEEP(scenes);
}

static void change_is_whole_or_not(void)
{
    static const struct scene scenes[] = {
        {"set", 4, true, NULL, set_text, 17},
        {"extend", 6, true, NULL, extend, 19},
        {"extend what is full", 16, false, NULL, extend, 23},
        {"replace", 9, true, NULL, replace, 37},
        {"sort", 9, false, NULL, sort, 23},
        {"sort strings", 7, true, NULL, sort, 53},
        {"reverse", 9, true, NULL, reverse, 11},
    };
    SWEEP(scenes);
}

static void clear_is_whole_or_not(void)
{
    static const struct scene scenes[] = {
        {"few items", 3, false, NULL, clear, 19},
        {"strings", 7, true, NULL, clear, 37},
        {"a list in it", 4, true, add_inner, clear, 59},
        {"a directory", 1100, true, make_short, clear, 61},
        {"free", 4, true, add_other, free_other, 41},
    };
    SWEEP(scenes);
}

static void a_transaction_is_whole_or_not(void)
{
    static const struct scene scenes[] = {
        {"together", 7, true, NULL, several_together, 29},
        {"together in a large one", 1025, false, NULL, several_together, 31},
    };
    SWEEP(scenes);
}

static const struct test_case cases[] = {
    TEST_CASE(what_is_not_saved_is_found),
    TEST_CASE_LIMIT(append_is_whole_or_not, 90),
    TEST_CASE_LIMIT(insert_is_whole_or_not, 90),
    TEST_CASE_LIMIT(pop_is_whole_or_not, 90),
    TEST_CASE_LIMIT(change_is_whole_or_not, 90),
    TEST_CASE_LIMIT(clear_is_whole_or_not, 90),
    TEST_CASE_LIMIT(a_transaction_is_whole_or_not, 90),
};
TEST_MAIN(cases)
