/* Maps: linear probing; what is taken out is closed up by moving back what
 * follows, so that a search ends at the first empty place.
 *
 * Keys come from this process (numbers, serials, keyed hashes), so nobody can
 * choose those that fall together. */
#include "map.h"

#include <errno.h>
#include <stdlib.h>

#include "fail.h"

#define ROOM_LEAST 16

static size_t home(const struct ipcm__map *map, uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u;
    key ^= key >> 29;
    return (size_t)key & (map->room - 1);
}

/* Where it is, or would be. */
static size_t find(const struct ipcm__map *map, uint64_t key)
{
    size_t at = home(map, key);
    while (map->slots[at].value != NULL && map->slots[at].key != key)
        at = (at + 1) & (map->room - 1);
    return at;
}

void *ipcm__map_get(const struct ipcm__map *map, uint64_t key)
{
    return map->room != 0 ? map->slots[find(map, key)].value : NULL;
}

static int grow(struct ipcm__map *map)
{
    const struct ipcm__map old = *map;
    const size_t room = old.room != 0 ? old.room * 2 : ROOM_LEAST;
    struct ipcm__slot *slots = calloc(room, sizeof *slots);
    if (slots == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a table of %zu", room);
    map->slots = slots;
    map->room = room;
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i].value != NULL)
            slots[find(map, old.slots[i].key)] = old.slots[i];
    free(old.slots);
    return 0;
}

int ipcm__map_put(struct ipcm__map *map, uint64_t key, void *value)
{
    if (map->count + 1 > map->room / 4 * 3) {
        const int rc = grow(map);
        if (rc != 0)
            return rc;
    }
    struct ipcm__slot *slot = &map->slots[find(map, key)];
    if (slot->value == NULL)
        map->count++;
    slot->key = key;
    slot->value = value;
    return 0;
}

/* May what is at place from lie at place to, which comes before it? */
static int may_move(const struct ipcm__map *map, size_t from, size_t to)
{
    const size_t mask = map->room - 1;
    const size_t at = home(map, map->slots[from].key);
    return ((from - at) & mask) >= ((from - to) & mask);
}

void *ipcm__map_take(struct ipcm__map *map, uint64_t key)
{
    if (map->room == 0)
        return NULL;
    size_t hole = find(map, key);
    void *value = map->slots[hole].value;
    if (value == NULL)
        return NULL;
    for (size_t at = (hole + 1) & (map->room - 1); map->slots[at].value != NULL;
         at = (at + 1) & (map->room - 1))
        if (may_move(map, at, hole)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    map->slots[hole].value = NULL;
    map->count--;
    return value;
}

void *ipcm__map_next(const struct ipcm__map *map, size_t *at, uint64_t *key)
{
    while (*at < map->room) {
        const struct ipcm__slot *slot = &map->slots[(*at)++];
        if (slot->value == NULL)
            continue;
        *key = slot->key;
        return slot->value;
    }
    return NULL;
}

void ipcm__map_free(struct ipcm__map *map)
{
    free(map->slots);
    *map = (struct ipcm__map){NULL, 0, 0};
}
