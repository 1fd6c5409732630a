/* Handles: which of them this process has.
 *
 * State
 *   a place   0, or the address of a handle; by CAS from 0, by a store to 0
 *   next      0, or the block behind; by CAS from 0.  Blocks are never freed
 *
 * No lock: a fork in the middle of anything here copies a list that is whole.
 *
 * Order: a handle is told to other threads by its user, after it was
 * remembered; who looks for it finds it. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "queue/posix.h"

struct block {
    uint64_t places[31];
    uint64_t next;
};

static struct block first;

static struct block *block_behind(const struct block *block)
{
    const uint64_t next = load_acquire(&block->next);
    return (struct block *)(uintptr_t)next;
}

/* The place that holds this, or NULL. */
static uint64_t *find(uint64_t value)
{
    for (struct block *b = &first; b != NULL; b = block_behind(b))
        for (size_t i = 0; i < array_length(b->places); i++)
            if (load_relaxed(&b->places[i]) == value)
                return &b->places[i];
    return NULL;
}

static uint64_t value_of(const void *handle)
{
    return (uint64_t)(uintptr_t)handle;
}

static int add_block(void)
{
    struct block *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ipc__fail(-ENOMEM, "no memory for a queue");
    struct block *last = &first;
    while (!cas64_release(&last->next, 0, value_of(made)))
        last = block_behind(last);
    return 0;
}

bool ipc__posix_is_handle(const ipc_queue *queue)
{
    return queue != NULL && find(value_of(queue)) != NULL;
}

int ipc__posix_remember(const struct ipc__posix *handle)
{
    for (;;) {
        uint64_t *place = find(0);
        const int rc = place == NULL ? add_block() : 0;
        if (rc != 0)
            return rc;
        if (place != NULL && cas64_relaxed(place, 0, value_of(handle)))
            return 0;
    }
}

void ipc__posix_forget(const struct ipc__posix *handle)
{
    uint64_t *place = find(value_of(handle));
    if (place != NULL)
        store_relaxed(place, (uint64_t)0);
}
