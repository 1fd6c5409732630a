/* The protocol is enough: a client that shares nothing with the library, in
 * another language (client.py), gets along with a server. */
#include "harness/harness.h"
#include "harness/role.h"

#include "manager/certificate_support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/manager.h>

#define NO_PYTHON 127

struct stage {
    char asked[200];
    char address[200];
    char key_path[256];
    char client_path[256];
    uint32_t ready;
};

/* ---- the server ---- */

static int is_ready(void *arg, const char *const *addresses, size_t count)
{
    struct stage *stage = arg;
    assert_int_equal(count, 1);
    snprintf(stage->address, sizeof stage->address, "%s", addresses[0]);
    meet_signal(&stage->ready);
    return 0;
}

static void serve(void *arg)
{
    struct stage *stage = arg;
    const char *const addresses[] = {stage->asked};
    uint8_t key[IPC_MANAGER_KEY_MAX];
    char certificate[256], certificate_key[256];
    ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;

    limits.local_session_grace_ms = 2000; /* so that it can come back */
    options.limits = &limits;
    options.addresses = addresses;
    options.address_count = 1;
    assert_int_equal(ipc_manager_key_read(stage->key_path, key, sizeof key,
                                          &options.key_bytes),
                     0);
    options.key = key;
    if (strncmp(stage->asked, "tls", 3) == 0) {
        file_in_tmpdir("server", ".crt", certificate);
        file_in_tmpdir("server", ".key", certificate_key);
        options.tls_certificate = certificate;
        options.tls_key = certificate_key;
    }
    options.ready = is_ready;
    options.arg = stage;
    const int rc = ipc_manager_serve(&options);
    test_fail("the server has ended: %d, %s", rc, ipc_error_detail());
}

/* ---- the client ---- */

static void run_client(void *arg)
{
    const struct stage *stage = arg;
    execlp("python3", "python3", stage->client_path, stage->address,
           stage->key_path, (char *)NULL);
    role_exit(NO_PYTHON);
}

/* Beside this file. */
static void find_client(char out[256])
{
    snprintf(out, 256, "%s", __FILE__);
    char *slash = strrchr(out, '/');
    assert_non_null(slash);
    assert_true((size_t)(slash - out) + sizeof "/client.py" < 256);
    strcpy(slash, "/client.py");
    if (access(out, R_OK) != 0)
        test_skip("%s is not here", out);
}

static void run(const char *address)
{
    struct stage *stage = test_shared(sizeof *stage);
    struct role server, client;

    snprintf(stage->asked, sizeof stage->asked, "%s", address);
    file_in_tmpdir("shop", ".secret", stage->key_path);
    find_client(stage->client_path);
    assert_int_equal(ipc_manager_key_write(stage->key_path), 0);
    role_start(&server, serve, stage);
    meet_wait(&stage->ready, 1, 10000);
    role_start(&client, run_client, stage);
    const int status = role_wait_dead(&client, 60000);
    role_kill(&server);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_PYTHON)
        test_skip("there is no python3");
    assert_int_equal(status, 0);
}

static void a_client_in_python_gets_along_over_unix(void)
{
    char address[256];
    snprintf(address, sizeof address, "unix:%s/run/manager", test_tmpdir());
    run(address);
}

static void a_client_in_python_gets_along_over_tcp(void)
{
    run("tcp://127.0.0.1:0");
}

static void a_client_in_python_gets_along_over_tls(void)
{
    make_certificate("server", NULL, "shop");
    run("tls://127.0.0.1:0");
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_client_in_python_gets_along_over_unix, 90),
    TEST_CASE_LIMIT(a_client_in_python_gets_along_over_tcp, 90),
    TEST_CASE_LIMIT(a_client_in_python_gets_along_over_tls, 90),
};
TEST_MAIN(cases)
