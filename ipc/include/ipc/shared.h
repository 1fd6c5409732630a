/* Family memory: memory that a program shares with its children.
 *
 * A family is a process and everything forked from it.  Family memory lies at
 * the same address in every member, also what one of them allocates after the
 * fork, so plain pointers into it may be stored in it and handed around:
 *
 *     int *hits = ipc_shared_alloc(sizeof *hits);    // zero-filled
 *     ipc_process_start(...);                        // children see *hits
 *     ...
 *     ipc_shared_free(hits);                         // by any member
 *
 * The address range is reserved by the first call that needs it, and by
 * ipc_process_start() at the latest.  Call ipc_shared_init() early if the
 * program forks by itself before that.  Pages are allocated for real when
 * they are handed out: a full machine is an error here, never a SIGBUS later.
 *
 * Threads: any.  Processes: any member of the family.
 * Fork: the child is a member.  A program that was exec'ed is not, unless it was
 * started by spawn or forkserver (process.h).
 * Signals: not for signal handlers.
 * Crash: the memory and its allocator are robust: any member may die at any
 * instruction.  What a dead member had allocated and told nobody about, or was
 * just freeing, stays allocated until the last member is gone (leaky). */
#ifndef IPC_SHARED_H
#define IPC_SHARED_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

/* Reserve the family's address range now.  Idempotent.
 *
 * Errors: -ENOMEM no address range; -EXDEV the family lives in another pid
 * namespace; -ENOSYS the kernel is too old (5.16 is needed). */
IPC_API IPC_MUST_USE int ipc_shared_init(void);

/* Allocate size bytes, zero-filled, aligned to 16, and to 64 from 64 bytes on
 * so that a lock does not share its cache line.
 *
 * Returns NULL when there is no memory left, or size is 0 or more than the
 * reserved range; ipc_error_detail() says which.  Owns: the family, until
 * ipc_shared_free(). */
IPC_API IPC_MUST_USE void *ipc_shared_alloc(size_t size);

/* Give back what ipc_shared_alloc() returned, in this process or in another
 * member of the family.  NULL is fine.
 *
 * Errors: -EINVAL when it is not such a pointer or was freed before; nothing
 * happens then. */
IPC_API int ipc_shared_free(void *memory);

/* How many bytes may be used at memory: at least what was asked for; 0 when
 * memory is not a live allocation of the family. */
IPC_API size_t ipc_shared_size(const void *memory);

/* Numbers about the family's memory, in bytes. */
typedef struct ipc_shared_info {
    uint32_t size;     /* of this structure: IPC_SHARED_INFO_INIT */
    uint32_t members;  /* threads of the family that have used a lock */
    uint64_t reserved; /* address range */
    uint64_t used;     /* handed out */
    uint64_t count;    /* allocations alive */
} ipc_shared_info;

#define IPC_SHARED_INFO_INIT                                                   \
    {                                                                          \
        sizeof(ipc_shared_info), 0, 0, 0, 0                                    \
    }

/* Fill info.  Counts by walking the allocator: for tests and tools. */
IPC_API int ipc_shared_query(ipc_shared_info *info) IPC_NONNULL(1);

IPC_END_DECLS

#endif
