/* What kind of request each operation is.
 *
 * CHANGES is said of all that leaves something behind, a SET as well as an
 * APPEND: between the first time and the second somebody else may have set it
 * again.  Not of CANCEL, GOODBYE and SHUTDOWN: whether repeated or not, what
 * they are for has happened then. */
#include "wire/wire.h"

#include <ipc/remote.h>

#include "base/bits.h"

#define K  IPCM__OP_KNOWN
#define C  (K | IPCM__OP_CHANGES)
#define W  (K | IPCM__OP_WAITS)
#define CW (C | W)
#define CL (C | IPCM__OP_LOGGED)
#define LW (CL | IPCM__OP_WAITS)
#define B  (K | IPCM__OP_BATCHES)
#define BC (B | CL) /* changes a container */

struct op {
    const char *name;
    uint32_t flags;
};

static const struct op ops[] = {
    [IPC_OP_LIST_APPEND] = {"LIST_APPEND", BC},
    [IPC_OP_LIST_INSERT] = {"LIST_INSERT", BC},
    [IPC_OP_LIST_GET] = {"LIST_GET", B},
    [IPC_OP_LIST_SET] = {"LIST_SET", BC},
    [IPC_OP_LIST_POP] = {"LIST_POP", BC},
    [IPC_OP_LIST_REMOVE] = {"LIST_REMOVE", BC},
    [IPC_OP_LIST_INDEX] = {"LIST_INDEX", B},
    [IPC_OP_LIST_COUNT] = {"LIST_COUNT", B},
    [IPC_OP_LIST_CONTAINS] = {"LIST_CONTAINS", B},
    [IPC_OP_LIST_LENGTH] = {"LIST_LENGTH", B},
    [IPC_OP_LIST_EXTEND] = {"LIST_EXTEND", BC},
    [IPC_OP_LIST_SLICE] = {"LIST_SLICE", B},
    [IPC_OP_LIST_REPLACE] = {"LIST_REPLACE", BC},
    [IPC_OP_LIST_SORT] = {"LIST_SORT", BC},
    [IPC_OP_LIST_REVERSE] = {"LIST_REVERSE", BC},
    [IPC_OP_LIST_CLEAR] = {"LIST_CLEAR", BC},
    [IPC_OP_LIST_COPY] = {"LIST_COPY", BC},
    [IPC_OP_LIST_WATCH] = {"LIST_WATCH", W},
    [IPC_OP_LIST_APPEND_NEW] = {"LIST_APPEND_NEW", BC},

    [IPC_OP_DICT_SET] = {"DICT_SET", BC},
    [IPC_OP_DICT_GET] = {"DICT_GET", B},
    [IPC_OP_DICT_SETDEFAULT] = {"DICT_SETDEFAULT", BC},
    [IPC_OP_DICT_POP] = {"DICT_POP", BC},
    [IPC_OP_DICT_POPITEM] = {"DICT_POPITEM", BC},
    [IPC_OP_DICT_CONTAINS] = {"DICT_CONTAINS", B},
    [IPC_OP_DICT_LENGTH] = {"DICT_LENGTH", B},
    [IPC_OP_DICT_INCR] = {"DICT_INCR", BC},
    [IPC_OP_DICT_CAS] = {"DICT_CAS", BC},
    [IPC_OP_DICT_WATCH] = {"DICT_WATCH", W},
    [IPC_OP_DICT_UPDATE] = {"DICT_UPDATE", BC},
    [IPC_OP_DICT_MERGE] = {"DICT_MERGE", BC},
    [IPC_OP_DICT_KEYS] = {"DICT_KEYS", B},
    [IPC_OP_DICT_VALUES] = {"DICT_VALUES", B},
    [IPC_OP_DICT_ITEMS] = {"DICT_ITEMS", B},
    [IPC_OP_DICT_CLEAR] = {"DICT_CLEAR", BC},
    [IPC_OP_DICT_COPY] = {"DICT_COPY", BC},
    [IPC_OP_DICT_NEXT] = {"DICT_NEXT", B},
    [IPC_OP_DICT_GET_OR_NEW] = {"DICT_GET_OR_NEW", BC},

    [IPC_OP_SET_ADD] = {"SET_ADD", BC},
    [IPC_OP_SET_REMOVE] = {"SET_REMOVE", BC},
    [IPC_OP_SET_DISCARD] = {"SET_DISCARD", BC},
    [IPC_OP_SET_POP] = {"SET_POP", BC},
    [IPC_OP_SET_CONTAINS] = {"SET_CONTAINS", B},
    [IPC_OP_SET_LENGTH] = {"SET_LENGTH", B},
    [IPC_OP_SET_UPDATE] = {"SET_UPDATE", BC},
    [IPC_OP_SET_MEMBERS] = {"SET_MEMBERS", B},
    [IPC_OP_SET_CLEAR] = {"SET_CLEAR", BC},
    [IPC_OP_SET_COPY] = {"SET_COPY", BC},
    [IPC_OP_SET_UNION] = {"SET_UNION", BC},
    [IPC_OP_SET_INTERSECT] = {"SET_INTERSECT", BC},
    [IPC_OP_SET_SUBTRACT] = {"SET_SUBTRACT", BC},
    [IPC_OP_SET_IS_SUBSET] = {"SET_IS_SUBSET", B},
    [IPC_OP_SET_NEXT] = {"SET_NEXT", B},
    [IPC_OP_SET_WATCH] = {"SET_WATCH", W},

    [IPCM__OP_PING] = {"PING", K},
    [IPCM__OP_OPEN] = {"OPEN", C},
    [IPCM__OP_REFER] = {"REFER", C},
    [IPCM__OP_DROP] = {"DROP", C},
    [IPCM__OP_REMOVE] = {"REMOVE", C},
    [IPCM__OP_NAMES] = {"NAMES", K},
    [IPCM__OP_BATCH] = {"BATCH", C},
    [IPCM__OP_CANCEL] = {"CANCEL", K},
    [IPCM__OP_GOODBYE] = {"GOODBYE", K},
    [IPCM__OP_SHUTDOWN] = {"SHUTDOWN", K},
    [IPCM__OP_COUNT] = {"COUNT", K},
    [IPCM__OP_DEBUG] = {"DEBUG", K},
    [IPCM__OP_STATS] = {"STATS", K},
    [IPCM__OP_ARENA] = {"ARENA", K},
    [IPCM__OP_LABEL] = {"LABEL", K},

    [IPCM__OP_VALUE_GET] = {"VALUE_GET", K},
    [IPCM__OP_VALUE_SET] = {"VALUE_SET", CL},
    [IPCM__OP_VALUE_INCR] = {"VALUE_INCR", CL},
    [IPCM__OP_VALUE_CAS] = {"VALUE_CAS", CL},

    [IPCM__OP_ARRAY_GET] = {"ARRAY_GET", K},
    [IPCM__OP_ARRAY_SET] = {"ARRAY_SET", CL},
    [IPCM__OP_ARRAY_LENGTH] = {"ARRAY_LENGTH", K},
    [IPCM__OP_ARRAY_SLICE] = {"ARRAY_SLICE", K},
    [IPCM__OP_ARRAY_PUT] = {"ARRAY_PUT", CL},

    [IPCM__OP_QUEUE_PUT] = {"QUEUE_PUT", LW},
    [IPCM__OP_QUEUE_GET] = {"QUEUE_GET", LW},
    [IPCM__OP_QUEUE_TAKE] = {"QUEUE_TAKE", LW},
    [IPCM__OP_QUEUE_TAKE_DEAD] = {"QUEUE_TAKE_DEAD", CL},
    [IPCM__OP_QUEUE_ACK] = {"QUEUE_ACK", CL},
    [IPCM__OP_QUEUE_NACK] = {"QUEUE_NACK", CL},
    [IPCM__OP_QUEUE_EXTEND] = {"QUEUE_EXTEND", C},
    [IPCM__OP_QUEUE_TASK_DONE] = {"QUEUE_TASK_DONE", CL},
    [IPCM__OP_QUEUE_JOIN] = {"QUEUE_JOIN", W},
    [IPCM__OP_QUEUE_CLOSE] = {"QUEUE_CLOSE", CL},
    [IPCM__OP_QUEUE_INFO] = {"QUEUE_INFO", K},

    [IPCM__OP_LOCK_ACQUIRE] = {"LOCK_ACQUIRE", CW},
    [IPCM__OP_LOCK_RELEASE] = {"LOCK_RELEASE", C},
    [IPCM__OP_LOCK_CHECK] = {"LOCK_CHECK", K},
    [IPCM__OP_LOCK_IS_HELD] = {"LOCK_IS_HELD", K},
    [IPCM__OP_LOCK_TOKEN] = {"LOCK_TOKEN", K},

    [IPCM__OP_SEMAPHORE_ACQUIRE] = {"SEMAPHORE_ACQUIRE", CW},
    [IPCM__OP_SEMAPHORE_RELEASE] = {"SEMAPHORE_RELEASE", C},
    [IPCM__OP_SEMAPHORE_VALUE] = {"SEMAPHORE_VALUE", K},

    [IPCM__OP_CONDITION_WAIT] = {"CONDITION_WAIT", CW},
    [IPCM__OP_CONDITION_NOTIFY] = {"CONDITION_NOTIFY", C},

    [IPCM__OP_EVENT_SET] = {"EVENT_SET", C},
    [IPCM__OP_EVENT_CLEAR] = {"EVENT_CLEAR", C},
    [IPCM__OP_EVENT_IS_SET] = {"EVENT_IS_SET", K},
    [IPCM__OP_EVENT_WAIT] = {"EVENT_WAIT", W},

    [IPCM__OP_BARRIER_WAIT] = {"BARRIER_WAIT", CW},
    [IPCM__OP_BARRIER_ENROLL] = {"BARRIER_ENROLL", C},
    [IPCM__OP_BARRIER_LEAVE] = {"BARRIER_LEAVE", C},
    [IPCM__OP_BARRIER_ABORT] = {"BARRIER_ABORT", C},
    [IPCM__OP_BARRIER_RESET] = {"BARRIER_RESET", C},
    [IPCM__OP_BARRIER_INFO] = {"BARRIER_INFO", K},

    [IPCM__OP_CALL] = {"CALL", C},
};

uint32_t ipcm__op_flags(uint32_t op)
{
    return op < array_length(ops) ? ops[op].flags : 0;
}

const char *ipcm__op_name(uint32_t op)
{
    if (op >= array_length(ops) || ops[op].name == NULL)
        return "?";
    return ops[op].name;
}
