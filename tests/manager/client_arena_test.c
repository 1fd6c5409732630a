/* Containers that are worked on directly, when their names are removed, and when
 * the server whose arena it is ends. */
#include "manager/client_support.h"

#include <pthread.h>

#include "harness/scale.h"

/* ---- names ---- */

static bool is_direct(ipc_manager *manager, ipc_list *list)
{
    const ipc_any handle = ipc_any_list(list);
    return ipc_manager_is_direct(manager, &handle);
}

static bool has_name(const ipc_anys *names, size_t step, const char *name)
{
    for (size_t i = 0; i < names->count; i += step)
        if (strcmp(names->items[i].str, name) == 0)
            return true;
    return false;
}

static void what_is_no_more_is_not_made_by_looking_for_it(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_arena *arena = ipc_manager_arena(manager);
    ipc_list *list;
    ipc_list *again = NULL;
    ipc_anys names;
    OK(ipc_manager_list(manager, "x", &list));
    /* As a server may do between its answer and our look. */
    OK(ipc_arena_remove(arena, "x"));
    OK(ipc_manager_list(manager, "x", &again));
    assert_false(is_direct(manager, again));
    IS(ipc_list_append_i64(again, 1), -ESTALE);
    OK(ipc_list_close(again));
    OK(ipc_arena_names(arena, &names));
    assert_false(has_name(&names, 1, "x"));
    ipc_anys_free(&names);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

struct race {
    struct client_server *server;
    uint32_t over;
    uint64_t opened;
    uint64_t directly;
};

static void open_and_append(void *arg)
{
    struct race *race = arg;
    ipc_manager *manager = client_connect(race->server);
    while (__atomic_load_n(&race->over, __ATOMIC_ACQUIRE) == 0) {
        ipc_list *list;
        OK(ipc_manager_list(manager, "x", &list));
        const int rc = ipc_list_append_i64(list, 1);
        assert_true(rc == 0 || rc == -ESTALE);
        race->directly += is_direct(manager, list);
        OK(ipc_list_close(list));
        race->opened++;
    }
    OK(ipc_manager_close(manager));
}

/* The arena has a name that the server has, and no other one. */
static void expect_same_names(ipc_manager *manager)
{
    ipc_anys here;
    ipc_anys there;
    OK(ipc_arena_names(ipc_manager_arena(manager), &here));
    OK(ipc_manager_names(manager, &there));
    for (size_t i = 0; i < here.count; i++)
        if (here.items[i].str[0] != '#')
            assert_true(has_name(&there, 2, here.items[i].str));
    assert_int_equal(has_name(&here, 1, "x"), has_name(&there, 2, "x"));
    ipc_anys_free(&here);
    ipc_anys_free(&there);
}

static void names_come_and_go_in_server_and_arena_alike(void)
{
    struct race *race = test_shared(sizeof *race);
    struct role role;
    race->server = client_server_new(NULL);
    client_server_start(race->server);
    ipc_manager *manager = client_connect(race->server);
    role_start(&role, open_and_append, race);
    const long rounds = 300 * test_scale();
    for (long removed = 0; removed < rounds;) {
        const int rc = ipc_manager_remove(manager, "x");
        assert_true(rc == 0 || rc == -ENOENT);
        removed += rc == 0;
    }
    __atomic_store_n(&race->over, 1, __ATOMIC_RELEASE);
    role_wait_ok(&role, 20000);
    test_report("opened", (int64_t)race->opened);
    test_report("directly", (int64_t)race->directly);
    expect_same_names(manager);
    OK(ipc_manager_close(manager));
    client_server_kill(race->server);
}

/* ---- calls together ---- */

enum {
    RUNS = 500,
    CALLS = 100
};

static void count_on(void *arg)
{
    struct race *race = arg;
    ipc_manager *manager = client_connect(race->server);
    const ipc_any args[] = {ipc_str("n"), ipc_i64(1)};
    ipc_namespace *names;
    ipc_calls *calls;
    OK(ipc_manager_namespace(manager, "names", &names));
    OK(ipc_calls_new(manager, &calls));
    meet_signal(&race->over);
    meet_wait(&race->over, 2, 10000);
    for (int i = 0; i < RUNS; i++) {
        for (int n = 0; n < CALLS; n++)
            IS(ipc_calls_add(calls, ipc_any_namespace(names), IPC_OP_DICT_INCR,
                             args, 2),
               n);
        OK(ipc_calls_run(calls, 0));
        for (size_t n = 0; n < CALLS; n++)
            OK(ipc_calls_result(calls, n, NULL));
        OK(ipc_calls_clear(calls));
    }
    OK(ipc_calls_free(calls));
    OK(ipc_namespace_close(names));
    OK(ipc_manager_close(manager));
}

/* A namespace has no such call: it comes to a get and a set. */
static void an_operation_of_several_steps_is_one(void)
{
    struct race *race = test_shared(sizeof *race);
    struct role roles[2];
    int64_t sum = 0;
    ipc_namespace *names;
    race->server = client_server_new(NULL);
    client_server_start(race->server);
    ipc_manager *manager = client_connect(race->server);
    OK(ipc_manager_namespace(manager, "names", &names));
    for (int i = 0; i < 2; i++)
        role_start(&roles[i], count_on, race);
    for (int i = 0; i < 2; i++)
        role_wait_ok(&roles[i], 20000);
    OK(ipc_namespace_get_i64(names, "n", &sum));
    assert_int_equal(sum, 2 * RUNS * CALLS);
    OK(ipc_namespace_close(names));
    OK(ipc_manager_close(manager));
    client_server_kill(race->server);
}

/* ---- what nothing holds ---- */

static void pop_what_is_a_list(ipc_list *list)
{
    ipc_any popped;
    OK(ipc_list_pop(list, -1, &popped));
    assert_int_equal(popped.type, IPC_TYPE_LIST);
    IS(ipc_list_length(popped.list), -ESTALE);
    ipc_any_free(&popped);
}

static void what_its_last_holder_gives_up_is_no_more(void)
{
    ipc_manager *manager = client_start(NULL);
    for (int served = 0; served < 2; served++) {
        ipc_list *list = NULL;
        ipc_list *inner = NULL;
        if (served != 0)
            list = client_served_list(manager, "served");
        else
            OK(ipc_manager_list(manager, "direct", &list));
        OK(ipc_list_append_list(list, &inner));
        OK(ipc_list_append_i64(inner, 1));
        OK(ipc_list_close(inner));
        OK(ipc_manager_ping(manager, ipc_after_ms(5000)));
        pop_what_is_a_list(list);
        IS(ipc_list_length(list), 0);
        OK(ipc_list_close(list));
    }
    OK(ipc_manager_close(manager));
}

/* After a restart it has a number, and nobody refers to it. */
static void nor_is_it_when_it_was_durable(void)
{
    struct client_server *server = client_server_new(NULL);
    snprintf(server->store, sizeof server->store, "%s/store", test_tmpdir());
    server->durability = IPC_DURABLE_INTERVAL;
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    ipc_list *list;
    ipc_list *inner;
    OK(ipc_manager_list(manager, "list", &list));
    for (int i = 0; i < 3; i++) {
        OK(ipc_list_append_list(list, &inner));
        OK(ipc_list_append_i64(inner, i));
        OK(ipc_list_close(inner));
    }
    pop_what_is_a_list(list);
    for (int left = 2; left > 0; left--) {
        client_server_kill(server);
        client_server_start(server);
        IS(ipc_list_length(list), left);
        pop_what_is_a_list(list);
    }
    client_server_kill(server);
    client_server_start(server);
    IS(ipc_list_length(list), 0);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

/* ---- the end of the server ---- */

static void what_was_in_a_servers_arena_ends_with_it(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    ipc_arena *arena = ipc_manager_arena(manager);
    ipc_list *named;
    ipc_list *nameless;
    OK(ipc_manager_list(manager, "named", &named));
    OK(ipc_manager_list(manager, NULL, &nameless));
    assert_true(is_direct(manager, named));
    OK(ipc_list_append_i64(named, 1));
    client_server_kill(server);
    IS(ipc_list_append_i64(named, 2), -ESTALE);
    assert_non_null(strstr(ipc_error_detail(), "owner"));
    IS(ipc_list_length(nameless), -ESTALE);
    IS(ipc_atomic_begin(arena), -ESTALE);
    client_server_start(server);
    IS(ipc_list_append_i64(named, 3), -ESTALE);
    assert_ptr_equal(ipc_manager_arena(manager), arena);
    OK(ipc_list_close(named));
    OK(ipc_list_close(nameless));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

static void expect_found_again(ipc_manager *manager, ipc_manager *other)
{
    ipc_list *mine;
    ipc_list *yours;
    OK(ipc_manager_list(manager, "named", &mine));
    OK(ipc_manager_list(other, "named", &yours));
    assert_true(is_direct(manager, mine));
    assert_true(is_direct(other, yours));
    const int64_t before = ipc_list_length(yours);
    OK(ipc_list_append_i64(mine, 1));
    IS(ipc_list_length(yours), before + 1);
    OK(ipc_list_close(mine));
    OK(ipc_list_close(yours));
}

static void opened_again_it_is_in_the_next_servers_arena(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    ipc_arena *arena = ipc_manager_arena(manager);
    ipc_list *old;
    OK(ipc_manager_list(manager, "named", &old));
    for (int i = 0; i < 3; i++) {
        client_server_kill(server);
        client_server_start(server);
        ipc_manager *other = client_connect(server);
        expect_found_again(manager, other);
        assert_ptr_not_equal(ipc_manager_arena(manager), arena);
        IS(ipc_list_append_i64(old, 2), -ESTALE);
        OK(ipc_manager_close(other));
    }
    OK(ipc_list_close(old));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

static void a_child_finds_the_next_server_by_itself(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    ipc_list *list;
    OK(ipc_manager_list(manager, "named", &list));
    client_server_kill(server);
    client_server_start(server);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ipc_list *mine;
        IS(ipc_list_append_i64(list, 1), -ESTALE);
        OK(ipc_manager_list(manager, "named", &mine));
        assert_true(is_direct(manager, mine));
        OK(ipc_list_append_i64(mine, 1));
        OK(ipc_list_close(mine));
        OK(ipc_manager_close(manager));
        role_exit(0);
    }
    struct role role = {.pid = child};
    role_wait_ok(&role, 10000);
    OK(ipc_list_close(list));
    OK(ipc_manager_list(manager, "named", &list));
    IS(ipc_list_length(list), 1);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

static void *open_directly(void *arg)
{
    ipc_manager *manager = arg;
    ipc_list *list;
    OK(ipc_manager_list(manager, "named", &list));
    assert_true(is_direct(manager, list));
    OK(ipc_list_append_i64(list, 1));
    OK(ipc_list_close(list));
    return NULL;
}

static void threads_go_over_to_it_together(void)
{
    enum {
        THREADS = 6
    };
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    client_server_kill(server);
    client_server_start(server);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, open_directly, manager), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    ipc_list *list;
    OK(ipc_manager_list(manager, "named", &list));
    IS(ipc_list_length(list), THREADS);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

static void a_transaction_over_its_end_has_not_happened(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    ipc_list *list;
    ipc_calls *calls;
    const ipc_any one = ipc_i64(1);
    OK(ipc_manager_list(manager, "named", &list));
    OK(ipc_atomic_begin(ipc_manager_arena(manager)));
    OK(ipc_list_append_i64(list, 1));
    client_server_kill(server);
    IS(ipc_atomic_commit(ipc_manager_arena(manager)), -ESTALE);
    OK(ipc_calls_new(manager, &calls));
    IS(ipc_calls_add(calls, ipc_any_list(list), IPC_OP_LIST_APPEND, &one, 1),
       0);
    IS(ipc_calls_run(calls, IPC_CALLS_ATOMIC), -ESTALE);
    OK(ipc_calls_free(calls));
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void shutting_it_down_is_the_end_too(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list;
    OK(ipc_manager_list(manager, "named", &list));
    OK(ipc_list_append_i64(list, 1));
    OK(ipc_manager_shutdown(manager));
    IS(ipc_list_append_i64(list, 2), -ESTALE);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static const struct test_case cases[] = {
    TEST_CASE(what_is_no_more_is_not_made_by_looking_for_it),
    TEST_CASE(names_come_and_go_in_server_and_arena_alike),
    TEST_CASE(an_operation_of_several_steps_is_one),
    TEST_CASE(what_its_last_holder_gives_up_is_no_more),
    TEST_CASE(nor_is_it_when_it_was_durable),
    TEST_CASE(what_was_in_a_servers_arena_ends_with_it),
    TEST_CASE(opened_again_it_is_in_the_next_servers_arena),
    TEST_CASE(a_child_finds_the_next_server_by_itself),
    TEST_CASE(threads_go_over_to_it_together),
    TEST_CASE(a_transaction_over_its_end_has_not_happened),
    TEST_CASE(shutting_it_down_is_the_end_too),
};

TEST_MAIN(cases)
