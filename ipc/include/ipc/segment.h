/* Segments: shared memory with a name, for programs that are not related.
 *
 *     ipc_segment *seg;
 *     int rc = ipc_segment_open_or_create("scores", 4096, NULL, &seg);
 *     struct scores *s = ipc_segment_data(seg);      // zero-filled when new
 *     ...
 *     ipc_segment_close(seg);                        // the name stays
 *     ipc_segment_unlink("scores");                  // now it goes
 *
 * Names are POSIX shared memory names: the segment "scores" is the file
 * /dev/shm/scores, mode 0600, and a leading '/' may be given.  A name is 1 to
 * 200 bytes, without further '/' and not starting with '.'.
 *
 * A segment appears under its name complete or not at all, whatever its
 * creator dies of.  Its pages are allocated when it is created: a full
 * /dev/shm is -ENOSPC here, never a SIGBUS later.
 *
 * Lifetime.  A segment lives while a process has it mapped, and stays after
 * every user has closed it, until ipc_segment_unlink().  When a user died
 * without closing it and nobody else has it mapped, it is *abandoned*: the
 * next open or create under that name removes it first.  IPC_SEGMENT_PERSIST
 * at creation keeps an abandoned segment and its data.  What anybody has
 * mapped is never removed by such cleaning.
 *
 * Trust.  Segments are shared by processes of one user.  A file of that name
 * which is no segment, or belongs to another user, or is a link, a directory
 * or a pipe, gives an error and is left alone.  A process of the same user
 * that scribbles over a segment can spoil its data, but the header is checked
 * before it is believed.
 *
 * Threads: any; a handle may be used by several at once, closed by one.
 * Fork: the child inherits the mapping and may use and close its handle.
 * Crash: robust.  Any process may die at any instruction of any call here. */
#ifndef IPC_SEGMENT_H
#define IPC_SEGMENT_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

typedef struct ipc_segment ipc_segment;

#define IPC_SEGMENT_PERSIST 1u /* keep it when all its users have died */

typedef struct ipc_segment_options {
    uint32_t size;  /* of this structure: IPC_SEGMENT_OPTIONS_INIT */
    uint32_t flags; /* IPC_SEGMENT_..., when it is created */
} ipc_segment_options;

#define IPC_SEGMENT_OPTIONS_INIT                                               \
    {                                                                          \
        sizeof(ipc_segment_options), 0                                         \
    }

/* Make a new segment of size bytes (1 byte to just under 1 TiB) and map it.
 *
 * Errors: -EEXIST the name is in use; -EPERM or -EACCES it is somebody
 * else's; -ENOSPC /dev/shm is full; -EFBIG more than RLIMIT_FSIZE; -EINVAL
 * bad name or size; -EBUSY others keep the name busy for 2 s; -EMFILE. */
IPC_API IPC_MUST_USE int ipc_segment_create(const char *name, size_t size,
                                            const ipc_segment_options *options,
                                            ipc_segment **out)
    IPC_NONNULL(1, 4);

/* Map the segment of that name.
 *
 * Errors: -ENOENT no such segment, or it was abandoned and is gone now;
 * -EUCLEAN not a segment; -EINVAL a lock, or another object; -EPROTONOSUPPORT of
 * another version; -EXDEV of another pid namespace; -EPERM or -EACCES of
 * another user; -EBUSY as for create. */
IPC_API IPC_MUST_USE int ipc_segment_open(const char *name, ipc_segment **out)
    IPC_NONNULL(1, 2);

/* Open it, or create it if there is none; all who do so at the same time get
 * the same one.  An existing segment keeps its size: at least size bytes, or
 * the call fails with -EMSGSIZE. */
IPC_API IPC_MUST_USE int
ipc_segment_open_or_create(const char *name, size_t size,
                           const ipc_segment_options *options,
                           ipc_segment **out) IPC_NONNULL(1, 4);

/* Unmap it; the name stays.  No pointer into it may be used by this process
 * any more, and none of its threads may hold a lock in it.  NULL is fine. */
IPC_API int ipc_segment_close(ipc_segment *segment);

/* Remove the name.  Those who have it mapped keep it; the next create makes a
 * new one.
 *
 * Errors: -ENOENT; -EPERM or -EACCES not ours; -EUCLEAN not a segment. */
IPC_API int ipc_segment_unlink(const char *name) IPC_NONNULL(1);

/* The memory, zero-filled when the segment was made, at an address that
 * differs from process to process; aligned to 4096.  Owns: the segment. */
IPC_API void *ipc_segment_data(const ipc_segment *segment) IPC_NONNULL(1);

/* Usable bytes: what it was created with. */
IPC_API size_t ipc_segment_size(const ipc_segment *segment) IPC_NONNULL(1);

/* A random number that tells this segment from any other that had or will
 * have its name. */
IPC_API uint64_t ipc_segment_id(const ipc_segment *segment) IPC_NONNULL(1);

/* Remove every abandoned segment of this user.  What is in use, was closed
 * properly, is IPC_SEGMENT_PERSIST, or holds a lock whose owner died and
 * nobody has been told yet, stays.
 *
 * Returns how many were removed, or a negative errno. */
IPC_API int ipc_segment_gc(void);

IPC_END_DECLS

#endif
