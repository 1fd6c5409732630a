/* What the sources of ipc_wait() keep in its items. */
#ifndef IPC_WAIT_ITEM_H
#define IPC_WAIT_ITEM_H

#include <ipc/wait.h>

#define IPC__WAIT_FIRST ((uint32_t)IPC_WAIT_FOR_MESSAGE)

/* flags_ */
#define IPC__ITEM_PASSED_ON 1u /* in this round */
#define IPC__ITEM_LEVEL     2u /* an event counts only while it is set */
#define IPC__ITEM_FD        4u /* it is polled */

/* Processes without a descriptor are looked at so often. */
#define IPC__PROCESS_LOOK_NS ((int64_t)20 * 1000 * 1000)

#endif
