/* All of libipc: processes, locks and shared memory for C programs on Linux,
 * with Python's words.  Include this, or the headers one by one. */
#ifndef IPC_IPC_H
#define IPC_IPC_H

#include <ipc/any.h>
#include <ipc/api.h>
#include <ipc/arena.h>
#include <ipc/array.h>
#include <ipc/atomic.h>
#include <ipc/barrier.h>
#include <ipc/check.h>
#include <ipc/condition.h>
#include <ipc/connection.h>
#include <ipc/dict.h>
#include <ipc/error.h>
#include <ipc/event.h>
#include <ipc/file_lock.h>
#include <ipc/future.h>
#include <ipc/list.h>
#include <ipc/local.h>
#include <ipc/lock.h>
#include <ipc/namespace.h>
#include <ipc/once.h>
#include <ipc/pool.h>
#include <ipc/process.h>
#include <ipc/progress.h>
#include <ipc/queue.h>
#include <ipc/remote.h>
#include <ipc/rlock.h>
#include <ipc/rwlock.h>
#include <ipc/segment.h>
#include <ipc/semaphore.h>
#include <ipc/set.h>
#include <ipc/shared.h>
#include <ipc/thread.h>
#include <ipc/time.h>
#include <ipc/timer.h>
#include <ipc/value.h>
#include <ipc/version.h>
#include <ipc/wait.h>

#endif
