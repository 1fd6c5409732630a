#include "tls_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <mbedtls/bignum.h>
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/x509_crt.h>

enum {
    PEM_BYTES = 4096
};

/* The kernel's random numbers, as Mbed TLS asks for them. */
static int random_bytes(void *arg, unsigned char *out, size_t bytes)
{
    (void)arg;
    while (bytes > 0) {
        const ssize_t n = getrandom(out, bytes, 0);
        if (n < 0 && errno != EINTR)
            return MBEDTLS_ERR_ECP_RANDOM_FAILED;
        if (n > 0) {
            out += n;
            bytes -= (size_t)n;
        }
    }
    return 0;
}

static int write_file(const char *path, const unsigned char *text)
{
    const size_t bytes = strlen((const char *)text);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    const ssize_t n = write(fd, text, bytes);
    if (close(fd) < 0 || n < 0)
        return -errno;
    return (size_t)n == bytes ? 0 : -ENOSPC;
}

static int make_key(const char *path, mbedtls_pk_context *key)
{
    unsigned char text[PEM_BYTES];
    int rc;

    if (mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) !=
            0 ||
        mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key),
                            random_bytes, NULL) != 0 ||
        mbedtls_pk_write_key_pem(key, text, sizeof text) != 0)
        return -ENOMEM;
    rc = write_file(path, text);
    mbedtls_platform_zeroize(text, sizeof text);
    return rc;
}

/* Version 3, valid for this century, and its own authority. */
static int describe(mbedtls_x509write_cert *certificate,
                    mbedtls_pk_context *key, mbedtls_mpi *serial,
                    const char *subject)
{
    mbedtls_x509write_crt_set_version(certificate, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(certificate, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(certificate, key);
    mbedtls_x509write_crt_set_issuer_key(certificate, key);
    if (mbedtls_mpi_lset(serial, 1) != 0 ||
        mbedtls_x509write_crt_set_serial(certificate, serial) != 0 ||
        mbedtls_x509write_crt_set_validity(certificate, "20200101000000",
                                           "20991231235959") != 0 ||
        mbedtls_x509write_crt_set_subject_name(certificate, subject) != 0 ||
        mbedtls_x509write_crt_set_issuer_name(certificate, subject) != 0 ||
        mbedtls_x509write_crt_set_basic_constraints(certificate, 1, -1) != 0)
        return -EINVAL;
    return 0;
}

static int sign(const char *path, mbedtls_pk_context *key, const char *subject)
{
    mbedtls_x509write_cert certificate;
    unsigned char text[PEM_BYTES];
    mbedtls_mpi serial;
    int rc;

    mbedtls_x509write_crt_init(&certificate);
    mbedtls_mpi_init(&serial);
    rc = describe(&certificate, key, &serial, subject);
    if (rc == 0 && mbedtls_x509write_crt_pem(&certificate, text, sizeof text,
                                             random_bytes, NULL) != 0)
        rc = -ENOMEM;
    if (rc == 0)
        rc = write_file(path, text);
    mbedtls_mpi_free(&serial);
    mbedtls_x509write_crt_free(&certificate);
    return rc;
}

int tls_certificate_write(const char *certificate, const char *key,
                          const char *host)
{
    char subject[300];
    mbedtls_pk_context pair;
    int rc;

    if (snprintf(subject, sizeof subject, "CN=%s", host) >= (int)sizeof subject)
        return -ENAMETOOLONG;
    mbedtls_pk_init(&pair);
    rc = make_key(key, &pair);
    if (rc == 0)
        rc = sign(certificate, &pair, subject);
    mbedtls_pk_free(&pair);
    return rc;
}
