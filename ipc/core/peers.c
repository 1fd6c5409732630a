/* Peers: the identity of threads and the notice of their deaths.
 *
 * State
 *   ipc__self   per thread: its identity, and for which addresses it has a
 *               slot.  Valid while its epoch is the process's.
 *   slot.life   0 free; TID|WAITERS its claimer lives; anything with
 *               OWNER_DIED: dead, and free to be claimed again.  Claimed by
 *               CAS; given back by its claimer; flagged by the kernel, or by a
 *               peer that learned of the death from /proc.
 *   slot.tid, birth, pid, name   written by the claimer after life.
 *   slot.waits_for   see check.c.
 *   slot.prev, next   the slot's link in the claimer's robust list.  glibc
 *               keeps that list for its robust mutexes; ours are entries like
 *               theirs, with the futex word 32 bytes before the link.
 *
 * Invariants
 *   1  life is TID|WAITERS of a living thread only while it is in that
 *      thread's robust list, or is its list_op_pending: the kernel flags it
 *      when the thread dies, by whatever cause;
 *   2  whoever finds tid and birth of an identity in a slot may conclude from
 *      life: alive if it is TID|WAITERS of that tid, dead otherwise.  A slot
 *      is claimed anew only when its claimer is dead or has wiped tid and
 *      birth before it gave life back;
 *   3  a thread has at most one slot in a region.
 *
 * Order
 *   [claim→look]  tid and birth are stored with release after life; a looker
 *   that sees half of them does not find the identity and asks /proc.
 *   [leave→look]  tid and birth are wiped before life is; a looker that saw
 *   the identity and then life 0 looks for the identity again, and does not
 *   find it.
 *
 * Death
 *   Before the CAS on life: nothing.  After it, list_op_pending names the
 *   link, so the kernel flags life.  Once linked: the same by the list.  The
 *   kernel wakes one sleeper of a life word; whoever observes the flag wakes
 *   the rest.  If that one is killed first, the others' re-check finds the
 *   flag.  A slot left by the dead is claimed by the next thread that lands
 *   on it. */
#include "core/peers.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/family.h"
#include "kernel/futex.h"
#include "kernel/pidfd.h"
#include "kernel/procfs.h"
#include "kernel/syscall.h"

__thread struct ipc__self ipc__self;

bool ipc__robust_list_usable = true;

#define TID(id)   ((uint32_t)(id)&FUTEX_BITS_TID)
#define BIRTH(id) ((uint32_t)((id) >> 32))

#define TICK_SHIFT 10 /* of the start time within birth */

/* Slots that a thread may take, from the one its tid points at: bounds every
 * search.  Tids are given out one after the other, so they spread well. */
#define WINDOW 16

/* ---- who am I ---- */

static uint32_t birth_of(uint64_t ticks, uint64_t count)
{
    return (uint32_t)(ticks << TICK_SHIFT) |
           ((uint32_t)count & ((1u << TICK_SHIFT) - 1));
}

/* The kernel's list of robust futexes of this thread, if glibc registered one
 * with the layout that slots are made for.  A thread made by a raw clone() has
 * none. */
static struct robust_list_head *robust_list(void)
{
    struct robust_list_head *head = NULL;
    size_t size = 0;
    if (ipc__syscall3(SYS_get_robust_list, 0, &head, &size) != 0 ||
        head == NULL || size != sizeof *head)
        return NULL;
    const long expected = (long)offsetof(struct ipc__slot, life) -
                          (long)offsetof(struct ipc__slot, next);
    return head->futex_offset == expected ? head : NULL;
}

/* Threads that came one after the other are on different cache lines. */
static uint32_t place_of(uint64_t count)
{
    const uint32_t lines = IPC__READER_PLACES / 8;
    return (uint32_t)(count % lines * 8 + count / lines % 8);
}

static void identify(struct ipc__region *family)
{
    const uint32_t tid = (uint32_t)ipc__syscall0(SYS_gettid);
    uint64_t ticks = 0;
    (void)ipc__proc_start_time(0, &ticks); /* no /proc: 0 for everybody */
    const uint64_t count = add_relaxed(&family->births, 1);
    ipc__self.id = (uint64_t)birth_of(ticks, count) << 32 | tid;
    ipc__self.robust = ipc__robust_list_usable ? robust_list() : NULL;
    ipc__self.pid = getpid();
    ipc__self.reads = 0;
    ipc__self.place = place_of(count);
    ipc__self.process = load_relaxed(&ipc__local.process);
    if (load_relaxed(&ipc__local.pid_namespace) == 0)
        store_relaxed(&ipc__local.pid_namespace, ipc__proc_pid_namespace());
}

static bool is_foreign(const struct ipc__region *region)
{
    const uint64_t mine = load_relaxed(&ipc__local.pid_namespace);
    return region->facts.pid_namespace != 0 && mine != 0 &&
           region->facts.pid_namespace != mine;
}

/* ---- slots ---- */

static struct ipc__slot *slot_at(struct ipc__region *region, uint32_t tid,
                                 uint32_t step)
{
    return &region->slots[(tid + step) % IPC__REGION_SLOTS];
}

static struct ipc__slot *find_slot(struct ipc__region *region, uint64_t id)
{
    for (uint32_t step = 0; step < WINDOW; step++) {
        struct ipc__slot *slot = slot_at(region, TID(id), step);
        if (load_acquire(&slot->tid) == TID(id) && /* [claim→look] */
            load_relaxed(&slot->birth) == BIRTH(id))
            return slot;
    }
    return NULL;
}

static void link_slot(struct robust_list_head *head, struct ipc__slot *slot)
{
    void *node = &slot->next;
    void *first = head->list.next;
    slot->next = first;
    slot->prev = &head->list;
    if (first != (void *)&head->list)
        ((void **)((uintptr_t)first & ~(uintptr_t)1))[-1] = node;
    compiler_barrier();
    head->list.next = node;
    compiler_barrier();
}

/* Take a slot out of this thread's list, if it is in it.  The way there leads
 * from the list's head: a slot's own word about its place is shared memory,
 * and may be what somebody with the same tid left. */
static bool unlink_slot(struct robust_list_head *head, struct ipc__slot *slot)
{
    void **at = (void **)(void *)&head->list.next;
    for (int i = 0; i < ROBUST_LIST_LIMIT; i++) {
        void *entry = (void *)((uintptr_t)*at & ~(uintptr_t)1);
        if (entry == (void *)&head->list)
            return false;
        if (entry == (void *)&slot->next) {
            void **next = (void **)((uintptr_t)slot->next & ~(uintptr_t)1);
            next[-1] = at;
            compiler_barrier();
            *at = slot->next;
            compiler_barrier();
            return true;
        }
        at = entry;
    }
    return false;
}

/* By words: who reads it meanwhile gets a mixture, but no tear of a word. */
static void write_name(struct ipc__slot *slot)
{
    union {
        char text[sizeof slot->name];
        uint64_t words[array_length(slot->name)];
    } name = {{0}};
    (void)prctl(PR_GET_NAME, name.text);
    for (size_t i = 0; i < array_length(slot->name); i++)
        store_relaxed(&slot->name[i], name.words[i]);
}

static void read_name(const struct ipc__slot *slot, char out[24])
{
    for (size_t i = 0; i < array_length(slot->name); i++) {
        const uint64_t word = load_relaxed(&slot->name[i]);
        memcpy(out + i * sizeof word, &word, sizeof word);
    }
    out[sizeof slot->name - 1] = '\0';
}

static bool claim_slot(struct ipc__region *region)
{
    struct robust_list_head *head = ipc__self.robust;
    const uint64_t id = ipc__self.id;
    const uint32_t alive = TID(id) | FUTEX_BIT_WAITERS;

    if (head == NULL)
        return false;
    for (uint32_t step = 0; step < WINDOW; step++) {
        struct ipc__slot *slot = slot_at(region, TID(id), step);
        const uint32_t seen = load_relaxed(&slot->life);
        if (seen != 0 && (seen & FUTEX_BIT_OWNER_DIED) == 0)
            continue;
        head->list_op_pending = (struct robust_list *)&slot->next;
        compiler_barrier();
        if (!cas32_acquire(&slot->life, seen, alive)) {
            head->list_op_pending = NULL;
            continue;
        }
        link_slot(head, slot);
        head->list_op_pending = NULL;

        store_relaxed(&slot->pid, ipc__self.pid);
        store_relaxed(&slot->waits_for, 0);
        write_name(slot);
        store_release(&slot->birth, BIRTH(id));
        store_release(&slot->tid, TID(id)); /* [claim→look] */
        if (seen != 0) /* somebody may still sleep on the dead one's word */
            ipc__futex_wake(&slot->life, INT_MAX);
        return true;
    }
    return false;
}

static void give_slot_back(struct ipc__slot *slot)
{
    struct robust_list_head *head = ipc__self.robust;
    head->list_op_pending = (struct robust_list *)&slot->next;
    compiler_barrier();
    if (unlink_slot(head, slot)) {
        store_release(&slot->tid, 0); /* invariant 2: before life */
        store_release(&slot->birth, 0);
        store_release(&slot->life, 0); /* [leave→look] */
    }
    compiler_barrier();
    head->list_op_pending = NULL;
}

bool ipc__peers_leave(struct ipc__region *region)
{
    const int32_t pid = getpid();
    bool others = false;

    for (uint32_t i = 0; i < IPC__REGION_SLOTS; i++) {
        struct ipc__slot *slot = &region->slots[i];
        const uint32_t life = load_relaxed(&slot->life);
        if (load_relaxed(&slot->pid) != pid || life == 0 ||
            (life & FUTEX_BIT_OWNER_DIED) != 0)
            continue;
        const bool is_known =
            ipc__self.robust != NULL &&
            ipc__self.process == load_relaxed(&ipc__local.process);
        const bool our_tid =
            is_known && load_relaxed(&slot->tid) == TID(ipc__self.id);
        if (our_tid && load_relaxed(&slot->birth) == BIRTH(ipc__self.id))
            give_slot_back(slot);
        else if (!our_tid)
            others = true;
        /* Else our tid with another birth: a dead one's, not linked here. */
    }
    return others;
}

int ipc__self_register(const void *address)
{
    const uint64_t epoch = ipc__local_epoch();
    if (epoch == 0)
        return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");

    struct ipc__region *family;
    const int rc = ipc__family(&family);
    if (rc != 0)
        return rc;
    if (ipc__self.process != load_relaxed(&ipc__local.process))
        identify(family); /* a new thread, or a new process */
    else
        ipc__region_prune();

    uintptr_t lo;
    uintptr_t span;
    struct ipc__region *region = ipc__region_find(address, &lo, &span);
    if (region != NULL && is_foreign(region))
        return ipc__fail(-EXDEV, "the memory belongs to pid namespace %llu",
                         (unsigned long long)region->facts.pid_namespace);
    if (region == NULL)
        region = family; /* private memory: threads of this process */
    if (!is_foreign(region) && find_slot(region, ipc__self.id) == NULL)
        (void)claim_slot(region); /* else deaths are found by the re-check */
    if (ipc__checking() && find_slot(family, ipc__self.id) == NULL)
        (void)claim_slot(family); /* where the whole family finds us */

    ipc__self.lo = lo;
    ipc__self.span = span;
    compiler_barrier();
    ipc__self.epoch = epoch;
    return 0;
}

/* ---- who is alive ---- */

/* Has the process ended, if only nobody has waited for it yet?  For the first
 * thread of a process; of others nothing is known. */
static bool has_ended(int tid)
{
    const int fd = ipc__pidfd_open(tid);
    const bool ended = fd >= 0 && ipc__pidfd_wait(fd, IPC_TIME_NOW) == 0;
    ipc__pidfd_close(fd);
    return ended;
}

/* Ask the kernel: by kill(), which is always right about whether the tid is
 * in use, and by /proc, which tells whether it is still the same thread.
 * /proc may hide a living thread, or show another namespace: what it does not
 * show proves nothing.  When in doubt the owner lives: nothing is ever taken
 * from the living. */
static bool dead_by_proc(uint64_t id)
{
    uint64_t ticks;
    if (kill((pid_t)TID(id), 0) != 0 && errno == ESRCH)
        return true;
    const int rc = ipc__proc_is_ours()
                       ? ipc__proc_start_time((int)TID(id), &ticks)
                       : -ENOENT;
    if (rc != 0)
        return rc == 1 || has_ended((int)TID(id));
    /* Start 0: the owner could not find out when it was started, for want of
     * a descriptor or of /proc. */
    const uint32_t start = BIRTH(id) >> TICK_SHIFT;
    return (start != 0 && start != birth_of(ticks, 0) >> TICK_SHIFT) ||
           ipc__proc_is_dumping((int)TID(id));
}

static struct ipc__region *region_of(const void *address)
{
    struct ipc__region *region = ipc__region_find(address, NULL, NULL);
    if (region == NULL)
        (void)ipc__family(&region);
    return region;
}

void ipc__peer_look(const void *address, uint64_t owner, bool thorough,
                    struct ipc__peer *out)
{
    *out = (struct ipc__peer){.dead = false};
    const uint64_t id = owner & IPC__OWNER_MASK;
    if (TID(id) == 0) { /* the kernel found its list_op_pending */
        out->dead = true;
        return;
    }

    struct ipc__region *region = region_of(address);
    struct ipc__slot *slot = region == NULL ? NULL : find_slot(region, id);
    if (slot == NULL) {
        out->dead = dead_by_proc(id);
        return;
    }
    const uint32_t alive = TID(id) | FUTEX_BIT_WAITERS;
    if (thorough && load_relaxed(&slot->life) == alive && dead_by_proc(id))
        /* The kernel could not tell: say it in its place. */
        (void)cas32_relaxed(&slot->life, alive,
                            FUTEX_BIT_WAITERS | FUTEX_BIT_OWNER_DIED);
    if (load_acquire(&slot->life) != alive) { /* [leave→look] */
        /* Unless the owner has given the slot back since we found it. */
        out->dead = find_slot(region, id) == slot || dead_by_proc(id);
        if (out->dead)
            ipc__futex_wake(&slot->life, INT_MAX);
        return;
    }
    out->life = &slot->life;
    out->life_if_alive = alive;
}

void ipc__peer_describe(const void *address, uint64_t owner, int32_t *pid,
                        char name[24])
{
    const uint64_t id = owner & IPC__OWNER_MASK;
    struct ipc__region *region = region_of(address);
    struct ipc__slot *slot = region == NULL ? NULL : find_slot(region, id);
    name[0] = '\0';
    *pid = 0;
    if (TID(id) == 0) /* the kernel has wiped it */
        return;
    if (slot != NULL) {
        *pid = load_relaxed(&slot->pid);
        read_name(slot, name);
    } else if (!dead_by_proc(id)) {
        *pid = ipc__proc_pid_of((int)TID(id));
        ipc__proc_name((int)TID(id), name, 24);
    }
}

void ipc__peer_say(struct ipc__region *region, const struct ipc__wait *wait)
{
    struct ipc__slot *slot = find_slot(region, ipc__self.id);
    if (slot == NULL)
        return;
    store_release(&slot->waits_for, 0); /* who reads meanwhile sees none */
    store_release(&slot->waits_region, wait->region);
    store_release(&slot->waits_for, wait->number);
}

bool ipc__peer_ask(struct ipc__region *region, uint64_t owner,
                   struct ipc__wait *out)
{
    const struct ipc__slot *slot = find_slot(region, owner);
    if (slot == NULL ||
        load_acquire(&slot->life) != (TID(owner) | FUTEX_BIT_WAITERS))
        return false;
    out->pid = load_relaxed(&slot->pid);
    out->number = load_acquire(&slot->waits_for);
    out->region = load_acquire(&slot->waits_region);
    return out->number != 0 && load_acquire(&slot->waits_for) == out->number;
}

uint32_t ipc__peer_place(const struct ipc__region *region)
{
    const struct ipc__slot *slot =
        find_slot((struct ipc__region *)(uintptr_t)region, ipc__self.id);
    return slot != NULL ? (uint32_t)(slot - region->slots) + 1 : 0;
}

uint32_t ipc__peer_count(const struct ipc__region *region)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < IPC__REGION_SLOTS; i++) {
        const uint32_t life = load_relaxed(&region->slots[i].life);
        count += life != 0 && (life & FUTEX_BIT_OWNER_DIED) == 0;
    }
    return count;
}
