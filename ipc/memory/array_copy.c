/* Copying elements.
 *
 * State
 *   Elements are written by whoever holds the array's lock, in raw arrays by
 *   anybody, and directly by the program.
 *
 * Invariants
 *   1  an element of 1, 2, 4 or 8 bytes is read and written by one access, or
 *      by part of one.  memcpy() promises no such thing: its string
 *      instructions stop between any two bytes.
 *
 * Order
 *   Acquire and release for each access, so that elements of raw arrays can
 *   tell that others were written before them.
 *
 * Death
 *   A copy into shared memory is whole up to some element and has not touched
 *   those behind; an element of another size may be torn where it ends. */
#include "memory/array_copy.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/atomic.h"

enum {
    WORD = 8
};

/* The program has its own types for what lies there. */
typedef uint16_t __attribute__((may_alias)) any16;
typedef uint32_t __attribute__((may_alias)) any32;
typedef uint64_t __attribute__((may_alias)) any64;

static inline bool is_word_part(size_t size)
{
    return size == 1 || size == 2 || size == 4 || size == WORD;
}

static inline void read_word(char *mine, const char *shared)
{
    const uint64_t value = load_acquire((const any64 *)(const void *)shared);
    memcpy(mine, &value, sizeof value);
}

static inline void read_one(char *mine, const char *shared, size_t size)
{
    if (size == WORD) {
        read_word(mine, shared);
    } else if (size == 4) {
        const uint32_t value =
            load_acquire((const any32 *)(const void *)shared);
        memcpy(mine, &value, sizeof value);
    } else if (size == 2) {
        const uint16_t value =
            load_acquire((const any16 *)(const void *)shared);
        memcpy(mine, &value, sizeof value);
    } else {
        *mine = load_acquire(shared);
    }
}

static inline void write_word(char *shared, const char *mine)
{
    uint64_t value;
    memcpy(&value, mine, sizeof value);
    store_release((any64 *)(void *)shared, value);
}

static inline void write_one(char *shared, const char *mine, size_t size)
{
    if (size == WORD) {
        write_word(shared, mine);
    } else if (size == 4) {
        uint32_t value;
        memcpy(&value, mine, sizeof value);
        store_release((any32 *)(void *)shared, value);
    } else if (size == 2) {
        uint16_t value;
        memcpy(&value, mine, sizeof value);
        store_release((any16 *)(void *)shared, value);
    } else {
        store_release(shared, *mine);
    }
}

/* Bytes to copy element by element before whole words follow. */
static inline size_t head_of(const char *shared, size_t bytes)
{
    const size_t head = -(uintptr_t)shared % WORD;
    return head < bytes ? head : bytes;
}

void ipc__elements_read(void *mine, const char *shared, size_t size,
                        size_t bytes)
{
    char *to = mine;
    if (!is_word_part(size)) {
        memcpy(mine, shared, bytes);
        return;
    }
    if (bytes == size) { /* mostly */
        read_one(to, shared, size);
        return;
    }
    size_t i = 0;
    for (const size_t head = head_of(shared, bytes); i < head; i += size)
        read_one(to + i, shared + i, size);
    for (; bytes - i >= WORD; i += WORD)
        read_word(to + i, shared + i);
    for (; i < bytes; i += size)
        read_one(to + i, shared + i, size);
}

void ipc__elements_write(char *shared, const void *mine, size_t size,
                         size_t bytes)
{
    const char *from = mine;
    if (!is_word_part(size)) {
        memcpy(shared, mine, bytes);
        return;
    }
    if (bytes == size) { /* mostly */
        write_one(shared, from, size);
        return;
    }
    size_t i = 0;
    for (const size_t head = head_of(shared, bytes); i < head; i += size)
        write_one(shared + i, from + i, size);
    for (; bytes - i >= WORD; i += WORD)
        write_word(shared + i, from + i);
    for (; i < bytes; i += size)
        write_one(shared + i, from + i, size);
}
