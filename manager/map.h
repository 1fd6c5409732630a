/* Maps from numbers to pointers: open addressing, no holes. */
#ifndef IPC_MANAGER_MAP_H
#define IPC_MANAGER_MAP_H

#include <stddef.h>
#include <stdint.h>

struct ipcm__slot {
    uint64_t key;
    void *value; /* NULL: empty */
};

/* Zero-filled is empty. */
struct ipcm__map {
    struct ipcm__slot *slots;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

/* NULL: there is none. */
void *ipcm__map_get(const struct ipcm__map *map, uint64_t key);

/* value is not NULL, and takes the place of the one before.  -ENOMEM. */
int ipcm__map_put(struct ipcm__map *map, uint64_t key, void *value);

/* Take it out; NULL: there was none. */
void *ipcm__map_take(struct ipcm__map *map, uint64_t key);

/* The next one from place *at on, which begins with 0; NULL: no more.  Nothing
 * may be put or taken meanwhile. */
void *ipcm__map_next(const struct ipcm__map *map, size_t *at, uint64_t *key);

/* Its own memory; empty afterwards. */
void ipcm__map_free(struct ipcm__map *map);

#endif
