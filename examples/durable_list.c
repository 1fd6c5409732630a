/* A list that survives its server.
 *
 * Four processes append to a list; meanwhile the server is killed three times,
 * kill -9, in the middle of it, and started anew on the same store.  What was
 * answered is there afterwards, once, and in its order: a call that is under
 * way when the server dies waits for the next one, and is done once.
 *
 * The list is kept at IPC_DURABLE_INTERVAL: safe from the death of the server;
 * IPC_DURABLE_ALWAYS is safe from that of the machine, too, and slower. */
#include <ipc/ipc.h>
#include <ipc/manager.h>

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    WRITERS = 4,
    LINES = 400, /* of each */
    DEATHS = 3,
    ALL = WRITERS * LINES
};

static char folder[] = "/tmp/durable-list-XXXXXX";
static char store[sizeof folder + 16], address[sizeof folder + 24];
static unsigned char key[IPC_MANAGER_KEY_MIN];
static ipc_event *ready;
static ipc_list *journal;

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* ---- the server ---- */

static int tell(void *arg, const char *const *addresses, size_t count)
{
    (void)addresses;
    (void)count;
    return ipc_event_set(arg);
}

static int serve(void *arg)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    const char *where = address;

    (void)arg;
    options.flags = IPC_MANAGER_REMOTE_SHUTDOWN;
    options.addresses = &where;
    options.address_count = 1;
    options.key = key;
    options.key_bytes = sizeof key;
    options.store = store;
    options.ready = tell;
    options.arg = ready;
    check(ipc_manager_serve(&options));
    return 0;
}

static void start_server(ipc_process *server)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;

    options.daemon = true;
    check(ipc_event_clear(ready));
    ipc_process_init(server, serve, NULL, &options);
    check(ipc_process_start(server));
    check(ipc_event_wait_until(ready, ipc_after_s(20)));
}

static ipc_manager *connect_to_it(void)
{
    ipc_manager *manager;

    check(ipc_manager_connect(address, key, sizeof key, NULL, &manager));
    return manager;
}

static void open_journal(ipc_manager *manager)
{
    ipc_manager_object_options options = IPC_MANAGER_OBJECT_OPTIONS_INIT;
    ipc_any list;

    options.durability = IPC_DURABLE_INTERVAL;
    check(ipc_manager_open(manager, IPC_TYPE_LIST, "journal", &options, &list));
    journal = list.list;
}

/* ---- who writes to it ----
 *
 * A child connects by itself, in its first call. */

static int append(void *arg)
{
    const int64_t writer = *(const int *)arg;

    for (int64_t line = 0; line < LINES; line++)
        check(ipc_list_append_i64(journal, writer * LINES + line));
    return 0;
}

/* Are all lines of all writers there, once, and each writer's in order? */
static bool is_complete(void)
{
    int64_t next[WRITERS] = {0};
    bool fine;
    ipc_anys all;

    check(ipc_list_slice(journal, 0, INT64_MAX, 1, &all));
    fine = all.count == ALL;
    for (size_t i = 0; fine && i < all.count; i++) {
        const int64_t n = all.items[i].i64;
        fine = n >= 0 && n < ALL && n % LINES == next[n / LINES]++;
    }
    ipc_anys_free(&all);
    return fine;
}

/* ---- kill -9 ---- */

static void wait_for(int64_t length)
{
    uint64_t version = 0;
    int64_t now;

    while ((now = ipc_list_length(journal)) >= 0 && now < length)
        check(ipc_list_watch(journal, &version, ipc_after_s(30)));
    if (now < 0)
        check((int)now);
}

static void kill_and_restart(ipc_process *server, ipc_manager *manager)
{
    check(ipc_process_kill(server));
    check(ipc_process_join(server));
    ipc_process_close(server);

    const ipc_deadline begin = ipc_now();
    start_server(server);
    check(ipc_manager_ping(manager, ipc_after_s(20)));
    printf("%.1f ms after its start the new one answers\n",
           (double)(ipc_now() - begin) / 1e6);
}

static void remove_folder(void)
{
    static const char *const names[] = {"store", "store-wal", "store-shm",
                                        "socket", "socket.lock"};
    char path[sizeof folder + 24];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    if (rmdir(folder) < 0)
        warn("%s", folder);
}

static void prepare(void)
{
    if (mkdtemp(folder) == NULL)
        err(1, "%s", folder);
    atexit(remove_folder);
    snprintf(store, sizeof store, "%s/store", folder);
    snprintf(address, sizeof address, "unix:%s/socket", folder);
    if (getrandom(key, sizeof key, 0) != sizeof key)
        err(1, "getrandom");
    check(ipc_event_new(NULL, &ready));
}

int main(void)
{
    ipc_process server, writers[WRITERS];
    int who[WRITERS];

    prepare();
    start_server(&server);
    ipc_manager *manager = connect_to_it();
    open_journal(manager);

    for (int i = 0; i < WRITERS; i++) {
        who[i] = i;
        ipc_process_init(&writers[i], append, &who[i], NULL);
        check(ipc_process_start(&writers[i]));
    }
    for (int i = 1; i <= DEATHS; i++) {
        wait_for((int64_t)i * ALL / (DEATHS + 1));
        printf("killed with %" PRId64 " lines of %d in it; ",
               ipc_list_length(journal), ALL);
        kill_and_restart(&server, manager);
    }
    for (int i = 0; i < WRITERS; i++) {
        check(ipc_process_join(&writers[i]));
        ipc_process_close(&writers[i]);
    }
    kill_and_restart(&server, manager);
    const bool complete = is_complete();
    printf("killed %d times: %s\n", DEATHS + 1,
           complete ? "all lines are there, once, in order" : "NOT complete");

    check(ipc_list_close(journal));
    check(ipc_manager_shutdown(manager));
    check(ipc_manager_close(manager));
    check(ipc_process_join(&server));
    ipc_process_close(&server);
    check(ipc_event_free(ready));
    return !complete;
}
