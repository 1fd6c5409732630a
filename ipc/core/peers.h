/* Peers: who the calling thread is, and whether another one lives.
 *
 * A thread's identity is 64 bits that no other thread of the pid namespace
 * has, neither at the same time nor, in practice, later:
 *
 *     bits 0-29    its tid; bits 30 and 31 are flags in words that name owners
 *     bits 32-41   a number counted in the family, against tids reused at once
 *     bits 42-63   when it was started, in clock ticks, modulo 2^22
 *
 * so a word that names its owner says all that is needed to find out whether
 * that owner lives.  The first use in each region also takes a slot in the
 * region's table, whose life word lets the kernel announce the thread's death
 * by a futex wake.  Without a slot (table full) a death is found by asking
 * /proc, at every re-check. */
#ifndef IPC_CORE_PEERS_H
#define IPC_CORE_PEERS_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/local.h"
#include "core/region.h"

/* Places for readers in an rwlock. */
#define IPC__READER_PLACES 120

struct ipc__self {
    uint64_t epoch;   /* the process's epoch for which lo and span hold */
    uint64_t process; /* the process for which the rest holds */
    uintptr_t lo;     /* registered for addresses lo .. lo+span-1 */
    uintptr_t span;
    uint64_t id;
    struct robust_list_head *robust; /* NULL: the kernel's list is no use */
    int32_t pid;
    uint32_t reads; /* rwlocks that it holds for reading, and the place that */
    uint32_t place; /* it takes in them if it is free; see rwlock.c */
};

extern __thread struct ipc__self ipc__self
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* Is ipc__self.id the calling thread's?  It is not in a new thread, nor in a
 * forked child, before ipc__self_register(). */
static inline bool ipc__self_is_known(void)
{
    return likely(ipc__self.process == load_relaxed(&ipc__local.process)) &&
           likely(ipc__self.id != 0);
}

/* The same, and may it own something at address?  If not:
 * ipc__self_register(). */
static inline bool ipc__self_is_ready(const void *address)
{
    return likely(ipc__self.epoch == load_relaxed(&ipc__local.epoch)) &&
           likely((uintptr_t)address - ipc__self.lo < ipc__self.span);
}

/* Make the calling thread known where address lies.  Returns 0, -EXDEV when
 * that region belongs to another pid namespace, -ENOMEM or -ENOSYS. */
int ipc__self_register(const void *address);

/* False: do without the kernel's list of robust futexes, as where a filter
 * forbids get_robust_list() or libc lays the list out in another way.  Deaths
 * are then found by the re-check alone.  Set by tests. */
extern bool ipc__robust_list_usable __attribute__((visibility("hidden")));

/* The part of a word that names its owner. */
#define IPC__OWNER_MASK 0xffffffff3fffffffu

/* What is known about the owner of something at an address. */
struct ipc__peer {
    bool dead;
    const uint32_t *life;   /* sleep on this too; NULL: no slot */
    uint32_t life_if_alive; /* its value while the owner lives */
};

/* Look at the owner that a word at address names.  thorough also asks /proc
 * about an owner whose life word says that it lives. */
void ipc__peer_look(const void *address, uint64_t owner, bool thorough,
                    struct ipc__peer *out);

/* For messages: the process of an owner (0: unknown) and its short name. */
void ipc__peer_describe(const void *address, uint64_t owner, int32_t *pid,
                        char name[24]);

/* What a thread waits for, in check mode; see check.c. */
struct ipc__wait {
    uint64_t number; /* 0: nothing */
    uint64_t region;
    int32_t pid; /* of the thread */
};

/* Have the calling thread's slot in the region, if it has one, say what it
 * waits for; and ask what an owner waits for: true if it has a slot there,
 * lives, and says so. */
void ipc__peer_say(struct ipc__region *region, const struct ipc__wait *wait);
bool ipc__peer_ask(struct ipc__region *region, uint64_t owner,
                   struct ipc__wait *out);

/* The calling thread's slot in the region, from 1; 0: it has none.  And does
 * the thread of that identity live, which had this slot?  Two loads. */
uint32_t ipc__peer_place(const struct ipc__region *region);
static inline bool ipc__peer_is_at(const struct ipc__region *region,
                                   uint32_t place, uint64_t id)
{
    if (unlikely(place == 0 || place > IPC__REGION_SLOTS))
        return false;
    const struct ipc__slot *slot = &region->slots[place - 1];
    return load_relaxed(&slot->life) ==
               (((uint32_t)id & FUTEX_TID_MASK) | FUTEX_WAITERS) &&
           load_relaxed(&slot->birth) == (uint32_t)(id >> 32);
}

/* Threads in the region's table that live. */
uint32_t ipc__peer_count(const struct ipc__region *region);

/* Announce to the kernel that this thread may die owning the word, or about to
 * own it, or just having freed it: if it does, the kernel marks the word and
 * wakes a sleeper.  One word at a time.  Needs a registered thread. */
static inline void ipc__pending_set(const void *word)
{
    struct robust_list_head *head = ipc__self.robust;
    if (likely(head != NULL))
        head->list_op_pending =
            (struct robust_list *)((uintptr_t)word -
                                   (uintptr_t)head->futex_offset);
    compiler_barrier();
}

static inline void ipc__pending_clear(void)
{
    compiler_barrier();
    if (likely(ipc__self.robust != NULL))
        ipc__self.robust->list_op_pending = NULL;
}

/* Called by region.c: drop the calling thread's slot in a region that goes;
 * true if other threads of this process are linked to it. */
bool ipc__peers_leave(struct ipc__region *region);

#endif
