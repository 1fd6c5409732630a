/* A server without doors, and guests in it: requests go in as bytes and replies
 * come out, all in this process. */
#ifndef MANAGER_SERVER_SUPPORT_H
#define MANAGER_SERVER_SUPPORT_H

#include "harness/harness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/manager.h>
#include <ipc/remote.h>

#include "server/core.h"
#include "server/server.h"
#include "wire/wire.h"

#define DESK_REPLIES 512
#define DESK_NONE    INT64_MAX /* it was not answered */

static const uint8_t desk_key[32] = {1, 2, 3};

struct desk {
    struct ipcm__config config;
    struct ipcm__server *server;
};

/* A reply, as a copy. */
struct desk_reply {
    uint64_t id;
    int64_t status;
    char detail[256];
    ipc_anys results;
    size_t calls;
    int64_t call_status[64];
    int64_t call_first[64]; /* their first results, if they are numbers */
};

struct guest {
    struct desk *desk;
    struct ipcm__session *session;
    uint64_t id; /* of the last request */
    size_t count;
    struct desk_reply replies[DESK_REPLIES];
};

static inline ipc_anys desk_copy(const ipc_any *values, size_t count)
{
    struct ipcm__call row = {.object = NULL};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ipcm__call_result_copy(&row, &values[i]), 0);
    return row.results;
}

static inline void desk_answer(void *arg, const struct ipcm__reply *reply)
{
    struct guest *guest = arg;
    assert_true(guest->count < DESK_REPLIES);
    struct desk_reply *to = &guest->replies[guest->count++];
    memset(to, 0, sizeof *to);
    to->id = reply->id;
    to->status = reply->status;
    (void)snprintf(to->detail, sizeof to->detail, "%.*s",
                   (int)reply->detail_bytes,
                   reply->detail != NULL ? reply->detail : "");
    to->results = desk_copy(reply->results, reply->count);
    to->calls = reply->call_count;
    for (size_t i = 0; i < reply->call_count && i < 64; i++) {
        to->call_status[i] = reply->calls[i].status;
        if (reply->calls[i].count != 0)
            to->call_first[i] = reply->calls[i].results[0].i64;
    }
}

static inline void desk_open(struct desk *desk,
                             const ipc_manager_options *options)
{
    ipc_manager_options given = IPC_MANAGER_OPTIONS_INIT;
    if (options != NULL)
        given = *options;
    given.key = desk_key;
    given.key_bytes = sizeof desk_key;
    assert_int_equal(ipcm__config_read(&given, false, &desk->config), 0);
    const int rc = ipcm__server_open_bare(&desk->config, &desk->server);
    if (rc != 0)
        test_fail("no server: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static inline void desk_close(struct desk *desk)
{
    ipcm__server_free(desk->server);
    ipcm__config_free(&desk->config);
}

static inline struct guest *desk_guest(struct desk *desk)
{
    struct guest *guest = calloc(1, sizeof *guest);
    assert_non_null(guest);
    guest->desk = desk;
    assert_int_equal(ipcm__session_open_bare(desk->server, desk_answer, guest,
                                             &guest->session),
                     0);
    return guest;
}

static inline void guest_forget(struct guest *guest)
{
    for (size_t i = 0; i < guest->count; i++)
        ipcm__results_end(&guest->replies[i].results);
    guest->count = 0;
}

/* The session ends: as when its process has died. */
static inline void guest_end(struct guest *guest)
{
    if (guest->session != NULL)
        ipcm__session_end(guest->session);
    guest_forget(guest);
    free(guest);
}

/* The reply to a request; NULL: none yet. */
static inline struct desk_reply *guest_reply(struct guest *guest, uint64_t id)
{
    for (size_t i = guest->count; i-- > 0;)
        if (guest->replies[i].id == id)
            return &guest->replies[i];
    return NULL;
}

static inline int64_t guest_status(struct guest *guest, uint64_t id)
{
    const struct desk_reply *reply = guest_reply(guest, id);
    return reply != NULL ? reply->status : DESK_NONE;
}

static inline int guest_send(struct guest *guest,
                             const struct ipcm__request *request)
{
    struct ipcm__buffer buffer = {NULL, 0, 0, 0};
    int rc = ipcm__encode_request(&buffer, &guest->desk->config.wire, request);
    if (rc == 0)
        rc = ipcm__server_feed(guest->desk->server, guest->session,
                               buffer.data + IPCM__FRAME_HEAD,
                               buffer.end - IPCM__FRAME_HEAD);
    ipcm__buffer_free(&buffer);
    return rc;
}

/* Send one; its id. */
static inline uint64_t guest_post(struct guest *guest, uint32_t op,
                                  uint64_t object, const ipc_any *args,
                                  size_t count)
{
    const struct ipcm__request request = {.id = ++guest->id,
                                          .op = op,
                                          .object = object,
                                          .args = args,
                                          .count = count};
    const int rc = guest_send(guest, &request);
    if (rc != 0)
        test_fail("%s: %s: %s", ipcm__op_name(op), ipc_strerror(rc),
                  ipc_error_detail());
    return request.id;
}

#define GUEST_ARGS(...) ((const ipc_any[]){ipc_nil(), ##__VA_ARGS__} + 1)
#define GUEST_COUNT(...)                                                       \
    (sizeof((const ipc_any[]){ipc_nil(), ##__VA_ARGS__}) / sizeof(ipc_any) - 1)

#define post(guest, op, object, ...)                                           \
    guest_post(guest, op, object, GUEST_ARGS(__VA_ARGS__),                     \
               GUEST_COUNT(__VA_ARGS__))

/* Send one and have its status; DESK_NONE: it waits. */
#define ask(guest, op, object, ...)                                            \
    guest_status(guest, post(guest, op, object, ##__VA_ARGS__))

/* The status is the one that is wanted. */
#define must(wanted, guest, op, object, ...)                                   \
    guest_must(guest, wanted, #op, __FILE__, __LINE__,                         \
               ask(guest, op, object, ##__VA_ARGS__))
static inline void guest_must(struct guest *guest, int64_t wanted,
                              const char *op, const char *file, int line,
                              int64_t status)
{
    const struct desk_reply *reply = guest_reply(guest, guest->id);
    if (status != wanted)
        test_fail_at(file, line, "%s is %lld, not %lld; %s", op,
                     (long long)status, (long long)wanted,
                     reply != NULL ? reply->detail : "no reply");
}

/* A result of the last reply. */
static inline const ipc_any *guest_result(struct guest *guest, size_t place)
{
    const struct desk_reply *reply = guest_reply(guest, guest->id);
    assert_non_null(reply);
    if (place >= reply->results.count)
        test_fail("there are %zu results", reply->results.count);
    return &reply->results.items[place];
}

static inline size_t guest_results(struct guest *guest)
{
    const struct desk_reply *reply = guest_reply(guest, guest->id);
    assert_non_null(reply);
    return reply->results.count;
}

static inline void expect_i64(struct guest *guest, size_t place, int64_t value)
{
    const ipc_any *any = guest_result(guest, place);
    assert_int_equal(any->type, IPC_TYPE_I64);
    assert_int_equal(any->i64, value);
}

static inline void expect_str(struct guest *guest, size_t place,
                              const char *text)
{
    const ipc_any *any = guest_result(guest, place);
    assert_int_equal(any->type, IPC_TYPE_STR);
    assert_string_equal(any->str, text);
}

static inline void expect_detail(struct guest *guest, const char *part)
{
    const struct desk_reply *reply = guest_reply(guest, guest->id);
    assert_non_null(reply);
    if (strstr(reply->detail, part) == NULL)
        test_fail("the detail is \"%s\", without \"%s\"", reply->detail, part);
}

/* OPEN without options: the number.  name NULL: a new one. */
static inline uint64_t guest_open(struct guest *guest, const char *type,
                                  const char *name)
{
    const int64_t status = ask(guest, IPCM__OP_OPEN, 0, ipc_str(type),
                               name != NULL ? ipc_str(name) : ipc_nil());
    if (status != 0 && status != 1)
        test_fail("OPEN %s is %lld: %s", type, (long long)status,
                  guest_reply(guest, guest->id)->detail);
    return guest_result(guest, 0)->u64;
}

/* A container as an argument. */
static inline ipc_any by_number(uint32_t type, uint64_t id)
{
    ipc_any any = ipc_any_with_type(type);
    any.u64 = id;
    return any;
}

/* How many objects the server has. */
static inline int64_t guest_count_objects(struct guest *guest)
{
    must(0, guest, IPCM__OP_COUNT, 0);
    return guest_result(guest, 0)->i64;
}

#endif
