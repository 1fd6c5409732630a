/* For tests of faults: a server that ends when it is told to, and a use of it
 * that goes on as far as it can, and counts what was acknowledged. */
#ifndef MANAGER_FAULT_SUPPORT_H
#define MANAGER_FAULT_SUPPORT_H

#include "manager/client_support.h"

#include "harness/faults.h"
#include "harness/sweep.h"

#include <signal.h>
#include <sys/eventfd.h>

#include <ipc/time.h>

enum {
    TIMES = 3 /* that each list is appended to */
};

/* ---- a server that may be ended, and says how it did ---- */

struct served { /* shared */
    struct client_server server;
    long nth; /* allocation that fails; 0: none */
    int signals;
    int stop;
    int result;
    long count; /* of allocations */
    uint32_t ended;
};

static struct served *serving;

/* No more faults; it has been seen whether there were any. */
static inline void end_faults(int signal_number)
{
    (void)signal_number;
    /* NOLINTBEGIN(bugprone-signal-handler,cert-sig30-c): stores, and a wake */
    serving->count = fault_malloc_end();
    meet_signal(&serving->ended);
    /* NOLINTEND(bugprone-signal-handler,cert-sig30-c) */
}

static inline void serve(void *arg)
{
    struct served *served = arg;
    serving = served;
    (void)signal(SIGUSR1, end_faults);
    struct client_server *server = &served->server;
    const char *addresses[] = {server->asked};
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.addresses = addresses;
    options.address_count = 1;
    options.key = CLIENT_KEY;
    options.key_bytes = strlen(CLIENT_KEY);
    options.limits = &server->limits;
    if (server->store[0] != '\0') {
        options.store = server->store;
        options.durability = server->durability;
    }
    options.ready = client_server_ready;
    options.arg = server;
    options.stop_fd = served->stop;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (served->nth != 0)
        fault_malloc_nth(served->nth, false);
    if (served->signals != 0)
        storm_start(served->signals);
    served->result = ipc_manager_serve(&options);
    if (served->signals != 0)
        served->signals = (int)storm_stop();
    meet_signal(&server->ready);
    meet_signal(&served->ended);
}

static inline struct served *served_new(const char *folder)
{
    struct served *served = test_shared(sizeof *served);
    snprintf(served->server.asked, sizeof served->server.asked,
             "unix:%s/run/socket", folder);
    snprintf(served->server.store, sizeof served->server.store, "%s/store",
             folder);
    served->server.durability = IPC_DURABLE_INTERVAL;
    served->server.limits = (ipc_manager_limits)IPC_MANAGER_LIMITS_INIT;
    served->server.limits.restart_grace_ms = 500; /* of one from the store */
    served->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(served->stop > 0);
    return served;
}

/* Wait until it serves, or has said that it will not. */
static inline void served_start(struct served *served)
{
    served->result = 0;
    served->ended = 0;
    served->server.ready = 0;
    role_start(&served->server.role, serve, served);
    meet_wait(&served->server.ready, 1, 10000);
}

static inline void served_stop(struct served *served)
{
    uint64_t one = 1;
    assert_int_equal(write(served->stop, &one, sizeof one), sizeof one);
    role_wait_ok(&served->server.role, 10000);
    (void)!read(served->stop, &one, sizeof one);
}

static inline void served_free(struct served *served)
{
    close(served->stop);
}

/* ---- a use of it ---- */

/* What has come of it: for each list how often an append was acknowledged, and
 * how often it may have happened, too. */
static struct tally {
    int appended[2];
    int unsure[2];
    int refused; /* calls */
} tally;

static bool durable = true; /* the server has a store */
static bool may_fail;       /* for want of memory, or with the connection */

static inline bool is_clean(int64_t rc)
{
    return rc == -ENOMEM || rc == -ENOTCONN || rc == -ECONNRESET ||
           rc == -EMFILE || rc == -EUSERS || /* and turned away at the door */
           rc == -EPROTO;
}

static inline bool done_at(int64_t rc, const char *what, int line)
{
    if (rc >= 0)
        return true;
    if (!may_fail || !is_clean(rc))
        test_fail_at(__FILE__, line, "%s: %s: %s", what, ipc_strerror((int)rc),
                     ipc_error_detail());
    tally.refused++;
    return false;
}
#define DONE(call) done_at((call), #call, __LINE__)

static inline void append(ipc_list *list, int which)
{
    for (int i = 0; i < TIMES; i++) {
        const int rc = ipc_list_append(list, ipc_str("a text of some bytes"));
        if (DONE(rc))
            tally.appended[which]++;
        else if (rc != -ENOMEM)
            tally.unsure[which]++;
    }
}

/* The one in the arena, and the durable one. */
static inline int open_list(ipc_manager *manager, int which, ipc_any *list)
{
    ipc_manager_object_options options = IPC_MANAGER_OBJECT_OPTIONS_INIT;
    options.durability =
        which == 1 && durable ? IPC_DURABLE_INTERVAL : IPC_DURABLE_NONE;
    return ipc_manager_open(manager, IPC_TYPE_LIST,
                            which == 0 ? "given" : "kept", &options, list);
}

static inline void use_lists(ipc_manager *manager)
{
    ipc_any list;
    for (int which = 0; which < 2; which++) {
        if (!DONE(open_list(manager, which, &list)))
            continue;
        append(list.list, which);
        ipc_any item;
        const int rc = ipc_list_get(list.list, -1, &item);
        if (rc != -ERANGE && DONE(rc))
            ipc_any_free(&item);
        ipc_any_free(&list);
    }
}

static inline void use_queue(ipc_manager *manager)
{
    ipc_managed *queue;
    ipc_managed_lease lease;
    if (!DONE(ipc_manager_queue(manager, NULL, NULL, &queue)))
        return;
    if (DONE(ipc_managed_queue_put(queue, ipc_str("message")))) {
        const int rc = ipc_managed_queue_take_nowait(queue, &lease);
        if (rc != -EAGAIN && DONE(rc)) {
            const int ack = ipc_managed_queue_ack(queue, &lease);
            assert_true(ack == 0 || may_fail);
            ipc_managed_lease_free(&lease);
        }
    }
    (void)ipc_managed_close(queue);
}

static inline void use_lock(ipc_manager *manager)
{
    ipc_managed *lock;
    if (!DONE(ipc_manager_rlock(manager, NULL, &lock)))
        return;
    if (DONE(ipc_managed_lock_acquire(lock))) {
        const int rc = ipc_managed_lock_release(lock);
        assert_true(rc == 0 || may_fail);
    }
    (void)ipc_managed_close(lock);
}

static inline void use_batch(ipc_manager *manager)
{
    ipc_calls *calls;
    ipc_dict *dict;
    const ipc_any item[] = {ipc_str("key"), ipc_str("value")};
    if (!DONE(ipc_manager_dict(manager, "dict", &dict)))
        return;
    if (DONE(ipc_calls_new(manager, &calls))) {
        if (DONE(ipc_calls_add(calls, ipc_any_dict(dict), IPC_OP_DICT_SET, item,
                               2)))
            (void)DONE(ipc_calls_run(calls, IPC_CALLS_ATOMIC));
        (void)ipc_calls_free(calls);
    }
    (void)ipc_dict_close(dict);
}

static inline void look(ipc_manager *manager)
{
    ipc_any text;
    ipc_anys names;
    if (DONE(ipc_manager_debug_info(manager, &text)))
        ipc_any_free(&text);
    if (DONE(ipc_manager_names(manager, &names)))
        ipc_anys_free(&names);
}

static inline void use_manager(const struct served *served)
{
    ipc_manager *manager;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.reconnect_ms = 2000;
    if (!DONE(ipc_manager_connect(served->server.address, CLIENT_KEY,
                                  strlen(CLIENT_KEY), &options, &manager)))
        return;
    use_lists(manager);
    use_queue(manager);
    use_lock(manager);
    use_batch(manager);
    look(manager);
    OK(ipc_manager_close(manager));
}

/* What was acknowledged is there, what was refused is not; and of a client that
 * is gone there is nothing. */
static inline void expect_whole(const struct served *served)
{
    ipc_manager *manager = client_connect(&served->server);
    ipc_any list;
    may_fail = false;
    for (int which = 0; which < 2; which++) {
        (void)DONE(open_list(manager, which, &list));
        const int64_t length = ipc_list_length(list.list);
        assert_in_range(length, tally.appended[which],
                        tally.appended[which] + tally.unsure[which]);
        OK(ipc_list_clear(list.list));
        OK(ipc_list_close(list.list));
    }
    for (int64_t begin = test_now_ns();;) {
        ipc_manager_stats stats = IPC_MANAGER_STATS_INIT;
        OK(ipc_manager_query(manager, &stats));
        if (stats.sessions == 1 && stats.connections == 1)
            break;
        assert_true(test_now_ns() - begin < (int64_t)5000 * 1000000);
        poll_pause();
    }
    OK(ipc_manager_close(manager));
    memset(&tally, 0, sizeof tally);
}

/* The lists are there with their durability, and one use has gone well. */
static inline void use_well(const struct served *served)
{
    may_fail = false;
    use_manager(served);
    assert_int_equal(tally.appended[0], TIMES);
    assert_int_equal(tally.appended[1], TIMES);
    expect_whole(served);
}

#endif
