/* ipc_calls: many calls in one round trip, or as one. */
#include "manager/client_support.h"

#include <ipc/time.h>

static ipc_any open_one(ipc_manager *manager, uint32_t type, const char *name,
                        uint32_t flags)
{
    ipc_manager_object_options options = IPC_MANAGER_OBJECT_OPTIONS_INIT;
    options.flags = flags;
    ipc_any handle;
    const int rc = ipc_manager_open(manager, type, name, &options, &handle);
    if (rc < 0)
        test_fail("open: %s", ipc_error_detail());
    return handle;
}

static ipc_calls *new_calls(ipc_manager *manager)
{
    ipc_calls *calls = NULL;
    OK(ipc_calls_new(manager, &calls));
    return calls;
}

/* Served and direct ones alike. */
static void pipeline(uint32_t flags)
{
    enum {
        MANY = 2000
    };
    ipc_manager *manager = client_start(NULL);
    ipc_any list = open_one(manager, IPC_TYPE_LIST, "list", flags);
    ipc_calls *calls = new_calls(manager);
    const ipc_anys *results = NULL;
    for (int i = 0; i < MANY; i++) {
        const ipc_any value = ipc_i64(i);
        IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND, &value, 1), i);
    }
    const ipc_any far = ipc_i64((int64_t)MANY * 10);
    const ipc_any last = ipc_i64(-1);
    IS(ipc_calls_add(calls, list, IPC_OP_LIST_GET, &far, 1), MANY);
    IS(ipc_calls_add(calls, list, IPC_OP_LIST_GET, &last, 1), MANY + 1);
    IS(ipc_calls_result(calls, 0, &results), -EINVAL);
    const int64_t begin = test_now_ns();
    OK(ipc_calls_run(calls, 0));
    test_report(flags != 0 ? "served_ns" : "direct_ns",
                (test_now_ns() - begin) / MANY);
    IS(ipc_calls_run(calls, 0), -EALREADY);
    OK(ipc_calls_result(calls, 0, NULL));
    IS(ipc_calls_result(calls, MANY, &results), -ERANGE);
    OK(ipc_calls_result(calls, MANY + 1, &results));
    assert_int_equal(results->count, 1);
    assert_int_equal(results->items[0].i64, MANY - 1);
    IS(ipc_calls_result(calls, MANY + 2, NULL), -ERANGE);
    IS(ipc_list_length(list.list), MANY);
    OK(ipc_calls_clear(calls));
    OK(ipc_calls_run(calls, 0));
    OK(ipc_calls_free(calls));
    ipc_any_free(&list);
    OK(ipc_manager_close(manager));
}

static void served_calls_are_pipelined(void)
{
    pipeline(IPC_MANAGER_SERVED);
}

static void direct_calls_are_made_in_place(void)
{
    pipeline(0);
}

static void transaction(uint32_t flags)
{
    ipc_manager *manager = client_start(NULL);
    ipc_any list = open_one(manager, IPC_TYPE_LIST, "list", flags);
    ipc_any dict = open_one(manager, IPC_TYPE_DICT, "dict", flags);
    ipc_calls *calls = new_calls(manager);
    const ipc_any value = ipc_str("tea");
    const ipc_any incr[] = {ipc_str("count"), ipc_i64(1)};
    const ipc_any missing = ipc_str("no such");
    const ipc_anys *results = NULL;
    IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND, &value, 1), 0);
    IS(ipc_calls_add(calls, dict, IPC_OP_DICT_INCR, incr, 2), 1);
    OK(ipc_calls_run(calls, IPC_CALLS_ATOMIC));
    OK(ipc_calls_result(calls, 1, &results));
    assert_int_equal(results->items[0].i64, 1);
    OK(ipc_calls_clear(calls));

    IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND, &value, 1), 0);
    IS(ipc_calls_add(calls, dict, IPC_OP_DICT_INCR, incr, 2), 1);
    IS(ipc_calls_add(calls, dict, IPC_OP_DICT_GET, &missing, 1), 2);
    IS(ipc_calls_run(calls, IPC_CALLS_ATOMIC), -ENOENT);
    assert_non_null(strstr(ipc_error_detail(), "call 2"));
    IS(ipc_list_length(list.list), 1);
    IS(ipc_dict_length(dict.dict), 1);
    OK(ipc_calls_free(calls));
    ipc_any_free(&list);
    ipc_any_free(&dict);
    OK(ipc_manager_close(manager));
}

static void served_transactions_happen_or_do_not(void)
{
    transaction(IPC_MANAGER_SERVED);
}

static void direct_transactions_happen_or_do_not(void)
{
    transaction(0);
}

static void both_kinds_mix_but_not_in_a_transaction(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_any direct = open_one(manager, IPC_TYPE_LIST, "direct", 0);
    ipc_any served =
        open_one(manager, IPC_TYPE_LIST, "served", IPC_MANAGER_SERVED);
    ipc_calls *calls = new_calls(manager);
    const ipc_any value = ipc_i64(1);
    for (int i = 0; i < 10; i++)
        IS(ipc_calls_add(calls, i % 3 == 0 ? direct : served,
                         IPC_OP_LIST_APPEND, &value, 1),
           i);
    IS(ipc_calls_run(calls, IPC_CALLS_ATOMIC), -EXDEV);
    IS(ipc_list_length(direct.list), 0);
    OK(ipc_calls_run(calls, 0));
    IS(ipc_list_length(direct.list), 4);
    IS(ipc_list_length(served.list), 6);
    OK(ipc_calls_free(calls));
    ipc_any_free(&direct);
    ipc_any_free(&served);
    OK(ipc_manager_close(manager));
}

static void nested_containers_come_as_handles(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_any list = open_one(manager, IPC_TYPE_LIST, "list", IPC_MANAGER_SERVED);
    ipc_any other =
        open_one(manager, IPC_TYPE_LIST, "other", IPC_MANAGER_SERVED);
    for (uint32_t atomic = 0; atomic < 2; atomic++) {
        ipc_calls *calls = new_calls(manager);
        const ipc_any type = ipc_i64(IPC_TYPE_LIST);
        const ipc_anys *results = NULL;
        IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND_NEW, &type, 1), 0);
        IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND, &other, 1), 1);
        OK(ipc_calls_run(calls, atomic));
        OK(ipc_calls_result(calls, 0, &results));
        assert_int_equal(results->items[0].type, IPC_TYPE_LIST);
        OK(ipc_list_append_i64(results->items[0].list, 1));
        OK(ipc_calls_free(calls));
    }
    IS(ipc_list_length(list.list), 4);
    ipc_any_free(&list);
    ipc_any_free(&other);
    OK(ipc_manager_close(manager));
}

static void what_cannot_be_put_together_is_refused(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_manager *another = client_start(NULL);
    ipc_any list = open_one(manager, IPC_TYPE_LIST, "list", IPC_MANAGER_SERVED);
    ipc_any foreign =
        open_one(another, IPC_TYPE_LIST, "list", IPC_MANAGER_SERVED);
    ipc_calls *calls = new_calls(manager);
    const ipc_any watch[] = {ipc_i64(0), ipc_i64(0)};
    IS(ipc_calls_add(calls, foreign, IPC_OP_LIST_LENGTH, NULL, 0), -EINVAL);
    IS(ipc_calls_add(calls, ipc_i64(1), IPC_OP_LIST_LENGTH, NULL, 0), -EINVAL);
    IS(ipc_calls_add(calls, list, 999, NULL, 0), -EINVAL);
    IS(ipc_calls_add(calls, list, IPC_OP_LIST_WATCH, watch, 2), -EINVAL);
    IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND, NULL, 1), -EINVAL);
    IS(ipc_calls_run(calls, 2), -EINVAL);
    IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND, &foreign, 1), 0);
    OK(ipc_calls_run(calls, 0));
    IS(ipc_calls_result(calls, 0, NULL), -EXDEV);
    OK(ipc_calls_free(calls));
    OK(ipc_calls_free(NULL));
    ipc_any_free(&list);
    ipc_any_free(&foreign);
    OK(ipc_manager_close(another));
    OK(ipc_manager_close(manager));
}

static void a_transaction_fits_one_frame_or_is_refused(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_any list = open_one(manager, IPC_TYPE_LIST, "list", IPC_MANAGER_SERVED);
    ipc_calls *calls = new_calls(manager);
    char large[65536] = "";
    const ipc_any value = ipc_bytes(large, sizeof large);
    for (int i = 0; i < 20; i++)
        IS(ipc_calls_add(calls, list, IPC_OP_LIST_APPEND, &value, 1), i);
    IS(ipc_calls_run(calls, IPC_CALLS_ATOMIC), -EMSGSIZE);
    OK(ipc_calls_run(calls, 0));
    IS(ipc_list_length(list.list), 20);
    OK(ipc_calls_free(calls));
    ipc_any_free(&list);
    OK(ipc_manager_close(manager));
}

static void calls_after_close_say_so(void)
{
    ipc_manager *manager = client_start(NULL);
    ipc_any list = open_one(manager, IPC_TYPE_LIST, "list", IPC_MANAGER_SERVED);
    ipc_calls *calls = new_calls(manager);
    IS(ipc_calls_add(calls, list, IPC_OP_LIST_LENGTH, NULL, 0), 0);
    OK(ipc_manager_close(manager));
    IS(ipc_calls_run(calls, IPC_CALLS_ATOMIC), -ENOTCONN);
    IS(ipc_calls_run(calls, 0), -ENOTCONN);
    IS(ipc_calls_result(calls, 0, NULL), -ECONNRESET);
    OK(ipc_calls_free(calls));
    ipc_any_free(&list);
}

static const struct test_case cases[] = {
    TEST_CASE(served_calls_are_pipelined),
    TEST_CASE(direct_calls_are_made_in_place),
    TEST_CASE(served_transactions_happen_or_do_not),
    TEST_CASE(direct_transactions_happen_or_do_not),
    TEST_CASE(both_kinds_mix_but_not_in_a_transaction),
    TEST_CASE(nested_containers_come_as_handles),
    TEST_CASE(what_cannot_be_put_together_is_refused),
    TEST_CASE(a_transaction_fits_one_frame_or_is_refused),
    TEST_CASE(calls_after_close_say_so),
};

TEST_MAIN(cases)
