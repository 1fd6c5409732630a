/* Numbers as people write them. */
#include "managerd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How far a unit shifts; -1: it is none. */
static int shift_of(const char *unit)
{
    static const char units[] = "KMG";
    const char *at;
    if (unit[0] == '\0')
        return 0;
    at = strchr(units, unit[0]);
    return at != NULL && unit[1] == '\0' ? 10 * (int)(at - units + 1) : -1;
}

int managerd_number(const char *text, bool sizes, uint64_t most, uint64_t *out)
{
    const char *rest = text + strspn(text, "0123456789");
    const int shift = sizes || rest[0] == '\0' ? shift_of(rest) : -1;
    if (rest == text || shift < 0)
        return -EINVAL;
    errno = 0;
    const uint64_t value = strtoull(text, NULL, 10);
    if (errno != 0 || value > most >> shift)
        return -ERANGE;
    *out = value << shift;
    return 0;
}
