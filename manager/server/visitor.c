/* Visitors: how many connections a uid or an IP address has, and how often it
 * has failed to prove the key. */
#include <stdlib.h>
#include <string.h>

#include "server/core.h"

#define MS            ((int64_t)1000000)
#define LATE_FIRST    ((int64_t)100 * MS)
#define LATE_DOUBLES  6u                    /* the longest is 64 times that */
#define CALM          ((int64_t)60000 * MS) /* then failures are forgotten */
#define VISITORS_MOST 65536

static uint64_t key_of(const struct ipcm__server *server,
                       const struct ipcm__peer *peer)
{
    uint8_t who[20] = {(uint8_t)(peer->transport == IPCM__UNIX)};
    if (peer->transport == IPCM__UNIX)
        memcpy(who + 4, &peer->uid, sizeof peer->uid);
    else
        memcpy(who + 4, peer->ip, sizeof peer->ip);
    return ipcm__hash(server, who, sizeof who);
}

/* Of many addresses that have failed and gone, some are forgotten early. */
static void make_room(struct ipcm__server *server)
{
    size_t at = 0;
    uint64_t key;
    struct ipcm__visitor *visitor;
    if (server->visitors.count < VISITORS_MOST)
        return;
    while ((visitor = ipcm__map_next(&server->visitors, &at, &key)) != NULL)
        if (visitor->connections == 0) {
            (void)ipcm__map_take(&server->visitors, key);
            free(visitor);
            return;
        }
}

struct ipcm__visitor *ipcm__visitor_of(struct ipcm__server *server,
                                       const struct ipcm__peer *peer)
{
    const uint64_t key = key_of(server, peer);
    struct ipcm__visitor *visitor = ipcm__map_get(&server->visitors, key);
    if (visitor != NULL)
        return visitor;
    make_room(server);
    visitor = calloc(1, sizeof *visitor);
    if (visitor == NULL)
        return NULL;
    visitor->key = key;
    if (ipcm__map_put(&server->visitors, key, visitor) < 0) {
        free(visitor);
        return NULL;
    }
    return visitor;
}

static void look(struct ipcm__server *server, struct ipcm__visitor *visitor)
{
    if (visitor->failures != 0 && visitor->calm <= server->now)
        visitor->failures = 0;
    if (visitor->connections != 0 || visitor->failures != 0)
        return;
    (void)ipcm__map_take(&server->visitors, visitor->key);
    free(visitor);
}

void ipcm__visitor_leave(struct ipcm__server *server,
                         struct ipcm__visitor *visitor)
{
    visitor->connections--;
    look(server, visitor);
}

int64_t ipcm__visitor_failed(struct ipcm__server *server,
                             struct ipcm__visitor *visitor)
{
    if (visitor->calm <= server->now)
        visitor->failures = 0;
    const uint32_t doubles =
        visitor->failures < LATE_DOUBLES ? visitor->failures : LATE_DOUBLES;
    visitor->failures++;
    visitor->calm = server->now + CALM;
    return (int64_t)((uint64_t)LATE_FIRST << doubles);
}

void ipcm__visitors_free(struct ipcm__server *server)
{
    size_t at = 0;
    uint64_t key;
    void *visitor;
    while ((visitor = ipcm__map_next(&server->visitors, &at, &key)) != NULL)
        free(visitor);
    ipcm__map_free(&server->visitors);
}
