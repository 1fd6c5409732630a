/* What belongs to this process alone and must not survive a fork.
 *
 * It lies on pages that the kernel hands to every child filled with zeros
 * (MADV_WIPEONFORK), also to the children of a raw clone().  No atfork handler
 * is needed: code looks at its page, finds zeros, and knows that it is in a
 * new process.  All-zero is a valid state of everything that lies there. */
#ifndef IPC_CORE_LOCAL_H
#define IPC_CORE_LOCAL_H

#include <stddef.h>
#include <stdint.h>

/* The largest page size of the machines that we run on. */
#if defined(__x86_64__)
#    define IPC_PAGE_MAX 4096
#else
#    define IPC_PAGE_MAX 65536
#endif

struct ipc__local {
    /* Changes when the process does (it is 0 in a child, which then takes a
     * number that no thread of its parent has seen), and when the set of
     * mapped regions does.  Threads compare it with what they saw last. */
    uint64_t epoch;
    uint64_t process;       /* its first epoch; 0: nothing here is ours yet */
    uint64_t pid_namespace; /* inode, or 0 when unknown */
    uint32_t region_lock;   /* see region.c */
    uint32_t family_lock;   /* held while the family's region is made */
};

union ipc__local_page {
    struct ipc__local local;
    unsigned char page[IPC_PAGE_MAX];
};

extern union ipc__local_page ipc__local_page
    __attribute__((visibility("hidden")));

#define ipc__local (ipc__local_page.local)

/* Have whole pages come up as zeros in children.  Idempotent.
 * Returns 0 or a negative errno. */
int ipc__wipe_on_fork(void *pages, size_t size);

/* The epoch of this process, made if there is none yet.  0 if the kernel
 * cannot wipe pages. */
uint64_t ipc__local_epoch(void);

/* Tell all threads that the set of regions has changed.  Under region_lock. */
void ipc__local_regions_changed(void);

#endif
