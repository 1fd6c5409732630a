/* Jobs: maps, whose parts are tasks. */
#ifndef IPC_POOL_JOB_H
#define IPC_POOL_JOB_H

#include "pool/worker.h"

/* Run a part of a map.  Its result as that of a task. */
int ipc__job_run(struct ipc_task *task);

/* The worker that ran this part is dead; how, says the record (kind DIED,
 * signal, exitcode...).  Note it for the item that it was at.  True: there is
 * more of it to be run (make it PENDING); false: it is done (with DONE).  By
 * the supervisor. */
bool ipc__job_lost(struct ipc_future *part);

#endif
