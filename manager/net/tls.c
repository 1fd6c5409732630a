/* TLS: certificates and settings. */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <sodium.h>

#include "fail.h"

/* Longer files are no certificates of anybody's. */
#define FILE_BYTES ((size_t)1 << 20)

/* TLS 1.2, with keys of their own for each connection. */
static const int suites[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    0,
};

int ipcm__tls_random(void *unused, unsigned char *out, size_t bytes)
{
    size_t done = 0;
    (void)unused;
    while (done < bytes) {
        const ssize_t n = getrandom(out + done, bytes - done, 0);
        if (n < 0 && errno != EINTR)
            return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

static bool is_no_memory(int error)
{
    return error == MBEDTLS_ERR_SSL_ALLOC_FAILED ||
           error == MBEDTLS_ERR_X509_ALLOC_FAILED ||
           error == MBEDTLS_ERR_PK_ALLOC_FAILED;
}

int ipcm__tls_error(const char *what, int error)
{
    char text[160];
    mbedtls_strerror(error, text, sizeof text);
    ipc_remote_detail("%s: %s", what, text);
    if (is_no_memory(error))
        return -ENOMEM;
    switch (error) {
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_NET_CONN_RESET:
        return -EPIPE;
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        return -EKEYREJECTED;
    default:
        return -EPROTO;
    }
}

/* ---- files ---- */

/* The whole file, with a zero behind it, which is part of PEM for mbedTLS.
 * free() it. */
static int read_public(const char *path, unsigned char **out, size_t *bytes)
{
    unsigned char *text = calloc(1, FILE_BYTES + 1);
    size_t done = 0;
    int rc = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || text == NULL)
        rc = fd < 0 ? -errno : -ENOMEM;
    while (rc == 0 && done < FILE_BYTES) {
        const ssize_t n = read(fd, text + done, FILE_BYTES - done);
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            rc = -errno;
    }
    if (fd >= 0)
        close(fd);
    if (rc < 0) {
        free(text);
        return ipcm__fail(rc, "%s: %s", path, ipc_strerror(rc));
    }
    *out = text;
    *bytes = done;
    return 0;
}

static int fail_file(const char *path, const char *what, int error)
{
    char text[160];
    mbedtls_strerror(error, text, sizeof text);
    return ipcm__fail(is_no_memory(error) ? -ENOMEM : -EINVAL,
                      "%s holds no %s: %s", path, what, text);
}

static int read_certificates(const char *path, mbedtls_x509_crt *out)
{
    unsigned char *text;
    size_t bytes;
    int rc = read_public(path, &text, &bytes);
    if (rc < 0)
        return rc;
    rc = mbedtls_x509_crt_parse(out, text, bytes + 1);
    free(text);
    /* Positive: that many of them could not be read. */
    return rc == 0 ? 0
                   : fail_file(path, "certificate",
                               rc > 0 ? MBEDTLS_ERR_X509_INVALID_FORMAT : rc);
}

static int read_key(const char *path, mbedtls_pk_context *out)
{
    unsigned char text[16384];
    size_t bytes = 0;
    int rc = ipcm__secret_read(path, text, sizeof text - 1, &bytes);
    if (rc < 0)
        return rc;
    text[bytes] = '\0';
    rc = mbedtls_pk_parse_key(out, text, bytes + 1, NULL, 0);
    sodium_memzero(text, sizeof text);
    return rc == 0 ? 0 : fail_file(path, "key", rc);
}

/* ---- settings ---- */

static int read_own(struct ipcm__tls *tls,
                    const struct ipcm__tls_options *options)
{
    if (options->certificate == NULL && options->key == NULL && !tls->server)
        return 0;
    if (options->certificate == NULL || options->key == NULL)
        return ipcm__fail(-EINVAL, "tls needs both a certificate and its key");
    int rc = read_certificates(options->certificate, &tls->certificate);
    if (rc == 0)
        rc = read_key(options->key, &tls->key);
    if (rc < 0)
        return rc;
    if (mbedtls_pk_check_pair(&tls->certificate.pk, &tls->key) != 0)
        return ipcm__fail(-EINVAL, "%s is not the key of %s", options->key,
                          options->certificate);
    rc = mbedtls_ssl_conf_own_cert(&tls->config, &tls->certificate, &tls->key);
    return rc == 0 ? 0 : ipcm__tls_error(options->certificate, rc);
}

static int configure(struct ipcm__tls *tls,
                     const struct ipcm__tls_options *options)
{
    const int end = tls->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    int rc = mbedtls_ssl_config_defaults(&tls->config, end,
                                         MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc != 0)
        return ipcm__tls_error("tls", rc);
    mbedtls_ssl_conf_min_version(&tls->config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(&tls->config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(&tls->config, suites);
    mbedtls_ssl_conf_rng(&tls->config, ipcm__tls_random, NULL);
    mbedtls_ssl_conf_session_tickets(&tls->config,
                                     MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    mbedtls_ssl_conf_authmode(&tls->config, options->ca != NULL
                                                ? MBEDTLS_SSL_VERIFY_REQUIRED
                                                : MBEDTLS_SSL_VERIFY_NONE);
    rc = read_own(tls, options);
    if (rc < 0 || options->ca == NULL)
        return rc;
    rc = read_certificates(options->ca, &tls->ca);
    if (rc == 0)
        mbedtls_ssl_conf_ca_chain(&tls->config, &tls->ca, NULL);
    return rc;
}

int ipcm__tls_new(const struct ipcm__tls_options *options,
                  struct ipcm__tls **out)
{
    struct ipcm__tls *tls = calloc(1, sizeof *tls);
    int rc = 0;
    if (tls == NULL)
        return ipcm__fail(-ENOMEM, "no memory for tls");
    mbedtls_ssl_config_init(&tls->config);
    mbedtls_x509_crt_init(&tls->certificate);
    mbedtls_x509_crt_init(&tls->ca);
    mbedtls_pk_init(&tls->key);
    tls->server = options->server;
    if (options->name != NULL) {
        tls->name = strdup(options->name);
        if (tls->name == NULL)
            rc = ipcm__fail(-ENOMEM, "no memory for tls");
    }
    if (rc == 0)
        rc = configure(tls, options);
    if (rc < 0) {
        ipcm__tls_free(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

void ipcm__tls_free(struct ipcm__tls *tls)
{
    if (tls == NULL)
        return;
    mbedtls_ssl_config_free(&tls->config);
    mbedtls_x509_crt_free(&tls->certificate);
    mbedtls_x509_crt_free(&tls->ca);
    mbedtls_pk_free(&tls->key);
    free(tls->name);
    free(tls);
}
