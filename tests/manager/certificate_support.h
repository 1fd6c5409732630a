/* Certificates for tests, made on the spot. */
#ifndef MANAGER_CERTIFICATE_SUPPORT_H
#define MANAGER_CERTIFICATE_SUPPORT_H

/* Two new files, name.crt and name.key, in the case's folder (test_tmpdir()).
 * of: the name of the one that signs it; NULL: it signs itself, and others.
 * host: the name that it is for. */
void make_certificate(const char *name, const char *of, const char *host);

/* The path of a file in the case's folder. */
void file_in_tmpdir(const char *name, const char *suffix, char out[256]);

#endif
