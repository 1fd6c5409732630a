/* Redis, by hiredis over a Unix socket: a server of its own, and a connection
 * for each member.  It keeps nothing on disk, or, if it does, in the current
 * folder. */
#include "object_peer.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPELINE    16
#define GROW_MAX    100000
#define START_NS    INT64_C(10000000000)
#define LOOK_NS     INT64_C(1000000)
#define NOT_THERE   127
#define SOCKET_SIZE 108 /* of sun_path */

#define COUNTERS "counters"

struct redis {
    pid_t server;
    size_t members;
    size_t depth;      /* requests under way at once */
    const char *fsync; /* when it writes to the disk; NULL: never */
    struct object_memory before;
    redisContext *clients[BENCH_TEAM_MAX];
};

/* ---- the server ---- */

static void exec_server(const struct redis *redis, pid_t parent,
                        const char *socket)
{
    bool keeps = redis->fsync != NULL;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0)
        _exit(EXIT_FAILURE);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
           socket, "--unixsocketperm", "700", "--save", "", "--appendonly",
           keeps ? "yes" : "no", "--appendfsync", keeps ? redis->fsync : "no",
           "--daemonize", "no", (char *)NULL);
    _exit(errno == ENOENT ? NOT_THERE : EXIT_FAILURE);
}

static redisContext *try_to_connect(const char *socket)
{
    redisContext *client = redisConnectUnix(socket);

    if (client != NULL && client->err != 0) {
        redisFree(client);
        client = NULL;
    }
    return client;
}

/* Until it listens; it may not be installed. */
static redisContext *connect_first(const struct redis *redis,
                                   const char *folder, const char *socket)
{
    int64_t limit = bench_now() + START_NS;
    redisContext *client;
    int status;

    while ((client = try_to_connect(socket)) == NULL) {
        if (waitpid(redis->server, &status, WNOHANG) != 0) {
            rmdir(folder);
            if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_THERE)
                bench_skip();
            errx(EXIT_FAILURE, "redis-server does not start");
        }
        if (bench_now() > limit)
            errx(EXIT_FAILURE, "redis-server does not answer");
        bench_sleep_until(bench_now() + LOOK_NS);
    }
    return client;
}

static void start_server(struct redis *redis)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    const char *parent = getenv("TMPDIR");
    char folder[SOCKET_SIZE - sizeof "/socket"];
    char socket[SOCKET_SIZE];
    pid_t self = getpid();
    int n = snprintf(folder, sizeof folder, "%s/ipc-bench-XXXXXX",
                     parent == NULL ? "/tmp" : parent);

    if (n < 0 || (size_t)n >= sizeof folder || mkdtemp(folder) == NULL)
        err(EXIT_FAILURE, "%s", folder);
    snprintf(socket, sizeof socket, "%s/socket", folder);
    redis->server = fork();
    if (redis->server < 0)
        err(EXIT_FAILURE, "fork");
    if (redis->server == 0)
        exec_server(redis, self, socket);
    redis->clients[0] = connect_first(redis, folder, socket);
    for (size_t i = 1; i < redis->members; i++) {
        redis->clients[i] = try_to_connect(socket);
        if (redis->clients[i] == NULL)
            errx(EXIT_FAILURE, "redis-server: no connection");
    }
    unlink(socket);
    rmdir(folder);
}

/* ---- requests ---- */

static uint64_t to_number(const char *text)
{
    return strtoull(text, NULL, 10);
}

/* The number that the next answer is, or the last of its parts. */
static uint64_t receive(redisContext *client)
{
    const redisReply *part;
    redisReply *reply;
    void *got;
    uint64_t number = 0;

    if (redisGetReply(client, &got) != REDIS_OK)
        errx(EXIT_FAILURE, "Redis: %s", client->errstr);
    part = reply = got;
    if (part->type == REDIS_REPLY_ARRAY && part->elements > 0)
        part = part->element[part->elements - 1];
    if (part->type == REDIS_REPLY_INTEGER)
        number = (uint64_t)part->integer;
    else if (part->type == REDIS_REPLY_STRING)
        number = to_number(part->str);
    else if (part->type != REDIS_REPLY_STATUS)
        errx(EXIT_FAILURE, "Redis: %s",
             part->type == REDIS_REPLY_ERROR ? part->str : "no value");
    freeReplyObject(reply);
    return number;
}

typedef int send_fn(redisContext *client, const struct object_item *item);

/* answers: to one item. */
static uint64_t run(struct redis *redis, size_t member, send_fn *send,
                    size_t answers, const struct object_item *items,
                    size_t count)
{
    redisContext *client = redis->clients[member];
    uint64_t sum = 0;
    size_t n;

    for (size_t done = 0; done < count; done += n) {
        n = count - done < redis->depth ? count - done : redis->depth;
        for (size_t i = 0; i < n; i++) {
            if (send(client, &items[done + i]) != REDIS_OK)
                errx(EXIT_FAILURE, "Redis: %s", client->errstr);
        }
        for (size_t i = 0; i < n * answers; i++)
            sum += receive(client);
    }
    return sum;
}

static int send_append(redisContext *client, const struct object_item *item)
{
    return redisAppendCommand(client, "RPUSH list %llu",
                              (unsigned long long)item->number);
}

static int send_list_get(redisContext *client, const struct object_item *item)
{
    return redisAppendCommand(client, "LINDEX list %llu",
                              (unsigned long long)item->number);
}

static int send_set(redisContext *client, const struct object_item *item)
{
    return redisAppendCommand(client, "HSET dict %s %llu", item->key,
                              (unsigned long long)item->number);
}

static int send_dict_get(redisContext *client, const struct object_item *item)
{
    return redisAppendCommand(client, "HGET dict %s", item->key);
}

#define ADD_TWO_ANSWERS 4

static int send_add_two(redisContext *client, const struct object_item *item)
{
    static const char *const commands[ADD_TWO_ANSWERS] = {
        "MULTI", "HINCRBY " COUNTERS " " OBJECT_LEFT " 1",
        "HINCRBY " COUNTERS " " OBJECT_RIGHT " 1", "EXEC"};

    (void)item;
    for (size_t i = 0; i < ADD_TWO_ANSWERS; i++) {
        if (redisAppendCommand(client, commands[i]) != REDIS_OK)
            return REDIS_ERR;
    }
    return REDIS_OK;
}

/* ---- the operations ---- */

static uint64_t append(void *object, size_t member,
                       const struct object_item *items, size_t count)
{
    run(object, member, send_append, 1, items, count);
    return 0;
}

static uint64_t list_get(void *object, size_t member,
                         const struct object_item *items, size_t count)
{
    return run(object, member, send_list_get, 1, items, count);
}

static uint64_t set(void *object, size_t member,
                    const struct object_item *items, size_t count)
{
    run(object, member, send_set, 1, items, count);
    return 0;
}

static uint64_t dict_get(void *object, size_t member,
                         const struct object_item *items, size_t count)
{
    return run(object, member, send_dict_get, 1, items, count);
}

static uint64_t add_two(void *object, size_t member,
                        const struct object_item *items, size_t count)
{
    run(object, member, send_add_two, ADD_TWO_ANSWERS, items, count);
    return 0;
}

static uint64_t ask(const struct redis *redis, const char *command)
{
    redisContext *client = redis->clients[0];

    if (redisAppendCommand(client, command) != REDIS_OK)
        errx(EXIT_FAILURE, "Redis: %s", client->errstr);
    return receive(client);
}

static uint64_t length(void *object, enum object_op op)
{
    const struct redis *redis = object;
    uint64_t left;

    switch (op) {
    case LIST_APPEND:
    case LIST_GET:
        return ask(redis, "LLEN list");
    case DICT_ADD_TWO:
        left = ask(redis, "HGET " COUNTERS " " OBJECT_LEFT);
        return left == ask(redis, "HGET " COUNTERS " " OBJECT_RIGHT)
                   ? left
                   : UINT64_MAX;
    default:
        return ask(redis, "HLEN dict");
    }
}

/* INFO knows this, too, but from a while ago. */
static double resident_bytes(pid_t pid)
{
    unsigned long pages;
    char path[64];
    bool found;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        err(EXIT_FAILURE, "%s", path);
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers fit */
    found = fscanf(f, "%*u %lu", &pages) == 1;
    fclose(f);
    if (!found)
        errx(EXIT_FAILURE, "%s has no such number", path);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double find(const char *info, const char *name)
{
    const char *at = strstr(info, name);

    if (at == NULL)
        errx(EXIT_FAILURE, "Redis: INFO has no %s", name);
    return (double)to_number(at + strlen(name));
}

static void query(const struct redis *redis, struct object_memory *out)
{
    redisReply *reply = redisCommand(redis->clients[0], "INFO memory");

    if (reply == NULL || reply->type != REDIS_REPLY_STRING)
        errx(EXIT_FAILURE, "Redis: INFO memory");
    out->used = find(reply->str, "\nused_memory:");
    out->present = resident_bytes(redis->server);
    freeReplyObject(reply);
}

static void measure(void *object, struct object_memory *out)
{
    const struct redis *redis = object;

    query(redis, out);
    out->used -= redis->before.used;
    out->present -= redis->before.present;
}

static struct redis *make(size_t members, size_t depth, const char *fsync)
{
    struct redis *redis = calloc(1, sizeof *redis);

    if (redis == NULL)
        err(EXIT_FAILURE, "calloc");
    redis->members = members;
    redis->depth = depth;
    redis->fsync = fsync;
    start_server(redis);
    query(redis, &redis->before);
    return redis;
}

static void *make_sync(size_t members)
{
    return make(members, 1, NULL);
}

static void *make_pipelined(size_t members)
{
    return make(members, PIPELINE, NULL);
}

static void *make_sync_always(size_t members)
{
    return make(members, 1, "always");
}

static void *make_pipelined_always(size_t members)
{
    return make(members, PIPELINE, "always");
}

static void *make_sync_interval(size_t members)
{
    return make(members, 1, "everysec");
}

static void *make_pipelined_interval(size_t members)
{
    return make(members, PIPELINE, "everysec");
}

static void drop(void *object)
{
    struct redis *redis = object;

    for (size_t i = 0; i < redis->members; i++)
        redisFree(redis->clients[i]);
    kill(redis->server, SIGKILL);
    if (waitpid(redis->server, NULL, 0) != redis->server)
        err(EXIT_FAILURE, "waitpid");
    free(redis);
}

const struct object_peer object_peers_redis[] = {
    {.name = "redis-unix",
     .make = make_sync,
     .drop = drop,
     .run = {append, list_get, set, dict_get, add_two},
     .length = length},
    {.name = "redis-unix-pipe16",
     .grow_max = GROW_MAX,
     .make = make_pipelined,
     .drop = drop,
     .run = {append, list_get, set, dict_get, add_two},
     .length = length,
     .measure = measure},
    {0},
};

#define DURABLE(make_it)                                                       \
    {                                                                          \
        .make = (make_it), .drop = drop,                                       \
        .run = {append, list_get, set, dict_get, add_two}, .length = length    \
    }

const struct object_peer object_peers_redis_durable[OBJECT_REDIS_DURABLE] = {
    DURABLE(make_sync_always),
    DURABLE(make_pipelined_always),
    DURABLE(make_sync_interval),
    DURABLE(make_pipelined_interval),
};
