/* Family memory: the allocator of the family's region.
 *
 * The region's data is this arena's header, the map (one word a chunk of
 * 64 KiB), and the chunks.  Chunks are taken in runs.  A run is free, or one
 * large allocation, or (one chunk long) a slab of equal slots.
 *
 * State
 *   map[i]     for the first chunk of each run: its kind and length in one
 *              word.  Words inside a run are leftovers, only ever FREE ones.
 *              Beyond the last run they are 0.
 *   bitmap     in each slab: which slots are handed out.
 *   top, partial, rover, and a slab's list links and count of free slots are
 *              derived from the two above.
 *   map_end    map words before it have memory behind them.
 *   All under the guard.
 *
 * Invariants
 *   1  the runs, followed from chunk 0 by their lengths, meet `top` exactly;
 *   2  a slot or run is handed out when its bit or word says so, and both
 *      change by one store each: that store is the commit;
 *   3  a slab is in the list of its class if and only if it has a free slot;
 *   4  memory is made present before it is handed out, and given back before
 *      its run is free: outside the guard, while the run is MOVING and nobody
 *      else may have it.
 *
 * Order
 *   Everything is ordered by the guard.  A pointer that travels to another
 *   process is ordered by whatever it travels through.
 *
 * Death, with the guard held
 *   Before a commit the run or slot is as it was; after it, as it should be.
 *   A split writes the word of the second part first, where it is a leftover
 *   until the first part's word is shortened.  recover() derives the rest
 *   anew, and can be killed and run again.
 * Death without the guard
 *   A MOVING run, and what was handed out to the dead, stay taken: leaky. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ipc/shared.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "core/family.h"
#include "core/guard.h"
#include "core/peers.h"
#include "kernel/memory.h"
#include "memory/shared.h"

#define PAGE         ((size_t)4096)
#define CHUNK        ((size_t)64 << 10)
#define CLASSES      array_length(class_sizes)
#define SMALL_MAX    8192
#define MAP_PER_PAGE (PAGE / sizeof(uint64_t))

static const uint16_t class_sizes[] = {
    16,   32,   48,   64,   128,  192,  256,  320,  384,
    448,  512,  640,  768,  896,  1024, 1280, 1536, 1792,
    2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192,
};

enum kind {
    FREE = 0,
    LARGE = 1,
    SLAB = 2,
    MOVING = 3
};

/* A slab's beginning.  Indexes of chunks are stored plus one: 0 is none. */
struct slab {
    uint32_t free_slots;
    uint32_t next;
    uint32_t prev;
    uint32_t reserved[13];
    uint64_t bitmap[];
};

struct arena {
    struct ipc__guard guard;
    uint32_t top;
    uint32_t rover;
    uint32_t map_end;
    uint32_t reserved;
    uint32_t partial[32];
};

/* Where things are in this process, from facts that never change. */
struct heap {
    struct ipc__region *region;
    struct arena *arena;
    uint64_t *map;
    char *chunks;
    uint32_t count;
};

_Static_assert(CLASSES <= array_length(((struct arena *)0)->partial),
               "one list a class");
_Static_assert(sizeof(struct arena) <= PAGE, "the map starts a page later");

/* ---- words of the map ---- */

static uint64_t make_word(enum kind kind, uint32_t length, uint32_t more)
{
    return (uint64_t)more << 32 | (uint64_t)length << 2 | (uint64_t)kind;
}

static enum kind word_kind(uint64_t word)
{
    return (enum kind)(word & 3);
}

static uint32_t word_length(uint64_t word) /* in chunks */
{
    return (uint32_t)word >> 2;
}

static uint32_t word_more(uint64_t word) /* SLAB: class; LARGE: pages */
{
    return (uint32_t)(word >> 32);
}

/* ---- the heap in this process ---- */

static int get_heap(struct heap *heap)
{
    const int rc = ipc__family(&heap->region);
    if (rc != 0)
        return rc;
    char *data = ipc__region_data(heap->region);
    const size_t size =
        ipc__region_mapped_size(heap->region) - IPC__REGION_TABLE - PAGE;
    const size_t most = size / (CHUNK + sizeof(uint64_t));
    heap->arena = (struct arena *)(void *)data;
    heap->map = (uint64_t *)(void *)(data + PAGE);
    heap->chunks = (char *)heap->region +
                   round_up(IPC__REGION_TABLE + PAGE + most * 8, CHUNK);
    heap->count =
        (uint32_t)((size_t)(data + PAGE + size - heap->chunks) / CHUNK);
    return 0;
}

static void *chunk_address(const struct heap *heap, uint32_t chunk)
{
    return heap->chunks + (size_t)chunk * CHUNK;
}

/* ---- slabs ---- */

static uint32_t slab_bitmap_words(uint32_t class)
{
    return (uint32_t)((CHUNK - sizeof(struct slab)) / class_sizes[class] + 63) /
           64;
}

static size_t slab_header(uint32_t class)
{
    return round_up(sizeof(struct slab) + (size_t)slab_bitmap_words(class) * 8,
                    64);
}

static uint32_t slab_slots(uint32_t class)
{
    return (uint32_t)((CHUNK - slab_header(class)) / class_sizes[class]);
}

static struct slab *slab_at(const struct heap *heap, uint32_t chunk)
{
    return chunk_address(heap, chunk);
}

static void list_push(const struct heap *heap, uint32_t class, uint32_t chunk)
{
    uint32_t *head = &heap->arena->partial[class];
    struct slab *slab = slab_at(heap, chunk);
    slab->prev = 0;
    slab->next = *head;
    if (*head != 0)
        slab_at(heap, *head - 1)->prev = chunk + 1;
    *head = chunk + 1;
}

static void list_remove(const struct heap *heap, uint32_t class, uint32_t chunk)
{
    const struct slab *slab = slab_at(heap, chunk);
    if (slab->prev != 0)
        slab_at(heap, slab->prev - 1)->next = slab->next;
    else
        heap->arena->partial[class] = slab->next;
    if (slab->next != 0)
        slab_at(heap, slab->next - 1)->prev = slab->prev;
}

/* Take a slot of a slab that has a free one.  NULL if it has none after all,
 * or is no such slab: somebody wrote where nobody should. */
static void *slab_take(const struct heap *heap, uint32_t class, uint32_t chunk)
{
    if (chunk >= heap->arena->top ||
        load_relaxed(&heap->map[chunk]) != make_word(SLAB, 1, class))
        return NULL;
    struct slab *slab = slab_at(heap, chunk);
    uint32_t word = 0;
    while (load_relaxed(&slab->bitmap[word]) == UINT64_MAX)
        if (++word == slab_bitmap_words(class))
            return NULL;
    const uint64_t bits = load_relaxed(&slab->bitmap[word]);
    const uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(~bits);
    if (slot >= slab_slots(class))
        return NULL;
    store_release(&slab->bitmap[word], bits | (uint64_t)1 << slot % 64);
    if (--slab->free_slots == 0)
        list_remove(heap, class, chunk);
    return (char *)slab + slab_header(class) +
           (size_t)slot * class_sizes[class];
}

/* Count the free slots from the bitmap.  Bits behind the last slot are
 * clear in memory and count as taken. */
static uint32_t slab_count_free(const struct heap *heap, uint32_t class,
                                uint32_t chunk)
{
    const struct slab *slab = slab_at(heap, chunk);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < slab_bitmap_words(class); i++)
        taken += (uint32_t)__builtin_popcountll(load_relaxed(&slab->bitmap[i]));
    return slab_slots(class) - taken;
}

/* ---- runs ---- */

static void recover(void *arg)
{
    const struct heap *heap = arg;
    struct arena *arena = heap->arena;
    uint32_t i = 0;

    memset(arena->partial, 0, sizeof arena->partial);
    arena->rover = 0;
    while (i < arena->map_end) {
        const uint64_t word = load_relaxed(&heap->map[i]);
        const uint32_t length = word_length(word);
        if (length == 0 || length > heap->count - i)
            break;
        if (word_kind(word) == SLAB && word_more(word) < CLASSES) {
            struct slab *slab = slab_at(heap, i);
            slab->free_slots = slab_count_free(heap, word_more(word), i);
            if (slab->free_slots > 0)
                list_push(heap, word_more(word), i);
        }
        i += length;
    }
    arena->top = i;
}

/* Join the free run at i with the free ones behind it; its length. */
static uint32_t join_free(const struct heap *heap, uint32_t i)
{
    struct arena *arena = heap->arena;
    uint32_t length = word_length(load_relaxed(&heap->map[i]));
    while (i + length < arena->top) {
        const uint64_t next = load_relaxed(&heap->map[i + length]);
        if (word_kind(next) != FREE || word_length(next) == 0)
            break;
        if (arena->rover == i + length)
            arena->rover = i; /* always the start of a run */
        length += word_length(next);
        store_release(&heap->map[i], make_word(FREE, length, 0));
    }
    return length;
}

/* Look for a free run of at least n chunks from one run on up to an end; its
 * first chunk, or that end. */
static uint32_t find_free(const struct heap *heap, uint32_t from, uint32_t end,
                          uint32_t n)
{
    uint32_t i = from;
    while (i < end) {
        const uint64_t word = load_relaxed(&heap->map[i]);
        uint32_t length = word_length(word);
        if (word_kind(word) == FREE) {
            length = join_free(heap, i);
            if (length >= n)
                return i;
        }
        i += length != 0 ? length : 1;
    }
    return end;
}

/* Take n chunks: MOVING, in *out.  -EAGAIN: the map needs memory first. */
static int take_run(const struct heap *heap, uint32_t n, uint32_t *out)
{
    struct arena *arena = heap->arena;
    const uint32_t top = arena->top;
    uint32_t at = find_free(heap, arena->rover, top, n);
    if (at >= top)
        at = find_free(heap, 0, arena->rover, n);
    const bool found = at < top &&
                       word_kind(load_relaxed(&heap->map[at])) == FREE &&
                       word_length(load_relaxed(&heap->map[at])) >= n;
    if (!found) {
        if (n > heap->count - top)
            return -ENOMEM;
        if (top + n > arena->map_end)
            return -EAGAIN;
        at = top;
        store_release(&heap->map[at], make_word(MOVING, n, 0));
        arena->top = top + n;
    } else {
        const uint32_t length = word_length(load_relaxed(&heap->map[at]));
        if (length > n)
            store_release(&heap->map[at + n], make_word(FREE, length - n, 0));
        store_release(&heap->map[at], make_word(MOVING, n, 0));
    }
    arena->rover = at;
    *out = at;
    return 0;
}

static int lock_heap(struct heap *heap)
{
    const int rc = ipc__guard_lock(&heap->arena->guard, recover, heap);
    return rc == 0 || rc == -EXDEV || rc == -ENOMEM
               ? rc
               : ipc__fail(rc, "family memory is damaged");
}

static void unlock_heap(const struct heap *heap)
{
    ipc__guard_unlock(&heap->arena->guard);
}

/* Without the guard: memory for the map, enough for n more chunks. */
static int extend_map(struct heap *heap, uint32_t n)
{
    const uint32_t from = load_relaxed(&heap->arena->map_end);
    uint32_t end = (uint32_t)round_up(from + n, MAP_PER_PAGE);
    if (end > heap->count)
        end = heap->count;
    int rc =
        ipc__memory_populate((char *)heap->map + (size_t)from * 8 / PAGE * PAGE,
                             round_up((size_t)(end - from) * 8, PAGE));
    if (rc == 0)
        rc = lock_heap(heap);
    if (rc != 0)
        return rc;
    if (end > heap->arena->map_end)
        store_relaxed(&heap->arena->map_end, end); /* read without guard */
    unlock_heap(heap);
    return 0;
}

/* Without the guard: give a run's memory back, of which so many bytes were in
 * use, then the run. */
static void give_back(struct heap *heap, uint32_t chunk, uint32_t length,
                      size_t bytes)
{
    ipc__memory_release(chunk_address(heap, chunk), (size_t)length * CHUNK,
                        round_up(bytes, PAGE));
    if (lock_heap(heap) != 0)
        return;
    store_release(&heap->map[chunk], make_word(FREE, length, 0));
    unlock_heap(heap);
}

/* Without the guard: n chunks with memory in their first pages; MOVING. */
static int new_run(struct heap *heap, uint32_t n, size_t bytes, uint32_t *out)
{
    int rc;
    do {
        rc = lock_heap(heap);
        if (rc != 0)
            return rc;
        rc = take_run(heap, n, out);
        unlock_heap(heap);
        if (rc == -EAGAIN) {
            rc = extend_map(heap, n);
            if (rc == 0)
                rc = -EAGAIN;
        }
    } while (rc == -EAGAIN);
    if (rc != 0)
        return rc;
    rc = ipc__memory_populate(chunk_address(heap, *out), round_up(bytes, PAGE));
    if (rc != 0)
        give_back(heap, *out, n, 0);
    return rc;
}

/* ---- allocate ---- */

static int alloc_large(struct heap *heap, size_t size, size_t present,
                       void **out)
{
    const uint32_t n = (uint32_t)((size + CHUNK - 1) / CHUNK);
    uint32_t chunk;
    int rc = new_run(heap, n, present, &chunk);
    if (rc == 0)
        rc = lock_heap(heap);
    if (rc != 0)
        return rc;
    const uint32_t pages = (uint32_t)(round_up(size, PAGE) / PAGE);
    store_release(&heap->map[chunk], make_word(LARGE, n, pages));
    unlock_heap(heap);
    *out = chunk_address(heap, chunk);
    return 0;
}

/* Add a slab to its class and keep the guard. */
static int add_slab_locked(struct heap *heap, uint32_t class)
{
    uint32_t chunk;
    int rc = new_run(heap, 1, CHUNK, &chunk);
    if (rc == 0)
        rc = lock_heap(heap);
    if (rc != 0)
        return rc;
    slab_at(heap, chunk)->free_slots = slab_slots(class);
    store_release(&heap->map[chunk], make_word(SLAB, 1, class));
    list_push(heap, class, chunk);
    return 0;
}

static int alloc_small(struct heap *heap, uint32_t class, void **out)
{
    int rc = lock_heap(heap);
    if (rc != 0)
        return rc;
    if (heap->arena->partial[class] == 0) {
        unlock_heap(heap);
        rc = add_slab_locked(heap, class);
        if (rc != 0)
            return rc;
    }
    void *slot = slab_take(heap, class, heap->arena->partial[class] - 1);
    unlock_heap(heap);
    if (slot == NULL)
        return ipc__fail(-EUCLEAN, "family memory is damaged");
    *out = memset(slot, 0, class_sizes[class]);
    return 0;
}

static uint32_t class_of(size_t size)
{
    uint32_t class = 0;
    while (class_sizes[class] < size)
        class ++;
    return class;
}

int ipc__shared_alloc(size_t size, void **out)
{
    return ipc__shared_reserve(size, size, out);
}

int ipc__shared_reserve(size_t size, size_t present, void **out)
{
    struct heap heap;
    int rc = get_heap(&heap);
    if (rc != 0)
        return rc;
    if (size == 0 || size > (size_t)heap.count * CHUNK)
        return ipc__fail(-EINVAL,
                         "family memory: %zu bytes asked for, %zu is the most",
                         size, (size_t)heap.count * CHUNK);
    rc = size <= SMALL_MAX ? alloc_small(&heap, class_of(size), out)
                           : alloc_large(&heap, size, present, out);
    return rc != -ENOMEM && rc != -ENOSYS
               ? rc
               : ipc__fail(rc, "family memory: no room for %zu bytes", size);
}

void *ipc_shared_alloc(size_t size)
{
    void *memory;
    return ipc__shared_alloc(size, &memory) == 0 ? memory : NULL;
}

/* ---- free ---- */

/* Which allocation starts at this address? */
struct block {
    uint32_t chunk;
    uint64_t word; /* of the chunk */
    uint32_t slot; /* in a slab */
    size_t size;
};

/* With the guard.  False if none does. */
static bool find_block(const struct heap *heap, const void *memory,
                       struct block *out)
{
    const char *at = memory;
    if (at < heap->chunks)
        return false;
    const size_t offset = (size_t)(at - heap->chunks);
    if (offset / CHUNK >= heap->arena->top)
        return false;
    out->chunk = (uint32_t)(offset / CHUNK);
    out->word = load_relaxed(&heap->map[out->chunk]);
    const size_t inside = offset % CHUNK;

    if (word_kind(out->word) == LARGE) {
        out->size = (size_t)word_more(out->word) * PAGE;
        return inside == 0;
    }
    const uint32_t class = word_more(out->word);
    if (word_kind(out->word) != SLAB || class >= CLASSES ||
        inside < slab_header(class))
        return false;
    out->size = class_sizes[class];
    out->slot = (uint32_t)((inside - slab_header(class)) / out->size);
    if ((inside - slab_header(class)) % out->size != 0 ||
        out->slot >= slab_slots(class))
        return false;
    const uint64_t bits =
        load_relaxed(&slab_at(heap, out->chunk)->bitmap[out->slot / 64]);
    return (bits >> out->slot % 64 & 1) != 0;
}

/* With the guard.  True if the slab has become empty and was taken out of
 * use: one empty slab stays in each class. */
static bool free_slot(const struct heap *heap, const struct block *block)
{
    const uint32_t class = word_more(block->word);
    struct slab *slab = slab_at(heap, block->chunk);
    uint64_t *word = &slab->bitmap[block->slot / 64];
    store_release(word,
                  load_relaxed(word) & ~((uint64_t)1 << block->slot % 64));
    if (slab->free_slots++ == 0)
        list_push(heap, class, block->chunk);
    if (slab->free_slots < slab_slots(class) ||
        (slab->next == 0 && slab->prev == 0))
        return false;
    list_remove(heap, class, block->chunk);
    store_release(&heap->map[block->chunk], make_word(MOVING, 1, 0));
    return true;
}

int ipc_shared_free(void *memory)
{
    struct heap heap;
    struct block block;
    if (memory == NULL)
        return 0;
    int rc = get_heap(&heap);
    if (rc == 0)
        rc = lock_heap(&heap);
    if (rc != 0)
        return rc;
    if (!find_block(&heap, memory, &block)) {
        unlock_heap(&heap);
        return ipc__fail(-EINVAL, "%p is not allocated in family memory",
                         memory);
    }
    bool empty = true;
    const uint32_t length = word_length(block.word);
    size_t bytes = block.size;
    if (word_kind(block.word) == SLAB) {
        empty = free_slot(&heap, &block);
        bytes = CHUNK;
    } else {
        store_release(&heap.map[block.chunk], make_word(MOVING, length, 0));
    }
    unlock_heap(&heap);
    if (empty)
        give_back(&heap, block.chunk, length, bytes);
    return 0;
}

size_t ipc_shared_size(const void *memory)
{
    struct heap heap;
    struct block block;
    size_t size = 0;
    if (memory == NULL || get_heap(&heap) != 0 || lock_heap(&heap) != 0)
        return 0;
    if (find_block(&heap, memory, &block))
        size = block.size;
    unlock_heap(&heap);
    return size;
}

/* ---- the rest ---- */

int ipc_shared_init(void)
{
    struct heap heap;
    const int rc = get_heap(&heap);
    return rc != 0 ? rc : ipc__self_register(heap.arena);
}

int ipc_shared_query(ipc_shared_info *info)
{
    struct heap heap;
    int rc = get_heap(&heap);
    if (rc == 0)
        rc = lock_heap(&heap);
    if (rc != 0)
        return rc;
    ipc_shared_info found = {
        .size = sizeof found,
        .members = ipc__peer_count(heap.region),
        .reserved = (uint64_t)heap.count * CHUNK,
    };
    for (uint32_t i = 0, length; i < heap.arena->top; i += length) {
        const uint64_t word = load_relaxed(&heap.map[i]);
        length = word_length(word) != 0 ? word_length(word) : 1;
        if (word_kind(word) == LARGE) {
            found.used += (uint64_t)word_more(word) * PAGE;
            found.count++;
        } else if (word_kind(word) == SLAB && word_more(word) < CLASSES) {
            const uint32_t class = word_more(word);
            const uint32_t taken =
                slab_slots(class) - slab_count_free(&heap, class, i);
            found.used += (uint64_t)taken * class_sizes[class];
            found.count += taken;
        }
    }
    unlock_heap(&heap);
    return ipc__info_write(info, &found, sizeof found) == 0
               ? 0
               : ipc__fail(-EINVAL, "shared info of a size that is not known");
}
