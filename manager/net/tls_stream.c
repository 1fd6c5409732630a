/* One TLS connection.
 *
 * State       the socket's bytes go through mbedTLS, which keeps what it has
 *             encrypted and could not send yet.
 * Invariants  owed is how many bytes of the caller's those are: they count as
 *             written only when they are out, so the caller brings them again.
 *             An error stays: after one mbedTLS may not be called any more. */
#include "net/tls.h"

#include <errno.h>
#include <stdlib.h>

#include <sys/socket.h>
#include <unistd.h>

#include <mbedtls/net_sockets.h>
#include <mbedtls/sha256.h>

#include "fail.h"

struct ipcm__tls_stream {
    mbedtls_ssl_context ssl;
    struct ipcm__tls *settings;
    int fd;
    int error;
    pid_t maker; /* a forked child says nothing in its name */
    size_t owed;
};

/* ---- for mbedTLS ---- */

static int to_socket(void *of, const unsigned char *data, size_t bytes)
{
    const struct ipcm__tls_stream *tls = of;
    for (;;) {
        const ssize_t n =
            send(tls->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            return (int)n;
        if (errno == EAGAIN)
            return MBEDTLS_ERR_SSL_WANT_WRITE;
        if (errno != EINTR)
            return MBEDTLS_ERR_NET_CONN_RESET;
    }
}

static int from_socket(void *of, unsigned char *data, size_t bytes)
{
    const struct ipcm__tls_stream *tls = of;
    for (;;) {
        const ssize_t n = recv(tls->fd, data, bytes, MSG_DONTWAIT);
        if (n >= 0)
            return (int)n; /* 0: mbedTLS makes CONN_EOF of it */
        if (errno == EAGAIN)
            return MBEDTLS_ERR_SSL_WANT_READ;
        if (errno != EINTR)
            return MBEDTLS_ERR_NET_CONN_RESET;
    }
}

/* ---- begin and end ---- */

int ipcm__tls_stream_new(struct ipcm__tls *settings, int fd,
                         struct ipcm__tls_stream **out)
{
    struct ipcm__tls_stream *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return ipcm__fail(-ENOMEM, "no memory for tls");
    tls->settings = settings;
    tls->fd = fd;
    tls->maker = getpid();
    mbedtls_ssl_init(&tls->ssl);
    int rc = mbedtls_ssl_setup(&tls->ssl, &settings->config);
    if (rc == 0 && !settings->server)
        rc = mbedtls_ssl_set_hostname(&tls->ssl, settings->name);
    if (rc != 0) {
        mbedtls_ssl_free(&tls->ssl);
        free(tls);
        return ipcm__tls_error("tls", rc);
    }
    mbedtls_ssl_set_bio(&tls->ssl, tls, to_socket, from_socket, NULL);
    *out = tls;
    return 0;
}

static bool is_over(const struct ipcm__tls_stream *tls)
{
    return tls->ssl.state == MBEDTLS_SSL_HANDSHAKE_OVER;
}

void ipcm__tls_stream_free(struct ipcm__tls_stream *tls)
{
    if (tls->error == 0 && is_over(tls) && tls->maker == getpid())
        (void)mbedtls_ssl_close_notify(&tls->ssl);
    mbedtls_ssl_free(&tls->ssl);
    free(tls);
}

/* ---- results ---- */

/* What mbedTLS said, to -EAGAIN and what is waited for, or an error. */
static int result(struct ipcm__stream *stream, const char *what, int rc)
{
    struct ipcm__tls_stream *tls = stream->tls;
    if (rc == MBEDTLS_ERR_SSL_WANT_READ) {
        stream->want_read = true;
        return -EAGAIN;
    }
    if (rc == MBEDTLS_ERR_SSL_WANT_WRITE) {
        stream->want_write = true;
        return -EAGAIN;
    }
    tls->error = ipcm__tls_error(what, rc);
    return tls->error;
}

static int begin(struct ipcm__stream *stream)
{
    const struct ipcm__tls_stream *tls = stream->tls;
    stream->want_read = false;
    stream->want_write = false;
    if (tls->error != 0)
        return ipcm__fail(tls->error, "tls has failed before");
    return 0;
}

int ipcm__tls_stream_ready(struct ipcm__stream *stream)
{
    struct ipcm__tls_stream *tls = stream->tls;
    int rc = begin(stream);
    if (rc < 0)
        return rc;
    if (is_over(tls))
        return 1;
    rc = mbedtls_ssl_handshake(&tls->ssl);
    if (rc == 0)
        return 1;
    rc = result(stream, "tls handshake", rc);
    return rc == -EAGAIN ? 0 : rc;
}

int ipcm__tls_stream_binding(struct ipcm__stream *stream, uint8_t out[32])
{
    const struct ipcm__tls_stream *tls = stream->tls;
    const mbedtls_x509_crt *certificate = &tls->settings->certificate;
    if (!is_over(tls))
        return ipcm__fail(-EPROTO, "the tls handshake is not over");
    if (!tls->settings->server)
        certificate = mbedtls_ssl_get_peer_cert(&tls->ssl);
    if (certificate == NULL)
        return ipcm__fail(-EPROTO, "the server has no certificate");
    const int rc =
        mbedtls_sha256_ret(certificate->raw.p, certificate->raw.len, out, 0);
    return rc == 0 ? 0 : ipcm__tls_error("certificate", rc);
}

int64_t ipcm__tls_stream_read(struct ipcm__stream *stream, void *data,
                              size_t room)
{
    struct ipcm__tls_stream *tls = stream->tls;
    int rc = begin(stream);
    if (rc < 0)
        return rc;
    rc = mbedtls_ssl_read(&tls->ssl, data, room);
    if (rc > 0)
        return rc;
    rc = result(stream, "tls", rc == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : rc);
    stream->want_read = false; /* that is what reading waits for anyway */
    return rc;
}

/* mbedTLS is called again with what it did not get rid of, and then says that
 * all it was handed was written, also what it never saw. */
int64_t ipcm__tls_stream_write(struct ipcm__stream *stream, const void *data,
                               size_t bytes)
{
    struct ipcm__tls_stream *tls = stream->tls;
    int rc = begin(stream);
    if (rc < 0)
        return rc;
    if (bytes < tls->owed)
        return ipcm__fail(-EINVAL, "not what was to be written before");
    size_t most = tls->owed != 0 ? tls->owed : bytes;
    if (most > MBEDTLS_SSL_OUT_CONTENT_LEN)
        most = MBEDTLS_SSL_OUT_CONTENT_LEN; /* one record */
    rc = mbedtls_ssl_write(&tls->ssl, data, most);
    if (rc > 0) {
        tls->owed = 0;
        return rc;
    }
    if (rc == MBEDTLS_ERR_SSL_WANT_WRITE && is_over(tls))
        tls->owed = most;
    rc = result(stream, "tls", rc);
    stream->want_write = false;
    return rc;
}

bool ipcm__tls_stream_pending(const struct ipcm__stream *stream)
{
    const struct ipcm__tls_stream *tls = stream->tls;
    return tls->error == 0 && mbedtls_ssl_check_pending(&tls->ssl) != 0;
}
