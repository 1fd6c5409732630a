/* manager.h: starting, connecting, closing, and what is known about it. */
#include "manager/client_support.h"

#include <fcntl.h>
#include <signal.h>

#include <ipc/time.h>

static void a_started_manager_gives_lists_at_the_speed_of_memory(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list;
    OK(ipc_manager_list(manager, "data", &list));
    const ipc_any handle = ipc_any_list(list);
    assert_true(ipc_manager_is_direct(manager, &handle));
    assert_non_null(ipc_manager_arena(manager));
    OK(ipc_list_append_i64(list, 111));
    IS(ipc_list_length(list), 1);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void all_four_types_are_there_by_name_and_without(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list;
    ipc_dict *dict;
    ipc_set *set;
    ipc_namespace *names;
    static const char *const named[] = {"a name", NULL};
    for (int i = 0; i < 2; i++) {
        OK(ipc_manager_list(manager, i == 0 ? "l" : named[1], &list));
        OK(ipc_manager_dict(manager, i == 0 ? "d" : named[1], &dict));
        OK(ipc_manager_set(manager, i == 0 ? "s" : named[1], &set));
        OK(ipc_manager_namespace(manager, i == 0 ? "n" : named[1], &names));
        OK(ipc_list_append_i64(list, 1));
        OK(ipc_dict_set(dict, ipc_str("k"), ipc_i64(1)));
        IS(ipc_set_add(set, ipc_i64(1)), 1);
        OK(ipc_namespace_set(names, "x", ipc_i64(1)));
        OK(ipc_list_close(list));
        OK(ipc_dict_close(dict));
        OK(ipc_set_close(set));
        OK(ipc_namespace_close(names));
    }
    IS(ipc_manager_list(manager, "d", &list), -EINVAL);
    IS(ipc_manager_list(manager, "", &list), -EINVAL);
    IS(ipc_manager_list(manager, "#1", &list), -EINVAL);
    OK(ipc_manager_close(manager));
}

static void who_asks_for_no_arena_gets_none(void)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.flags = IPC_MANAGER_NO_ARENA;
    ipc_manager *manager = client_start(&options);
    assert_null(ipc_manager_arena(manager));
    ipc_list *list;
    OK(ipc_manager_list(manager, "data", &list));
    const ipc_any handle = ipc_any_list(list);
    assert_false(ipc_manager_is_direct(manager, &handle));
    OK(ipc_list_append_i64(list, 111));
    IS(ipc_list_length(list), 1);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void address_and_key_let_others_in(void)
{
    ipc_manager *manager = client_start(NULL);
    size_t bytes = 0;
    const void *key = ipc_manager_key(manager, &bytes);
    assert_int_equal(bytes, 32);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.flags = IPC_MANAGER_NO_ARENA;
    options.label = "the other one";
    ipc_manager *other = NULL;
    OK(ipc_manager_connect(ipc_manager_address(manager), key, bytes, &options,
                           &other));
    assert_string_equal(ipc_manager_address(other),
                        ipc_manager_address(manager));
    ipc_list *here;
    ipc_list *there;
    OK(ipc_manager_list(manager, "shared", &here));
    OK(ipc_manager_list(other, "shared", &there));
    OK(ipc_list_append_str(there, "by way of the server"));
    IS(ipc_list_length(here), 1);
    OK(ipc_list_append_i64(here, 2));
    IS(ipc_list_length(there), 2);
    OK(ipc_list_close(there));
    OK(ipc_list_close(here));
    OK(ipc_manager_close(other));
    OK(ipc_manager_close(manager));
}

static void a_handle_of_another_arena_cannot_be_put_in(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *direct;
    OK(ipc_manager_list(manager, "direct", &direct));
    ipc_list *served = client_served_list(manager, "served");
    IS(ipc_list_append(served, ipc_any_list(direct)), -EXDEV);
    OK(ipc_list_close(direct));
    OK(ipc_list_close(served));
    OK(ipc_manager_close(manager));
}

static void items_and_options_are_those_of_the_first(void)
{
    ipc_manager *manager = client_start(NULL);
    const ipc_any items[] = {ipc_str("a"), ipc_i64(1), ipc_str("b"),
                             ipc_i64(2)};
    ipc_manager_object_options options = IPC_MANAGER_OBJECT_OPTIONS_INIT;
    options.items = items;
    options.item_count = 4;
    for (int served = 0; served < 2; served++) {
        options.flags = served != 0 ? IPC_MANAGER_SERVED : 0;
        const char *name = served != 0 ? "served" : "direct";
        ipc_any dict;
        IS(ipc_manager_open(manager, IPC_TYPE_DICT, name, &options, &dict), 1);
        IS(ipc_manager_is_direct(manager, &dict), served == 0);
        IS(ipc_dict_length(dict.dict), 2);
        ipc_any again;
        IS(ipc_manager_open(manager, IPC_TYPE_DICT, name, &options, &again), 0);
        IS(ipc_dict_length(again.dict), 2);
        ipc_any_free(&again);
        ipc_any_free(&dict);
    }
    ipc_any out;
    IS(ipc_manager_open(manager, IPC_TYPE_STR, "x", NULL, &out), -EINVAL);
    options.flags = 1u << 20;
    IS(ipc_manager_open(manager, IPC_TYPE_LIST, "x", &options, &out), -EINVAL);
    options.flags = 0;
    options.item_count = 0;
    options.durability = 7;
    IS(ipc_manager_open(manager, IPC_TYPE_LIST, "x", &options, &out), -EINVAL);
    options.durability = IPC_DURABLE_ALWAYS;
    IS(ipc_manager_open(manager, IPC_TYPE_LIST, "x", &options, &out), -ENOTSUP);
    OK(ipc_manager_close(manager));
}

static void names_come_in_order_and_can_be_removed(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list;
    ipc_managed *queue;
    OK(ipc_manager_list(manager, "first", &list));
    IS(ipc_manager_queue(manager, "second", NULL, &queue), 1);
    IS(ipc_manager_number_of_objects(manager), 2);
    ipc_anys names;
    OK(ipc_manager_names(manager, &names));
    assert_int_equal(names.count, 4);
    assert_string_equal(names.items[0].str, "first");
    assert_string_equal(names.items[1].str, "list");
    assert_string_equal(names.items[2].str, "second");
    assert_string_equal(names.items[3].str, "queue");
    ipc_anys_free(&names);
    OK(ipc_manager_remove(manager, "first"));
    IS(ipc_manager_remove(manager, "first"), -ENOENT);
    OK(ipc_list_close(list));
    OK(ipc_managed_close(queue));
    IS(ipc_manager_number_of_objects(manager), 1);
    OK(ipc_manager_close(manager));
}

static void anonymous_ones_go_with_their_last_handle(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_managed *lock;
    ipc_list *served = client_served_list(manager, NULL);
    ipc_any direct = ipc_any_with_type(IPC_TYPE_LIST);
    IS(ipc_manager_lock(manager, NULL, &lock), 1);
    OK(ipc_manager_list(manager, NULL, &direct.list));
    IS(ipc_manager_number_of_objects(manager), 3);
    OK(ipc_managed_close(lock));
    IS(ipc_manager_number_of_objects(manager), 2);
    ipc_any handle = ipc_any_list(served);
    OK(ipc_manager_drop(manager, &handle));
    assert_int_equal(handle.type, IPC_TYPE_NIL);
    IS(ipc_manager_number_of_objects(manager), 1);
    OK(ipc_manager_drop(manager, &direct));
    IS(ipc_manager_number_of_objects(manager), 0);
    ipc_any nothing = ipc_i64(1);
    IS(ipc_manager_drop(manager, &nothing), -EINVAL);
    OK(ipc_manager_close(manager));
}

static void it_tells_about_itself(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list;
    OK(ipc_manager_list(manager, "the list", &list));
    ipc_any text;
    OK(ipc_manager_debug_info(manager, &text));
    assert_int_equal(text.type, IPC_TYPE_STR);
    assert_non_null(strstr(text.str, "the list"));
    ipc_any_free(&text);
    ipc_manager_stats stats = IPC_MANAGER_STATS_INIT;
    OK(ipc_manager_query(manager, &stats));
    assert_int_equal(stats.objects, 1);
    assert_int_equal(stats.sessions, 1);
    assert_int_equal(stats.connections, 1);
    assert_int_not_equal(stats.pid, getpid());
    assert_true(stats.requests > 0);
    assert_true(stats.up_ns > 0);
    assert_true(stats.instance != 0);
    OK(ipc_manager_ping(manager, ipc_after_ms(5000)));
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void a_transaction_holds_the_manager_open(void)
{
    ipc_manager *manager = client_start(NULL);
    OK(ipc_atomic_begin(ipc_manager_arena(manager)));
    IS(ipc_manager_close(manager), -EBUSY);
    OK(ipc_atomic_abort(ipc_manager_arena(manager)));
    OK(ipc_manager_ping(manager, ipc_after_ms(5000)));
    OK(ipc_manager_close(manager));
}

static void shutdown_ends_the_server_and_calls_say_so_at_once(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_list *list = client_served_list(manager, "x");
    OK(ipc_manager_shutdown(manager));
    const int64_t begin = test_now_ns();
    IS(ipc_list_append_i64(list, 1), -ENOTCONN);
    assert_true(test_now_ns() - begin < 1000000000);
    OK(ipc_manager_shutdown(manager));
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void who_did_not_start_it_may_not_shut_it_down(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    IS(ipc_manager_shutdown(manager), -EPERM);
    OK(ipc_manager_close(manager));
    client_server_kill(server);
    server->flags = IPC_MANAGER_REMOTE_SHUTDOWN;
    client_server_start(server);
    manager = client_connect(server);
    OK(ipc_manager_shutdown(manager));
    role_wait_ok(&server->role, 5000);
    OK(ipc_manager_close(manager));
}

static void closing_lets_go_of_what_is_held(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *one = client_connect(server);
    ipc_manager *two = client_connect(server);
    ipc_managed *mine;
    ipc_managed *yours;
    IS(ipc_manager_lock(one, "lock", &mine), 1);
    IS(ipc_manager_lock(two, "lock", &yours), 0);
    OK(ipc_managed_lock_acquire(mine));
    IS(ipc_managed_lock_acquire_nowait(yours), -EAGAIN);
    IS(ipc_managed_lock_acquire_until(yours, ipc_after_ms(20)), -ETIMEDOUT);
    OK(ipc_manager_close(one));
    IS(ipc_managed_lock_acquire_nowait(yours), IPC_OWNER_DIED);
    IS(ipc_managed_lock_acquire(mine), -ENOTCONN);
    OK(ipc_managed_close(mine));
    OK(ipc_managed_close(yours));
    OK(ipc_manager_close(two));
    client_server_kill(server);
}

static void a_start_that_fails_says_why_and_leaves_nothing(void)
{
    ipc_manager *manager = NULL;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    const char *addresses[] = {"tcp://no.such.host.invalid:1"};
    options.addresses = addresses;
    options.address_count = 1;
    assert_true(ipc_manager_start(&options, &manager) < 0);
    assert_true(strlen(ipc_error_detail()) > 0);
    addresses[0] = "tcp://0.0.0.0:0";
    IS(ipc_manager_start(&options, &manager), -EPERM);
    addresses[0] = "nonsense";
    IS(ipc_manager_start(&options, &manager), -EINVAL);
    options.address_count = 0;
    options.key = "short";
    options.key_bytes = 5;
    IS(ipc_manager_start(&options, &manager), -EINVAL);
    assert_null(manager);
}

static void a_started_server_may_listen_on_tcp(void)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    const char *addresses[] = {"tcp://127.0.0.1:0"};
    options.addresses = addresses;
    options.address_count = 1;
    ipc_manager *manager = client_start(&options);
    assert_string_not_equal(ipc_manager_address(manager), addresses[0]);
    assert_null(ipc_manager_arena(manager));
    ipc_list *list;
    OK(ipc_manager_list(manager, "data", &list));
    OK(ipc_list_append_i64(list, 111));
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void the_server_ends_with_the_process_that_started_it(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ipc_manager *manager = client_start(NULL);
        ipc_manager_stats stats = IPC_MANAGER_STATS_INIT;
        OK(ipc_manager_query(manager, &stats));
        (void)!write(ends[1], &stats.pid, sizeof stats.pid);
        raise(SIGKILL);
    }
    int32_t pid = 0;
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    struct role role = {.pid = child};
    (void)role_wait_dead(&role, 5000);
    wait_until_at(pid, thread_ended, 5000, __FILE__, __LINE__);
    close(ends[0]);
    close(ends[1]);
}

static const struct test_case cases[] = {
    TEST_CASE(a_started_manager_gives_lists_at_the_speed_of_memory),
    TEST_CASE(all_four_types_are_there_by_name_and_without),
    TEST_CASE(who_asks_for_no_arena_gets_none),
    TEST_CASE(address_and_key_let_others_in),
    TEST_CASE(a_handle_of_another_arena_cannot_be_put_in),
    TEST_CASE(items_and_options_are_those_of_the_first),
    TEST_CASE(names_come_in_order_and_can_be_removed),
    TEST_CASE(anonymous_ones_go_with_their_last_handle),
    TEST_CASE(it_tells_about_itself),
    TEST_CASE(a_transaction_holds_the_manager_open),
    TEST_CASE(shutdown_ends_the_server_and_calls_say_so_at_once),
    TEST_CASE(who_did_not_start_it_may_not_shut_it_down),
    TEST_CASE(closing_lets_go_of_what_is_held),
    TEST_CASE(a_start_that_fails_says_why_and_leaves_nothing),
    TEST_CASE(a_started_server_may_listen_on_tcp),
    TEST_CASE(the_server_ends_with_the_process_that_started_it),
};

TEST_MAIN(cases)
