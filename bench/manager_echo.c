/* The least that a server over a Unix socket can do: epoll, and what was read
 * is written back.  Its requests and answers are as long as libipc's for a
 * list. */
#include "manager_peer.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET    "socket"
#define EVENTS    64
#define READ_SIZE 4096
#define BACKLOG   64

/* As long as a length and [id, operation, object, number]. */
struct request {
    uint64_t head;
    uint64_t number;
};

struct echo {
    pid_t server;
    size_t members;
    size_t depth; /* requests under way at once */
    int clients[BENCH_TEAM_MAX];
};

/* ---- the server ---- */

static void look_at(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        err(EXIT_FAILURE, "epoll_ctl");
}

static void answer(int fd)
{
    char bytes[READ_SIZE];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n <= 0)
        close(fd);
    else if (send(fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
        errx(EXIT_FAILURE, "the echo is not taken");
}

static void serve(int listener)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];

    if (epoll < 0)
        err(EXIT_FAILURE, "epoll_create1");
    look_at(epoll, listener);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == listener)
                /* cppcheck-suppress nullPointer ; the name is not wanted */
                look_at(epoll, accept4(fd, NULL, NULL, SOCK_CLOEXEC));
            else
                answer(fd);
        }
    }
}

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = SOCKET};

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        err(EXIT_FAILURE, "socket");
    return fd;
}

static int connect_to_server(void)
{
    int fd = new_socket();

    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        err(EXIT_FAILURE, "connect");
    return fd;
}

static pid_t start_server(void)
{
    int listener = new_socket();
    pid_t self = getpid();
    pid_t pid;

    if (bind(listener, (const struct sockaddr *)&address, sizeof address) !=
            0 ||
        listen(listener, BACKLOG) != 0)
        err(EXIT_FAILURE, "%s", SOCKET);
    pid = fork();
    if (pid < 0)
        err(EXIT_FAILURE, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == self)
            serve(listener);
        _exit(EXIT_FAILURE);
    }
    close(listener);
    return pid;
}

static void end_server(pid_t pid)
{
    kill(pid, SIGKILL);
    if (waitpid(pid, NULL, 0) != pid)
        err(EXIT_FAILURE, "waitpid");
}

/* ---- clients ---- */

static struct echo *make(size_t members, size_t depth)
{
    struct echo *echo = calloc(1, sizeof *echo);

    if (echo == NULL)
        err(EXIT_FAILURE, "calloc");
    echo->members = members;
    echo->depth = depth;
    echo->server = start_server();
    for (size_t i = 0; i < members; i++)
        echo->clients[i] = connect_to_server();
    return echo;
}

static void *make_sync(size_t members)
{
    return make(members, 1);
}

static void *make_pipelined(size_t members)
{
    return make(members, MANAGER_PIPELINE);
}

static void drop(void *object)
{
    struct echo *echo = object;

    for (size_t i = 0; i < echo->members; i++)
        close(echo->clients[i]);
    end_server(echo->server);
    free(echo);
}

static void send_all(int fd, const struct request *requests, size_t count)
{
    size_t size = count * sizeof *requests;

    if (send(fd, requests, size, MSG_NOSIGNAL) != (ssize_t)size)
        err(EXIT_FAILURE, "send");
}

static void receive_all(int fd, struct request *answers, size_t count)
{
    size_t size = count * sizeof *answers;
    ssize_t n;

    for (size_t at = 0; at < size; at += (size_t)n) {
        n = recv(fd, (char *)answers + at, size - at, 0);
        if (n <= 0)
            err(EXIT_FAILURE, "recv");
    }
}

static uint64_t get(void *object, size_t member,
                    const struct object_item *items, size_t count)
{
    struct echo *echo = object;
    int fd = echo->clients[member];
    struct request requests[MANAGER_PIPELINE] = {0};
    uint64_t sum = 0;
    size_t n;

    for (size_t done = 0; done < count; done += n) {
        n = count - done < echo->depth ? count - done : echo->depth;
        for (size_t i = 0; i < n; i++)
            requests[i].number = items[done + i].number;
        send_all(fd, requests, n);
        receive_all(fd, requests, n);
        for (size_t i = 0; i < n; i++)
            sum += requests[i].number;
    }
    return sum;
}

static uint64_t append(void *object, size_t member,
                       const struct object_item *items, size_t count)
{
    (void)get(object, member, items, count);
    return 0;
}

static const struct object_peer one_by_one = {
    .make = make_sync,
    .drop = drop,
    .run = {[LIST_APPEND] = append, [LIST_GET] = get}};

static const struct object_peer many = {
    .make = make_pipelined,
    .drop = drop,
    .run = {[LIST_APPEND] = append, [LIST_GET] = get}};

const struct manager_peer manager_echo = {
    .name = "BASE-epoll-echo",
    .ways = {[MANAGER_SYNC] = &one_by_one, [MANAGER_PIPE] = &many}};

/* ---- connecting ---- */

static void *make_one(void)
{
    return make(0, 1);
}

/* With a round trip, so that the server knows of it, too. */
static void *call(void *server)
{
    int *fd = malloc(sizeof *fd);
    struct request request = {0, 0};

    (void)server;
    if (fd == NULL)
        err(EXIT_FAILURE, "malloc");
    *fd = connect_to_server();
    send_all(*fd, &request, 1);
    receive_all(*fd, &request, 1);
    return fd;
}

static void hang_up(void *connection)
{
    int *fd = connection;

    close(*fd);
    free(fd);
}

const struct manager_caller manager_callers_echo[] = {
    {"BASE-epoll-echo", make_one, drop, call, hang_up},
    {0},
};
