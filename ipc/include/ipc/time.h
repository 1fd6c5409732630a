/* The one time type: a deadline.
 *
 * A deadline is an absolute moment on the monotonic clock, in nanoseconds.
 * It survives retries and can be handed down a call chain, which a duration
 * cannot.  Only these helpers turn durations into deadlines:
 *
 *     rc = ipc_lock_acquire_until(&lock, ipc_after_ms(100));
 *
 * A deadline that has passed still tries once, without waiting.  Changing the
 * system's date does not move a deadline.  The clock is the same for every
 * process of one boot, but not across time namespaces.
 *
 * Blocking calls come in three forms: ipc_x_verb() waits as long as it takes,
 * ipc_x_verb_nowait() never waits, ipc_x_verb_until() waits until a deadline.
 * A signal handler that runs meanwhile does not shorten the wait: it goes on
 * to the same deadline.
 *
 * Threads: any.  Fork: safe.  Errors: none of these can fail. */
#ifndef IPC_TIME_H
#define IPC_TIME_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

typedef int64_t ipc_deadline;

#define IPC_TIME_NOW     ((ipc_deadline)0)         /* try once */
#define IPC_TIME_FOREVER ((ipc_deadline)INT64_MAX) /* never */

/* Durations, where nanoseconds are asked for: .task_ns = IPC_MS(200). */
#define IPC_MS(n) ((int64_t)(n)*1000000)
#define IPC_S(n)  ((int64_t)(n)*1000000000)

/* Now, in nanoseconds on the monotonic clock (CLOCK_MONOTONIC). */
IPC_API ipc_deadline ipc_now(void);

/* The moment that lies this far ahead.  Negative durations give a deadline
 * that has passed; what does not fit becomes IPC_TIME_FOREVER. */
IPC_API ipc_deadline ipc_after_ns(int64_t ns);
IPC_API ipc_deadline ipc_after_us(int64_t us);
IPC_API ipc_deadline ipc_after_ms(int64_t ms);
IPC_API ipc_deadline ipc_after_s(double seconds);

/* Sleep until a deadline; signals do not end it early.  IPC_TIME_FOREVER
 * sleeps for good. */
IPC_API void ipc_sleep_until(ipc_deadline deadline);

/* Nanoseconds left until a deadline: 0 when it has passed, INT64_MAX for
 * IPC_TIME_FOREVER. */
IPC_API int64_t ipc_time_left(ipc_deadline deadline);

IPC_END_DECLS

#endif
