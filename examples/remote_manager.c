/* A manager for programs that have nothing in common but its address and key.
 *
 *     m = QueueManager(address=('', 50000), authkey=b'abracadabra')
 *     m.get_server().serve_forever()
 *
 *     m = QueueManager(address=('foo.bar.org', 50000), authkey=b'abracadabra')
 *     m.connect()
 *     m.get_queue().put('hello')
 *
 * One program in three parts:
 *
 *     remote_manager serve ADDRESS KEYFILE     until its standard input ends
 *     remote_manager put ADDRESS KEYFILE TEXT...
 *     remote_manager get ADDRESS KEYFILE HOW-MANY
 *
 * The server prints where it listens, as tcp://127.0.0.1:34567.  Without
 * arguments it runs all of them, on a port that is free.  tcp:// is not
 * encrypted, and for this machine only unless one asks for more by name;
 * manager_tls is for others. */
#include <ipc/ipc.h>
#include <ipc/managed.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETINGS    "4" /* of two, who say two each */
#define EXIT_REFUSED 3   /* the key is not the server's */

extern char **environ;

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* ---- the server ---- */

static int say_where(void *arg, const char *const *addresses, size_t count)
{
    (void)arg;
    (void)count;
    puts(addresses[0]);
    fflush(stdout);
    return 0;
}

static int serve(const char *address, const char *key_file)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    unsigned char key[IPC_MANAGER_KEY_MAX];

    check(ipc_manager_key_read(key_file, key, sizeof key, &options.key_bytes));
    options.key = key;
    options.addresses = &address;
    options.address_count = 1;
    options.ready = say_where;
    options.stop_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    check(ipc_manager_serve(&options));
    return 0;
}

/* ---- its clients ---- */

static ipc_manager *come(const char *address, const char *key_file)
{
    unsigned char key[IPC_MANAGER_KEY_MAX];
    ipc_manager *manager;
    size_t bytes;

    check(ipc_manager_key_read(key_file, key, sizeof key, &bytes));
    const int rc = ipc_manager_connect(address, key, bytes, NULL, &manager);
    if (rc == -EACCES)
        errx(EXIT_REFUSED, "the server wants another key than %s", key_file);
    check(rc);
    return manager;
}

static void go(ipc_manager *manager, ipc_managed *queue)
{
    check(ipc_managed_close(queue));
    check(ipc_manager_close(manager));
}

static int put(char **argv)
{
    ipc_manager *manager = come(argv[2], argv[3]);
    ipc_managed *queue;

    check(ipc_manager_queue(manager, "greetings", NULL, &queue));
    for (int i = 4; argv[i] != NULL; i++)
        check(ipc_managed_queue_put(queue, ipc_str(argv[i])));
    go(manager, queue);
    return 0;
}

static int get(char **argv)
{
    const long how_many = strtol(argv[4], NULL, 10);
    ipc_manager *manager = come(argv[2], argv[3]);
    ipc_managed *queue;
    ipc_any text;

    check(ipc_manager_queue(manager, "greetings", NULL, &queue));
    for (long i = 0; i < how_many; i++) {
        check(ipc_managed_queue_get(queue, &text));
        printf("got: %.*s\n", (int)text.size, text.str);
        ipc_any_free(&text);
    }
    go(manager, queue);
    return 0;
}

/* ---- all of it, each in a program of its own ---- */

static char folder[] = "/tmp/remote-manager-XXXXXX";
static char key_file[sizeof folder + 8], other_key[sizeof folder + 8];

static void remove_folder(void)
{
    unlink(key_file);
    unlink(other_key);
    rmdir(folder);
}

static pid_t run(const char *const *argv,
                 const posix_spawn_file_actions_t *files)
{
    pid_t pid;
    const int error = posix_spawn(&pid, "/proc/self/exe", files, NULL,
                                  (char *const *)argv, environ);

    if (error != 0)
        errx(1, "cannot run myself: %s", ipc_strerror(-error));
    return pid;
}

static int exit_code(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        errx(1, "a program did not end by itself");
    return WEXITSTATUS(status);
}

/* *talk is its standard input and output: it ends when we close that, or end. */
static pid_t start_server(char *address, size_t room, FILE **talk)
{
    const char *const argv[] = {"remote_manager", "serve", "tcp://127.0.0.1:0",
                                key_file, NULL};
    posix_spawn_file_actions_t files;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        err(1, "socketpair");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    const pid_t pid = run(argv, &files);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);

    *talk = fdopen(ends[0], "r");
    if (*talk == NULL || fgets(address, (int)room, *talk) == NULL)
        errx(1, "the server does not say where it is");
    address[strcspn(address, "\n")] = '\0';
    return pid;
}

static int run_all(void)
{
    char address[256];
    FILE *talk;

    if (mkdtemp(folder) == NULL)
        err(1, "%s", folder);
    snprintf(key_file, sizeof key_file, "%s/key", folder);
    snprintf(other_key, sizeof other_key, "%s/other", folder);
    atexit(remove_folder);
    check(ipc_manager_key_write(key_file));
    check(ipc_manager_key_write(other_key));

    const pid_t server = start_server(address, sizeof address, &talk);
    const char *const reader[] = {"remote_manager", "get",     address,
                                  key_file,         GREETINGS, NULL};
    const char *const writer[] = {"remote_manager", "put",   address, key_file,
                                  "hello",          "world", NULL};
    const char *const stranger[] = {"remote_manager", "put",  address,
                                    other_key,        "psst", NULL};
    const pid_t reading = run(reader, NULL);
    const pid_t first = run(writer, NULL), second = run(writer, NULL);
    const pid_t refused = run(stranger, NULL);
    const int failed =
        exit_code(first) | exit_code(second) | exit_code(reading);
    const bool came_in = exit_code(refused) != EXIT_REFUSED;

    fclose(talk);
    printf("%s greetings went from program to program; who has another key "
           "%s\n",
           GREETINGS, came_in ? "came in" : "was refused");
    return failed | exit_code(server) | came_in;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return run_all();
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argv[3]);
    if (argc >= 5 && strcmp(argv[1], "put") == 0)
        return put(argv);
    if (argc == 5 && strcmp(argv[1], "get") == 0)
        return get(argv);
    errx(2, "usage: remote_manager [serve ADDRESS KEYFILE |"
            " put ADDRESS KEYFILE TEXT... | get ADDRESS KEYFILE HOW-MANY]");
}
