/* ipc-managerd: its options, what it looks at before it starts, and key
 * files. */
#include "manager/daemon_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ipc/version.h>

#include "daemon/managerd.h"
#include "server/server.h"

enum {
    FINE = 0,
    FAILED = MANAGERD_FAILED,
    WRONG = MANAGERD_MISUSED
};

/* ---- wrong use ---- */

static void a_wrong_option_is_one_line_and_code_2(void)
{
    daemon_says(WRONG, "--key-file FILE is needed", NULL);
    daemon_says(WRONG, "'--nope'", "--nope");
    daemon_says(WRONG, "'-x'", "-x");
    daemon_says(WRONG, "'-x'", "-xyz");
    daemon_says(WRONG, "'--tls'", "--tls", "file");
    daemon_says(WRONG, "'extra'", "--key-file", "k", "extra");
    daemon_says(WRONG, "--check=1: it takes no value", "--check=1");
    daemon_says(WRONG, "--key-file needs a value", "--key-file");
    daemon_says(WRONG, "the name of a file", "--store", "");
    daemon_says(WRONG, "a?b", "a\nb");
}

static void a_wrong_value_is_one_line_and_code_2(void)
{
    daemon_says(WRONG, "not 'often'", "--durability", "often");
    daemon_says(WRONG, "not 'loud'", "--log-level", "loud");
    daemon_says(WRONG, "not 'no such user'", "--uid", "no such user");
    daemon_says(WRONG, "not '-1'", "--uid", "-1");
    daemon_says(WRONG, "not '4294967295'", "--uid", "4294967295");
    daemon_says(WRONG, "not '0'", "--snapshot-bytes", "0");
    daemon_says(WRONG, "not '4G'", "--snapshot-bytes", "4G");
    daemon_says(WRONG, "not '1T'", "--snapshot-bytes", "1T");
    daemon_says(WRONG, "not '1KK'", "--snapshot-bytes", "1KK");
    daemon_says(WRONG, "not 'K'", "--snapshot-bytes", "K");
    daemon_says(WRONG, "not 'depth'", "--limit", "depth");
    daemon_says(WRONG, "no such limit", "--limit", "deep=1");
    daemon_says(WRONG, "no such limit", "--limit", "=1");
    daemon_says(WRONG, "not ''", "--limit", "depth=");
    daemon_says(WRONG, "not '1K'", "--limit", "depth=1K");
    daemon_says(WRONG, "not '4294967296'", "--limit", "depth=4294967296");
    daemon_says(WRONG, "not '18446744073709551616'", "--limit",
                "queue_bytes=18446744073709551616");
    daemon_says(WRONG, "at most 8", "--listen", "1", "--listen=2", "--listen=3",
                "--listen=4", "--listen=5", "--listen=6", "--listen=7",
                "--listen=8", "--listen=9");
}

static void options_that_do_not_go_together_are_code_2(void)
{
    daemon_says(WRONG, "no other option", "--make-key", "k", "--check");
    daemon_says(WRONG, "--store", "--key-file=k", "--durability", "always");
    daemon_says(WRONG, "--store", "--key-file=k", "--snapshot-bytes", "1M");
    daemon_says(WRONG, "--tls-key", "--key-file=k", "--listen", "tls://h:1");
    daemon_says(WRONG, "tls://", "--key-file=k", "--tls-client-ca", "f");
}

/* What only the library knows to be wrong. */
static void wrong_addresses_and_limits_are_code_2(void)
{
    const char *key = daemon_key();
    daemon_says(WRONG, "foo", "--key-file", key, "--listen", "foo");
    daemon_says(WRONG, "foo", "--key-file", key, "--listen", "foo", "--check");
    daemon_says(WRONG, "depth is 1: 3 to 64", "--key-file", key, "--listen",
                daemon_address(), "--limit", "depth=1");
    daemon_says(WRONG, "frame_bytes is 1024: 4096", "--key-file", key,
                "--check", "--listen", daemon_address(), "--limit",
                "frame_bytes=1K");
}

/* ---- help ---- */

static void help_and_version_go_to_standard_output(void)
{
    struct daemon_run run = {.words = {"--help"}};
    daemon_run(&run);
    assert_int_equal(run.code, 0);
    assert_string_equal(run.err, "");
    assert_non_null(strstr(run.out, "usage: ipc-managerd"));
    for (const char *at = run.out; *at != '\0'; at += strcspn(at, "\n") + 1)
        if (strcspn(at, "\n") > 80)
            test_fail("too long: %.90s", at);

    struct daemon_run version = {.words = {"--version", "--nope"}};
    daemon_run(&version);
    assert_int_equal(version.code, 0);
    assert_string_equal(version.out, "ipc-managerd " IPC_VERSION_STRING "\n");
}

/* "  depth                 16  of nested arrays in it" */
static void expect_help(const char *text, const struct managerd_limit *limit)
{
    char name[40], value[40];
    uint64_t is;
    (void)snprintf(name, sizeof name, "\n  %s ", limit->name);
    const char *at = strstr(text, name);
    if (at == NULL || sscanf(at + strlen(name), " %39s", value) != 1)
        test_fail("no word of %s", limit->name);
    assert_int_equal(managerd_number(value, true, UINT64_MAX, &is), 0);
    assert_int_equal(is, limit->is);
}

static uint64_t load(const ipc_manager_limits *limits,
                     const struct managerd_limit *limit)
{
    const char *at = (const char *)limits + limit->offset;
    uint64_t large;
    uint32_t small;
    memcpy(&large, at, limit->is_64 ? sizeof large : sizeof small);
    memcpy(&small, at, sizeof small);
    return limit->is_64 ? large : small;
}

/* All of them, with the values that the library takes for 0. */
static void help_lists_every_limit_as_the_library_has_it(void)
{
    static const uint8_t key[32] = {1};
    const char *addresses[] = {daemon_address()};
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    struct ipcm__config config;
    size_t bytes = sizeof(uint32_t); /* size */
    struct daemon_run run = {.words = {"--help"}};
    options.key = key;
    options.key_bytes = sizeof key;
    options.addresses = addresses;
    options.address_count = 1;
    assert_int_equal(ipcm__config_read(&options, false, &config), 0);
    daemon_run(&run);
    for (size_t i = 0; i < managerd_limit_count; i++) {
        const struct managerd_limit *limit = &managerd_limits[i];
        if (load(&config.limits, limit) != limit->is)
            test_fail("%s is %llu", limit->name,
                      (unsigned long long)load(&config.limits, limit));
        expect_help(run.out, limit);
        bytes += limit->is_64 ? sizeof(uint64_t) : sizeof(uint32_t);
    }
    assert_true(bytes + sizeof(uint64_t) > sizeof(ipc_manager_limits));
    ipcm__config_free(&config);
    test_report("limits", (long long)managerd_limit_count);
}

static void every_limit_can_be_set(void)
{
    for (size_t i = 0; i < managerd_limit_count; i++) {
        const struct managerd_limit *limit = &managerd_limits[i];
        ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
        char text[64];
        (void)snprintf(text, sizeof text, "%s=%s", limit->name,
                       managerd_limit_is_size(limit) ? "3K" : "3072");
        assert_int_equal(managerd_limit_set(&limits, text), 0);
        for (size_t k = 0; k < managerd_limit_count; k++)
            assert_int_equal(load(&limits, &managerd_limits[k]),
                             k == i ? 3072 : 0);
        assert_int_equal(limits.size, sizeof limits);
    }
}

/* ---- key files ---- */

static void make_key_makes_a_file_for_us_alone(void)
{
    struct stat about;
    const char *key = daemon_file("key");
    daemon_says(FINE, NULL, "--make-key", key);
    assert_int_equal(stat(key, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_int_equal(about.st_size, 32);
    daemon_says(FAILED, key, "--make-key", key);
    daemon_says(FAILED, "/nowhere", "--make-key", "/nowhere/at/all");
}

static const char *write_file(const char *name, mode_t mode, size_t bytes)
{
    const char *path = daemon_file(name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(write(fd, "k", 1), 1);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
    return path;
}

static void expect_key(int code, const char *text, const char *key)
{
    daemon_says(code, text, "--key-file", key, "--listen", daemon_address(),
                "--check");
    if (code != FINE)
        daemon_says(code, text, "--key-file", key, "--listen",
                    daemon_address());
}

static void a_key_file_that_is_not_safe_is_refused(void)
{
    const char *good = write_file("good", 0600, 32);
    const char *link = daemon_file("link");
    expect_key(FINE, NULL, good);
    expect_key(FINE, NULL, write_file("long", 0400, 1024));
    expect_key(FAILED, "0640", write_file("group", 0640, 32));
    expect_key(FAILED, "0604", write_file("others", 0604, 32));
    expect_key(FAILED, "31 bytes", write_file("short", 0600, 31));
    expect_key(FAILED, "1024 bytes", write_file("longer", 0600, 1025));
    expect_key(FAILED, "nowhere", "/nowhere");
    expect_key(FAILED, "is no file", test_tmpdir());
    assert_int_equal(symlink(good, link), 0);
    expect_key(FAILED, link, link);
}

/* ---- check ---- */

static int count_files(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static void expect_store(int code, const char *text, const char *store)
{
    const char *key = daemon_file("key");
    daemon_says(code, text, "--key-file", key, "--listen", daemon_address(),
                "--store", store, "--check");
    if (code != FINE)
        daemon_says(code, text, "--key-file", key, "--listen", daemon_address(),
                    "--store", store);
}

static void check_looks_at_the_store_and_changes_nothing(void)
{
    const char *open_folder = daemon_file("open");
    (void)daemon_key();
    expect_store(FINE, NULL, daemon_file("store"));
    const int count = count_files(test_tmpdir());
    expect_store(FINE, NULL, daemon_file("store"));
    assert_int_equal(count_files(test_tmpdir()), count);
    expect_store(FAILED, "not one of ours", write_file("foreign", 0600, 4096));
    expect_store(FAILED, "0644", write_file("readable", 0644, 0));
    expect_store(FAILED, "empty", write_file("empty", 0600, 0));
    expect_store(FAILED, "/nowhere/store", "/nowhere/store");
    assert_int_equal(mkdir(open_folder, 0700), 0);
    assert_int_equal(chmod(open_folder, 0777), 0);
    expect_store(FAILED, "folder", daemon_file("open/store"));
}

/* Whole, and still nothing that this server could have. */
static void check_says_no_to_a_store_that_does_not_fit(void)
{
    const char *key = daemon_key();
    const char *store = daemon_file("store");
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    ipc_manager *manager = NULL;
    ipc_list *list = NULL;
    char text[1000];
    options.store = store;
    options.durability = IPC_DURABLE_INTERVAL;
    assert_int_equal(ipc_manager_start(&options, &manager), 0);
    assert_int_equal(ipc_manager_list(manager, "list", &list), 0);
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 200; i++)
        assert_int_equal(ipc_list_append(list, ipc_strn(text, sizeof text)), 0);
    assert_int_equal(ipc_list_close(list), 0);
    expect_store(FAILED, "another server has it open", store);
    assert_int_equal(ipc_manager_close(manager), 0);
    expect_store(FINE, NULL, store);
    const int count = count_files(test_tmpdir());
    daemon_says(FAILED, "store", "--key-file", key, "--listen",
                daemon_address(), "--store", store, "--limit",
                "memory_bytes=64K", "--check");
    assert_int_equal(count_files(test_tmpdir()), count);
    daemon_says(FAILED, "store", "--key-file", key, "--listen",
                daemon_address(), "--store", store, "--limit",
                "memory_bytes=64K");
}

static void expect_address(int code, const char *text, const char *address)
{
    const char *key = daemon_file("key");
    daemon_says(code, text, "--key-file", key, "--listen", address, "--check");
    if (code != FINE)
        daemon_says(code, text, "--key-file", key, "--listen", address);
}

static void check_looks_at_addresses(void)
{
    char address[300];
    const char *folder = daemon_file("others");
    (void)daemon_key();
    expect_address(FINE, NULL, "tcp://127.0.0.1:0");
    expect_address(FINE, NULL, daemon_address());
    assert_int_equal(access(daemon_file("run"), F_OK), -1);
    expect_address(WRONG, "(--plain-tcp)", "tcp://0.0.0.0:0");
    daemon_says(FINE, NULL, "--key-file", daemon_file("key"), "--plain-tcp",
                "--listen", "tcp://0.0.0.0:0", "--check");
    assert_int_equal(mkdir(folder, 0755), 0);
    (void)snprintf(address, sizeof address, "unix:%s/manager", folder);
    expect_address(FAILED, "others", address);
}

/* The same error, in the same words. */
static void check_says_no_where_serve_would(void)
{
    char address[300];
    const char *folder = daemon_file("closed");
    (void)daemon_key();
    expect_address(FAILED, "cannot be made", "unix:/no/such/folder/manager");
    expect_address(FAILED, "folder / ", "unix:/manager");
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(address, sizeof address, "unix:%s/manager", folder);
    assert_int_equal(chmod(folder, 0500), 0);
    expect_address(FAILED, "mode 0500, not 0700", address);
    assert_int_equal(chmod(folder, 0711), 0);
    expect_address(FAILED, "mode 0711, not 0700", address);
    assert_int_equal(chmod(folder, 0700), 0);
    (void)write_file("closed/manager", 0600, 1);
    expect_address(FAILED, "is no socket", address);
    assert_int_equal(unlink(daemon_file("closed/manager")), 0);
    assert_int_equal(symlink("nowhere", daemon_file("closed/manager.lock")), 0);
    expect_address(FAILED, "manager.lock", address);
    assert_int_equal(unlink(daemon_file("closed/manager.lock")), 0);
    expect_address(FINE, NULL, address);
    assert_int_equal(symlink(folder, daemon_file("link")), 0);
    (void)snprintf(address, sizeof address, "unix:%s/manager",
                   daemon_file("link"));
    expect_address(FAILED, "folder", address);
    expect_address(FAILED, "no host", "tcp://no.such.host.invalid:1");
}

static uint16_t port_of(const char *address)
{
    const char *port = strrchr(address, ':');
    assert_non_null(port);
    return (uint16_t)strtoul(port + 1, NULL, 10);
}

static void check_says_no_where_somebody_is(void)
{
    char tcp[64];
    const char *key = daemon_key();
    ipc_manager *manager = NULL;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    const char *addresses[] = {daemon_address(), "tcp://127.0.0.1:0"};
    options.addresses = addresses;
    options.address_count = 2;
    assert_int_equal(ipc_manager_start(&options, &manager), 0);
    expect_address(FAILED, "another server is at", daemon_address());
    /* Where one is that locks nothing. */
    assert_int_equal(unlink(daemon_file("run/manager.lock")), 0);
    expect_address(FAILED, "somebody is at", daemon_address());
    assert_int_equal(ipc_manager_ping(manager, ipc_after_ms(5000)), 0);
    assert_int_equal(ipc_manager_close(manager), 0);
    expect_address(FINE, NULL, daemon_address());

    addresses[0] = addresses[1];
    options.address_count = 1;
    assert_int_equal(ipc_manager_start(&options, &manager), 0);
    const uint16_t port = port_of(ipc_manager_address(manager));
    (void)snprintf(tcp, sizeof tcp, "tcp://127.0.0.1:%u", port);
    expect_address(FAILED, "Address already in use", tcp);
    assert_int_equal(ipc_manager_close(manager), 0);
    expect_address(FINE, NULL, tcp);
    daemon_says(FAILED, "twice", "--key-file", key, "--listen", tcp, "--listen",
                tcp, "--check");
    daemon_says(FAILED, tcp, "--key-file", key, "--listen", tcp, "--listen",
                tcp);
    daemon_says(FAILED, "twice", "--key-file", key, "--listen",
                daemon_address(), "--listen", daemon_address(), "--check");
    daemon_says(FAILED, daemon_address(), "--key-file", key, "--listen",
                daemon_address(), "--listen", daemon_address());
}

static const struct test_case cases[] = {
    TEST_CASE(a_wrong_option_is_one_line_and_code_2),
    TEST_CASE(a_wrong_value_is_one_line_and_code_2),
    TEST_CASE(options_that_do_not_go_together_are_code_2),
    TEST_CASE(wrong_addresses_and_limits_are_code_2),
    TEST_CASE(help_and_version_go_to_standard_output),
    TEST_CASE(help_lists_every_limit_as_the_library_has_it),
    TEST_CASE(every_limit_can_be_set),
    TEST_CASE(make_key_makes_a_file_for_us_alone),
    TEST_CASE(a_key_file_that_is_not_safe_is_refused),
    TEST_CASE(check_looks_at_the_store_and_changes_nothing),
    TEST_CASE(check_says_no_to_a_store_that_does_not_fit),
    TEST_CASE(check_looks_at_addresses),
    TEST_CASE(check_says_no_where_serve_would),
    TEST_CASE(check_says_no_where_somebody_is),
};

TEST_MAIN(cases)
