/* One use of arenas: a part of everything.c, where DONE() is.  Not of the
 * family's own: that stays, and would look like something that was lost. */
#ifndef FAULT_EVERYTHING_ARENA_H
#define FAULT_EVERYTHING_ARENA_H

#include <ipc/arena.h>
#include <ipc/list.h>

enum {
    LARGE_VALUE = 300000 /* more than an arena has at first */
};

static void append_to(ipc_list *list)
{
    static const char large[LARGE_VALUE];
    (void)DONE(ipc_list_append(list, ipc_i64(1)));
    (void)DONE(ipc_list_append(list, ipc_bytes(large, sizeof large)));
    (void)DONE(ipc_list_append(list, ipc_str("a short one")));
}

/* A transaction that has begun can be ended, whatever happens in it. */
static void use_transactions(ipc_arena *arena, ipc_list *list)
{
    if (!DONE(ipc_atomic_begin(arena)))
        return;
    CHECK(ipc_atomic_begin(arena), -EALREADY);
    append_to(list);
    CHECK(ipc_atomic_abort(arena), 0);
    CHECK(ipc_atomic_abort(arena), -EPERM);
    if (DONE(ipc_atomic_begin_nowait(arena))) {
        append_to(list);
        CHECK(ipc_atomic_commit(arena), 0);
    }
    if (DONE(ipc_atomic_begin_until(arena, in_a_moment())))
        CHECK(ipc_atomic_commit(arena), 0);
}

static void use_arena(ipc_arena *arena)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    ipc_list *list;
    if (!DONE(ipc_arena_query(arena, &info)))
        return;
    const uint64_t recoveries = info.recoveries;
    if (DONE(ipc_arena_list(arena, "numbers", &list))) {
        append_to(list);
        use_transactions(arena, list);
        CHECK(ipc_list_close(list), 0);
        (void)DONE(ipc_arena_remove(arena, "numbers"));
    }
    (void)DONE(ipc_arena_check(arena));
    CHECK(ipc_arena_query(arena, &info), 0);
    assert_int_equal(info.recoveries, recoveries);
}

static void use_arenas(void)
{
    const ipc_arena_options options = {
        .size = sizeof options, .max_bytes = 8 << 20, .label = "here"};
    ipc_arena *arena, *again;
    if (DONE(ipc_arena_new(&options, &arena))) {
        use_arena(arena);
        CHECK(ipc_arena_free(arena), 0);
    }
    if (!DONE(ipc_arena_open_or_create("arena", &options, &arena)))
        return;
    const int rc = ipc_arena_create("arena", NULL, &again);
    assert_true(rc == -EEXIST || !done("create", rc));
    if (DONE(ipc_arena_open("arena", &again))) {
        use_arena(again);
        CHECK(ipc_arena_close(again), 0);
    }
    use_arena(arena);
    CHECK(ipc_arena_close(arena), 0);
    (void)DONE(ipc_arena_unlink("arena"));
}

static void remove_names_of_arenas(void)
{
    (void)ipc_arena_unlink("arena");
}

#endif
