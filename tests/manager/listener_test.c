/* listener.h: messages, and how links end. */
#include "manager/listener_support.h"

#include <signal.h>

/* ---- messages ---- */

static void messages_go_both_ways_at(const char *address)
{
    struct pair pair = pair_at(address, NULL);
    say(pair.here, pair.there, "hello");
    say(pair.there, pair.here, "hello yourself");
    say(pair.here, pair.there, "");
    end_pair(&pair);
}

static void messages_go_both_ways(void)
{
    messages_go_both_ways_at(unix_address());
    messages_go_both_ways_at("tcp://127.0.0.1:0");
    messages_go_both_ways_at("tcp://[::1]:0");
}

static void who_came_and_where_is_told(void)
{
    ipc_listener *listener = listen_at("tcp://127.0.0.1:0", NULL);
    assert_string_equal(ipc_listener_last(listener), "");
    assert_null(strstr(ipc_listener_address(listener), ":0"));
    struct pair pair = {.listener = listener};
    pair_up(&pair);
    assert_non_null(strstr(ipc_listener_last(listener), "tcp://127.0.0.1:"));
    end_pair(&pair);
    pair = pair_at(unix_address(), NULL);
    assert_non_null(strstr(ipc_listener_last(pair.listener), "unix: pid "));
    end_pair(&pair);
}

static void *send_large(void *arg)
{
    struct pair *pair = arg;
    enum {
        MANY = 40
    };
    for (int i = 0; i < MANY; i++) {
        const size_t bytes = (size_t)i * 50021;
        uint8_t *data = malloc(bytes + 1);
        assert_non_null(data);
        memset(data, i, bytes);
        OK(ipc_link_send(pair->here, data, bytes));
        free(data);
    }
    return NULL;
}

static void large_messages_arrive_whole_and_in_order_at(const char *address)
{
    struct pair pair = pair_at(address, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_large, &pair), 0);
    for (int i = 0; i < 40; i++) {
        void *data = NULL;
        size_t bytes = 0;
        OK(ipc_link_recv(pair.there, &data, &bytes));
        assert_int_equal(bytes, (size_t)i * 50021);
        for (size_t at = 0; at < bytes; at += 4999)
            assert_int_equal(((uint8_t *)data)[at], i);
        assert_int_equal(((uint8_t *)data)[bytes], 0);
        free(data);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    end_pair(&pair);
}

static void large_messages_arrive_whole_and_in_order(void)
{
    large_messages_arrive_whole_and_in_order_at(unix_address());
    large_messages_arrive_whole_and_in_order_at("tcp://127.0.0.1:0");
}

static void nothing_to_receive_is_said_in_time(void)
{
    struct pair pair = pair_at(unix_address(), NULL);
    void *data = NULL;
    size_t bytes = 0;
    IS(ipc_link_recv_nowait(pair.here, &data, &bytes), -EAGAIN);
    IS(ipc_link_recv_until(pair.here, &data, &bytes, ipc_after_ms(5)),
       -ETIMEDOUT);
    IS(ipc_link_poll(pair.here, IPC_TIME_NOW), 0);
    IS(ipc_link_poll(pair.here, ipc_after_ms(5)), 0);
    OK(ipc_link_send(pair.there, "x", 1));
    IS(ipc_link_poll(pair.here, ipc_after_ms(5000)), 1);
    IS(ipc_link_poll(pair.here, IPC_TIME_NOW), 1);
    OK(ipc_link_recv_nowait(pair.here, &data, &bytes));
    free(data);
    end_pair(&pair);
}

static void a_full_link_says_so_and_loses_nothing(void)
{
    struct pair pair = pair_at(unix_address(), NULL);
    static char data[100000];
    int sent = 0;
    while (ipc_link_send_nowait(pair.here, data, sizeof data) == 0)
        sent++;
    assert_true(sent > 0);
    IS(ipc_link_send_nowait(pair.here, data, sizeof data), -EAGAIN);
    IS(ipc_link_send_until(pair.here, data, 10, ipc_after_ms(5)), -ETIMEDOUT);
    for (int i = 0; i < sent; i++) {
        void *got = NULL;
        size_t bytes = 0;
        /* What is left of the last one goes when the sender comes by. */
        IS(ipc_link_poll(pair.here, IPC_TIME_NOW), 0);
        OK(ipc_link_recv_until(pair.there, &got, &bytes, ipc_after_ms(5000)));
        assert_int_equal(bytes, sizeof data);
        free(got);
    }
    say(pair.here, pair.there, "and on");
    end_pair(&pair);
}

static void a_message_that_is_sent_in_half_closes_the_link(void)
{
    struct pair pair = pair_at(unix_address(), NULL);
    const size_t bytes = 8u << 20;
    char *data = calloc(1, bytes);
    assert_non_null(data);
    IS(ipc_link_send_until(pair.here, data, bytes, ipc_after_ms(20)), -EPIPE);
    IS(ipc_link_send(pair.here, data, 1), -EPIPE);
    free(data);
    end_pair(&pair);
}

static void limits_of_length_hold_on_both_sides(void)
{
    ipc_link_options options = IPC_LINK_OPTIONS_INIT;
    options.max_bytes = 1000;
    struct pair pair = {.listener = listen_at(unix_address(), &options)};
    pair_up(&pair);
    static char data[2000];
    void *got = NULL;
    size_t bytes = 0;
    IS(ipc_link_send(pair.here, data, 1001), -EMSGSIZE);
    IS(ipc_link_send(pair.there, data, 1001), -EMSGSIZE);
    OK(ipc_link_send(pair.there, data, 1000));
    OK(ipc_link_recv(pair.here, &got, &bytes));
    free(got);
    end_pair(&pair);
    /* The listener does not know what the other side takes. */
    ipc_link_options small = IPC_LINK_OPTIONS_INIT;
    small.max_bytes = 10;
    pair = (struct pair){.listener = listen_at(unix_address(), NULL),
                         .options = &small};
    pair_up(&pair);
    OK(ipc_link_send(pair.here, data, 5));
    OK(ipc_link_send(pair.here, data, 11));
    OK(ipc_link_recv(pair.there, &got, &bytes));
    free(got);
    IS(ipc_link_recv(pair.there, &got, &bytes), -EFBIG);
    IS(ipc_link_recv(pair.there, &got, &bytes), -EFBIG);
    end_pair(&pair);
}

/* ---- the end ---- */

static void what_was_sent_before_the_end_arrives_at(const char *address)
{
    struct pair pair = pair_at(address, NULL);
    void *data = NULL;
    size_t bytes = 0;
    OK(ipc_link_send(pair.there, "unread", 6));
    OK(ipc_link_send(pair.here, "one", 3));
    OK(ipc_link_send(pair.here, "two", 3));
    OK(ipc_link_close(pair.here));
    for (int i = 0; i < 2; i++) {
        OK(ipc_link_recv(pair.there, &data, &bytes));
        assert_string_equal(data, i == 0 ? "one" : "two");
        free(data);
    }
    IS(ipc_link_poll(pair.there, IPC_TIME_FOREVER), 1);
    IS(ipc_link_recv(pair.there, &data, &bytes), -EPIPE);
    IS(ipc_link_recv_nowait(pair.there, &data, &bytes), -EPIPE);
    IS(ipc_link_send(pair.there, "x", 1), -EPIPE);
    OK(ipc_link_close(pair.there));
    OK(ipc_link_close(NULL));
    OK(ipc_listener_close(pair.listener));
}

static void what_was_sent_before_the_end_arrives(void)
{
    what_was_sent_before_the_end_arrives_at(unix_address());
    what_was_sent_before_the_end_arrives_at("tcp://127.0.0.1:0");
}

static void talk_and_die(void *arg)
{
    ipc_link *link = NULL;
    OK(ipc_connect(arg, KEY, strlen(KEY), NULL, &link));
    OK(ipc_link_send(link, "last words", 10));
    raise(SIGKILL);
}

static void a_death_is_an_end(void)
{
    ipc_listener *listener = listen_at(unix_address(), NULL);
    struct role role;
    ipc_link *link = NULL;
    void *data = NULL;
    size_t bytes = 0;
    char address[200];
    snprintf(address, sizeof address, "%s", ipc_listener_address(listener));
    role_start(&role, talk_and_die, address);
    OK(ipc_listener_accept(listener, &link));
    OK(ipc_link_recv(link, &data, &bytes));
    assert_string_equal(data, "last words");
    free(data);
    IS(ipc_link_recv(link, &data, &bytes), -EPIPE);
    (void)role_wait_dead(&role, 5000);
    OK(ipc_link_close(link));
    OK(ipc_listener_close(listener));
}

static const struct test_case cases[] = {
    TEST_CASE(messages_go_both_ways),
    TEST_CASE(who_came_and_where_is_told),
    TEST_CASE(large_messages_arrive_whole_and_in_order),
    TEST_CASE(nothing_to_receive_is_said_in_time),
    TEST_CASE(a_full_link_says_so_and_loses_nothing),
    TEST_CASE(a_message_that_is_sent_in_half_closes_the_link),
    TEST_CASE(limits_of_length_hold_on_both_sides),
    TEST_CASE(what_was_sent_before_the_end_arrives),
    TEST_CASE(a_death_is_an_end),
};

TEST_MAIN(cases)
