/* Options structures: the one place that reads them.
 *
 * The first field is uint32_t size.  NULL and all-zero mean defaults.  A
 * shorter structure comes from an older program: the rest is default.  A
 * longer one comes from a newer program: fine while its tail is zero. */
#ifndef IPC_BASE_OPTIONS_H
#define IPC_BASE_OPTIONS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Copy what the caller gave into out (out_size bytes, zeroed first).
 * Returns 0, -EINVAL for a size that no version ever had, or -E2BIG. */
static inline int ipc__options_read(void *out, size_t out_size,
                                    const void *given)
{
    memset(out, 0, out_size);
    if (given == NULL)
        return 0;
    uint32_t size;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > 4096)
        return -EINVAL;
    for (size_t i = out_size; i < size; i++)
        if (((const unsigned char *)given)[i] != 0)
            return -E2BIG;
    memcpy(out, given, size < out_size ? size : out_size);
    return 0;
}

/* Fill the caller's structure, as far as it reaches, from ours.  Its size
 * field stays the caller's. */
static inline int ipc__info_write(void *caller, const void *ours,
                                  size_t our_size)
{
    uint32_t size;
    memcpy(&size, caller, sizeof size);
    if (size < sizeof size || size > 4096)
        return -EINVAL;
    const size_t n = size < our_size ? size : our_size;
    memcpy((char *)caller + sizeof size, (const char *)ours + sizeof size,
           n - sizeof size);
    return 0;
}

#endif
