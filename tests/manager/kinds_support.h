/* Objects of a server without doors, clients of it, and what they are
 * answered, as text.
 *
 *     server_begin();
 *     struct client *a = client_new(), *b = client_new();
 *     const uint64_t lock = make(a, "lock", NULL);
 *     uint64_t first = ask(a, IPCM__OP_LOCK_ACQUIRE, lock, ipc_i64(1),
 *                          ipc_i64(-1));
 *     expect_answer(a, first, 0, "7");
 *     ...
 *     server_end();
 *
 * Time is the case's: pass(ms). */
#ifndef MANAGER_KINDS_SUPPORT_H
#define MANAGER_KINDS_SUPPORT_H

#include "harness/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/remote.h>

#include "server/core.h"

enum {
    WAITING = 0x7fff, /* no answer yet */
    ANSWERS = 512
};

struct answer {
    uint64_t id;
    int64_t status;
    char text[400]; /* results, or the detail */
};

struct client {
    struct ipcm__session *session;
    uint64_t last;
    struct answer answers[ANSWERS]; /* the last ones */
    uint64_t answered;
};

static struct ipcm__config the_config;
static struct ipcm__server *server;
static ipc_deadline the_time;
static struct client clients[64];
static int client_count;

/* ---- the server ---- */

static inline void pass(int64_t ms)
{
    the_time += IPC_MS(ms);
    assert_int_equal(ipcm__server_turn(server, the_time), 0);
}

static inline void config_begin(void)
{
    the_config =
        (struct ipcm__config){.store = NULL,
                              .durability = IPC_DURABLE_NONE,
                              .snapshot_bytes = 64u << 20,
                              .limits = {.frame_bytes = 1u << 20,
                                         .depth = 16,
                                         .nodes = 65536,
                                         .key_bytes = 4096,
                                         .connections = 1024,
                                         .half_open = 64,
                                         .handshake_ms = 2000,
                                         .in_flight = 64,
                                         .turn = 32,
                                         .queued_bytes = 4u << 20,
                                         .slow_client_ms = 10000,
                                         .session_grace_ms = 10000,
                                         .restart_grace_ms = 10000,
                                         .session_reply_bytes = 1u << 20,
                                         .session_objects = 16384,
                                         .objects = 1u << 20,
                                         .container_length = UINT32_MAX,
                                         .arena_bytes = 16u << 20,
                                         .memory_bytes = 16u << 20,
                                         .queue_bytes = 16u << 20,
                                         .reply_ms = 5000,
                                         .drain_ms = 2000},
                              .wire = {1u << 20, 16, 65536},
                              .stop_fd = -1};
}

static inline void server_open(void)
{
    const int rc = ipcm__server_open_bare(&the_config, &server);
    if (rc < 0)
        test_fail("the server: %d, %s", rc, ipc_error_detail());
    the_time = ipc_now();
    pass(0);
}

static inline void server_begin(void)
{
    config_begin();
    server_open();
}

static inline void server_end(void)
{
    ipcm__server_free(server);
    server = NULL;
    client_count = 0;
}

/* ---- clients ---- */

static inline void keep_answer(void *arg, const struct ipcm__reply *reply)
{
    struct client *client = arg;
    struct answer *answer = &client->answers[client->answered++ % ANSWERS];
    size_t at = 0;
    *answer = (struct answer){.id = reply->id, .status = reply->status};
    for (size_t i = 0; i < reply->count && at < sizeof answer->text - 64; i++) {
        char value[64];
        (void)ipc_any_format(&reply->results[i], value, sizeof value);
        at += (size_t)snprintf(answer->text + at, sizeof answer->text - at,
                               "%s%s", i == 0 ? "" : " ", value);
    }
    if (reply->status < 0)
        (void)snprintf(answer->text, sizeof answer->text, "%.*s",
                       (int)reply->detail_bytes,
                       reply->detail == NULL ? "" : reply->detail);
}

static inline struct client *client_new(void)
{
    assert_true(client_count < 64);
    struct client *client = &clients[client_count++];
    memset(client, 0, sizeof *client);
    assert_int_equal(
        ipcm__session_open_bare(server, keep_answer, client, &client->session),
        0);
    return client;
}

/* Its process has died. */
static inline void client_die(struct client *client)
{
    ipcm__session_end(client->session);
    client->session = NULL;
    pass(0);
}

/* The connection is lost. */
static inline void client_lose(struct client *client)
{
    ipcm__connection_close(client->session->connection);
    pass(0);
}

/* It comes back to its session. */
static inline void client_return(struct client *client)
{
    struct ipcm__connection *connection;
    assert_int_equal(
        ipcm__connection_bare(server, keep_answer, client, &connection), 0);
    connection->was_resumed = true;
    ipcm__session_join(client->session, connection);
}

/* ---- requests ---- */

static inline void feed(struct client *client,
                        const struct ipcm__request *request)
{
    struct ipcm__buffer buffer = {NULL, 0, 0, 0};
    assert_int_equal(ipcm__encode_request(&buffer, &the_config.wire, request),
                     0);
    const int rc = ipcm__server_feed(server, client->session,
                                     buffer.data + IPCM__FRAME_HEAD,
                                     buffer.end - IPCM__FRAME_HEAD);
    if (rc < 0)
        test_fail("the connection broke: %d, %s", rc, ipc_error_detail());
    ipcm__buffer_free(&buffer);
}

static inline uint64_t ask_with(struct client *client, uint32_t op,
                                uint64_t object, const ipc_any *args,
                                size_t count)
{
    const struct ipcm__request request = {.id = ++client->last,
                                          .op = op,
                                          .object = object,
                                          .args = args,
                                          .count = count};
    feed(client, &request);
    return client->last;
}

#define ARGS(...)                                                              \
    (const ipc_any[]){__VA_ARGS__},                                            \
        sizeof((const ipc_any[]){__VA_ARGS__}) / sizeof(ipc_any)

/* Without the end of the turn: several in one. */
#define ask_now(client, op, object, ...)                                       \
    ask_with((client), (op), (object), ARGS(__VA_ARGS__))

#define ask(client, op, object, ...)                                           \
    ask_and_pass(client, op, object, ARGS(__VA_ARGS__))
static inline uint64_t ask_and_pass(struct client *client, uint32_t op,
                                    uint64_t object, const ipc_any *args,
                                    size_t count)
{
    const uint64_t id = ask_with(client, op, object, args, count);
    pass(0);
    return id;
}

/* ---- answers ---- */

static inline const struct answer *find_answer(const struct client *client,
                                               uint64_t id)
{
    const uint64_t from =
        client->answered > ANSWERS ? client->answered - ANSWERS : 0;
    for (uint64_t i = client->answered; i > from; i--)
        if (client->answers[(i - 1) % ANSWERS].id == id)
            return &client->answers[(i - 1) % ANSWERS];
    return NULL;
}

static inline int64_t status_of(const struct client *client, uint64_t id)
{
    const struct answer *answer = find_answer(client, id);
    return answer == NULL ? WAITING : answer->status;
}

#define expect_status(client, id, wanted)                                      \
    expect_answer_at(client, id, wanted, NULL, __LINE__)
#define expect_answer(client, id, wanted, text)                                \
    expect_answer_at(client, id, wanted, text, __LINE__)
static inline void expect_answer_at(const struct client *client, uint64_t id,
                                    int64_t wanted, const char *text, int line)
{
    const struct answer *answer = find_answer(client, id);
    const int64_t status = answer == NULL ? WAITING : answer->status;
    const char *is = answer == NULL ? "" : answer->text;
    if (status != wanted)
        test_fail_at(__FILE__, line,
                     "line %d: request %" PRIu64 " is %" PRId64 ", not %" PRId64
                     "; %s",
                     line, id, status, wanted, is);
    if (text != NULL && strcmp(text, is) != 0)
        test_fail_at(__FILE__, line,
                     "line %d: request %" PRIu64 " is answered %s, not %s",
                     line, id, is, text);
}

/* A request that is answered at once. */
#define does(client, op, object, wanted, ...)                                  \
    expect_answer_at(client, ask(client, op, object, ##__VA_ARGS__), wanted,   \
                     NULL, __LINE__)
#define says(client, op, object, text, ...)                                    \
    expect_answer_at(client, ask(client, op, object, ##__VA_ARGS__), 0, text,  \
                     __LINE__)

static inline void expect_detail_of(const struct client *client, uint64_t id,
                                    const char *part)
{
    const struct answer *answer = find_answer(client, id);
    if (answer == NULL || strstr(answer->text, part) == NULL)
        test_fail("request %" PRIu64 " says \"%s\", without \"%s\"", id,
                  answer == NULL ? "nothing" : answer->text, part);
}

/* The number that the last answer begins with. */
static inline uint64_t number_of(const struct client *client, uint64_t id)
{
    const struct answer *answer = find_answer(client, id);
    assert_non_null(answer);
    return strtoull(answer->text, NULL, 10);
}

/* ---- objects ---- */

/* type, name or NULL, options. */
#define make(client, type, name, ...)                                          \
    make_at(client, type, name, __LINE__, ARGS(__VA_ARGS__))
static inline uint64_t make_at(struct client *client, const char *type,
                               const char *name, int line, const ipc_any *args,
                               size_t count)
{
    ipc_any all[32] = {ipc_str(type), name != NULL ? ipc_str(name) : ipc_nil()};
    assert_true(count <= 30);
    if (count > 0)
        memcpy(all + 2, args, count * sizeof *args);
    const uint64_t id = ask_and_pass(client, IPCM__OP_OPEN, 0, all, count + 2);
    const int64_t status = status_of(client, id);
    if (status != 0 && status != 1)
        test_fail_at(__FILE__, line, "line %d: no %s: %" PRId64 ", %s", line,
                     type, status, client->answers[0].text);
    return number_of(client, id);
}

/* It cannot be made. */
#define refuses(client, wanted, type, ...)                                     \
    does(client, IPCM__OP_OPEN, 0, wanted, ipc_str(type), ipc_nil(),           \
         ##__VA_ARGS__)

static inline uint64_t charged(void)
{
    return server->charged;
}

#endif
