/* ipc-managerd for tests. */
#include "manager/daemon_support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipc/error.h>

#define LIMIT_MS 20000

const char *daemon_file(const char *name)
{
    static char paths[32][200];
    char path[sizeof paths[0]];
    size_t i = 0;
    (void)snprintf(path, sizeof path, "%s/%s", test_tmpdir(), name);
    while (paths[i][0] != '\0' && strcmp(paths[i], path) != 0)
        if (++i == sizeof paths / sizeof paths[0])
            test_fail("too many files");
    memcpy(paths[i], path, sizeof path);
    return paths[i];
}

const char *daemon_address(void)
{
    static char address[220];
    (void)snprintf(address, sizeof address, "unix:%s",
                   daemon_file("run/manager"));
    return address;
}

const char *daemon_key(void)
{
    const char *path = daemon_file("key");
    const int rc = ipc_manager_key_write(path);
    if (rc < 0 && rc != -EEXIST)
        test_fail("%s: %s", path, ipc_error_detail());
    return path;
}

void daemon_environment(const char *name, const char *value)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): cases and roles have one thread. */
    const int rc = value != NULL ? setenv(name, value, 1) : unsetenv(name);
    /* NOLINTEND(concurrency-mt-unsafe) */
    assert_int_equal(rc, 0);
}

/* ---- to its end ---- */

static void put_at(int fd, const char *path)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (file < 0 || dup2(file, fd) != fd)
        role_exit(126);
    (void)close(file);
}

static void become(const char *const *words)
{
    const char *argv[DAEMON_WORDS + 4] = {"ipc-managerd"};
    for (size_t i = 0; words[i] != NULL; i++)
        argv[i + 1] = words[i];
    execv(MANAGERD_PROGRAM, (char *const *)(uintptr_t)argv);
    role_exit(127);
}

static void run_to_end(void *arg)
{
    struct daemon_run *run = arg;
    put_at(STDOUT_FILENO, daemon_file("out"));
    put_at(STDERR_FILENO, daemon_file("err"));
    daemon_environment("NOTIFY_SOCKET", NULL);
    daemon_environment("JOURNAL_STREAM", NULL);
    become(run->words);
}

static size_t read_text(const char *path, char *out, size_t size)
{
    size_t bytes = 0;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        bytes = fread(out, 1, size - 1, file);
        (void)fclose(file);
    }
    out[bytes] = '\0';
    return bytes;
}

void daemon_run(struct daemon_run *run)
{
    struct role role;
    (void)test_tmpdir();
    role_start(&role, run_to_end, run);
    const int status = role_wait_dead(&role, LIMIT_MS);
    run->code =
        WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    (void)read_text(daemon_file("out"), run->out, sizeof run->out);
    (void)read_text(daemon_file("err"), run->err, sizeof run->err);
}

static bool is_one_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end != NULL && end != text && end[1] == '\0';
}

void daemon_says_at(const char *file, int line, int code, const char *text,
                    const char *const *words)
{
    struct daemon_run run = {.code = -1};
    char all[1024] = "";
    for (size_t i = 0; words[i] != NULL && i + 1 < DAEMON_WORDS; i++) {
        const size_t bytes = strlen(all);
        run.words[i] = words[i];
        (void)snprintf(all + bytes, sizeof all - bytes, " %s", words[i]);
    }
    daemon_run(&run);
    const bool said =
        text != NULL ? is_one_line(run.err) && strstr(run.err, text) != NULL
                     : run.err[0] == '\0';
    if (run.code != code || !said || run.out[0] != '\0')
        test_fail_at(file, line,
                     "ipc-managerd%s: code %d, not %d, and it says '%s', not "
                     "'%s', and '%s' to standard output",
                     all, run.code, code, run.err, text != NULL ? text : "",
                     run.out);
}

/* ---- as a server ---- */

static const char *notify_name(const struct daemon *daemon)
{
    static char name[120];
    (void)snprintf(name, sizeof name, "%s%s/notify",
                   daemon->abstract ? "@" : "", test_tmpdir());
    return name;
}

static void open_notify(struct daemon *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = notify_name(daemon);
    const size_t bytes = strlen(name);
    assert_true(bytes < sizeof address.sun_path);
    memcpy(address.sun_path, name, bytes);
    if (daemon->abstract)
        address.sun_path[0] = '\0';
    else
        (void)unlink(name);
    daemon->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(daemon->notify >= 0);
    const socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    if (bind(daemon->notify, (const struct sockaddr *)&address, size) != 0)
        test_fail("%s: %m", name);
}

static void run_server(void *arg)
{
    const struct daemon *daemon = arg;
    const char *words[DAEMON_WORDS + 3] = {"--key-file", daemon_file("key")};
    for (size_t i = 0; i < DAEMON_WORDS && daemon->words[i] != NULL; i++)
        words[i + 2] = daemon->words[i];
    daemon_environment("NOTIFY_SOCKET", notify_name(daemon));
    daemon_environment("JOURNAL_STREAM", daemon->journal);
    if (daemon->err > 0)
        (void)dup2(daemon->err, STDERR_FILENO);
    else
        put_at(STDERR_FILENO, daemon_file("log"));
    for (int fd = 0; daemon->closed && fd <= STDERR_FILENO; fd++)
        (void)close(fd);
    become(words);
}

void daemon_begin(struct daemon *daemon)
{
    (void)daemon_key();
    open_notify(daemon);
    role_start(&daemon->role, run_server, daemon);
}

void daemon_start(struct daemon *daemon)
{
    daemon_begin(daemon);
    daemon_tells(daemon, "READY=1");
}

static void fail_with_log(const struct daemon *daemon, const char *expected)
{
    char *log = daemon_log();
    (void)daemon;
    test_fail("no '%s' from it; its log is: %s", expected, log);
}

void daemon_told(struct daemon *daemon, char *out, size_t size)
{
    struct pollfd place = {.fd = daemon->notify, .events = POLLIN};
    if (poll(&place, 1, LIMIT_MS) != 1)
        fail_with_log(daemon, "word");
    const ssize_t bytes = recv(daemon->notify, out, size - 1, 0);
    assert_true(bytes > 0);
    out[bytes] = '\0';
}

void daemon_tells(struct daemon *daemon, const char *expected)
{
    struct pollfd places[] = {{.fd = daemon->notify, .events = POLLIN}};
    char told[256];
    for (int ms = 0; poll(places, 1, 20) == 0; ms += 20)
        if (ms > LIMIT_MS || thread_ended(daemon->role.pid))
            fail_with_log(daemon, expected);
    daemon_told(daemon, told, sizeof told);
    assert_string_equal(told, expected);
}

static void end(struct daemon *daemon)
{
    (void)close(daemon->notify);
    daemon->notify = -1;
}

void daemon_stop(struct daemon *daemon, int sig)
{
    assert_int_equal(kill(daemon->role.pid, sig), 0);
    daemon_tells(daemon, "STOPPING=1");
    role_wait_ok(&daemon->role, LIMIT_MS);
    end(daemon);
}

void daemon_kill(struct daemon *daemon)
{
    (void)role_kill(&daemon->role);
    end(daemon);
}

char *daemon_log(void)
{
    const size_t size = 1 << 16;
    char *text = malloc(size);
    assert_non_null(text);
    (void)read_text(daemon_file("log"), text, size);
    return text;
}

void daemon_log_has(const char *text)
{
    const int64_t until = test_now_ns() + (int64_t)LIMIT_MS * 1000000;
    for (;;) {
        char *log = daemon_log();
        const bool has = strstr(log, text) != NULL;
        if (!has && test_now_ns() > until)
            test_fail("no '%s' in its log: %s", text, log);
        free(log);
        if (has)
            return;
        poll_pause();
    }
}

ipc_manager *daemon_connect(const char *address,
                            const ipc_manager_connect_options *options)
{
    uint8_t key[IPC_MANAGER_KEY_MAX];
    size_t bytes;
    ipc_manager *manager = NULL;
    assert_int_equal(
        ipc_manager_key_read(daemon_file("key"), key, sizeof key, &bytes), 0);
    const int rc = ipc_manager_connect(address, key, bytes, options, &manager);
    if (rc < 0)
        test_fail("%s: %s: %s", address, ipc_strerror(rc), ipc_error_detail());
    return manager;
}
