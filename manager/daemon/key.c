/* Key files. */
#include "managerd.h"

#include <string.h>

#include <ipc/error.h>

int managerd_key_make(const char *path)
{
    const int rc = ipc_manager_key_write(path);
    if (rc == 0)
        return 0;
    (void)managerd_complain(rc);
    return MANAGERD_FAILED;
}

int managerd_key_read(const char *path, struct managerd_key *out)
{
    const int rc =
        ipc_manager_key_read(path, out->bytes, sizeof out->bytes, &out->count);
    if (rc == 0)
        return 0;
    (void)managerd_complain(rc);
    return MANAGERD_FAILED;
}

void managerd_key_wipe(struct managerd_key *key)
{
    explicit_bzero(key, sizeof *key);
}
