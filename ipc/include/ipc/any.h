/* Values of any type: what shared lists, dicts and managers hold.
 *
 *     ipc_list_append(list, ipc_i64(111));
 *     ipc_dict_set(dict, ipc_str("apples"), ipc_f64(0.5));
 *
 *     ipc_any value;
 *     int rc = ipc_list_get(list, -1, &value);
 *     if (rc == 0 && value.type == IPC_TYPE_I64)
 *         printf("%" PRId64 "\n", value.i64);
 *     ipc_any_free(&value);
 *
 * An ipc_any is passed by value.  What a program passes in, the library copies:
 * bytes are the caller's, as long as the call takes.  What the library hands
 * out is the caller's, who ends it with ipc_any_free(): that is needed for
 * strings, bytes and handles, and does no harm to the others.
 *
 * Integers.  One number is one value: an unsigned integer that fits becomes
 * IPC_TYPE_I64, so ipc_u64(5) and ipc_i64(5) are the same.  IPC_TYPE_U64 is for
 * those above INT64_MAX only.  A double is another type: 1.0 is not 1.  (In
 * Python it is.)  +0.0 and -0.0 are the same; a NaN equals itself here, so that
 * what was put into a list can be found.
 *
 * Containers.  A list, dict, set or namespace as value is a handle: the thing
 * itself is put in, not a copy, and who gets it out sees what others change in
 * it.  It has to live in the same arena (arena.h, -EXDEV).  A container never
 * becomes part of itself: that is -ELOOP.
 *
 * Threads, processes: values are the caller's.  Crash: nothing is shared. */
#ifndef IPC_ANY_H
#define IPC_ANY_H

#include <ipc/api.h>

#include <string.h>

IPC_BEGIN_DECLS

typedef struct ipc_list ipc_list;
typedef struct ipc_dict ipc_dict;
typedef struct ipc_set ipc_set;
typedef struct ipc_namespace ipc_namespace;

/* In their order: see ipc_any_compare(). */
enum ipc_type {
    IPC_TYPE_NIL = 0,
    IPC_TYPE_BOOL = 1,
    IPC_TYPE_I64 = 2,
    IPC_TYPE_U64 = 3,
    IPC_TYPE_F64 = 4,
    IPC_TYPE_STR = 5,   /* text; may hold zero bytes */
    IPC_TYPE_BYTES = 6, /* anything */
    IPC_TYPE_LIST = 7,
    IPC_TYPE_DICT = 8,
    IPC_TYPE_SET = 9,
    IPC_TYPE_NAMESPACE = 10
};

/* The longest string, in bytes. */
#define IPC_ANY_BYTES_MAX 0x3fffffffu

typedef struct ipc_any {
    uint32_t type; /* enum ipc_type */
    uint32_t size; /* STR, BYTES: how many bytes */
    union {
        bool boolean;
        int64_t i64;
        uint64_t u64;
        double f64;
        const char *str;   /* from the library it ends with a zero byte, that */
        const void *bytes; /* is not counted in size */
        ipc_list *list;
        ipc_dict *dict;
        ipc_set *set;
        ipc_namespace *names;
    };
} ipc_any;

/* ---- to make them ---- */

static inline ipc_any ipc_nil(void)
{
    ipc_any any;
    memset(&any, 0, sizeof any);
    return any;
}

static inline ipc_any ipc_any_with_type(uint32_t type)
{
    ipc_any any = ipc_nil();
    any.type = type;
    return any;
}

static inline ipc_any ipc_bool(bool value)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_BOOL);
    any.boolean = value;
    return any;
}

static inline ipc_any ipc_i64(int64_t value)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_I64);
    any.i64 = value;
    return any;
}

static inline ipc_any ipc_u64(uint64_t value)
{
    ipc_any any =
        ipc_any_with_type(value > INT64_MAX ? IPC_TYPE_U64 : IPC_TYPE_I64);
    any.u64 = value;
    return any;
}

static inline ipc_any ipc_f64(double value)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_F64);
    any.f64 = value;
    return any;
}

/* More than IPC_ANY_BYTES_MAX are refused where the value is used. */
static inline ipc_any ipc_strn(const char *text, size_t bytes)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_STR);
    any.size = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    any.str = text;
    return any;
}

static inline ipc_any ipc_str(const char *text)
{
    return ipc_strn(text, strlen(text));
}

static inline ipc_any ipc_bytes(const void *data, size_t bytes)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_BYTES);
    any.size = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    any.bytes = data;
    return any;
}

static inline ipc_any ipc_any_list(ipc_list *list)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_LIST);
    any.list = list;
    return any;
}

static inline ipc_any ipc_any_dict(ipc_dict *dict)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_DICT);
    any.dict = dict;
    return any;
}

static inline ipc_any ipc_any_set(ipc_set *set)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_SET);
    any.set = set;
    return any;
}

static inline ipc_any ipc_any_namespace(ipc_namespace *names)
{
    ipc_any any = ipc_any_with_type(IPC_TYPE_NAMESPACE);
    any.names = names;
    return any;
}

/* ---- to use them ---- */

/* End a value that the library handed out: free its bytes, close its handle.
 * It is nil afterwards.  NULL is fine. */
IPC_API void ipc_any_free(ipc_any *any);

/* Less than, equal to or greater than 0: by number between integers, by bytes
 * between strings, by identity between handles; between types in the order of
 * enum ipc_type (NIL, BOOL, integers, F64, STR, BYTES, handles). */
IPC_API int ipc_any_compare(const ipc_any *a, const ipc_any *b)
    IPC_NONNULL(1, 2);

/* Which container a handle is of: all handles of one have this number, and no
 * other container of its arena has, or had, it.  0: it is no handle. */
IPC_API uint64_t ipc_any_identity(const ipc_any *any) IPC_NONNULL(1);

static inline bool ipc_any_equal(const ipc_any *a, const ipc_any *b)
{
    return ipc_any_compare(a, b) == 0;
}

/* Write it as a program would show it: nil, true, 42, 0.5, "text", b"\x00",
 * <list>.  Returns how many bytes that takes without the zero at the end; at
 * most size bytes are written, as snprintf() does.  -EOVERFLOW: more than an int
 * can say; as much as fits was written. */
IPC_API int ipc_any_format(const ipc_any *any, char *out, size_t size)
    IPC_NONNULL(1);

/* "nil", "bool", "int", "int", "double", "string", "bytes", "list", ... */
IPC_API const char *ipc_type_name(uint32_t type);

/* ---- many of them ---- */

/* What slice(), keys(), values() and items() hand out: an array of the
 * caller's, which ends with ipc_anys_free(). */
typedef struct ipc_anys {
    ipc_any *items;
    size_t count;
} ipc_anys;

/* End them all; empty afterwards.  NULL is fine. */
IPC_API void ipc_anys_free(ipc_anys *anys);

IPC_END_DECLS

#endif
