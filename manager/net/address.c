/* Addresses: text to parts and back. */
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>
#include <unistd.h>

#include "base/bits.h"
#include "fail.h"

static const struct {
    const char *begin;
    enum ipcm__transport transport;
} schemes[] = {
    {"unix:", IPCM__UNIX},
    {"tcp://", IPCM__TCP},
    {"tls://", IPCM__TLS},
};

static int fail(const char *text, const char *why)
{
    return ipcm__fail(-EINVAL, "address \"%.280s\": %s", text, why);
}

/* ---- parsing ---- */

/* A path from the root: others would be another one in another folder. */
static int parse_path(const char *text, const char *path,
                      struct ipcm__address *out)
{
    const size_t bytes = strlen(path);
    if (bytes != 0 && path[0] != '/')
        return fail(text, "the path does not begin with /");
    if (bytes >= sizeof out->path)
        return fail(text, "the path is longer than 107 bytes");
    if (bytes != 0 && path[bytes - 1] == '/')
        return fail(text, "the path ends with /");
    memcpy(out->path, path, bytes + 1);
    return 0;
}

static int parse_port(const char *text, const char *port, uint16_t *out)
{
    uint32_t number = 0;
    size_t i = 0;
    for (; port[i] >= '0' && port[i] <= '9' && i < 5; i++)
        number = number * 10 + (uint32_t)(port[i] - '0');
    if (i == 0 || port[i] != '\0' || number > UINT16_MAX)
        return fail(text, "the port is no number up to 65535");
    *out = (uint16_t)number;
    return 0;
}

/* What may be in the name of a host, or in an address in brackets. */
static bool is_host(const char *host, size_t bytes, bool brackets)
{
    for (size_t i = 0; i < bytes; i++) {
        const char c = host[i];
        const bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                            (c >= 'A' && c <= 'Z');
        if (letter || c == '.' || c == '-' || c == '_')
            continue;
        if (!brackets || (c != ':' && c != '%'))
            return false;
    }
    return bytes != 0;
}

static int parse_host(const char *text, const char *host,
                      struct ipcm__address *out)
{
    const bool brackets = host[0] == '[';
    const char *begin = host + brackets;
    const char *end = strchr(host, brackets ? ']' : ':');
    const char *colon = end != NULL ? end + brackets : NULL;

    if (colon == NULL || *colon != ':')
        return fail(text, "it does not end with :port");
    const size_t bytes = (size_t)(end - begin);
    if (bytes >= sizeof out->host || !is_host(begin, bytes, brackets))
        return fail(text, "that is no host");
    memcpy(out->host, begin, bytes);
    out->host[bytes] = '\0';
    return parse_port(text, colon + 1, &out->port);
}

int ipcm__address_parse(const char *text, struct ipcm__address *out)
{
    struct ipcm__address address;
    memset(&address, 0, sizeof address);
    for (size_t i = 0; i < array_length(schemes); i++) {
        const size_t bytes = strlen(schemes[i].begin);
        if (strncmp(text, schemes[i].begin, bytes) != 0)
            continue;
        address.transport = schemes[i].transport;
        const int rc = address.transport == IPCM__UNIX
                           ? parse_path(text, text + bytes, &address)
                           : parse_host(text, text + bytes, &address);
        if (rc == 0)
            *out = address;
        return rc;
    }
    return fail(text, "it begins with none of unix:, tcp://, tls://");
}

void ipcm__address_format(const struct ipcm__address *address, char *out,
                          size_t size)
{
    if (address->transport == IPCM__UNIX) {
        snprintf(out, size, "unix:%s", address->path);
        return;
    }
    const bool brackets = strchr(address->host, ':') != NULL;
    snprintf(out, size, "%s://%s%s%s:%u",
             address->transport == IPCM__TLS ? "tls" : "tcp",
             brackets ? "[" : "", address->host, brackets ? "]" : "",
             (unsigned)address->port);
}

/* ---- the default ---- */

/* Room for the longest name in the folder, so that all names lie in the same
 * one. */
#define NAME_BYTES sizeof "/m-0123456789abcdef"

static int default_folder(char *out, size_t size)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it meanwhile */
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    if (runtime != NULL && runtime[0] == '/' &&
        strlen(runtime) + sizeof "/libipc" + NAME_BYTES <= size)
        return snprintf(out, size, "%s/libipc", runtime);
    return snprintf(out, size, "/tmp/libipc-%u", (unsigned)geteuid());
}

int ipcm__address_default(struct ipcm__address *out, bool random)
{
    struct ipcm__address address;
    memset(&address, 0, sizeof address);
    address.transport = IPCM__UNIX;
    const size_t at = (size_t)default_folder(address.path, sizeof address.path);
    const size_t left = sizeof address.path - at;
    if (random) {
        uint64_t number;
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            return ipcm__fail(-EIO, "no random numbers");
        snprintf(address.path + at, left, "/m-%016llx",
                 (unsigned long long)number);
    } else {
        snprintf(address.path + at, left, "/manager");
    }
    *out = address;
    return 0;
}
