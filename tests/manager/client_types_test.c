/* Every type of a manager, from a child: filled by the parent, looked at and
 * changed by a process that inherited the handles, and by one that connects by
 * itself and asks for the names.  As TestSyncManagerTypes of CPython's tests. */
#include "manager/client_support.h"

#include <ipc/time.h>

/* What a case is about. */
static struct scene {
    ipc_manager *manager;
    char address[200];
    ipc_any container;
    ipc_managed *managed;
    void (*open)(void);
    void (*look)(void);
} scene;

static void begin(void)
{
    scene.manager = client_start(NULL);
    snprintf(scene.address, sizeof scene.address, "%s",
             ipc_manager_address(scene.manager));
}

static void end(void)
{
    if (scene.managed != NULL)
        OK(ipc_managed_close(scene.managed));
    ipc_any_free(&scene.container);
    OK(ipc_manager_close(scene.manager));
}

static void inherit(void *unused)
{
    (void)unused;
    scene.look();
}

/* Its own connection, and its own handles by name. */
static void come_anew(void *unused)
{
    (void)unused;
    size_t bytes;
    const void *key = ipc_manager_key(scene.manager, &bytes);
    ipc_manager *own = NULL;
    OK(ipc_manager_connect(scene.address, key, bytes, NULL, &own));
    scene.manager = own;
    scene.managed = NULL;
    scene.container = ipc_nil();
    scene.open();
    scene.look();
    end();
}

/* `fill` makes it, or finds it, and puts in what the first look takes out. */
static void in_children(void (*open)(void), void (*fill)(void),
                        void (*look)(void))
{
    struct role role;
    begin();
    scene.open = open;
    scene.look = look;
    open();
    fill();
    role_start(&role, inherit, NULL);
    role_wait_ok(&role, 10000);
    fill();
    role_start(&role, come_anew, NULL);
    role_wait_ok(&role, 10000);
    end();
}

static void nothing(void)
{
}

static void made(int rc)
{
    if (rc < 0)
        test_fail("%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* ---- event ---- */

static void open_event(void)
{
    made(ipc_manager_event(scene.manager, "event", &scene.managed));
}

static void look_at_event(void)
{
    IS(ipc_managed_event_is_set(scene.managed), 0);
    OK(ipc_managed_event_set(scene.managed));
    OK(ipc_managed_event_wait_until(scene.managed, ipc_after_ms(1000)));
    IS(ipc_managed_event_is_set(scene.managed), 1);
    OK(ipc_managed_event_clear(scene.managed));
}

static void an_event(void)
{
    in_children(open_event, nothing, look_at_event);
}

/* ---- locks, semaphores ---- */

static void open_lock(void)
{
    made(ipc_manager_lock(scene.manager, "lock", &scene.managed));
}

static void open_rlock(void)
{
    made(ipc_manager_rlock(scene.manager, "rlock", &scene.managed));
}

static void look_at_lock(void)
{
    OK(ipc_managed_lock_acquire(scene.managed));
    IS(ipc_managed_lock_is_held(scene.managed), 1);
    OK(ipc_managed_lock_release(scene.managed));
    IS(ipc_managed_lock_release(scene.managed), -EPERM);
}

static void look_at_rlock(void)
{
    OK(ipc_managed_lock_acquire(scene.managed));
    OK(ipc_managed_lock_acquire(scene.managed));
    OK(ipc_managed_lock_release(scene.managed));
    IS(ipc_managed_lock_is_held(scene.managed), 1);
    OK(ipc_managed_lock_release(scene.managed));
    IS(ipc_managed_lock_is_held(scene.managed), 0);
}

static void a_lock(void)
{
    in_children(open_lock, nothing, look_at_lock);
}

static void an_rlock(void)
{
    in_children(open_rlock, nothing, look_at_rlock);
}

static void open_semaphore(void)
{
    made(ipc_manager_semaphore(scene.manager, "semaphore", 1, NULL,
                               &scene.managed));
}

static void open_bounded(void)
{
    made(ipc_manager_bounded_semaphore(scene.manager, "bounded", 1,
                                       &scene.managed));
}

static void look_at_semaphore(void)
{
    OK(ipc_managed_semaphore_acquire(scene.managed));
    IS(ipc_managed_semaphore_acquire_nowait(scene.managed), -EAGAIN);
    OK(ipc_managed_semaphore_release(scene.managed));
    IS(ipc_managed_semaphore_value(scene.managed), 1);
}

static void look_at_bounded(void)
{
    look_at_semaphore();
    IS(ipc_managed_semaphore_release(scene.managed), -EOVERFLOW);
}

static void a_semaphore(void)
{
    in_children(open_semaphore, nothing, look_at_semaphore);
}

static void a_bounded_semaphore(void)
{
    in_children(open_bounded, nothing, look_at_bounded);
}

/* ---- condition, barrier ---- */

static void open_condition(void)
{
    made(ipc_manager_condition(scene.manager, "condition", NULL,
                               &scene.managed));
}

static void look_at_condition(void)
{
    OK(ipc_managed_lock_acquire(scene.managed));
    OK(ipc_managed_condition_notify_all(scene.managed));
    IS(ipc_managed_condition_wait_until(scene.managed, ipc_after_ms(1)),
       -ETIMEDOUT);
    OK(ipc_managed_lock_release(scene.managed));
    IS(ipc_managed_condition_notify(scene.managed, 1), -EPERM);
}

static void a_condition(void)
{
    in_children(open_condition, nothing, look_at_condition);
}

static void open_barrier(void)
{
    made(ipc_manager_barrier(scene.manager, "barrier", 5, &scene.managed));
}

static void look_at_barrier(void)
{
    IS(ipc_managed_barrier_parties(scene.managed), 5);
    IS(ipc_managed_barrier_waiting(scene.managed), 0);
    IS(ipc_managed_barrier_is_broken(scene.managed), 0);
    OK(ipc_managed_barrier_reset(scene.managed));
}

static void a_barrier(void)
{
    in_children(open_barrier, nothing, look_at_barrier);
}

/* ---- queue, value, array ---- */

static void open_queue(void)
{
    ipc_managed_options options = IPC_MANAGED_OPTIONS_INIT;
    options.capacity = 2;
    made(ipc_manager_queue(scene.manager, "queue", &options, &scene.managed));
}

static void fill_queue(void)
{
    OK(ipc_managed_queue_put(scene.managed, ipc_i64(5)));
    OK(ipc_managed_queue_put(scene.managed, ipc_i64(6)));
}

static void look_at_queue(void)
{
    ipc_any message;
    IS(ipc_managed_queue_size(scene.managed), 2);
    IS(ipc_managed_queue_put_nowait(scene.managed, ipc_i64(7)), -EAGAIN);
    for (int64_t i = 5; i <= 6; i++) {
        OK(ipc_managed_queue_get(scene.managed, &message));
        assert_int_equal(message.i64, i);
        OK(ipc_managed_queue_task_done(scene.managed));
    }
    IS(ipc_managed_queue_size(scene.managed), 0);
    IS(ipc_managed_queue_get_nowait(scene.managed, &message), -EAGAIN);
    OK(ipc_managed_queue_join(scene.managed));
    IS(ipc_managed_queue_task_done(scene.managed), -EINVAL);
}

static void a_queue_that_is_joinable(void)
{
    in_children(open_queue, fill_queue, look_at_queue);
}

static void open_value(void)
{
    made(ipc_manager_value(scene.manager, "value", ipc_i64(1), NULL,
                           &scene.managed));
}

static void fill_value(void)
{
    OK(ipc_managed_value_set(scene.managed, ipc_i64(1)));
}

static void look_at_value(void)
{
    ipc_any value;
    OK(ipc_managed_value_get(scene.managed, &value));
    assert_int_equal(value.i64, 1);
    OK(ipc_managed_value_set(scene.managed, ipc_str("two")));
    OK(ipc_managed_value_get(scene.managed, &value));
    assert_string_equal(value.str, "two");
    ipc_any_free(&value);
}

static void a_value(void)
{
    in_children(open_value, fill_value, look_at_value);
}

static void open_array(void)
{
    const ipc_any initial[] = {ipc_i64(0), ipc_i64(1)};
    made(ipc_manager_array(scene.manager, "array", IPC_TYPE_I64, 2, initial,
                           NULL, &scene.managed));
}

static void look_at_array(void)
{
    ipc_anys all;
    IS(ipc_managed_array_length(scene.managed), 2);
    OK(ipc_managed_array_slice(scene.managed, 0, 2, &all));
    assert_int_equal(all.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(all.items[i].i64, i);
    ipc_anys_free(&all);
    OK(ipc_managed_array_set(scene.managed, 1, ipc_i64(1)));
    IS(ipc_managed_array_set(scene.managed, 2, ipc_i64(1)), -ERANGE);
}

static void an_array(void)
{
    in_children(open_array, nothing, look_at_array);
}

/* ---- containers ---- */

static void open_container(uint32_t type, const char *name)
{
    made(ipc_manager_open(scene.manager, type, name, NULL, &scene.container));
}

static void open_list(void)
{
    open_container(IPC_TYPE_LIST, "list");
}

static void fill_list(void)
{
    OK(ipc_list_append_i64(scene.container.list, 5));
}

static void look_at_list(void)
{
    ipc_list *list = scene.container.list;
    int64_t item;
    OK(ipc_list_get_i64(list, 0, &item));
    assert_int_equal(item, 5);
    IS(ipc_list_count(list, ipc_i64(5)), 1);
    uint64_t where = 9;
    OK(ipc_list_index(list, ipc_i64(5), 0, INT64_MAX, &where));
    assert_int_equal(where, 0);
    OK(ipc_list_sort(list, 0));
    OK(ipc_list_reverse(list));
    IS(ipc_list_length(list), 1);
    OK(ipc_list_pop_i64(list, -1, &item));
    assert_int_equal(item, 5);
}

static void a_list(void)
{
    in_children(open_list, fill_list, look_at_list);
}

static void open_dict(void)
{
    open_container(IPC_TYPE_DICT, "dict");
}

static void fill_dict(void)
{
    OK(ipc_dict_set_i64(scene.container.dict, "foo", 5));
}

static void look_at_dict(void)
{
    ipc_dict *dict = scene.container.dict;
    int64_t number;
    ipc_anys all;
    ipc_any key;
    ipc_any value;
    IS(ipc_dict_length(dict), 1);
    OK(ipc_dict_get_i64(dict, "foo", &number));
    assert_int_equal(number, 5);
    OK(ipc_dict_items(dict, &all));
    assert_int_equal(all.count, 2);
    assert_string_equal(all.items[0].str, "foo");
    assert_int_equal(all.items[1].i64, 5);
    ipc_anys_free(&all);
    OK(ipc_dict_popitem(dict, &key, &value));
    assert_string_equal(key.str, "foo");
    assert_int_equal(value.i64, 5);
    ipc_any_free(&key);
    IS(ipc_dict_length(dict), 0);
}

static void a_dict(void)
{
    in_children(open_dict, fill_dict, look_at_dict);
}

static void open_set(void)
{
    open_container(IPC_TYPE_SET, "set");
}

static void fill_set(void)
{
    const ipc_any members[] = {ipc_i64(1), ipc_i64(2), ipc_i64(2)};
    OK(ipc_set_update(scene.container.set, members, 3));
}

static void look_at_set(void)
{
    ipc_set *set = scene.container.set;
    IS(ipc_set_length(set), 2);
    IS(ipc_set_contains(set, ipc_i64(2)), 1);
    OK(ipc_set_remove(set, ipc_i64(2)));
    IS(ipc_set_remove(set, ipc_i64(2)), -ENOENT);
}

static void a_set(void)
{
    in_children(open_set, fill_set, look_at_set);
}

static void open_namespace(void)
{
    open_container(IPC_TYPE_NAMESPACE, "names");
}

static void fill_namespace(void)
{
    OK(ipc_namespace_set_i64(scene.container.names, "x", 0));
    OK(ipc_namespace_set_i64(scene.container.names, "y", 1));
}

static void look_at_namespace(void)
{
    int64_t number;
    OK(ipc_namespace_get_i64(scene.container.names, "x", &number));
    assert_int_equal(number, 0);
    OK(ipc_namespace_get_i64(scene.container.names, "y", &number));
    assert_int_equal(number, 1);
    IS(ipc_namespace_get_i64(scene.container.names, "z", &number), -ENOENT);
}

static void a_namespace(void)
{
    in_children(open_namespace, fill_namespace, look_at_namespace);
}

static const struct test_case cases[] = {
    TEST_CASE(an_event),    TEST_CASE(a_lock),
    TEST_CASE(an_rlock),    TEST_CASE(a_semaphore),
    TEST_CASE(a_condition), TEST_CASE(a_bounded_semaphore),
    TEST_CASE(a_barrier),   TEST_CASE(a_queue_that_is_joinable),
    TEST_CASE(a_value),     TEST_CASE(an_array),
    TEST_CASE(a_list),      TEST_CASE(a_dict),
    TEST_CASE(a_set),       TEST_CASE(a_namespace),
};
TEST_MAIN(cases)
