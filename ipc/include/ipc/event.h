/* Event: a flag that threads and processes wait for, as Python's Event.
 *
 *     ipc_event *ready;
 *     ipc_event_new(NULL, &ready);
 *
 *     ipc_event_wait(ready);              // one process, or many
 *     ipc_event_set(ready);               // another one: all go on
 *
 * Every thread that was waiting when the event was set goes on, also when it
 * is cleared again at once.  Setting never waits for anybody.  Where both
 * sides are running, set and wait make no system call.
 *
 * Zero-filled memory is a valid event that is not set.
 *
 * Threads: any.  Processes: any that see the memory.
 * Signals: restart the wait.  ipc_event_set() and ipc_event_is_set() may be
 * called in signal handlers.
 * Crash: robust.  Set and clear have happened or not, whenever their process
 * is killed, and if the event was set all who wait are awake. */
#ifndef IPC_EVENT_H
#define IPC_EVENT_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

/* 64 bytes.  The fields are shown for debuggers; use the functions. */
typedef struct ipc_event {
    uint32_t word_;  /* set, somebody sleeps, and how often it was cleared */
    char label_[24]; /* for error details; may be empty */
    uint32_t reserved_[9];
} __attribute__((aligned(8))) ipc_event;

typedef struct ipc_event_options {
    uint32_t size;     /* of this structure: IPC_EVENT_OPTIONS_INIT */
    uint32_t flags;    /* none yet: 0 */
    const char *label; /* shown in error details; up to 23 bytes are kept */
} ipc_event_options;

#define IPC_EVENT_OPTIONS_INIT                                                 \
    {                                                                          \
        sizeof(ipc_event_options), 0, NULL                                     \
    }

/* Storage: as for locks, see lock.h.  Nobody may wait for an event that is
 * init'ed, fini'ed or freed (-EBUSY from the last two if somebody does). */
IPC_API int ipc_event_init(ipc_event *event, const ipc_event_options *options)
    IPC_NONNULL(1);
IPC_API int ipc_event_fini(ipc_event *event) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_event_new(const ipc_event_options *options,
                                       ipc_event **out) IPC_NONNULL(2);
IPC_API int ipc_event_free(ipc_event *event);
IPC_API IPC_MUST_USE int ipc_event_create(const char *name,
                                          const ipc_event_options *options,
                                          ipc_event **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_event_open(const char *name, ipc_event **out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int
ipc_event_open_or_create(const char *name, const ipc_event_options *options,
                         ipc_event **out) IPC_NONNULL(1, 3);
IPC_API int ipc_event_close(ipc_event *event);
IPC_API int ipc_event_unlink(const char *name) IPC_NONNULL(1);

/* Set it and wake all who wait; clear it.  Both are fine when it is so
 * already.  Errors: -EUCLEAN. */
IPC_API int ipc_event_set(ipc_event *event) IPC_NONNULL(1);
IPC_API int ipc_event_clear(ipc_event *event) IPC_NONNULL(1);

/* Wait until it is set, or has been set since the call began: as long as it
 * takes, not at all, or until a deadline.
 *
 * Errors: -EAGAIN (_nowait) and -ETIMEDOUT (_until) it is not set; -EUCLEAN. */
IPC_API int ipc_event_wait(ipc_event *event) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_event_wait_nowait(ipc_event *event) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_event_wait_until(ipc_event *event,
                                              ipc_deadline deadline)
    IPC_NONNULL(1);

IPC_API bool ipc_event_is_set(const ipc_event *event) IPC_NONNULL(1);

IPC_END_DECLS

#endif
