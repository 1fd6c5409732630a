/* The list of registered functions.
 *
 * Order
 *   Constructors run one after the other, also those of dlopen().  A node is
 *   complete before it can be found: it is linked with release and looked at
 *   with acquire.  Nodes are never removed. */
#include "process/entry.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/atomic.h"
#include "core/error.h"

static ipc_entry *first;
static ipc_entry *last;

/* FNV-1a, with the end of each name. */
static uint32_t hash_on(uint32_t hash, const char *name)
{
    do
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    while (*name++ != '\0');
    return hash;
}

void ipc_entry_add(ipc_entry *entry, const char *name, void (*function)(void))
{
    ipc_entry *before = load_relaxed(&last);
    entry->next_ = NULL;
    entry->name_ = name;
    entry->function_ = function;
    entry->index_ = before != NULL ? before->index_ + 1 : 0;
    entry->hash_ = hash_on(before != NULL ? before->hash_ : 2166136261u, name);
    store_release(before != NULL ? &before->next_ : &first, entry);
    store_relaxed(&last, entry);
}

static const ipc_entry *find(ipc__function function)
{
    const ipc_entry *entry = load_acquire(&first);
    while (entry != NULL && entry->function_ != function)
        entry = load_acquire(&entry->next_);
    return entry;
}

/* The name that the program exports a function by, or NULL. */
static const char *exported_name(ipc__function function)
{
    Dl_info info;
    union {
        ipc__function function;
        void *address;
    } pun = {.function = function};
    return dladdr(pun.address, &info) != 0 && info.dli_saddr == pun.address
               ? info.dli_sname
               : NULL;
}

int ipc__entry_of(ipc__function function, struct ipc__entry_id *out)
{
    const ipc_entry *entry = find(function);
    if (entry == NULL) {
        const char *name = exported_name(function);
        return name != NULL
                   ? ipc__fail(-EINVAL, "%s is not registered: IPC_ENTRY(%s)",
                               name, name)
                   : ipc__fail(-EINVAL,
                               "the function at %p is not registered: "
                               "IPC_ENTRY(its name)",
                               (void *)(uintptr_t)function);
    }
    *out = (struct ipc__entry_id){entry->index_, entry->hash_};
    return 0;
}

ipc__function ipc__entry_at(struct ipc__entry_id id)
{
    const ipc_entry *entry = load_acquire(&first);
    while (entry != NULL && entry->index_ != id.index)
        entry = load_acquire(&entry->next_);
    return entry != NULL && entry->hash_ == id.hash ? entry->function_ : NULL;
}

const char *ipc__entry_name(ipc__function function)
{
    const ipc_entry *entry = find(function);
    return entry != NULL ? entry->name_ : NULL;
}

/* ---- images ---- */

uint64_t ipc__image;

/* The kernel gives 16 random bytes to each image, which stay where they are in
 * forks: so all find the same number, whoever asks first.  libc has its guards
 * from those bytes: they cannot be had back from the number. */
uint64_t ipc__image_number(void)
{
    uint64_t seed[2] = {(uint64_t)(uintptr_t)&ipc__image, 0};
    const void *random = (const void *)(uintptr_t)getauxval(AT_RANDOM);
    if (random != NULL)
        memcpy(seed, random, sizeof seed);
    uint64_t number = seed[0] * UINT64_C(0x9e3779b97f4a7c15);
    number ^= number >> 32;
    number = (number + seed[1]) * UINT64_C(0xd6e8feb86659fd93);
    number ^= number >> 32;
    number |= 1;
    store_relaxed(&ipc__image, number);
    return number;
}
