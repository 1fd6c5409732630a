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
 *   cell       0, or the cell (see shared.h) that is being changed.
 *   All under the guard.
 *   *cell      0, or an address in the run, or of the slot, that is its own;
 *              written by its user under the guard, read by it at any time.
 *
 * Invariants
 *   1  the runs, followed from chunk 0 by their lengths, meet `top` exactly;
 *   2  a slot or run is handed out when its bit or word says so, and both
 *      change by one store each: that store is the commit;
 *   3  a slab is in the list of its class if and only if it has a free slot;
 *   4  memory is made present before it is handed out, and given back before
 *      its run is free: outside the guard, while the run is MOVING and nobody
 *      else may have it;
 *   5  what a cell says is handed out or MOVING, and a cell that is 0 has
 *      nothing: but while it is named by `cell` it may say what is free.
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
 *   A cell says what is to be its own before the commit, and 0 after the
 *   commit of giving it back; around both `cell` names it.  So either way a
 *   death leaves a cell that says too much, if anything: recover() looks at
 *   what it says, and stores 0 there when that is free.
 * Death without the guard
 *   A MOVING run, and what was handed out to the dead, stay taken: leaky.
 *   Except what a cell says: ipc__shared_free_in() gives that back, also a
 *   MOVING run, whether it was on its way to the dead or back.  The run of a
 *   new slab is the cell's until it is a slab, and from then on the first slot
 *   is.  When the last slot of a slab is given back and the run with it, the
 *   run is the cell's from MOVING until FREE; its bitmap does not count any
 *   more.  A MOVING run's word says how much of it may hold more than zeros,
 *   for the one who has to clean it where the machine cannot. */
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
    uint64_t cell; /* its address */
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

/* SLAB: class; LARGE: pages; MOVING: pages that somebody may have written. */
static uint32_t word_more(uint64_t word)
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

/* ---- cells, or NULL for none ---- */

static bool is_cell(const struct heap *heap, const uint64_t *cell)
{
    const uintptr_t from = (uintptr_t)heap->chunks;
    return (uintptr_t)cell >= from &&
           (uintptr_t)cell - from < (size_t)heap->count * CHUNK &&
           (uintptr_t)cell % sizeof *cell == 0;
}

static void *cell_says(const uint64_t *cell)
{
    return (void *)(uintptr_t)load_relaxed(cell);
}

static void cell_say(uint64_t *cell, const void *what)
{
    if (cell != NULL)
        store_release(cell, (uint64_t)(uintptr_t)what);
}

/* Around a commit and the change of the cell that goes with it. */
static void cell_open(const struct heap *heap, const uint64_t *cell)
{
    if (cell != NULL)
        store_release(&heap->arena->cell, (uint64_t)(uintptr_t)cell);
}

static void cell_close(const struct heap *heap, const uint64_t *cell)
{
    if (cell != NULL)
        store_release(&heap->arena->cell, 0);
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

static void *slot_address(const struct heap *heap, uint32_t class,
                          uint32_t chunk, uint32_t slot)
{
    return (char *)chunk_address(heap, chunk) + slab_header(class) +
           (size_t)slot * class_sizes[class];
}

/* Take a slot of a slab that has a free one.  NULL if it has none after all,
 * or is no such slab: somebody wrote where nobody should. */
static void *slab_take(const struct heap *heap, uint64_t *cell, uint32_t class,
                       uint32_t chunk)
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
    void *memory = slot_address(heap, class, chunk, slot);
    cell_open(heap, cell);
    cell_say(cell, memory);
    store_release(&slab->bitmap[word], bits | (uint64_t)1 << slot % 64);
    cell_close(heap, cell);
    if (--slab->free_slots == 0)
        list_remove(heap, class, chunk);
    return memory;
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

/* ---- blocks ---- */

/* Which allocation starts at this address? */
struct block {
    uint32_t chunk;
    uint64_t word; /* of the chunk */
    uint32_t slot; /* in a slab */
    size_t size;
};

/* With the guard.  Sets only the chunk and its word. */
static bool find_chunk(const struct heap *heap, const void *memory,
                       struct block *out)
{
    const char *at = memory;
    if (at < heap->chunks)
        return false;
    const size_t chunk = (size_t)(at - heap->chunks) / CHUNK;
    if (chunk >= heap->arena->top)
        return false;
    out->chunk = (uint32_t)chunk;
    out->word = load_relaxed(&heap->map[chunk]);
    return true;
}

/* With the guard.  False if none does. */
static bool find_block(const struct heap *heap, const void *memory,
                       struct block *out)
{
    if (!find_chunk(heap, memory, out))
        return false;
    const size_t inside = (size_t)((const char *)memory - heap->chunks) % CHUNK;
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

/* With the guard.  Does a cell that says this say anything?  Also a run that
 * is MOVING, by its beginning or from inside. */
static bool find_of_cell(const struct heap *heap, const void *memory,
                         struct block *out)
{
    return (find_chunk(heap, memory, out) && word_kind(out->word) == MOVING) ||
           find_block(heap, memory, out);
}

/* ---- runs ---- */

/* With the guard, of somebody who died. */
static void settle_cell(const struct heap *heap)
{
    struct block block;
    uint64_t *cell = cell_says(&heap->arena->cell);
    if (is_cell(heap, cell) && !find_of_cell(heap, cell_says(cell), &block))
        cell_say(cell, NULL);
    store_release(&heap->arena->cell, 0);
}

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
    settle_cell(heap);
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

/* Make n free chunks a run that is MOVING. */
static void move_run(const struct heap *heap, uint64_t *cell, uint32_t at,
                     uint32_t n)
{
    cell_open(heap, cell);
    cell_say(cell, chunk_address(heap, at));
    store_release(&heap->map[at], make_word(MOVING, n, 0));
    cell_close(heap, cell);
}

/* Take n chunks: MOVING, in *out.  -EAGAIN: the map needs memory first. */
static int take_run(const struct heap *heap, uint64_t *cell, uint32_t n,
                    uint32_t *out)
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
        move_run(heap, cell, at, n);
        arena->top = top + n;
    } else {
        const uint32_t length = word_length(load_relaxed(&heap->map[at]));
        if (length > n)
            store_release(&heap->map[at + n], make_word(FREE, length - n, 0));
        move_run(heap, cell, at, n);
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

/* Without the guard: give the memory of a MOVING run back, then the run. */
static int give_back(struct heap *heap, uint64_t *cell, uint32_t chunk,
                     uint64_t word)
{
    const uint32_t length = word_length(word);
    ipc__memory_release(chunk_address(heap, chunk), (size_t)length * CHUNK,
                        (size_t)word_more(word) * PAGE);
    const int rc = lock_heap(heap);
    if (rc != 0)
        return rc;
    cell_open(heap, cell);
    store_release(&heap->map[chunk], make_word(FREE, length, 0));
    cell_say(cell, NULL);
    cell_close(heap, cell);
    unlock_heap(heap);
    return 0;
}

/* Without the guard: n chunks with memory in their first pages; MOVING. */
static int new_run(struct heap *heap, uint64_t *cell, uint32_t n, size_t bytes,
                   uint32_t *out)
{
    int rc;
    do {
        rc = lock_heap(heap);
        if (rc != 0)
            return rc;
        rc = take_run(heap, cell, n, out);
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
        (void)give_back(heap, cell, *out, make_word(MOVING, n, 0));
    return rc;
}

/* ---- allocate ---- */

static int alloc_large(struct heap *heap, uint64_t *cell, size_t size,
                       size_t present, void **out)
{
    const uint32_t n = (uint32_t)((size + CHUNK - 1) / CHUNK);
    uint32_t chunk;
    int rc = new_run(heap, cell, n, present, &chunk);
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

/* Without the guard: add a slab to its class and take its first slot. */
static int alloc_of_new_slab(struct heap *heap, uint64_t *cell, uint32_t class,
                             void **out)
{
    uint32_t chunk;
    int rc = new_run(heap, cell, 1, CHUNK, &chunk);
    if (rc == 0)
        rc = lock_heap(heap);
    if (rc != 0)
        return rc;
    struct slab *slab = slab_at(heap, chunk);
    *out = slot_address(heap, class, chunk, 0);
    store_release(&heap->map[chunk], make_word(MOVING, 1, 1));
    store_release(&slab->bitmap[0], 1);
    store_release(&slab->free_slots, slab_slots(class) - 1);
    cell_say(cell, *out);
    store_release(&heap->map[chunk], make_word(SLAB, 1, class));
    list_push(heap, class, chunk);
    unlock_heap(heap);
    return 0;
}

static int alloc_small(struct heap *heap, uint64_t *cell, uint32_t class,
                       void **out)
{
    const int rc = lock_heap(heap);
    if (rc != 0)
        return rc;
    const uint32_t partial = heap->arena->partial[class];
    if (partial == 0) {
        unlock_heap(heap);
        return alloc_of_new_slab(heap, cell, class, out);
    }
    void *slot = slab_take(heap, cell, class, partial - 1);
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

static int fail_cell(const uint64_t *cell)
{
    return ipc__fail(-EINVAL, "%p is no cell in family memory",
                     (const void *)cell);
}

/* The cell may be NULL. */
static int allocate(struct heap *heap, uint64_t *cell, size_t size,
                    size_t present, void **out)
{
    if (size == 0 || size > (size_t)heap->count * CHUNK)
        return ipc__fail(-EINVAL,
                         "family memory: %zu bytes asked for, %zu is the most",
                         size, (size_t)heap->count * CHUNK);
    const int rc = size <= SMALL_MAX
                       ? alloc_small(heap, cell, class_of(size), out)
                       : alloc_large(heap, cell, size, present, out);
    return rc != -ENOMEM && rc != -ENOSYS
               ? rc
               : ipc__fail(rc, "family memory: no room for %zu bytes", size);
}

int ipc__shared_alloc(size_t size, void **out)
{
    return ipc__shared_reserve(size, size, out);
}

int ipc__shared_reserve(size_t size, size_t present, void **out)
{
    struct heap heap;
    const int rc = get_heap(&heap);
    return rc != 0 ? rc : allocate(&heap, NULL, size, present, out);
}

int ipc__shared_alloc_in(uint64_t *cell, size_t size)
{
    struct heap heap;
    void *memory;
    const int rc = get_heap(&heap);
    if (rc != 0)
        return rc;
    if (!is_cell(&heap, cell))
        return fail_cell(cell);
    if (cell_says(cell) != NULL)
        return ipc__fail(-EINVAL, "the cell %p is in use", (void *)cell);
    return allocate(&heap, cell, size, size, &memory);
}

void *ipc_shared_alloc(size_t size)
{
    void *memory;
    return ipc__shared_alloc(size, &memory) == 0 ? memory : NULL;
}

/* ---- free ---- */

/* With the guard.  False if the block is the last one of a slab that is not
 * the only one in the list of its class: one empty slab stays. */
static bool free_slot(const struct heap *heap, uint64_t *cell,
                      const struct block *block)
{
    const uint32_t class = word_more(block->word);
    struct slab *slab = slab_at(heap, block->chunk);
    if (slab->free_slots + 1 >= slab_slots(class) &&
        (slab->next != 0 || slab->prev != 0))
        return false;
    uint64_t *word = &slab->bitmap[block->slot / 64];
    cell_open(heap, cell);
    store_release(word,
                  load_relaxed(word) & ~((uint64_t)1 << block->slot % 64));
    cell_say(cell, NULL);
    cell_close(heap, cell);
    if (slab->free_slots++ == 0)
        list_push(heap, class, block->chunk);
    return true;
}

/* With the guard, which is given back.  Or finish what somebody began. */
static int free_block(struct heap *heap, uint64_t *cell,
                      const struct block *block)
{
    uint64_t moving = block->word;
    if (word_kind(block->word) == SLAB) {
        if (free_slot(heap, cell, block)) {
            unlock_heap(heap);
            return 0;
        }
        list_remove(heap, word_more(block->word), block->chunk);
        moving = make_word(MOVING, 1, CHUNK / PAGE);
    } else if (word_kind(block->word) == LARGE) {
        moving =
            make_word(MOVING, word_length(block->word), word_more(block->word));
    }
    store_release(&heap->map[block->chunk], moving);
    unlock_heap(heap);
    return give_back(heap, cell, block->chunk, moving);
}

/* With the guard, which is given back. */
static int fail_free(const struct heap *heap, const void *memory)
{
    unlock_heap(heap);
    return ipc__fail(-EINVAL, "%p is not allocated in family memory", memory);
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
    return find_block(&heap, memory, &block) ? free_block(&heap, NULL, &block)
                                             : fail_free(&heap, memory);
}

int ipc__shared_free_in(uint64_t *cell)
{
    struct heap heap;
    struct block block;
    int rc = get_heap(&heap);
    if (rc != 0)
        return rc;
    if (!is_cell(&heap, cell))
        return fail_cell(cell);
    if (cell_says(cell) == NULL)
        return 0;
    rc = lock_heap(&heap);
    if (rc != 0)
        return rc;
    /* The guard's last owner may have died in the midst of this cell. */
    void *memory = cell_says(cell);
    if (memory == NULL) {
        unlock_heap(&heap);
        return 0;
    }
    return find_of_cell(&heap, memory, &block) ? free_block(&heap, cell, &block)
                                               : fail_free(&heap, memory);
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
