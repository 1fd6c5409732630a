/* listener.h: who may come, and links and listeners of several processes and
 * threads. */
#include "manager/listener_support.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- who may come ---- */

static void connect_with_other_key(void *arg)
{
    ipc_link *link = NULL;
    IS(ipc_connect(arg, OTHER, strlen(OTHER), NULL, &link), -EACCES);
    assert_null(link);
}

static void connect_once(void *arg)
{
    ipc_link *link = NULL;
    OK(ipc_connect(arg, KEY, strlen(KEY), NULL, &link));
    OK(ipc_link_send(link, "me", 2));
    OK(ipc_link_close(link));
}

static void who_has_not_the_key_is_refused_and_nobody_else(void)
{
    ipc_listener *listener = listen_at(unix_address(), NULL);
    struct role wrong, right;
    ipc_link *link = NULL;
    char address[200];
    snprintf(address, sizeof address, "%s", ipc_listener_address(listener));
    IS(ipc_listener_accept_nowait(listener, &link), -EAGAIN);
    IS(ipc_listener_accept_until(listener, &link, ipc_after_ms(5)), -ETIMEDOUT);
    role_start(&wrong, connect_with_other_key, address);
    IS(ipc_listener_accept_until(listener, &link, ipc_after_ms(100)),
       -ETIMEDOUT);
    role_wait_ok(&wrong, 5000);
    role_start(&right, connect_once, address);
    OK(ipc_listener_accept_until(listener, &link, ipc_after_ms(5000)));
    role_wait_ok(&right, 5000);
    OK(ipc_link_close(link));
    OK(ipc_listener_close(listener));
}

static int knock(const char *address)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", address + strlen("unix:"));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void who_says_nothing_holds_nobody_up(void)
{
    enum {
        SILENT = 150
    };
    ipc_link_options options = IPC_LINK_OPTIONS_INIT;
    options.connect_ms = 200;
    options.backlog = 256;
    ipc_listener *listener = listen_at(unix_address(), &options);
    int fds[SILENT];
    for (int i = 0; i < SILENT; i++)
        fds[i] = knock(ipc_listener_address(listener));
    struct pair pair = {.listener = listener};
    pair_up(&pair);
    say(pair.here, pair.there, "through");
    OK(ipc_link_close(pair.here));
    OK(ipc_link_close(pair.there));
    /* After a while they are sent away. */
    ipc_link *none = NULL;
    IS(ipc_listener_accept_until(listener, &none, ipc_after_ms(300)),
       -ETIMEDOUT);
    for (int i = 0; i < SILENT; i++) {
        char byte;
        assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
        close(fds[i]);
    }
    OK(ipc_listener_close(listener));
}

static void nonsense_is_sent_away(void)
{
    ipc_listener *listener = listen_at(unix_address(), NULL);
    for (int i = 0; i < 20; i++) {
        const int fd = knock(ipc_listener_address(listener));
        char noise[100];
        memset(noise, 'a' + i, sizeof noise);
        assert_int_equal(send(fd, noise, sizeof noise, MSG_NOSIGNAL),
                         sizeof noise);
        ipc_link *none = NULL;
        IS(ipc_listener_accept_until(listener, &none, ipc_after_ms(2)),
           -ETIMEDOUT);
        close(fd);
    }
    struct pair pair = {.listener = listener};
    pair_up(&pair);
    end_pair(&pair);
}

static void a_manager_is_no_listener(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_link *link = NULL;
    IS(ipc_connect(server->address, KEY, strlen(KEY), NULL, &link), -EINVAL);
    client_server_kill(server);
}

static void arguments_are_looked_at(void)
{
    ipc_listener *listener = NULL;
    ipc_link *link = NULL;
    ipc_link_options options = IPC_LINK_OPTIONS_INIT;
    IS(ipc_listener_new("nonsense", KEY, strlen(KEY), NULL, &listener),
       -EINVAL);
    IS(ipc_listener_new("tcp://127.0.0.1:0", "short", 5, NULL, &listener),
       -EINVAL);
    IS(ipc_listener_new("tcp://0.0.0.0:0", KEY, strlen(KEY), NULL, &listener),
       -EPERM);
    IS(ipc_listener_new("tls://127.0.0.1:0", KEY, strlen(KEY), NULL, &listener),
       -EINVAL);
    options.flags = 8;
    IS(ipc_listener_new("tcp://127.0.0.1:0", KEY, strlen(KEY), &options,
                        &listener),
       -EINVAL);
    IS(ipc_connect("unix:/no/such/socket", KEY, strlen(KEY), NULL, &link),
       -ENOENT);
    IS(ipc_connect("tcp://127.0.0.1:1", KEY, strlen(KEY), NULL, &link),
       -ECONNREFUSED);
    OK(ipc_listener_close(NULL));
    options.flags = IPC_LINK_PLAIN_TCP;
    listener = listen_at("tcp://0.0.0.0:0", &options);
    OK(ipc_listener_close(listener));
}

/* ---- processes and threads ---- */

static void accept_in_child(void *arg)
{
    ipc_listener *listener = arg;
    ipc_link *link = NULL;
    void *data = NULL;
    size_t bytes = 0;
    OK(ipc_listener_accept_until(listener, &link, ipc_after_ms(5000)));
    OK(ipc_link_recv(link, &data, &bytes));
    OK(ipc_link_send(link, data, bytes));
    free(data);
    OK(ipc_link_close(link));
    OK(ipc_listener_close(listener));
}

static void children_accept_at_their_parents_listener(void)
{
    enum {
        CHILDREN = 3
    };
    ipc_listener *listener = listen_at(unix_address(), NULL);
    struct role roles[CHILDREN];
    ipc_link *link = NULL;
    void *data = NULL;
    size_t bytes = 0;
    /* One in the middle of its handshake with the parent. */
    const int silent = knock(ipc_listener_address(listener));
    IS(ipc_listener_accept_nowait(listener, &link), -EAGAIN);
    for (int i = 0; i < CHILDREN; i++)
        role_start(&roles[i], accept_in_child, listener);
    for (int i = 0; i < CHILDREN; i++) {
        OK(ipc_connect(ipc_listener_address(listener), KEY, strlen(KEY), NULL,
                       &link));
        OK(ipc_link_send(link, "echo", 4));
        OK(ipc_link_recv(link, &data, &bytes));
        assert_string_equal(data, "echo");
        free(data);
        OK(ipc_link_close(link));
    }
    for (int i = 0; i < CHILDREN; i++)
        role_wait_ok(&roles[i], 5000);
    close(silent);
    /* The children have not removed the file. */
    struct pair pair = {.listener = listener};
    pair_up(&pair);
    end_pair(&pair);
}

static void echo_in_child(void *arg)
{
    ipc_link *link = arg;
    void *data = NULL;
    size_t bytes = 0;
    OK(ipc_link_recv(link, &data, &bytes));
    OK(ipc_link_send(link, data, bytes));
    free(data);
    OK(ipc_link_close(link));
}

static void a_link_is_given_to_a_child(void)
{
    struct pair pair = pair_at(unix_address(), NULL);
    struct role role;
    void *data = NULL;
    size_t bytes = 0;
    role_start(&role, echo_in_child, pair.here);
    OK(ipc_link_close(pair.here));
    OK(ipc_link_send(pair.there, "to the child", 12));
    OK(ipc_link_recv(pair.there, &data, &bytes));
    assert_string_equal(data, "to the child");
    free(data);
    role_wait_ok(&role, 5000);
    IS(ipc_link_recv(pair.there, &data, &bytes), -EPIPE);
    OK(ipc_link_close(pair.there));
    OK(ipc_listener_close(pair.listener));
}

enum {
    TALKERS = 4,
    WORDS = 200
};

static void *talk(void *arg)
{
    struct pair *pair = arg;
    for (int i = 0; i < WORDS; i++)
        OK(ipc_link_send(pair->there, &i, sizeof i));
    return NULL;
}

static void *hear(void *arg)
{
    struct pair *pair = arg;
    intptr_t sum = 0;
    for (int i = 0; i < WORDS; i++) {
        void *data = NULL;
        size_t bytes = 0;
        int number;
        OK(ipc_link_recv(pair->here, &data, &bytes));
        assert_int_equal(bytes, sizeof number);
        memcpy(&number, data, sizeof number);
        sum += number;
        free(data);
    }
    return (void *)sum;
}

static void many_threads_use_one_link(void)
{
    struct pair pair = pair_at(unix_address(), NULL);
    pthread_t threads[2 * TALKERS];
    intptr_t sum = 0;
    for (int i = 0; i < 2 * TALKERS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i % 2 == 0 ? talk : hear, &pair),
            0);
    for (int i = 0; i < 2 * TALKERS; i++) {
        void *part = NULL;
        assert_int_equal(pthread_join(threads[i], &part), 0);
        sum += (intptr_t)part;
    }
    assert_int_equal(sum, TALKERS * WORDS * (WORDS - 1) / 2);
    end_pair(&pair);
}

static bool readable(int fd, int ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, ms) == 1;
}

static void descriptors_tell_when_there_is_something_to_do(void)
{
    ipc_listener *listener = listen_at(unix_address(), NULL);
    struct pair pair = {.listener = listener};
    pthread_t thread;
    void *data = NULL;
    size_t bytes = 0;
    assert_false(readable(ipc_listener_fd(listener), 0));
    assert_int_equal(pthread_create(&thread, NULL, connect_there, &pair), 0);
    int rc = -EAGAIN;
    while (rc == -EAGAIN) {
        assert_true(readable(ipc_listener_fd(listener), 5000));
        rc = ipc_listener_accept_nowait(listener, &pair.here);
    }
    OK(rc);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(readable(ipc_link_fd(pair.here), 0));
    OK(ipc_link_send(pair.there, "x", 1));
    assert_true(readable(ipc_link_fd(pair.here), 5000));
    OK(ipc_link_recv_nowait(pair.here, &data, &bytes));
    free(data);
    end_pair(&pair);
}

static const struct test_case cases[] = {
    TEST_CASE(who_has_not_the_key_is_refused_and_nobody_else),
    TEST_CASE(who_says_nothing_holds_nobody_up),
    TEST_CASE(nonsense_is_sent_away),
    TEST_CASE(a_manager_is_no_listener),
    TEST_CASE(arguments_are_looked_at),
    TEST_CASE(children_accept_at_their_parents_listener),
    TEST_CASE(a_link_is_given_to_a_child),
    TEST_CASE(many_threads_use_one_link),
    TEST_CASE(descriptors_tell_when_there_is_something_to_do),
};

TEST_MAIN(cases)
