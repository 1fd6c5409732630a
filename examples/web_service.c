/* A web service whose answer takes a file, a database and another service: it
 * asks all three at once.
 *
 *     pool = ThreadPoolExecutor()
 *
 *     @app.route("/")
 *     def index():
 *         result_file = pool.submit(read_file)
 *         result_db = pool.submit(read_db)
 *         result_api = pool.submit(read_api)
 *         return json.dumps({"result_file": result_file.result(), ...})
 *
 *     web_service [PORT]            (none, or 0: one that is free)
 *     curl http://127.0.0.1:PORT/
 *
 * It says where it is, and serves until SIGINT or SIGTERM.  The other service
 * is its own page /api; file and database are made for this, in a temporary
 * folder that is removed at the end. */
#include "web_service_data.h"

#include <ipc/ipc.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    WORKERS = 6,
    QUESTIONS = 3,
    PATIENCE_S = 5 /* for an answer */
};

struct service {
    ipc_pool *pool;
    struct data data; /* where the three are */
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

/* ---- the answer ---- */

/* A task has written a text, or has failed. */
static int add_result(json_t *answer, const char *name, ipc_future *future,
                      ipc_deadline deadline)
{
    const void *text;
    size_t bytes;
    int rc = ipc_future_borrow(future, &text, &bytes, deadline);

    if (rc < 0)
        warnx("%s: %s: %s", name, ipc_strerror(rc), ipc_error_detail());
    else if (json_object_set_new(answer, name, json_stringn(text, bytes)) != 0)
        rc = -ENOMEM;
    return rc;
}

/* Ask all three, then wait for them. */
static int ask(const struct service *service, json_t *answer)
{
    static const struct {
        const char *name;
        ipc_task_function *fn;
    } questions[QUESTIONS] = {{"result_file", data_read_file},
                              {"result_db", data_read_db},
                              {"result_api", data_read_api}};
    const ipc_deadline deadline = ipc_after_s(PATIENCE_S);
    ipc_future *futures[QUESTIONS] = {NULL};
    int rc = 0;

    for (int i = 0; i < QUESTIONS && rc == 0; i++)
        rc = ipc_pool_submit(service->pool, questions[i].fn, &service->data,
                             sizeof service->data, 0, &futures[i]);
    for (int i = 0; i < QUESTIONS && rc == 0; i++)
        rc = add_result(answer, questions[i].name, futures[i], deadline);
    for (int i = 0; i < QUESTIONS; i++)
        ipc_future_free(futures[i]);
    return rc;
}

static char *new_answer(const struct service *service, unsigned *code)
{
    json_t *answer = json_object();
    int rc = answer == NULL ? -ENOMEM : ask(service, answer);
    char *text;

    *code = MHD_HTTP_OK;
    if (rc < 0) {
        json_object_clear(answer);
        json_object_set_new(answer, "error", json_string(ipc_strerror(rc)));
        *code = MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
    text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return text;
}

/* ---- the server ---- */

/* body is from malloc(). */
static enum MHD_Result reply(struct MHD_Connection *connection, unsigned code,
                             char *body)
{
    struct MHD_Response *response =
        body == NULL ? NULL
                     : MHD_create_response_from_buffer(strlen(body), body,
                                                       MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (response == NULL) {
        free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/json");
    result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* The parameters are libmicrohttpd's.
 * NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection,
                              const char *path, const char *method,
                              const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    unsigned code;
    char *body;

    (void)version, (void)upload, (void)upload_bytes, (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                     strdup("{\"error\":\"only GET\"}"));
    if (strcmp(path, "/api") == 0)
        return reply(connection, MHD_HTTP_OK, strdup("api result"));
    if (strcmp(path, "/") != 0)
        return reply(connection, MHD_HTTP_NOT_FOUND,
                     strdup("{\"error\":\"no such page\"}"));
    body = new_answer(arg, &code);
    return reply(connection, code, body);
}

/* A socket at this port of loopback, or at a free one: *port says which. */
static int listen_at(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(*port);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, bytes) != 0 ||
        listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        err(2, "port %u", *port);
    *port = ntohs(address.sin_port);
    return fd;
}

static struct MHD_Daemon *serve(struct service *service, int fd)
{
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
                                MHD_USE_THREAD_PER_CONNECTION,
                            0, NULL, NULL, handle, service,
                            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
}

/* ---- the program ---- */

static uint16_t port_argument(int argc, char **argv)
{
    char *end;
    long port;

    if (argc == 1)
        return 0;
    port = strtol(argv[1], &end, 10);
    if (argc != 2 || end == argv[1] || *end != '\0' || port < 0 ||
        port > UINT16_MAX)
        errx(2, "usage: web_service [PORT], 0 to 65535");
    return (uint16_t)port;
}

static ipc_pool *new_pool(void)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_pool *pool;

    options.kind = IPC_POOL_THREADS;
    options.workers = WORKERS;
    check(ipc_pool_new(&options, &pool), "pool");
    return pool;
}

int main(int argc, char **argv)
{
    uint16_t port = port_argument(argc, argv);
    const int fd = listen_at(&port);
    struct MHD_Daemon *daemon;
    struct service service;
    sigset_t end;
    int sig;

    /* All threads inherit that these wait for sigwait(). */
    sigemptyset(&end);
    sigaddset(&end, SIGINT);
    sigaddset(&end, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &end, NULL);

    service.pool = new_pool();
    check(data_make(&service.data, port), "data");
    daemon = serve(&service, fd);
    if (daemon != NULL) {
        printf("http://127.0.0.1:%u/\n", port);
        fflush(stdout);
        sigwait(&end, &sig);
        MHD_stop_daemon(daemon);
    }
    check(ipc_pool_free(service.pool), "pool");
    data_remove(&service.data);
    return daemon == NULL;
}
