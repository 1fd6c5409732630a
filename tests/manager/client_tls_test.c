/* Managers and links over tls: the key vouches for the server, or a certificate
 * authority does too. */
#include "manager/certificate_support.h"
#include "manager/client_support.h"

#include <pthread.h>

#include <ipc/listener.h>
#include <ipc/time.h>

#define KEY CLIENT_KEY

static struct {
    char certificate[256];
    char key[256];
    char other[256];
    char other_key[256];
} files;

static void make_files(void)
{
    make_certificate("server", NULL, "localhost");
    make_certificate("other", NULL, "somewhere");
    file_in_tmpdir("server", ".crt", files.certificate);
    file_in_tmpdir("server", ".key", files.key);
    file_in_tmpdir("other", ".crt", files.other);
    file_in_tmpdir("other", ".key", files.other_key);
}

static ipc_manager *start_tls(void)
{
    static const char *const addresses[] = {"tls://localhost:0"};
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.addresses = addresses;
    options.address_count = 1;
    options.key = KEY;
    options.key_bytes = strlen(KEY);
    options.tls_certificate = files.certificate;
    options.tls_key = files.key;
    return client_start(&options);
}

static int connect_tls(const char *address, const char *ca, const char *name)
{
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    ipc_manager *manager = NULL;
    options.tls_ca = ca;
    options.tls_name = name;
    const int rc =
        ipc_manager_connect(address, KEY, strlen(KEY), &options, &manager);
    if (rc == 0)
        OK(ipc_manager_close(manager));
    return rc;
}

static void *append_some(void *arg)
{
    for (int i = 0; i < 100; i++)
        OK(ipc_list_append_i64(arg, i));
    return NULL;
}

static void append_in_child(void *arg)
{
    append_some(arg);
}

static void threads_and_children_use_a_manager_over_tls(void)
{
    enum {
        THREADS = 4
    };
    make_files();
    ipc_manager *manager = start_tls();
    ipc_list *list;
    pthread_t threads[THREADS];
    struct role role;
    OK(ipc_manager_list(manager, "list", &list));
    /* First, as AddressSanitizer's memory may be locked by a thread when another
     * one forks. */
    role_start(&role, append_in_child, list);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_some, list),
                         0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    role_wait_ok(&role, 5000);
    IS(ipc_list_length(list), 100 + (int64_t)THREADS * 100);
    char *large = calloc(1, 500000);
    assert_non_null(large);
    OK(ipc_list_append(list, ipc_bytes(large, 500000)));
    ipc_any got;
    OK(ipc_list_pop(list, -1, &got));
    assert_int_equal(got.size, 500000);
    ipc_any_free(&got);
    free(large);
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
}

static void a_certificate_is_looked_at_if_there_is_an_authority(void)
{
    make_files();
    ipc_manager *manager = start_tls();
    const char *address = ipc_manager_address(manager);
    OK(connect_tls(address, NULL, NULL));
    OK(connect_tls(address, files.certificate, "localhost"));
    IS(connect_tls(address, files.other, NULL), -EKEYREJECTED);
    IS(connect_tls(address, files.certificate, "elsewhere"), -EKEYREJECTED);
    OK(ipc_manager_close(manager));
}

static void a_plain_client_gets_nowhere(void)
{
    char address[300];
    make_files();
    ipc_manager *manager = start_tls();
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.connect_ms = 500;
    ipc_manager *plain = NULL;
    snprintf(address, sizeof address, "tcp%s",
             ipc_manager_address(manager) + strlen("tls"));
    const int rc =
        ipc_manager_connect(address, KEY, strlen(KEY), &options, &plain);
    assert_true(rc == -ECONNRESET || rc == -EPROTO || rc == -ETIMEDOUT);
    OK(ipc_manager_ping(manager, ipc_after_ms(5000)));
    OK(ipc_manager_close(manager));
}

/* ---- links ---- */

struct pair {
    ipc_listener *listener;
    ipc_link *here;
    ipc_link *there;
};

static void *connect_there(void *arg)
{
    struct pair *pair = arg;
    OK(ipc_connect(ipc_listener_address(pair->listener), KEY, strlen(KEY), NULL,
                   &pair->there));
    return NULL;
}

static void pair_up(struct pair *pair)
{
    ipc_link_options options = IPC_LINK_OPTIONS_INIT;
    pthread_t thread;
    options.tls_certificate = files.certificate;
    options.tls_key = files.key;
    OK(ipc_listener_new("tls://localhost:0", KEY, strlen(KEY), &options,
                        &pair->listener));
    assert_int_equal(pthread_create(&thread, NULL, connect_there, pair), 0);
    OK(ipc_listener_accept_until(pair->listener, &pair->here,
                                 ipc_after_ms(5000)));
    assert_int_equal(pthread_join(thread, NULL), 0);
}

enum {
    MESSAGES = 50,
    LARGE = 300000
};

static void *send_many(void *arg)
{
    char *data = calloc(1, LARGE);
    assert_non_null(data);
    for (int i = 0; i < MESSAGES; i++) {
        memcpy(data, &i, sizeof i);
        OK(ipc_link_send(arg, data, i % 5 == 0 ? LARGE : sizeof i));
    }
    free(data);
    return NULL;
}

static void recv_many(ipc_link *link)
{
    for (int i = 0; i < MESSAGES; i++) {
        void *data = NULL;
        size_t bytes = 0;
        OK(ipc_link_recv_until(link, &data, &bytes, ipc_after_ms(10000)));
        assert_int_equal(bytes, i % 5 == 0 ? LARGE : sizeof i);
        assert_memory_equal(data, &i, sizeof i);
        free(data);
    }
}

static void *recv_in_thread(void *arg)
{
    recv_many(arg);
    return NULL;
}

static void links_over_tls_go_both_ways_at_once(void)
{
    make_files();
    struct pair pair;
    pthread_t threads[3];
    pair_up(&pair);
    assert_int_equal(pthread_create(&threads[0], NULL, send_many, pair.here),
                     0);
    assert_int_equal(pthread_create(&threads[1], NULL, send_many, pair.there),
                     0);
    assert_int_equal(
        pthread_create(&threads[2], NULL, recv_in_thread, pair.here), 0);
    recv_many(pair.there);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    /* Links outlive their listener, and its certificates. */
    OK(ipc_listener_close(pair.listener));
    void *data = NULL;
    size_t bytes = 0;
    OK(ipc_link_send(pair.here, "last", 4));
    OK(ipc_link_close(pair.here));
    OK(ipc_link_recv(pair.there, &data, &bytes));
    assert_string_equal(data, "last");
    free(data);
    IS(ipc_link_recv(pair.there, &data, &bytes), -EPIPE);
    OK(ipc_link_close(pair.there));
}

static void use_parents_link(void *arg)
{
    ipc_link *link = arg;
    IS(ipc_link_send(link, "x", 1), -ECHILD);
    IS(ipc_link_poll(link, IPC_TIME_NOW), -ECHILD);
    OK(ipc_link_close(link));
}

static void a_child_cannot_use_a_link_over_tls(void)
{
    make_files();
    struct pair pair;
    struct role role;
    void *data = NULL;
    size_t bytes = 0;
    pair_up(&pair);
    role_start(&role, use_parents_link, pair.here);
    role_wait_ok(&role, 5000);
    OK(ipc_link_send(pair.here, "still here", 10));
    OK(ipc_link_recv(pair.there, &data, &bytes));
    free(data);
    OK(ipc_link_close(pair.here));
    OK(ipc_link_close(pair.there));
    OK(ipc_listener_close(pair.listener));
}

static const struct test_case cases[] = {
    TEST_CASE(threads_and_children_use_a_manager_over_tls),
    TEST_CASE(a_certificate_is_looked_at_if_there_is_an_authority),
    TEST_CASE(a_plain_client_gets_nowhere),
    TEST_CASE(links_over_tls_go_both_ways_at_once),
    TEST_CASE(a_child_cannot_use_a_link_over_tls),
};

TEST_MAIN(cases)
