/* What a walk has found: an array, and a table of places in it by hash. */
#include "object/found.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_LEAST 32 /* a power of two */

/* Where the offset is, or would go. */
static uint64_t *slot_of(const struct ipc__found *found, uint64_t offset)
{
    const uint64_t mask = 2 * found->room - 1;
    uint64_t i = offset * 0x9e3779b97f4a7c15u >> 32 & mask;
    while (found->slots[i] != 0 &&
           found->all[found->slots[i] - 1].offset != offset)
        i = (i + 1) & mask;
    return &found->slots[i];
}

static bool grow(struct ipc__found *found)
{
    const uint64_t room = found->room != 0 ? 2 * found->room : ROOM_LEAST;
    struct ipc__found_one *all = realloc(found->all, room * sizeof *found->all);
    if (all == NULL)
        return false;
    found->all = all;
    uint64_t *slots = calloc(2 * room, sizeof *slots);
    if (slots == NULL)
        return false;
    free(found->slots);
    found->slots = slots;
    found->room = room;
    for (uint64_t i = 0; i < found->count; i++)
        *slot_of(found, all[i].offset) = i + 1;
    return true;
}

struct ipc__found_one *ipc__found_add(struct ipc__visit *v,
                                      struct ipc__found *found, uint64_t offset)
{
    if (found->count == found->room && !grow(found)) {
        (void)ipc__visit_fail(v, -ENOMEM, "no memory to walk through an arena");
        return NULL;
    }
    uint64_t *slot = slot_of(found, offset);
    if (*slot == 0) {
        found->all[found->count] = (struct ipc__found_one){.offset = offset};
        *slot = ++found->count;
    }
    struct ipc__found_one *one = &found->all[*slot - 1];
    one->times++;
    return one;
}

void ipc__found_fini(struct ipc__found *found)
{
    free(found->all);
    free(found->slots);
    *found = (struct ipc__found){0};
}
