/* A manager over an encrypted connection.
 *
 *     manager_tls                    makes a certificate for itself
 *     manager_tls CERTIFICATE KEY    or has one: two PEM files, for localhost
 *
 * Python's managers send everything in the clear.  Here the key of the manager
 * is proved, never sent, and the proof covers the server's certificate: so one
 * that nobody has signed is enough, and who sits in the middle gets nowhere.
 * A client may ask for a certificate of its own choice beside that. */
#include <ipc/ipc.h>
#include <ipc/manager.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tls_certificate.h"

enum {
    CLIENTS = 3,
    SALES = 100
};

static ipc_manager *manager; /* of who has started it */

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* ---- certificates ---- */

static char folder[] = "/tmp/manager-tls-XXXXXX";
static char files[4][sizeof folder + 16];

static void remove_folder(void)
{
    for (int i = 0; i < 4; i++)
        unlink(files[i]);
    rmdir(folder);
}

/* Two pairs for the same host. */
static void make_certificates(void)
{
    static const char *const names[4] = {"server.crt", "server.key",
                                         "other.crt", "other.key"};
    if (mkdtemp(folder) == NULL)
        err(1, "%s", folder);
    atexit(remove_folder);
    for (int i = 0; i < 4; i++)
        snprintf(files[i], sizeof files[i], "%s/%s", folder, names[i]);
    check(tls_certificate_write(files[0], files[1], "localhost"));
    check(tls_certificate_write(files[2], files[3], "localhost"));
}

/* ---- clients ---- */

static int try_to_connect(const char *address, const void *key,
                          size_t key_bytes, const char *ca)
{
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    ipc_manager *client;
    int rc;

    options.tls_ca = ca;
    options.tls_name = ca != NULL ? "localhost" : NULL;
    options.label = "till";
    options.connect_ms = 500; /* who hangs up may be back soon: not this one */
    rc = ipc_manager_connect(address, key, key_bytes, &options, &client);
    return rc < 0 ? rc : ipc_manager_close(client);
}

/* As another program would do it: it knows address and key. */
static int sell(void *arg)
{
    const char *certificate = arg;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    ipc_manager *client;
    ipc_dict *stock;
    size_t bytes;
    const void *key = ipc_manager_key(manager, &bytes);

    options.tls_ca = certificate;
    options.tls_name = "localhost";
    check(ipc_manager_connect(ipc_manager_address(manager), key, bytes,
                              &options, &client));
    check(ipc_manager_dict(client, "stock", &stock));
    for (int i = 0; i < SALES; i++)
        check(ipc_dict_incr(stock, ipc_str("tea"), -1, NULL));
    check(ipc_dict_close(stock));
    return ipc_manager_close(client);
}

static int64_t run_tills(const char *certificate)
{
    ipc_process p[CLIENTS];
    ipc_dict *stock;
    int64_t left;

    check(ipc_manager_dict(manager, "stock", &stock));
    check(ipc_dict_set_i64(stock, "tea", (int64_t)CLIENTS * SALES + 7));
    for (int i = 0; i < CLIENTS; i++) {
        ipc_process_init(&p[i], sell, (void *)(uintptr_t)certificate, NULL);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < CLIENTS; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
    check(ipc_dict_get_i64(stock, "tea", &left));
    check(ipc_dict_close(stock));
    return left;
}

/* ---- who gets in ---- */

static int expect(const char *who, int rc, int expected)
{
    printf("%-36s %s%s\n", who, rc == 0 ? "comes in" : ipc_strerror(rc),
           rc == expected ? "" : " (NOT as it should be)");
    return rc != expected;
}

static int try_all(const char *certificate, const char *other)
{
    const char *address = ipc_manager_address(manager);
    unsigned char wrong[IPC_MANAGER_KEY_MIN];
    char plain[300];
    size_t bytes;
    const void *key = ipc_manager_key(manager, &bytes);
    int failed = 0;

    memset(wrong, 'x', sizeof wrong);
    snprintf(plain, sizeof plain, "tcp%s", address + strlen("tls"));
    failed |=
        expect("with the key:", try_to_connect(address, key, bytes, NULL), 0);
    failed |= expect("and the server's certificate:",
                     try_to_connect(address, key, bytes, certificate), 0);
    failed |= expect("with another certificate:",
                     try_to_connect(address, key, bytes, other), -EKEYREJECTED);
    failed |= expect(
        "with another key:", try_to_connect(address, wrong, sizeof wrong, NULL),
        -EACCES);
    failed |=
        expect("without encryption:", try_to_connect(plain, key, bytes, NULL),
               -ECONNRESET);
    return failed;
}

int main(int argc, char **argv)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    const char *address = "tls://127.0.0.1:0"; /* any port that is free */

    if (argc != 1 && argc != 3)
        errx(2, "usage: manager_tls [CERTIFICATE KEY]");
    make_certificates();
    options.addresses = &address;
    options.address_count = 1;
    options.tls_certificate = argc == 3 ? argv[1] : files[0];
    options.tls_key = argc == 3 ? argv[2] : files[1];
    check(ipc_manager_start(&options, &manager));

    const int failed = try_all(options.tls_certificate, files[2]);
    const int64_t left = run_tills(options.tls_certificate);
    printf("%d tills sold %d each over tls: %" PRId64 " are left\n", CLIENTS,
           SALES, left);
    check(ipc_manager_close(manager));
    return failed || left != 7;
}
