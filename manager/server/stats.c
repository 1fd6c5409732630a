/* Looking at it: STATS and DEBUG. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "server/core.h"

/* ---- numbers ---- */

static uint64_t used_bytes(const struct ipcm__site *site)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    return site->arena != NULL && ipc_arena_query(site->arena, &info) == 0
               ? info.used_bytes
               : 0;
}

static int put(struct ipcm__call *call, const char *name, uint64_t number)
{
    const ipc_any text = ipc_str(name);
    const int rc = ipcm__call_result_copy(call, &text);
    return rc < 0 ? rc : ipcm__call_result(call, ipc_u64(number));
}

int ipcm__office_stats(struct ipcm__call *call)
{
    struct ipcm__server *server = call->session->server;
    const struct ipcm__figures *figures = &server->figures;
    uint64_t store_bytes;
    uint64_t commits;
    int rc = 0;
    ipcm__keeper_figures(server->keeper, &store_bytes, &commits);
    /* While somebody holds it, what it was before. */
    if (server->sites[IPCM__PLACE_GIVEN].arena != NULL &&
        ipcm__place_enter(server, IPCM__PLACE_GIVEN) == 0) {
        server->arena_used = used_bytes(&server->sites[IPCM__PLACE_GIVEN]);
        (void)ipcm__place_commit(server);
    }
    const struct {
        const char *name;
        uint64_t number;
    } all[] = {
        {"pid", (uint64_t)getpid()},
        {"up_ns", (uint64_t)(server->now - server->began)},
        {"instance", server->instance},
        {"objects", server->objects.count},
        {"sessions", server->session_count},
        {"connections", server->connection_count},
        {"waiting", server->waiting_count},
        {"requests", figures->requests},
        {"repeated", figures->repeated},
        {"accepted", figures->accepted},
        {"refused_key", figures->refused_key},
        {"refused_limit", figures->refused_limit},
        {"broken", figures->broken},
        {"slow", figures->slow},
        {"bytes_in", figures->bytes_in},
        {"bytes_out", figures->bytes_out},
        {"arena_bytes", server->arena_used},
        {"memory_bytes", used_bytes(&server->sites[IPCM__PLACE_OWN])},
        {"queue_bytes", server->charged},
        {"store_bytes", store_bytes},
        {"commits", commits},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0] && rc == 0; i++)
        rc = put(call, all[i].name, all[i].number);
    return rc;
}

/* ---- text ---- */

struct text {
    char *data;
    size_t used;
    size_t room;
};

/* False: there is no more room. */
static bool line(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool line(struct text *text, const char *format, ...)
{
    const size_t left = text->room - text->used;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text->data + text->used, left, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= left)
        return false;
    text->used += (size_t)n;
    return true;
}

static size_t length_of(const struct list *list)
{
    size_t n = 0;
    for (const struct list *at = list->next; at != list; at = at->next)
        n++;
    return n;
}

static bool line_of_object(struct text *text, const struct ipcm__object *object)
{
    char says[256] = "";
    if (object->kind->describe != NULL)
        (void)object->kind->describe(object, says, sizeof says);
    return line(
        text, "%s %s%s%s #%" PRIu64 ": %" PRIu64 " references, %zu wait%s%s\n",
        object->type, object->name != NULL ? "\"" : "",
        object->name != NULL ? object->name : "-",
        object->name != NULL ? "\"" : "", object->id, object->references,
        length_of(&object->waiting), says[0] != 0 ? "; " : "", says);
}

static bool line_of_session(struct text *text,
                            const struct ipcm__session *session)
{
    return line(
        text, "session %" PRIu32 "%s%s: %s%s, holds %zu, %" PRIu32 " wait\n",
        session->number, session->label[0] != 0 ? " " : "", session->label,
        session->peer.text, session->connection != NULL ? "" : ", away",
        length_of(&session->held), session->waiting_count);
}

static void write_all(const struct ipcm__server *server, struct text *text)
{
    bool fits = true;
    for (const struct list *at = server->object_list.next;
         at != &server->object_list && fits; at = at->next)
        fits = line_of_object(text,
                              list_entry(at, struct ipcm__object, of_server));
    for (const struct list *at = server->sessions.next;
         at != &server->sessions && fits; at = at->next)
        fits = line_of_session(text,
                               list_entry(at, struct ipcm__session, of_server));
}

int ipcm__office_debug(struct ipcm__call *call)
{
    const struct ipcm__server *server = call->session->server;
    struct text text = {.room = server->limits->frame_bytes - 64};
    text.data = malloc(text.room);
    if (text.data == NULL)
        return ipcm__fail(-ENOMEM, "no memory for the text");
    text.data[0] = 0;
    write_all(server, &text);
    const ipc_any all = ipc_strn(text.data, text.used);
    const int rc = ipcm__call_result_copy(call, &all);
    free(text.data);
    return rc;
}
