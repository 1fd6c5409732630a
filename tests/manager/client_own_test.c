/* Managers with types of their own, managers far away, and managers that come
 * back at the same address: as _TestMyManager, _TestRemoteManager and
 * _TestManagerRestart of CPython's tests. */
#include "manager/client_support.h"

#include <ipc/time.h>

/* ---- types: the same thing, with other methods to be seen ---- */

static int thing_create(const ipc_any *args, size_t count, void **out)
{
    (void)args;
    if (count != 0)
        return -EINVAL;
    *out = NULL;
    return 0;
}

static int say_f(ipc_manager_results *results)
{
    return ipc_manager_result(results, ipc_str("f()"));
}

static int foo_call(void *self, const char *method, const ipc_any *args,
                    size_t count, ipc_manager_results *results)
{
    (void)self;
    (void)args;
    (void)count;
    if (strcmp(method, "f") == 0)
        return say_f(results);
    if (strcmp(method, "g") == 0) { /* results before an error are dropped */
        (void)say_f(results);
        return -EDOM;
    }
    return -ENOSYS;
}

static int bar_call(void *self, const char *method, const ipc_any *args,
                    size_t count, ipc_manager_results *results)
{
    if (strcmp(method, "_h") == 0)
        return ipc_manager_result(results, ipc_str("_h()"));
    return strcmp(method, "f") == 0
               ? foo_call(self, method, args, count, results)
               : -ENOSYS;
}

/* Many results, where Python has an iterator. */
static int baz_call(void *self, const char *method, const ipc_any *args,
                    size_t count, ipc_manager_results *results)
{
    int rc = 0;
    (void)self;
    (void)args;
    (void)count;
    if (strcmp(method, "squares") != 0)
        return -ENOSYS;
    for (int64_t i = 0; i < 10 && rc == 0; i++)
        rc = ipc_manager_result(results, ipc_i64(i * i));
    return rc;
}

static const ipc_manager_type_ops foo = {sizeof foo, 0, thing_create, foo_call,
                                         NULL};
static const ipc_manager_type_ops bar = {sizeof bar, 0, thing_create, bar_call,
                                         NULL};
static const ipc_manager_type_ops baz = {sizeof baz, 0, thing_create, baz_call,
                                         NULL};

static void register_types(void)
{
    OK(ipc_manager_register("Foo", &foo));
    OK(ipc_manager_register("Bar", &bar));
    OK(ipc_manager_register("baz", &baz));
}

static ipc_managed *thing(ipc_manager *manager, const char *type)
{
    ipc_managed *made;
    IS(ipc_manager_object(manager, type, NULL, NULL, 0, &made), 1);
    return made;
}

static void expect_text(ipc_managed *object, const char *method,
                        const char *text)
{
    ipc_anys results;
    OK(ipc_managed_call(object, method, NULL, 0, &results));
    assert_int_equal(results.count, 1);
    assert_string_equal(results.items[0].str, text);
    ipc_anys_free(&results);
}

struct things {
    ipc_managed *foo;
    ipc_managed *bar;
    ipc_managed *baz;
};

static void use_things(void *arg)
{
    const struct things *things = arg;
    ipc_anys results;
    expect_text(things->foo, "f", "f()");
    IS(ipc_managed_call(things->foo, "g", NULL, 0, &results), -EDOM);
    IS(ipc_managed_call(things->foo, "_h", NULL, 0, &results), -ENOSYS);
    expect_text(things->bar, "f", "f()");
    expect_text(things->bar, "_h", "_h()");
    IS(ipc_managed_call(things->bar, "g", NULL, 0, &results), -ENOSYS);
    OK(ipc_managed_call(things->baz, "squares", NULL, 0, &results));
    assert_int_equal(results.count, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(results.items[i].i64, i * i);
    ipc_anys_free(&results);
}

static void types_of_ones_own_show_their_methods(void)
{
    struct role role;
    register_types();
    ipc_manager *manager = client_start(NULL);
    struct things things = {thing(manager, "Foo"), thing(manager, "Bar"),
                            thing(manager, "baz")};
    use_things(&things);
    role_start(&role, use_things, &things);
    role_wait_ok(&role, 5000);
    IS(ipc_manager_number_of_objects(manager), 3);
    OK(ipc_managed_close(things.foo));
    OK(ipc_managed_close(things.bar));
    IS(ipc_manager_number_of_objects(manager), 1);
    OK(ipc_managed_close(things.baz));
    IS(ipc_manager_number_of_objects(manager), 0);
    OK(ipc_manager_shutdown(manager));
    OK(ipc_manager_close(manager));
}

/* A server of another program does not have them. */
static void what_is_not_registered_there_is_not_to_be_had(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    register_types();
    ipc_manager *manager = client_connect(server);
    ipc_managed *made;
    IS(ipc_manager_object(manager, "Foo", NULL, NULL, 0, &made), -ENOSYS);
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

/* ---- far away ---- */

static const ipc_any values[] = {
    {.type = IPC_TYPE_STR, .str = "hello world", .size = 11},
    {.type = IPC_TYPE_NIL},
    {.type = IPC_TYPE_BOOL, .boolean = true},
    {.type = IPC_TYPE_F64, .f64 = 2.25},
    {.type = IPC_TYPE_STR, .str = "hall\xc3\xa5 v\xc3\xa4rlden", .size = 15},
    {.type = IPC_TYPE_BYTES, .bytes = "hall\xe5", .size = 5},
};
enum {
    VALUES = sizeof values / sizeof values[0]
};

static ipc_managed *queue_of(ipc_manager *manager)
{
    ipc_managed *queue;
    assert_true(ipc_manager_queue(manager, "queue", NULL, &queue) >= 0);
    return queue;
}

static void put_values(void *arg)
{
    ipc_manager *manager = client_connect(arg);
    ipc_managed *queue = queue_of(manager);
    for (size_t i = 0; i < VALUES; i++)
        OK(ipc_managed_queue_put(queue, values[i]));
    OK(ipc_managed_close(queue));
    OK(ipc_manager_close(manager));
}

static void values_go_from_one_program_to_another(void)
{
    struct client_server *server = client_server_new("tcp://127.0.0.1:0");
    struct role putter;
    client_server_start(server);
    role_start(&putter, put_values, server);
    ipc_manager *manager = client_connect(server);
    ipc_managed *queue = queue_of(manager);
    for (size_t i = 0; i < VALUES; i++) {
        ipc_any value;
        OK(ipc_managed_queue_get(queue, &value));
        assert_int_equal(ipc_any_compare(&value, &values[i]), 0);
        ipc_any_free(&value);
    }
    role_wait_ok(&putter, 5000);
    /* What is no value, and text that is none, is refused; it goes on. */
    IS(ipc_managed_queue_put(queue, ipc_any_with_type(99)), -EINVAL);
    IS(ipc_managed_queue_put(queue, ipc_str("hall\xe5")), -EILSEQ);
    IS(ipc_managed_queue_size(queue), 0);
    OK(ipc_managed_close(queue));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

/* ---- again at the same address ---- */

struct again {
    char address[200];
    uint8_t key[32];
};

static void put_hello(void *arg)
{
    const struct again *again = arg;
    ipc_manager *manager = NULL;
    OK(ipc_manager_connect(again->address, again->key, sizeof again->key, NULL,
                           &manager));
    ipc_managed *queue = queue_of(manager);
    OK(ipc_managed_queue_put(queue, ipc_str("hello world")));
    OK(ipc_managed_close(queue));
    OK(ipc_manager_close(manager));
}

static ipc_manager *start_at(struct again *again)
{
    const char *addresses[] = {again->address};
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.addresses = addresses;
    options.address_count = 1;
    options.key = again->key;
    options.key_bytes = sizeof again->key;
    return client_start(&options);
}

/* Each is a new one: what was in the one before is gone. */
static void start_and_restart(const char *address)
{
    struct again again = {.key = {1, 2, 3}};
    snprintf(again.address, sizeof again.address, "%s", address);
    for (int round = 0; round < 3; round++) {
        struct role putter;
        ipc_any value;
        ipc_manager *manager = start_at(&again);
        snprintf(again.address, sizeof again.address, "%s",
                 ipc_manager_address(manager));
        role_start(&putter, put_hello, &again);
        role_wait_ok(&putter, 5000);
        ipc_managed *queue = queue_of(manager);
        OK(ipc_managed_queue_get(queue, &value));
        assert_string_equal(value.str, "hello world");
        ipc_any_free(&value);
        IS(ipc_managed_queue_size(queue), 0);
        OK(ipc_managed_queue_put(queue, ipc_str("left behind")));
        OK(ipc_managed_close(queue));
        if (round != 1) /* else the end of it is that of the handle */
            OK(ipc_manager_shutdown(manager));
        OK(ipc_manager_close(manager));
    }
}

static void a_manager_starts_again_at_its_tcp_port(void)
{
    start_and_restart("tcp://127.0.0.1:0");
}

static void a_manager_starts_again_at_its_socket(void)
{
    char address[200];
    snprintf(address, sizeof address, "unix:%s/own/socket", test_tmpdir());
    start_and_restart(address);
}

static const struct test_case cases[] = {
    TEST_CASE(types_of_ones_own_show_their_methods),
    TEST_CASE(what_is_not_registered_there_is_not_to_be_had),
    TEST_CASE(values_go_from_one_program_to_another),
    TEST_CASE(a_manager_starts_again_at_its_tcp_port),
    TEST_CASE(a_manager_starts_again_at_its_socket),
};
TEST_MAIN(cases)
