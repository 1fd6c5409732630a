/* Connections that are cut at every byte, and servers that are killed and
 * started again, under calls of a real client to a real server. */
#include "manager/client_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <ipc/time.h>

/* ---- somebody in between ---- */

struct proxy {
    char address[160]; /* where the client goes */
    const struct client_server *server;
    int32_t cut_at; /* so many bytes more to the client, then close; -1 */
    uint32_t cuts;
    uint32_t ready;
    struct role role;
};

static int proxy_listen(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int proxy_connect_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static int proxy_connect(const char *address)
{
    static const char local[] = "unix:";
    if (strncmp(address, local, sizeof local - 1) == 0)
        return proxy_connect_unix(address + sizeof local - 1);
    const char *text = strrchr(address, ':');
    assert_non_null(text);
    const uint16_t port = (uint16_t)strtoul(text + 1, NULL, 10);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* One piece from one side to the other: false when that is over. */
static bool proxy_pass(struct proxy *proxy, int from, int to, bool may_cut)
{
    char bytes[65536];
    ssize_t n = recv(from, bytes, sizeof bytes, 0);
    bool goes_on = n > 0;
    const int32_t cut = __atomic_load_n(&proxy->cut_at, __ATOMIC_ACQUIRE);
    if (may_cut && n > 0 && cut >= 0) {
        goes_on = n < cut;
        n = n < cut ? n : cut;
        __atomic_store_n(&proxy->cut_at, goes_on ? cut - (int32_t)n : -1,
                         __ATOMIC_RELEASE);
        proxy->cuts += goes_on ? 0 : 1;
    }
    return (n <= 0 || send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n) && goes_on;
}

static void proxy_serve(struct proxy *proxy, int client)
{
    const int server = proxy_connect(proxy->server->address);
    bool goes_on = true;
    while (goes_on) {
        struct pollfd items[] = {{.fd = client, .events = POLLIN},
                                 {.fd = server, .events = POLLIN}};
        assert_true(poll(items, 2, -1) > 0);
        if (items[1].revents != 0)
            goes_on = proxy_pass(proxy, server, client, true);
        if (goes_on && items[0].revents != 0)
            goes_on = proxy_pass(proxy, client, server, false);
    }
    close(client);
    close(server);
}

static void proxy_main(void *arg)
{
    struct proxy *proxy = arg;
    const int door = proxy_listen(proxy->address + strlen("unix:"));
    meet_signal(&proxy->ready);
    for (;;) {
        /* cppcheck-suppress nullPointer ; the name is not wanted */
        const int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fd >= 0);
        proxy_serve(proxy, fd);
    }
}

static struct proxy *proxy_start(const struct client_server *server)
{
    struct proxy *proxy = test_shared(sizeof *proxy);
    proxy->server = server;
    proxy->cut_at = -1;
    snprintf(proxy->address, sizeof proxy->address, "unix:%s/proxy",
             test_tmpdir());
    role_start(&proxy->role, proxy_main, proxy);
    meet_wait(&proxy->ready, 1, 5000);
    return proxy;
}

static void arm(struct proxy *proxy, int32_t at)
{
    __atomic_store_n(&proxy->cut_at, at, __ATOMIC_RELEASE);
}

/* ---- cut anywhere ---- */

static void an_append_is_done_once_wherever_its_reply_is_cut(void)
{
    struct client_server *server = client_server_new("tcp://127.0.0.1:0");
    client_server_start(server);
    struct proxy *proxy = proxy_start(server);
    ipc_manager *manager = client_connect_with(proxy->address, NULL);
    ipc_list *list;
    OK(ipc_manager_list(manager, "list", &list));
    for (int32_t at = 0; at < 7; at++) {
        arm(proxy, at);
        OK(ipc_list_append_i64(list, at));
        IS(ipc_list_length(list), at + 1);
    }
    assert_int_equal(proxy->cuts, 7);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
    role_kill(&proxy->role);
    client_server_kill(server);
}

static void a_pipeline_is_done_once_wherever_it_is_cut(void)
{
    enum {
        CALLS = 20,
        REPLY = 7
    };
    struct client_server *server = client_server_new("tcp://127.0.0.1:0");
    client_server_start(server);
    struct proxy *proxy = proxy_start(server);
    ipc_manager *manager = client_connect_with(proxy->address, NULL);
    ipc_list *list;
    OK(ipc_manager_list(manager, "list", &list));
    for (int32_t at = 0; at < CALLS * REPLY; at += 3) {
        ipc_calls *calls;
        OK(ipc_calls_new(manager, &calls));
        for (int i = 0; i < CALLS; i++) {
            const ipc_any value = ipc_i64(i);
            IS(ipc_calls_add(calls, ipc_any_list(list), IPC_OP_LIST_APPEND,
                             &value, 1),
               i);
        }
        arm(proxy, at);
        OK(ipc_calls_run(calls, 0));
        for (int i = 0; i < CALLS; i++)
            OK(ipc_calls_result(calls, (size_t)i, NULL));
        ipc_anys all;
        OK(ipc_list_slice(list, 0, INT64_MAX, 1, &all));
        assert_int_equal(all.count, CALLS);
        for (int i = 0; i < CALLS; i++)
            assert_int_equal(all.items[i].i64, i);
        ipc_anys_free(&all);
        OK(ipc_list_clear(list));
        OK(ipc_calls_free(calls));
    }
    test_report("cuts", proxy->cuts);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
    role_kill(&proxy->role);
    client_server_kill(server);
}

/* Of three calls the first cannot be sent, and the number of the third one's
 * list has to be asked for, which is cut. */
static void a_cut_while_they_are_prepared_sends_none_twice(void)
{
    enum {
        REPLY = 7
    };
    /* Over a Unix socket each connection is a new session. */
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    struct proxy *proxy = proxy_start(server);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.flags = IPC_MANAGER_NO_ARENA;
    ipc_manager *manager = client_connect_with(proxy->address, &options);
    ipc_manager *other = client_connect_with(server->address, &options);
    ipc_list *list, *second, *foreign;
    OK(ipc_manager_list(manager, "list", &list));
    OK(ipc_manager_list(manager, "second", &second));
    OK(ipc_manager_list(other, "foreign", &foreign));
    for (int32_t at = 0; at < REPLY; at++) {
        const ipc_any value = ipc_i64(at);
        const ipc_any elsewhere = ipc_any_list(foreign);
        ipc_calls *calls;
        OK(ipc_calls_new(manager, &calls));
        IS(ipc_calls_add(calls, ipc_any_list(list), IPC_OP_LIST_APPEND,
                         &elsewhere, 1),
           0);
        IS(ipc_calls_add(calls, ipc_any_list(list), IPC_OP_LIST_APPEND, &value,
                         1),
           1);
        IS(ipc_calls_add(calls, ipc_any_list(second), IPC_OP_LIST_APPEND,
                         &value, 1),
           2);
        arm(proxy, 0);
        IS(ipc_list_length(list), at);
        arm(proxy, at);
        OK(ipc_calls_run(calls, 0));
        IS(ipc_calls_result(calls, 0, NULL), -EXDEV);
        OK(ipc_calls_result(calls, 1, NULL));
        OK(ipc_calls_result(calls, 2, NULL));
        OK(ipc_calls_free(calls));
        IS(ipc_list_length(list), at + 1);
        IS(ipc_list_length(second), at + 1);
    }
    assert_int_equal(proxy->cuts, 2 * REPLY);
    OK(ipc_list_close(list));
    OK(ipc_list_close(second));
    OK(ipc_list_close(foreign));
    OK(ipc_manager_close(other));
    OK(ipc_manager_close(manager));
    role_kill(&proxy->role);
    client_server_kill(server);
}

static void what_is_held_stays_held_over_a_cut(void)
{
    struct client_server *server = client_server_new("tcp://127.0.0.1:0");
    client_server_start(server);
    struct proxy *proxy = proxy_start(server);
    ipc_manager *manager = client_connect_with(proxy->address, NULL);
    ipc_managed *lock;
    ipc_managed *queue;
    uint64_t before = 0;
    uint64_t after = 0;
    ipc_any got;
    IS(ipc_manager_lock(manager, NULL, &lock), 1);
    IS(ipc_manager_queue(manager, NULL, NULL, &queue), 1);
    for (int32_t at = 0; at < 6; at++) {
        arm(proxy, at);
        OK(ipc_managed_lock_acquire(lock));
        OK(ipc_managed_lock_token(lock, &before));
        arm(proxy, at);
        OK(ipc_managed_lock_check(lock, before));
        OK(ipc_managed_lock_token(lock, &after));
        assert_int_equal(before, after);
        OK(ipc_managed_queue_put(queue, ipc_i64(at)));
        arm(proxy, at);
        OK(ipc_managed_queue_get(queue, &got));
        assert_int_equal(got.i64, at);
        IS(ipc_managed_queue_size(queue), 0);
        arm(proxy, at);
        OK(ipc_managed_lock_release(lock));
    }
    OK(ipc_managed_close(lock));
    OK(ipc_managed_close(queue));
    OK(ipc_manager_close(manager));
    role_kill(&proxy->role);
    client_server_kill(server);
}

static void waiting_goes_on_over_a_cut(void)
{
    struct client_server *server = client_server_new("tcp://127.0.0.1:0");
    client_server_start(server);
    struct proxy *proxy = proxy_start(server);
    ipc_manager *manager = client_connect_with(proxy->address, NULL);
    ipc_managed *queue;
    ipc_any got;
    IS(ipc_manager_queue(manager, NULL, NULL, &queue), 1);
    arm(proxy, 0);
    const int64_t begin = test_now_ns();
    IS(ipc_managed_queue_get_until(queue, &got, ipc_after_ms(60)), -ETIMEDOUT);
    assert_true(test_now_ns() - begin >= IPC_MS(60));
    OK(ipc_managed_close(queue));
    OK(ipc_manager_close(manager));
    role_kill(&proxy->role);
    client_server_kill(server);
}

/* ---- killed and started again ---- */

static void names_are_found_again_and_the_rest_is_stale(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.flags = IPC_MANAGER_NO_ARENA;
    ipc_manager *manager = client_connect_with(server->address, &options);
    ipc_list *named;
    ipc_list *nameless;
    ipc_managed *lock;
    ipc_managed *array;
    OK(ipc_manager_list(manager, "named", &named));
    OK(ipc_manager_list(manager, NULL, &nameless));
    IS(ipc_manager_lock(manager, "lock", &lock), 1);
    IS(ipc_manager_array(manager, "array", IPC_TYPE_I64, 7, NULL, NULL, &array),
       1);
    OK(ipc_managed_lock_acquire(lock));
    OK(ipc_list_append_i64(named, 1));
    client_server_kill(server);
    client_server_start(server);
    IS(ipc_list_length(named), 0);
    IS(ipc_list_length(nameless), -ESTALE);
    IS(ipc_managed_array_length(array), 7);
    IS(ipc_managed_lock_is_held(lock), 0);
    IS(ipc_managed_lock_release(lock), -EPERM);
    OK(ipc_managed_lock_acquire(lock));
    OK(ipc_list_close(named));
    OK(ipc_list_close(nameless));
    OK(ipc_managed_close(lock));
    OK(ipc_managed_close(array));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

/* What others have opened first in the next server is not ours, whatever number
 * it has. */
static void a_handle_of_the_last_server_is_nobody_elses(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.flags = IPC_MANAGER_NO_ARENA;
    ipc_manager *us = client_connect_with(server->address, &options);
    ipc_managed *ours;
    ipc_list *our_list;
    ipc_list *nameless;
    IS(ipc_manager_lock(us, "ours", &ours), 1);
    OK(ipc_manager_list(us, "our list", &our_list));
    OK(ipc_manager_list(us, NULL, &nameless));
    client_server_kill(server);
    client_server_start(server);
    ipc_manager *they = client_connect_with(server->address, &options);
    ipc_managed *theirs;
    ipc_list *their_list;
    ipc_list *another;
    IS(ipc_manager_lock(they, "theirs", &theirs), 1);
    OK(ipc_manager_list(they, "their list", &their_list));
    OK(ipc_manager_list(they, NULL, &another));
    OK(ipc_list_append_i64(their_list, 1));
    OK(ipc_list_append_i64(another, 1));
    OK(ipc_managed_lock_acquire(ours));
    OK(ipc_managed_lock_acquire_nowait(theirs));
    OK(ipc_list_clear(our_list));
    IS(ipc_list_clear(nameless), -ESTALE);
    IS(ipc_list_length(their_list), 1);
    IS(ipc_list_length(another), 1);
    OK(ipc_list_close(our_list));
    OK(ipc_list_close(nameless));
    OK(ipc_managed_close(ours));
    OK(ipc_list_close(their_list));
    OK(ipc_list_close(another));
    OK(ipc_managed_close(theirs));
    OK(ipc_manager_close(us));
    OK(ipc_manager_close(they));
    client_server_kill(server);
}

static struct {
    struct client_server *server;
    atomic_int done;
    atomic_bool over;
    int kills;
} storm;

static void *kill_and_restart(void *arg)
{
    const int kills = *(int *)arg;
    client_server_start(storm.server);
    atomic_store(&storm.done, 0);
    for (int i = 0; i < kills; i++) {
        const int before = atomic_load(&storm.done);
        while (atomic_load(&storm.done) < before + 5)
            poll_pause();
        client_server_kill(storm.server);
        client_server_start(storm.server);
        storm.kills++;
    }
    atomic_store(&storm.over, true);
    while (atomic_load(&storm.done) >= 0)
        poll_pause();
    client_server_kill(storm.server);
    return NULL;
}

static void durable_appends_are_done_once_while_the_server_is_killed(void)
{
    int kills = 8;
    pthread_t thread;
    storm.server = client_server_new(NULL);
    snprintf(storm.server->store, sizeof storm.server->store, "%s/store",
             test_tmpdir());
    storm.server->durability = IPC_DURABLE_INTERVAL;
    atomic_store(&storm.done, -1);
    assert_int_equal(pthread_create(&thread, NULL, kill_and_restart, &kills),
                     0);
    while (atomic_load(&storm.done) < 0)
        poll_pause();
    ipc_manager *manager = client_connect(storm.server);
    ipc_list *list;
    OK(ipc_manager_list(manager, "list", &list));
    int count = 0;
    while (!atomic_load(&storm.over)) {
        OK(ipc_list_append_i64(list, count++));
        atomic_store(&storm.done, count);
    }
    IS(ipc_list_length(list), count);
    for (int i = 0; i < count; i++) {
        int64_t number = -1;
        OK(ipc_list_get_i64(list, i, &number));
        assert_int_equal(number, i);
    }
    test_report("appends", count);
    test_report("kills", storm.kills);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
    atomic_store(&storm.done, -1);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(an_append_is_done_once_wherever_its_reply_is_cut),
    TEST_CASE(a_pipeline_is_done_once_wherever_it_is_cut),
    TEST_CASE(a_cut_while_they_are_prepared_sends_none_twice),
    TEST_CASE(what_is_held_stays_held_over_a_cut),
    TEST_CASE(waiting_goes_on_over_a_cut),
    TEST_CASE(names_are_found_again_and_the_rest_is_stale),
    TEST_CASE(a_handle_of_the_last_server_is_nobody_elses),
    TEST_CASE(durable_appends_are_done_once_while_the_server_is_killed),
};

TEST_MAIN(cases)
