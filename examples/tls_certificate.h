/* A key, and a certificate that nobody but itself has signed: what a server
 * needs for tls:// addresses, as
 *
 *     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
 *         -keyout KEY -out CERTIFICATE -subj /CN=HOST */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

/* Two new PEM files, mode 0600, for one host.  0, or a negative errno. */
int tls_certificate_write(const char *certificate, const char *key,
                          const char *host);

#endif
