/* TLS: what one side's streams have in common, and one of them. */
#ifndef IPC_MANAGER_NET_TLS_H
#define IPC_MANAGER_NET_TLS_H

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "net/net.h"

struct ipcm__tls {
    mbedtls_ssl_config config;
    mbedtls_x509_crt certificate;
    mbedtls_x509_crt ca;
    mbedtls_pk_context key;
    bool server;
    char *name; /* client: in the certificate; NULL: not looked at */
};

/* Random numbers of the kernel, which forks and threads cannot have in common;
 * for mbedTLS. */
int ipcm__tls_random(void *unused, unsigned char *out, size_t bytes);

/* What its functions say, as a negative errno with a detail. */
int ipcm__tls_error(const char *what, int error);

/* ---- one stream ---- */

struct ipcm__tls_stream;

int ipcm__tls_stream_new(struct ipcm__tls *settings, int fd,
                         struct ipcm__tls_stream **out);
void ipcm__tls_stream_free(struct ipcm__tls_stream *tls);

/* The functions of net.h of these names. */
int ipcm__tls_stream_ready(struct ipcm__stream *stream);
int ipcm__tls_stream_binding(struct ipcm__stream *stream, uint8_t out[32]);
int64_t ipcm__tls_stream_read(struct ipcm__stream *stream, void *data,
                              size_t room);
int64_t ipcm__tls_stream_write(struct ipcm__stream *stream, const void *data,
                               size_t bytes);
bool ipcm__tls_stream_pending(const struct ipcm__stream *stream);

#endif
