/* Regions: the pieces of memory that processes share through this library.
 *
 * The family's range is one, each named segment is one.  A region begins with
 * this header and a table of peers: the threads that own, or owned, something
 * in it.  Given any address the process can tell in which region it lies. */
#ifndef IPC_CORE_REGION_H
#define IPC_CORE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/local.h"

/* Bytes before the data.  The same for all regions, so that nothing about the table of peers has to
 * be believed from shared memory. */
#define IPC__REGION_TABLE  (IPC_PAGE_MAX > 32768 ? IPC_PAGE_MAX : 32768)
#define IPC__REGION_HEADER 512
#define IPC__REGION_MAX    (((uint64_t)1 << 40) - 4096) /* bytes in all */
#define IPC__REGION_SLOTS  ((IPC__REGION_TABLE - IPC__REGION_HEADER) / 64)

/* One peer: a thread and the word by which the kernel announces its death.
 * See peers.c for the protocol. */
struct ipc__slot {
    uint32_t life;  /* TID|WAITERS while it lives; the kernel sets OWNER_DIED */
    uint32_t tid;   /* written by the claimer after life */
    uint32_t birth; /* with tid: the identity; see peers.h */
    int32_t pid;    /* its process, for messages */
    uint64_t waits_for; /* in check mode, by the claimer; see check.c */
    void *prev;         /* the kernel's robust list, as glibc lays it out: */
    void *next;         /* its links lie at 24 and 32 behind the futex word */
    uint64_t name[2];   /* its short name when it came, for messages */
    uint64_t waits_region; /* the region of what it waits for; its id */
};

enum ipc__region_kind {
    IPC__REGION_FAMILY = 1,
    IPC__REGION_SEGMENT = 2,
    IPC__REGION_LOCK = 3,
    IPC__REGION_RLOCK = 4,
    IPC__REGION_SEMAPHORE = 5,
    IPC__REGION_CONDITION = 6,
    IPC__REGION_EVENT = 7,
    IPC__REGION_BARRIER = 8,
    IPC__REGION_RWLOCK = 9,
    IPC__REGION_QUEUE = 10,
    IPC__REGION_ARENA = 11,
    IPC__REGION_ARRAY = 16,
    IPC__REGION_VALUE = 17,
};

/* What never changes once the region can be seen. */
struct ipc__region_facts {
    uint64_t magic;
    uint64_t signature;     /* of the layout; see region.c */
    uint64_t pid_namespace; /* tids of others mean nothing here */
    uint64_t id;            /* random */
    uint64_t size;          /* of the whole region */
    uint64_t data_size;
    uint32_t kind;
    uint32_t flags;
    uint32_t reserved;
    uint32_t checksum; /* of the fields above */
};

struct ipc__region {
    struct ipc__region_facts facts;
    uint64_t births; /* counts identities given out; any thread adds */
    uint32_t opens;  /* handles not closed: segments only; any process adds */
    uint32_t bell;   /* of the family's futures: see pool/future.h */
    uint64_t arena;  /* of the family's own containers: its address, or 0 */
    uint32_t reserved[106];
    struct ipc__slot slots[IPC__REGION_SLOTS];
};

/* Fill the header of a region that nobody else can see yet.  The memory is
 * zero, IPC__REGION_TABLE + data_size bytes of it. */
void ipc__region_init(struct ipc__region *region, enum ipc__region_kind kind,
                      uint32_t flags, size_t data_size);

static inline void *ipc__region_data(const struct ipc__region *region)
{
    return (char *)(uintptr_t)region + IPC__REGION_TABLE;
}

/* May these facts be believed about a file of size bytes?  0, -EUCLEAN,
 * -EPROTONOSUPPORT or -EXDEV, with a detail line that begins with what.  Give
 * it a copy: what was checked has to be what is used. */
int ipc__region_check(const struct ipc__region_facts *facts, size_t size,
                      const char *what);

/* Make a region, mapped with this size, known to this process; -ENOMEM. */
int ipc__region_add(struct ipc__region *region, size_t size);

/* Was it this process that mapped the region, and not a parent of it? */
bool ipc__region_is_mine(const struct ipc__region *region);

/* How many bytes of it this process has mapped, from its own notes. */
size_t ipc__region_mapped_size(const struct ipc__region *region);

/* Forget it and unmap it: at once, or, while other threads of the process are
 * linked to its table of peers, all but that, which goes later. */
void ipc__region_remove(struct ipc__region *region);

/* The region that holds address, or NULL.  In both cases lo and span (may be
 * NULL) tell for which addresses the answer is the same. */
struct ipc__region *ipc__region_find(const void *address, uintptr_t *lo,
                                     uintptr_t *span);

/* Call fn with each region that is mapped, until it returns true.  Not one
 * that another thread is about to close. */
void ipc__region_each(bool (*fn)(struct ipc__region *region, void *arg),
                      void *arg);

/* Regions that were removed while the calling thread was linked to their
 * table: unlink it.  Then unmap what nobody is linked to any more. */
void ipc__region_prune(void);

#endif
