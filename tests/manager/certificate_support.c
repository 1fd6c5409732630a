/* Certificates for tests: elliptic curves, as they are made fastest. */
#include "manager/certificate_support.h"

#include "harness/harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/bignum.h>
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "net/tls.h"

#define PEM_BYTES 8192u

void file_in_tmpdir(const char *name, const char *suffix, char out[256])
{
    snprintf(out, 256, "%s/%s%s", test_tmpdir(), name, suffix);
}

static void write_file(const char *name, const char *suffix,
                       const unsigned char *text)
{
    char path[256];
    const ssize_t bytes = (ssize_t)strlen((const char *)text);
    file_in_tmpdir(name, suffix, path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, (size_t)bytes), bytes);
    close(fd);
}

static void make_key(const char *name, mbedtls_pk_context *key)
{
    unsigned char text[PEM_BYTES];
    mbedtls_pk_init(key);
    assert_int_equal(
        mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
    assert_int_equal(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1,
                                         mbedtls_pk_ec(*key), ipcm__tls_random,
                                         NULL),
                     0);
    assert_int_equal(mbedtls_pk_write_key_pem(key, text, sizeof text), 0);
    write_file(name, ".key", text);
}

static void read_key(const char *name, mbedtls_pk_context *key)
{
    char path[256];
    file_in_tmpdir(name, ".key", path);
    mbedtls_pk_init(key);
    assert_int_equal(mbedtls_pk_parse_keyfile(key, path, NULL), 0);
}

static void sign(const char *name, const char *subject, const char *issuer,
                 mbedtls_pk_context *key, mbedtls_pk_context *issuer_key)
{
    unsigned char text[PEM_BYTES];
    mbedtls_x509write_cert cert;
    mbedtls_mpi serial;
    mbedtls_x509write_crt_init(&cert);
    mbedtls_mpi_init(&serial);
    assert_int_equal(mbedtls_mpi_lset(&serial, 1), 0);
    mbedtls_x509write_crt_set_version(&cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&cert, key);
    mbedtls_x509write_crt_set_issuer_key(&cert, issuer_key);
    assert_int_equal(mbedtls_x509write_crt_set_serial(&cert, &serial), 0);
    assert_int_equal(mbedtls_x509write_crt_set_validity(&cert, "20200101000000",
                                                        "20991231235959"),
                     0);
    assert_int_equal(mbedtls_x509write_crt_set_subject_name(&cert, subject), 0);
    assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&cert, issuer), 0);
    assert_int_equal(mbedtls_x509write_crt_set_basic_constraints(
                         &cert, key == issuer_key, -1),
                     0);
    assert_int_equal(mbedtls_x509write_crt_pem(&cert, text, sizeof text,
                                               ipcm__tls_random, NULL),
                     0);
    write_file(name, ".crt", text);
    mbedtls_mpi_free(&serial);
    mbedtls_x509write_crt_free(&cert);
}

/* "CN=host,O=name": who signs is told by the name of his files. */
static void read_name(const char *name, char out[256])
{
    char path[256];
    mbedtls_x509_crt cert;
    file_in_tmpdir(name, ".crt", path);
    mbedtls_x509_crt_init(&cert);
    assert_int_equal(mbedtls_x509_crt_parse_file(&cert, path), 0);
    assert_true(mbedtls_x509_dn_gets(out, 256, &cert.subject) > 0);
    mbedtls_x509_crt_free(&cert);
}

void make_certificate(const char *name, const char *of, const char *host)
{
    char subject[128];
    char issuer[256];
    mbedtls_pk_context key, issuer_key;

    snprintf(subject, sizeof subject, "CN=%s,O=%s", host, name);
    make_key(name, &key);
    if (of == NULL) {
        sign(name, subject, subject, &key, &key);
    } else {
        read_key(of, &issuer_key);
        read_name(of, issuer);
        sign(name, subject, issuer, &key, &issuer_key);
        mbedtls_pk_free(&issuer_key);
    }
    mbedtls_pk_free(&key);
}
