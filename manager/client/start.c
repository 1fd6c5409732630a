/* Starting a server in a process of its own, and ending it.
 *
 * State
 *   The server is a daemon child by fork: it has the options, the key and the
 *   registered types as they are in memory.  What it cannot know before it
 *   listens (a port), or what went wrong, comes back in one message through a
 *   pipe.  stop_fd, an eventfd of both, ends it.
 *
 * Death
 *   Ours ends the server, as it does all daemon children.  Its own before it
 *   has reported is noticed by its sentinel: the pipe alone would not do, as
 *   another child may have inherited its other end. */
#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fail.h"
#include "server/server.h"

#define KILL_MS 5000 /* beyond what the server takes to drain */

struct report {
    int rc;
    char detail[256];
    char address[IPCM__ADDRESS_TEXT];
};

struct plan {
    struct ipcm__config config;
    int report[2];
};

/* ---- in the server's process ---- */

static int stop_by_signal = -1;

static void on_terminate(int sig)
{
    (void)sig;
    const int error = errno;
    const uint64_t one = 1;
    (void)!write(stop_by_signal, &one, sizeof one);
    errno = error;
}

/* Ctrl-C is for the program, which then ends the server.  SIGTERM is what it is
 * ended by when the program's end is a normal one. */
static void arrange_signals(int stop_fd)
{
    stop_by_signal = stop_fd;
    struct sigaction action = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &action, NULL);
    action.sa_handler = on_terminate;
    (void)sigaction(SIGTERM, &action, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void tell_address(const struct ipcm__server *server,
                         struct report *report)
{
    const char *const *addresses = NULL;
    if (ipcm__server_addresses(server, &addresses) > 0)
        snprintf(report->address, sizeof report->address, "%s", addresses[0]);
}

static int server_main(void *arg)
{
    const struct plan *plan = arg;
    struct ipcm__server *server = NULL;
    struct report report = {0};
    arrange_signals(plan->config.stop_fd);
    close(plan->report[0]);
    report.rc = ipcm__server_open(&plan->config, &server);
    if (report.rc == 0)
        tell_address(server, &report);
    else
        snprintf(report.detail, sizeof report.detail, "%s", ipc_error_detail());
    (void)!write(plan->report[1], &report, sizeof report);
    close(plan->report[1]);
    if (report.rc != 0)
        return EXIT_FAILURE;
    const int rc = ipcm__server_run(server);
    ipcm__server_free(server);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- in the program's ---- */

static int hear_report(const ipc_manager *manager, int fd,
                       struct report *report)
{
    struct pollfd items[] = {
        {.fd = fd, .events = POLLIN},
        {.fd = ipc_process_fd(&manager->server), .events = POLLIN},
    };
    while (poll(items, 2, -1) < 0)
        if (errno != EINTR)
            return ipcm__fail(-errno, "the server cannot be waited for: %s",
                              ipc_strerror(-errno));
    ssize_t n;
    do
        n = read(fd, report, sizeof *report);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof *report)
        return ipcm__fail(-EPIPE, "the server has ended before it could be "
                                  "used");
    report->detail[sizeof report->detail - 1] = '\0';
    report->address[sizeof report->address - 1] = '\0';
    return report->rc < 0 ? ipcm__fail(report->rc, "%s", report->detail) : 0;
}

static int start_process(ipc_manager *manager, struct plan *plan,
                         struct report *report)
{
    const ipc_process_options options = {
        .size = sizeof options,
        .daemon = true,
        .name = "manager",
        .start_method = IPC_START_FORK,
    };
    if (pipe2(plan->report, O_CLOEXEC | O_NONBLOCK) != 0)
        return ipcm__fail(-errno, "no pipe to the server: %s",
                          ipc_strerror(-errno));
    (void)ipc_process_init(&manager->server, server_main, plan, &options);
    int rc = ipc_process_start(&manager->server);
    close(plan->report[1]);
    if (rc == 0) {
        manager->starter = getpid();
        rc = hear_report(manager, plan->report[0], report);
    }
    close(plan->report[0]);
    return rc;
}

static int connect_to(ipc_manager *manager, const struct plan *plan,
                      const char *address)
{
    const struct ipcm__config *config = &plan->config;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.flags =
        config->flags & (IPC_MANAGER_PLAIN_TCP | IPC_MANAGER_NO_ARENA);
    if (config->tls_client_ca != NULL) {
        options.tls_certificate = config->tls_certificate;
        options.tls_key = config->tls_key;
    }
    const int rc = ipcm__manager_fill(manager, address, config->key,
                                      config->key_bytes, &options);
    return rc != 0 ? rc : ipcm__manager_begin(manager);
}

static int start(ipc_manager *manager, struct plan *plan)
{
    struct report report;
    plan->config.starter = getpid();
    /* Others like ours, whose starter was killed, could not do it. */
    if (plan->config.is_chosen)
        ipcm__doors_sweep(&plan->config.addresses[0]);
    manager->drain_ms = plan->config.limits.drain_ms;
    manager->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (manager->stop_fd < 0)
        return ipcm__fail(-errno, "no descriptor for the server: %s",
                          ipc_strerror(-errno));
    plan->config.stop_fd = manager->stop_fd;
    const int rc = start_process(manager, plan, &report);
    return rc != 0 ? rc : connect_to(manager, plan, report.address);
}

/* An error's detail is kept over what ending it takes. */
static void end_failed(ipc_manager *manager)
{
    char detail[256];
    snprintf(detail, sizeof detail, "%s", ipc_error_detail());
    if (manager->link != NULL)
        ipcm__link_end(manager);
    if (ipcm__server_is_ours(manager))
        ipcm__server_stop(manager);
    (void)ipc_process_close(&manager->server);
    if (manager->stop_fd >= 0)
        close(manager->stop_fd);
    ipcm__manager_drop(manager);
    ipc_remote_detail("%s", detail);
}

int ipc_manager_start(const ipc_manager_options *options, ipc_manager **out)
{
    struct plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a manager");
    int rc = ipcm__config_read(options, true, &plan->config);
    if (rc != 0) {
        free(plan);
        return rc;
    }
    ipc_manager *manager = ipcm__manager_new();
    if (manager == NULL)
        rc = ipcm__fail(-ENOMEM, "no memory for a manager");
    if (rc == 0)
        rc = start(manager, plan);
    ipcm__config_free(&plan->config);
    free(plan);
    if (rc == 0)
        *out = manager;
    else if (manager != NULL)
        end_failed(manager);
    return rc;
}

/* ---- its end ---- */

bool ipcm__server_is_ours(const ipc_manager *manager)
{
    return manager->starter != 0 && manager->starter == getpid();
}

bool ipcm__server_has_ended(ipc_manager *manager)
{
    return !ipc_process_is_alive(&manager->server);
}

void ipcm__server_stop(ipc_manager *manager)
{
    const uint64_t one = 1;
    (void)!write(manager->stop_fd, &one, sizeof one);
    const ipc_deadline end = ipc_after_ms((int64_t)manager->drain_ms + KILL_MS);
    if (ipc_process_join_until(&manager->server, end) == 0)
        return;
    (void)ipc_process_kill(&manager->server);
    (void)ipc_process_join(&manager->server);
}
