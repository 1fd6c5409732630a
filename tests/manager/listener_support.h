/* Listeners and pairs of links for tests. */
#ifndef MANAGER_LISTENER_SUPPORT_H
#define MANAGER_LISTENER_SUPPORT_H

#include "manager/client_support.h"

#include <pthread.h>

#include <ipc/listener.h>
#include <ipc/time.h>

#define KEY   CLIENT_KEY
#define OTHER "another key for tests that has 32 bytes too"

static inline ipc_listener *listen_at(const char *address,
                                      const ipc_link_options *options)
{
    ipc_listener *listener = NULL;
    OK(ipc_listener_new(address, KEY, strlen(KEY), options, &listener));
    return listener;
}

static inline const char *unix_address(void)
{
    static char address[160];
    static int number;
    char folder[120];
    snprintf(folder, sizeof folder, "%s/l%d", test_tmpdir(), number++);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(address, sizeof address, "unix:%s/s", folder);
    return address;
}

struct pair {
    ipc_listener *listener;
    ipc_link *here;  /* accepted */
    ipc_link *there; /* connected */
    const ipc_link_options *options;
};

static inline void *connect_there(void *arg)
{
    struct pair *pair = arg;
    OK(ipc_connect(ipc_listener_address(pair->listener), KEY, strlen(KEY),
                   pair->options, &pair->there));
    return NULL;
}

static inline void pair_up(struct pair *pair)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, connect_there, pair), 0);
    OK(ipc_listener_accept_until(pair->listener, &pair->here,
                                 ipc_after_ms(5000)));
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static inline struct pair pair_at(const char *address,
                                  const ipc_link_options *options)
{
    struct pair pair = {.listener = listen_at(address, options),
                        .options = options};
    pair_up(&pair);
    return pair;
}

static inline void end_pair(struct pair *pair)
{
    OK(ipc_link_close(pair->here));
    OK(ipc_link_close(pair->there));
    OK(ipc_listener_close(pair->listener));
}

static inline void say(ipc_link *from, ipc_link *to, const char *text)
{
    void *data = NULL;
    size_t bytes = 0;
    OK(ipc_link_send(from, text, strlen(text)));
    OK(ipc_link_recv(to, &data, &bytes));
    assert_int_equal(bytes, strlen(text));
    assert_string_equal(data, text);
    free(data);
}

#endif
