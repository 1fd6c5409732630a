/* Arenas: memory in which shared lists, dicts, sets and namespaces live.
 *
 *     ipc_list *numbers;
 *     ipc_list_new(NULL, &numbers);        // in the family's own arena
 *
 *     ipc_arena *shop;
 *     ipc_arena_open_or_create("shop", NULL, &shop);
 *     ipc_arena_dict(shop, "stock", &stock);      // the same for all who ask
 *
 * An arena has one lock: one process at a time changes or reads what is in it,
 * a call takes some tens of nanoseconds, and every call is done whole or not at
 * all, whoever is killed wherever.  Containers that are busy and have nothing
 * to do with each other go into arenas of their own.
 *
 * Several changes together, in one or several containers of one arena, are a
 * transaction: nobody sees some of them without the others.
 *
 *     rc = ipc_atomic_begin(shop);
 *     if (rc == 0) {
 *         ... calls on what is in the arena, by this thread ...
 *         rc = failed ? ipc_atomic_abort(shop) : ipc_atomic_commit(shop);
 *     }
 *
 * From begin to commit the thread holds the arena: all others wait.  A process
 * that dies in between has changed nothing.
 *
 * Memory.  An arena takes memory as it grows, up to max_bytes, and says -ENOSPC
 * at that limit and -ENOMEM when the machine has no more: then nothing has
 * changed.  What is freed in it is used again.
 *
 * Handles.  An ipc_list * and its like is a handle: closing it
 * (ipc_list_close()) changes nothing in the arena.  A handle of something that
 * was removed meanwhile says -ESTALE.  One that ..._new() made is not closed
 * (-EINVAL) but ended, by ..._free().
 *
 * Lifetime.  A container lives while an arena's name for it, another container
 * that holds it, or (made by ..._new()) nobody's ..._free() has ended it.
 *
 * Trust.  As with segments (segment.h): the processes of one user.  One that
 * scribbles over the memory may spoil the data, and others get -EUCLEAN, but do
 * not crash.
 *
 * Threads: any.  Processes: those of the family, or, with a name, all of one
 * user.  Fork: the child has the same arenas and handles; a transaction stays
 * the parent's.  Signals: not for signal handlers.  Crash: robust. */
#ifndef IPC_ARENA_H
#define IPC_ARENA_H

#include <ipc/any.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_arena ipc_arena;

#define IPC_ARENA_PERSIST 1u /* by name: keep it when all its users have died */

typedef struct ipc_arena_options {
    uint32_t size;      /* of this structure: IPC_ARENA_OPTIONS_INIT */
    uint32_t flags;     /* IPC_ARENA_..., when it is made */
    uint64_t max_bytes; /* 64 KiB to 32 GiB; 0: 1 GiB.  Not taken at first */
    const char *label;  /* shown in error details; up to 23 bytes are kept */
} ipc_arena_options;

#define IPC_ARENA_OPTIONS_INIT                                                 \
    {                                                                          \
        sizeof(ipc_arena_options), 0, 0, NULL                                  \
    }

/* ---- storage ---- */

/* An arena in family memory (shared.h).  Owns: the family, until
 * ipc_arena_free().
 *
 * Errors: -EINVAL max_bytes out of range, or more than family memory can have;
 * unknown flags; -E2BIG; -ENOMEM; -EXDEV. */
IPC_API IPC_MUST_USE int ipc_arena_new(const ipc_arena_options *options,
                                       ipc_arena **out) IPC_NONNULL(2);

/* Ends it with all that is in it: no handle into it may be used any more.
 * -EBUSY while somebody is in a transaction.  NULL is fine. */
IPC_API int ipc_arena_free(ipc_arena *arena);

/* Arenas with a name, for unrelated programs: segments of their own, see
 * segment.h for names, lifetime, errors and trust.  -EBUSY from close: the
 * calling thread is in a transaction. */
IPC_API IPC_MUST_USE int ipc_arena_create(const char *name,
                                          const ipc_arena_options *options,
                                          ipc_arena **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_arena_open(const char *name, ipc_arena **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_arena_open_or_create(const char *name, const ipc_arena_options *options,
                         ipc_arena **out) IPC_NONNULL(1, 3);

/* Unmap it; the name and what is in it stay.  Close its handles first: they
 * must not be used any more.  NULL is fine. */
IPC_API int ipc_arena_close(ipc_arena *arena);
IPC_API int ipc_arena_unlink(const char *name) IPC_NONNULL(1);

/* Arenas without a name, for processes that are given a descriptor (over a Unix
 * socket, or by ipc_connection_send_fd()): it is a sealed memfd, close-on-exec,
 * the caller's.  attach() leaves it open and looks at what it is first:
 * -EBADF, -EUCLEAN no arena of ours, -EINVAL, -EXDEV.  Ended by
 * ipc_arena_close(). */
IPC_API IPC_MUST_USE int ipc_arena_create_fd(const ipc_arena_options *options,
                                             int *fd, ipc_arena **out)
    IPC_NONNULL(2, 3);
IPC_API IPC_MUST_USE int ipc_arena_attach(int fd, ipc_arena **out)
    IPC_NONNULL(2);

/* An arena of that kind, or with a name, is the calling thread's from now on:
 * when that thread ends, however it ends, the arena is over, and every call on
 * what is in it, by whomever, is -ESTALE at once, so that nothing is written
 * where nobody will read it.  For servers that give their arena out.
 *
 * Errors: -EBUSY it is somebody's; -EINVAL it lies in family memory; -ENOTSUP
 * the kernel would not tell others of the thread's end. */
IPC_API IPC_MUST_USE int ipc_arena_own(ipc_arena *arena) IPC_NONNULL(1);

/* ---- what is in it, by name ----
 *
 * The container of that name, which is made empty if there is none.  Close the
 * handle in the end.
 *
 * Errors: -EINVAL something of another type has the name, or it is empty or
 * longer than 255 bytes; -ENOSPC, -ENOMEM, -EUCLEAN. */
IPC_API IPC_MUST_USE int ipc_arena_list(ipc_arena *arena, const char *name,
                                        ipc_list **out) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_arena_dict(ipc_arena *arena, const char *name,
                                        ipc_dict **out) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_arena_set(ipc_arena *arena, const char *name,
                                       ipc_set **out) IPC_NONNULL(1, 2, 3);
IPC_API IPC_MUST_USE int ipc_arena_namespace(ipc_arena *arena, const char *name,
                                             ipc_namespace **out)
    IPC_NONNULL(1, 2, 3);

/* The container of that name if there is one, of this type (0: of any); nothing
 * is made.  *out is a handle: ipc_any_free() in the end.  -ENOENT nothing has
 * the name; -EINVAL something of another type. */
IPC_API IPC_MUST_USE int ipc_arena_find(ipc_arena *arena, const char *name,
                                        uint32_t type, ipc_any *out)
    IPC_NONNULL(1, 2, 4);

/* The arena has no name for it any more; -ENOENT it had none.  What nothing
 * else holds is gone then. */
IPC_API int ipc_arena_remove(ipc_arena *arena, const char *name)
    IPC_NONNULL(1, 2);

/* All names, in the order in which they came. */
IPC_API IPC_MUST_USE int ipc_arena_names(ipc_arena *arena, ipc_anys *out)
    IPC_NONNULL(1, 2);

/* ---- transactions ---- */

/* Have the arena to oneself, until commit or abort by the same thread.  NULL:
 * the family's own.  Reading sees what was changed in the transaction.  Calls
 * that wait for somebody else's change (watch) are -EBUSY inside, but for those
 * with IPC_TIME_NOW.
 *
 * Errors: -EALREADY this thread is in one; -EAGAIN (_nowait) and -ETIMEDOUT
 * (_until) another one is; -EUCLEAN, -ENOTRECOVERABLE the memory was spoilt. */
IPC_API IPC_MUST_USE int ipc_atomic_begin(ipc_arena *arena);
IPC_API IPC_MUST_USE int ipc_atomic_begin_nowait(ipc_arena *arena);
IPC_API IPC_MUST_USE int ipc_atomic_begin_until(ipc_arena *arena,
                                                ipc_deadline deadline);

/* All of it holds from now on, in one step; or none of it ever was.
 *
 * Errors: -EPERM this thread is in no transaction of the arena. */
IPC_API int ipc_atomic_commit(ipc_arena *arena);
IPC_API int ipc_atomic_abort(ipc_arena *arena);

/* ---- looking at it ---- */

typedef struct ipc_arena_info {
    uint32_t size; /* of this structure: IPC_ARENA_INFO_INIT */
    uint32_t reserved_;
    uint64_t max_bytes;
    uint64_t present_bytes; /* memory that it has taken */
    uint64_t used_bytes;    /* in use, by its containers and their values */
    uint64_t objects;       /* containers alive */
    uint64_t recoveries;    /* how often somebody died inside */
} ipc_arena_info;

#define IPC_ARENA_INFO_INIT                                                    \
    {                                                                          \
        sizeof(ipc_arena_info), 0, 0, 0, 0, 0, 0                               \
    }

IPC_API int ipc_arena_query(ipc_arena *arena, ipc_arena_info *info)
    IPC_NONNULL(2);

/* Walk all of it and check that every structure is whole, every byte either in
 * use, once, or free, and nothing lost: for tests and tools.
 *
 * Errors: -EUCLEAN, the detail says what is wrong. */
IPC_API int ipc_arena_check(ipc_arena *arena);

IPC_END_DECLS

#endif
