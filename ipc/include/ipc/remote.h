/* Remote handles: lists, dicts, sets and namespaces that are somebody else's.
 *
 * For libraries that bring containers from elsewhere, as libipc-manager does:
 * the calls of list.h, dict.h, set.h and namespace.h on such a handle become a
 * call of a function of that library, with a number, values in and values out.
 * Programs that use containers do not need this.
 *
 * Threads, fork, crash: what the functions make of it. */
#ifndef IPC_REMOTE_H
#define IPC_REMOTE_H

#include <ipc/any.h>

IPC_BEGIN_DECLS

/* What is done, with which arguments, and -> results.  The numbers are fixed:
 * they travel.  Namespaces use those of dicts. */
enum ipc_op {
    IPC_OP_LIST_APPEND = 1,   /* value */
    IPC_OP_LIST_INSERT = 2,   /* index, value */
    IPC_OP_LIST_GET = 3,      /* index -> value */
    IPC_OP_LIST_SET = 4,      /* index, value */
    IPC_OP_LIST_POP = 5,      /* index -> value; index, type -> value of that
                                 type, else -EINVAL and it stays */
    IPC_OP_LIST_REMOVE = 6,   /* value */
    IPC_OP_LIST_INDEX = 7,    /* value, start, stop -> index */
    IPC_OP_LIST_COUNT = 8,    /* value -> number */
    IPC_OP_LIST_CONTAINS = 9, /* value -> 0 or 1 */
    IPC_OP_LIST_LENGTH = 10,  /* -> number */
    IPC_OP_LIST_EXTEND = 11,  /* values */
    IPC_OP_LIST_SLICE = 12,   /* start, stop, step -> values */
    IPC_OP_LIST_REPLACE = 13, /* start, stop, values */
    IPC_OP_LIST_SORT = 14,    /* flags */
    IPC_OP_LIST_REVERSE = 15,
    IPC_OP_LIST_CLEAR = 16,
    IPC_OP_LIST_COPY = 17,       /* -> handle */
    IPC_OP_LIST_WATCH = 18,      /* version, ns (-1: for ever) -> version */
    IPC_OP_LIST_APPEND_NEW = 19, /* type -> handle */

    IPC_OP_DICT_SET = 64,        /* key, value */
    IPC_OP_DICT_GET = 65,        /* key -> value */
    IPC_OP_DICT_SETDEFAULT = 66, /* key, value -> 0 or 1, value */
    IPC_OP_DICT_POP = 67,        /* key -> value */
    IPC_OP_DICT_POPITEM = 68,    /* -> key, value */
    IPC_OP_DICT_CONTAINS = 69,   /* key -> 0 or 1 */
    IPC_OP_DICT_LENGTH = 70,     /* -> number */
    IPC_OP_DICT_INCR = 71,       /* key, by -> sum */
    IPC_OP_DICT_CAS = 72,        /* key, has expected, expected, has value,
                                    value -> 0 or 1 */
    IPC_OP_DICT_WATCH = 73,      /* key, version, ns -> version, value */
    IPC_OP_DICT_UPDATE = 74,     /* key, value, key, value, ... */
    IPC_OP_DICT_MERGE = 75,      /* handle */
    IPC_OP_DICT_KEYS = 76,       /* -> keys */
    IPC_OP_DICT_VALUES = 77,     /* -> values */
    IPC_OP_DICT_ITEMS = 78,      /* -> key, value, key, value, ... */
    IPC_OP_DICT_CLEAR = 79,
    IPC_OP_DICT_COPY = 80,       /* -> handle */
    IPC_OP_DICT_NEXT = 81,       /* after -> after, key, value; or nothing */
    IPC_OP_DICT_GET_OR_NEW = 82, /* key, type -> handle */

    IPC_OP_SET_ADD = 128,      /* member -> 0 or 1 */
    IPC_OP_SET_REMOVE = 129,   /* member */
    IPC_OP_SET_DISCARD = 130,  /* member -> 0 or 1 */
    IPC_OP_SET_POP = 131,      /* -> member */
    IPC_OP_SET_CONTAINS = 132, /* member -> 0 or 1 */
    IPC_OP_SET_LENGTH = 133,   /* -> number */
    IPC_OP_SET_UPDATE = 134,   /* members */
    IPC_OP_SET_MEMBERS = 135,  /* -> members */
    IPC_OP_SET_CLEAR = 136,
    IPC_OP_SET_COPY = 137,      /* -> handle */
    IPC_OP_SET_UNION = 138,     /* handle */
    IPC_OP_SET_INTERSECT = 139, /* handle */
    IPC_OP_SET_SUBTRACT = 140,  /* handle */
    IPC_OP_SET_IS_SUBSET = 141, /* handle -> 0 or 1 */
    IPC_OP_SET_NEXT = 142,      /* after -> after, member; or nothing */
    IPC_OP_SET_WATCH = 143      /* version, ns -> version */
};

typedef struct ipc_remote {
    /* Do it: 0, or a negative errno with its detail line (ipc_remote_detail()).
     * Strings in the arguments are the caller's and need not end with a zero.
     * *results is empty before; what is put there is handed on to the user:
     * the items, and strings in them (with a zero byte behind, that is not
     * counted), come from malloc().  args and handles in them as the user gave
     * them. */
    int (*call)(void *data, uint32_t op, const ipc_any *args, size_t count,
                ipc_anys *results);

    /* The handle is closed: its data is not used any more. */
    void (*close)(void *data);

    /* A number that all handles of one container have in common, and no other
     * has.  NULL: each handle is another one. */
    uint64_t (*identity)(void *data);
} ipc_remote;

/* A handle of this type, IPC_TYPE_LIST to _NAMESPACE; to be ended as any other.
 * remote has to stay as long.  -ENOMEM, -EINVAL. */
IPC_API IPC_MUST_USE int ipc_remote_handle(uint32_t type,
                                           const ipc_remote *remote, void *data,
                                           ipc_any *out) IPC_NONNULL(2, 4);

/* The data of a handle, if it was made with this remote; else NULL. */
IPC_API void *ipc_remote_data(const ipc_any *handle, const ipc_remote *remote)
    IPC_NONNULL(1, 2);

/* What ipc_error_detail() says in this thread from now on: for libraries that
 * follow libipc's conventions. */
IPC_API void ipc_remote_detail(const char *format, ...) IPC_NONNULL(1)
    __attribute__((format(printf, 1, 2)));

IPC_END_DECLS

#endif
