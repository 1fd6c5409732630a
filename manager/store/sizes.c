/* Store: how much each object takes, and whom a snapshot would help most. */
#include <errno.h>
#include <stdlib.h>

#include "fail.h"
#include "store/parts.h"

int ipcm__store_size_add(struct ipcm__store *store, uint64_t object,
                         uint64_t bytes, bool snapshot)
{
    struct store_size *size = ipcm__map_get(&store->sizes, object);
    if (size == NULL) {
        size = calloc(1, sizeof *size);
        if (size == NULL || ipcm__map_put(&store->sizes, object, size) < 0) {
            free(size);
            return ipcm__fail(-ENOMEM, "store %s: no memory", store->path);
        }
    }
    if (snapshot) {
        size->snapshot_bytes += bytes;
    } else {
        size->log_bytes += bytes;
        store->log_bytes += bytes;
    }
    return 0;
}

void ipcm__store_size_drop(struct ipcm__store *store, uint64_t object)
{
    struct store_size *size = ipcm__map_get(&store->sizes, object);
    if (size == NULL)
        return;
    store->log_bytes -= size->log_bytes;
    (void)ipcm__map_take(&store->sizes, object);
    free(size);
}

void ipcm__store_sizes_free(struct ipcm__store *store)
{
    for (size_t i = 0; i < store->sizes.room; i++)
        free(store->sizes.slots[i].value);
    ipcm__map_free(&store->sizes);
}

void ipcm__store_sizes(const struct ipcm__store *store, uint64_t object,
                       uint64_t *log_bytes, uint64_t *snapshot_bytes)
{
    const struct store_size *size = ipcm__map_get(&store->sizes, object);
    *log_bytes = size == NULL ? 0 : size->log_bytes;
    *snapshot_bytes = size == NULL ? 0 : size->snapshot_bytes;
}

/* Only so many are looked at in one call, beginning where the last one ended:
 * with fewer objects it is the worst of all, with more of them a bad one. */
#define LOOK_AT 512

uint64_t ipcm__store_worst(struct ipcm__store *store, uint64_t bytes)
{
    const struct ipcm__map *sizes = &store->sizes;
    uint64_t worst = 0;
    uint64_t most = 0;
    if (store->log_bytes <= bytes)
        return 0;
    for (size_t n = 0; n < LOOK_AT && n < sizes->room; n++) {
        const struct ipcm__slot *slot =
            &sizes->slots[store->cursor & (sizes->room - 1)];
        const struct store_size *size = slot->value;
        store->cursor++;
        if (size == NULL || size->log_bytes <= size->snapshot_bytes)
            continue;
        if (size->log_bytes - size->snapshot_bytes > most) {
            most = size->log_bytes - size->snapshot_bytes;
            worst = slot->key;
        }
    }
    return worst;
}
