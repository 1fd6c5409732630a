/* Arenas that are somebody's: the end of their owner is theirs.  And looking
 * for a name without making anything. */
#include "unit/arena_support.h"

#include <signal.h>

#include <ipc/dict.h>
#include <ipc/list.h>

struct stage {
    ipc_arena *arena;
    ipc_list *list;
    uint32_t owned;
    uint32_t watching;
    int rc;
};

static void own_and_stay(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_arena_own(stage->arena), 0);
    expect_rc(ipc_arena_own(stage->arena), -EBUSY);
    expect_rc(ipc_list_append_i64(stage->list, 1), 0);
    meet_signal(&stage->owned);
    pause();
}

/* An arena of a role's. */
static struct stage *begin(struct role *owner)
{
    struct stage *stage = test_shared(sizeof *stage);
    const ipc_arena_options options = {
        .size = sizeof options, .max_bytes = MIB, .label = "shop"};
    int fd = -1;
    expect_rc(ipc_arena_create_fd(&options, &fd, &stage->arena), 0);
    close(fd);
    expect_rc(ipc_arena_list(stage->arena, "list", &stage->list), 0);
    role_start(owner, own_and_stay, stage);
    meet_wait(&stage->owned, 1, LIMIT_MS);
    expect_rc(ipc_list_append_i64(stage->list, 2), 0);
    return stage;
}

static void end(struct stage *stage)
{
    expect_rc(ipc_list_close(stage->list), 0);
    expect_rc(ipc_arena_close(stage->arena), 0);
}

static void when_the_owner_ends_every_call_says_so(void)
{
    struct role owner;
    struct stage *stage = begin(&owner);
    ipc_list *other = NULL;
    ipc_any found;
    role_kill(&owner);
    expect_rc(ipc_list_append_i64(stage->list, 3), -ESTALE);
    assert_non_null(strstr(ipc_error_detail(), "shop"));
    assert_non_null(strstr(ipc_error_detail(), "owner"));
    assert_int_equal(ipc_list_length(stage->list), -ESTALE);
    expect_rc(ipc_arena_list(stage->arena, "other", &other), -ESTALE);
    expect_rc(ipc_arena_find(stage->arena, "list", 0, &found), -ESTALE);
    expect_rc(ipc_atomic_begin(stage->arena), -ESTALE);
    expect_rc(ipc_atomic_begin_nowait(stage->arena), -ESTALE);
    expect_rc(ipc_arena_own(stage->arena), -ESTALE);
    end(stage);
}

static void a_transaction_does_not_outlive_the_owner(void)
{
    struct role owner;
    struct stage *stage = begin(&owner);
    expect_rc(ipc_atomic_begin(stage->arena), 0);
    expect_rc(ipc_list_append_i64(stage->list, 3), 0);
    role_kill(&owner);
    expect_rc(ipc_list_append_i64(stage->list, 4), -ESTALE);
    expect_rc(ipc_atomic_commit(stage->arena), -ESTALE);
    expect_rc(ipc_atomic_commit(stage->arena), -EPERM); /* it is over */
    end(stage);
}

static void die_inside(void *arg)
{
    struct stage *stage = arg;
    expect_rc(ipc_arena_own(stage->arena), 0);
    expect_rc(ipc_atomic_begin(stage->arena), 0);
    expect_rc(ipc_list_append_i64(stage->list, 1), 0);
    raise(SIGKILL);
}

static void an_owner_may_die_inside(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    int fd = -1;
    expect_rc(ipc_arena_create_fd(NULL, &fd, &stage->arena), 0);
    close(fd);
    expect_rc(ipc_arena_list(stage->arena, "list", &stage->list), 0);
    assert_int_equal(role_try(die_inside, stage, LIMIT_MS),
                     ROLE_SIGNAL + SIGKILL);
    expect_rc(ipc_list_append_i64(stage->list, 2), -ESTALE);
    expect_rc(ipc_atomic_begin(stage->arena), -ESTALE);
    end(stage);
}

static void watch(void *arg)
{
    struct stage *stage = arg;
    uint64_t version = 0;
    expect_rc(ipc_list_watch(stage->list, &version, IPC_TIME_FOREVER), 0);
    meet_signal(&stage->watching);
    stage->rc = ipc_list_watch(stage->list, &version, IPC_TIME_FOREVER);
}

static void who_watches_hears_of_it(void)
{
    struct role owner;
    struct role watcher;
    struct stage *stage = begin(&owner);
    role_start(&watcher, watch, stage);
    meet_wait(&stage->watching, 1, LIMIT_MS);
    wait_until_sleeping(watcher.pid, LIMIT_MS);
    role_kill(&owner);
    role_wait_ok(&watcher, LIMIT_MS);
    assert_int_equal(stage->rc, -ESTALE);
    end(stage);
}

static void the_end_of_others_is_nothing_to_it(void)
{
    struct role owner;
    struct stage *stage = begin(&owner);
    struct role other;
    stage->watching = 0;
    role_start(&other, watch, stage);
    meet_wait(&stage->watching, 1, LIMIT_MS);
    role_kill(&other);
    expect_rc(ipc_list_append_i64(stage->list, 3), 0);
    expect_rc(ipc_arena_own(stage->arena), -EBUSY);
    role_kill(&owner);
    end(stage);
}

static void family_memory_is_the_familys(void)
{
    ipc_arena *arena = new_arena(MIB);
    expect_rc(ipc_arena_own(arena), -EINVAL);
    expect_rc(ipc_arena_free(arena), 0);
}

static void looking_for_a_name_makes_nothing(void)
{
    ipc_arena *arena = new_arena(MIB);
    ipc_any found = ipc_i64(7);
    ipc_dict *dict = NULL;
    ipc_anys names;
    expect_rc(ipc_arena_find(arena, "d", 0, &found), -ENOENT);
    expect_rc(ipc_arena_find(arena, "d", IPC_TYPE_DICT, &found), -ENOENT);
    assert_non_null(strstr(ipc_error_detail(), "\"d\""));
    expect_rc(ipc_arena_find(arena, "", 0, &found), -EINVAL);
    assert_int_equal(found.i64, 7);
    expect_rc(ipc_arena_names(arena, &names), 0);
    assert_int_equal(names.count, 0);
    ipc_anys_free(&names);

    expect_rc(ipc_arena_dict(arena, "d", &dict), 0);
    expect_rc(ipc_arena_find(arena, "d", IPC_TYPE_LIST, &found), -EINVAL);
    expect_rc(ipc_arena_find(arena, "d", 0, &found), 0);
    assert_int_equal(found.type, IPC_TYPE_DICT);
    const ipc_any same = ipc_any_dict(dict);
    assert_true(ipc_any_equal(&found, &same));
    ipc_any_free(&found);
    expect_rc(ipc_arena_remove(arena, "d"), 0);
    expect_rc(ipc_arena_find(arena, "d", IPC_TYPE_DICT, &found), -ENOENT);
    expect_rc(ipc_dict_close(dict), 0);
    expect_rc(ipc_arena_check(arena), 0);
    expect_rc(ipc_arena_free(arena), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(when_the_owner_ends_every_call_says_so),
    TEST_CASE(a_transaction_does_not_outlive_the_owner),
    TEST_CASE(an_owner_may_die_inside),
    TEST_CASE(who_watches_hears_of_it),
    TEST_CASE(the_end_of_others_is_nothing_to_it),
    TEST_CASE(family_memory_is_the_familys),
    TEST_CASE(looking_for_a_name_makes_nothing),
};

TEST_MAIN(cases)
