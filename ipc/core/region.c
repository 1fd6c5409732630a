/* Regions of shared memory, and which of them this process has mapped.
 *
 * State
 *   entries   per process: one 64-bit word a region, address and length in
 *             pages, so that a reader sees both or neither.  0: free.
 *             Changed under region_lock, read without.
 *   leaving   regions that the process has closed, but for their tables of
 *             peers, in which other threads still have a link of their robust
 *             list.  Under region_lock.
 *   epoch     in core/local: raised after each change, so that threads drop
 *             what they remember about addresses.
 *
 * Invariants
 *   1  a table of peers stays mapped while a living thread of this process is
 *      linked in it: the kernel, and glibc's own robust mutexes, follow and
 *      write those links;
 *   2  an address that a caller passes lies in a region that stays mapped
 *      during the call, or in none.
 *
 * Order
 *   [add→find]  the entry is stored with release, then the epoch is raised
 *   with release; a thread loads the epoch with acquire before it looks at
 *   the entries.  A thread that misses a change works on with what it knew:
 *   it is then unregistered for the new region, which costs the quick notice
 *   of its death and nothing else.
 *
 * Death
 *   The process-private part dies with the process.  A region's header is
 *   complete before anybody else can see it; afterwards only births and opens
 *   change, by single atomic additions.  After a fork entries stay valid (the
 *   mappings are inherited); region_lock lies on a wiped page. */
#include "core/region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <ipc/lock.h>
#include <ipc/rlock.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/local.h"
#include "core/peers.h"
#include "core/private_lock.h"
#include "kernel/procfs.h"

_Static_assert(sizeof(struct ipc__slot) == 64, "slot layout");
_Static_assert(offsetof(struct ipc__slot, prev) == 24, "glibc's prev");
_Static_assert(offsetof(struct ipc__slot, next) == 32, "glibc's next");
_Static_assert(offsetof(struct ipc__region, births) == 64, "header layout");
_Static_assert(offsetof(struct ipc__region, slots) == IPC__REGION_HEADER &&
                   sizeof(struct ipc__region) <= IPC__REGION_TABLE,
               "header layout");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "futex halves");

#define REGION_MAGIC    0x6e6f696765637069u /* "ipcegion" */
#define LAYOUT_REVISION 4u
#define SIZE_LIMIT      IPC__REGION_MAX
#define REGION_SIGNATURE                                                       \
    ((uint64_t)LAYOUT_REVISION << 48 | (uint64_t)sizeof(void *) << 40 |        \
     (uint64_t)IPC__REGION_HEADER << 24 |                                      \
     (uint64_t)sizeof(struct ipc__slot) << 16 |                                \
     (uint64_t)sizeof(ipc_lock) << 8 | (uint64_t)sizeof(ipc_rlock))

/* ---- header ---- */

static uint32_t checksum(const struct ipc__region_facts *facts)
{
    /* FNV-1a: against accidents, not against malice. */
    const unsigned char *byte = (const unsigned char *)facts;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < offsetof(struct ipc__region_facts, checksum); i++)
        hash = (hash ^ byte[i]) * 16777619u;
    return hash;
}

void ipc__region_init(struct ipc__region *region, enum ipc__region_kind kind,
                      uint32_t flags, size_t data_size)
{
    uint64_t id = 0;
    if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id)
        id = (uint64_t)ipc_now() << 16 ^ (uint64_t)getpid();
    struct ipc__region_facts *facts = &region->facts;
    facts->magic = REGION_MAGIC;
    facts->signature = REGION_SIGNATURE;
    facts->pid_namespace = ipc__proc_pid_namespace();
    facts->id = id;
    facts->size = IPC__REGION_TABLE + data_size;
    facts->data_size = data_size;
    facts->kind = kind;
    facts->flags = flags;
    facts->checksum = checksum(facts);
    region->births = id >> 32; /* unrelated regions count from anywhere */
}

int ipc__region_check(const struct ipc__region_facts *facts, size_t size,
                      const char *what)
{
    if (size < sizeof(struct ipc__region) || facts->magic != REGION_MAGIC)
        return ipc__fail(-EUCLEAN, "%s is not a libipc segment", what);
    if (facts->signature != REGION_SIGNATURE)
        return ipc__fail(-EPROTONOSUPPORT,
                         "%s was made by an incompatible libipc", what);
    if (facts->checksum != checksum(facts) || facts->size > size ||
        facts->size <= IPC__REGION_TABLE || facts->size > SIZE_LIMIT ||
        facts->data_size != facts->size - IPC__REGION_TABLE)
        return ipc__fail(-EUCLEAN, "%s has a damaged header", what);
    const uint64_t here = ipc__proc_pid_namespace();
    if (facts->pid_namespace != 0 && here != 0 && facts->pid_namespace != here)
        return ipc__fail(
            -EXDEV, "%s belongs to pid namespace %llu, this is %llu", what,
            (unsigned long long)facts->pid_namespace, (unsigned long long)here);
    return 0;
}

/* ---- what is mapped ---- */

#define PAGE_SHIFT  12
#define LENGTH_BITS 28 /* in pages: less than 1 TiB */
#define CHUNK       64

_Static_assert(IPC__REGION_MAX < (uint64_t)1 << (LENGTH_BITS + PAGE_SHIFT),
               "lengths fit; addresses have 48 bits");

struct entry {
    uint64_t range;   /* of a region in use */
    uint64_t leaving; /* of the table of one that was closed */
    int32_t pid;      /* who mapped it: a parent perhaps */
};

struct chunk {
    struct entry entries[CHUNK];
    struct chunk *next; /* chunks are never freed */
};

static struct chunk first_chunk;

static uint64_t pack(const void *base, size_t size)
{
    return (uint64_t)(uintptr_t)base >> PAGE_SHIFT << LENGTH_BITS |
           (size + ((size_t)1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT;
}

static void *range_base(uint64_t range)
{
    return (void *)(uintptr_t)(range >> LENGTH_BITS << PAGE_SHIFT);
}

static size_t range_size(uint64_t range)
{
    return (size_t)(range & (((uint64_t)1 << LENGTH_BITS) - 1)) << PAGE_SHIFT;
}

static struct entry *next_entry(struct chunk **chunk, size_t *i)
{
    if (*i == CHUNK) {
        *chunk = load_acquire(&(*chunk)->next);
        *i = 0;
    }
    return *chunk == NULL ? NULL : &(*chunk)->entries[(*i)++];
}

/* NOLINTBEGIN(bugprone-macro-parentheses): e is declared here */
#define FOR_EACH_ENTRY(e)                                                      \
    struct chunk *chunk_ = &first_chunk;                                       \
    size_t i_ = 0;                                                             \
    for (struct entry * e; (e = next_entry(&chunk_, &i_)) != NULL;)
/* NOLINTEND(bugprone-macro-parentheses) */

/* How many regions are leaving: mostly none. */
static uint32_t leaving_count;

static void prune_locked(void)
{
    if (leaving_count == 0)
        return;
    FOR_EACH_ENTRY(e) {
        if (e->leaving == 0)
            continue;
        struct ipc__region *region = range_base(e->leaving);
        if (ipc__peers_leave(region))
            continue;
        munmap(region, range_size(e->leaving));
        e->leaving = 0;
        store_relaxed(&leaving_count, leaving_count - 1);
    }
}

void ipc__region_prune(void)
{
    if (load_relaxed(&leaving_count) == 0)
        return;
    ipc__private_lock(&ipc__local.region_lock);
    prune_locked();
    ipc__private_unlock(&ipc__local.region_lock);
}

static struct entry *free_entry_locked(void)
{
    FOR_EACH_ENTRY(e)
        if (e->range == 0 && e->leaving == 0)
            return e;
    struct chunk *more = calloc(1, sizeof *more);
    if (more == NULL)
        return NULL;
    struct chunk *last = &first_chunk;
    while (last->next != NULL)
        last = last->next;
    store_release(&last->next, more);
    return &more->entries[0];
}

int ipc__region_add(struct ipc__region *region, size_t size)
{
    ipc__private_lock(&ipc__local.region_lock);
    prune_locked();
    struct entry *e = free_entry_locked();
    if (e != NULL) {
        e->pid = getpid();
        store_release(&e->range, pack(region, size)); /* [add→find] */
        ipc__local_regions_changed();
    }
    ipc__private_unlock(&ipc__local.region_lock);
    return e != NULL ? 0 : -ENOMEM;
}

static struct entry *entry_of(const struct ipc__region *region)
{
    FOR_EACH_ENTRY(e) {
        const uint64_t range = load_acquire(&e->range);
        if (range != 0 && range_base(range) == region)
            return e;
    }
    return NULL;
}

bool ipc__region_is_mine(const struct ipc__region *region)
{
    const struct entry *e = entry_of(region);
    return e != NULL && e->pid == getpid();
}

size_t ipc__region_mapped_size(const struct ipc__region *region)
{
    const struct entry *e = entry_of(region);
    return e != NULL ? range_size(e->range) : 0;
}

void ipc__region_remove(struct ipc__region *region)
{
    ipc__private_lock(&ipc__local.region_lock);
    struct entry *e = entry_of(region);
    if (e != NULL) {
        const size_t size = range_size(e->range);
        store_release(&e->range, 0);
        ipc__local_regions_changed();
        if (ipc__peers_leave(region)) {
            munmap(ipc__region_data(region), size - IPC__REGION_TABLE);
            e->leaving = pack(region, IPC__REGION_TABLE);
            store_relaxed(&leaving_count, leaving_count + 1);
        } else {
            munmap(region, size);
        }
    }
    ipc__private_unlock(&ipc__local.region_lock);
}

struct ipc__region *ipc__region_find(const void *address, uintptr_t *lo,
                                     uintptr_t *span)
{
    const uintptr_t at = (uintptr_t)address;
    uintptr_t below = 0;
    uintptr_t above = UINTPTR_MAX;
    struct ipc__region *found = NULL;

    FOR_EACH_ENTRY(e) {
        const uint64_t range = load_acquire(&e->range); /* [add→find] */
        if (range == 0)
            continue;
        const uintptr_t start = (uintptr_t)range_base(range);
        const uintptr_t end = start + range_size(range);
        if (at >= start && at < end) {
            found = range_base(range);
            below = start;
            above = end;
            break;
        }
        if (end <= at && end > below)
            below = end;
        if (start > at && start < above)
            above = start;
    }
    if (lo != NULL)
        *lo = below;
    if (span != NULL)
        *span = above - below;
    return found;
}

void ipc__region_each(bool (*fn)(struct ipc__region *region, void *arg),
                      void *arg)
{
    /* The lock keeps other threads from unmapping it meanwhile. */
    ipc__private_lock(&ipc__local.region_lock);
    FOR_EACH_ENTRY(e) {
        const uint64_t range = load_acquire(&e->range); /* [add→find] */
        if (range != 0 && fn(range_base(range), arg))
            break;
    }
    ipc__private_unlock(&ipc__local.region_lock);
}
