/* Array: numbers, bytes or structures that threads and processes share, as
 * Python's multiprocessing.Array and RawArray.
 *
 *     ipc_array *a;
 *     ipc_array_new(IPC_ELEMENT_INT32, 5, NULL, &a);  // Array('i', 5)
 *
 *     rc = ipc_array_set_i32(a, 0, 42);               // a[0] = 42
 *     rc = ipc_array_get_i32(a, -1, &last);           // last = a[-1]
 *
 *     IPC_WITH_RLOCK (ipc_array_lock(a), rc) {        // with a.get_lock():
 *         rc = ipc_array_get_i32(a, 0, &n);
 *         ...                                         // several steps as one
 *     }
 *
 * An array has a lock of its own, an rlock.  Every call that reads or writes
 * elements takes it, does its work and gives it back; who holds it around
 * several calls makes them one.  A *raw* array (IPC_ARRAY_RAW; Python's
 * RawArray) does without: its calls never wait.
 *
 * Elements of 1, 2, 4 or 8 bytes are read and written whole, each in one step,
 * in raw arrays too: nobody ever sees half of one, whoever was killed.
 * Structures of other sizes are copied byte after byte: in an array with its
 * lock they are torn only when the process that wrote them died, which the
 * next call reports; in a raw one at any time.
 *
 * When somebody died who held the lock, the next call does what it was asked
 * to do and returns IPC_OWNER_DIED, once: done, and somebody died in the
 * middle, so look at the data.  The lock is consistent again then.  A caller
 * that holds the lock itself was told when it took it, and it is the one that
 * says ipc_rlock_consistent(); calls under it leave that alone.
 *
 * An array lies in one piece of memory: this header and the elements right
 * behind it, in order and without gaps, aligned as the memory is, up to 64.
 * What the header says is checked at every call, against itself and against
 * the memory that is mapped, before it is believed.
 *
 * Threads: any.  Processes: any that see the memory, of one pid namespace.
 * Fork: the child owns nothing: a lock held by the parent is the parent's.
 * Signals: restart the wait; not for signal handlers.
 * Crash: robust, as said above. */
#ifndef IPC_ARRAY_H
#define IPC_ARRAY_H

#include <ipc/api.h>
#include <ipc/rlock.h>

IPC_BEGIN_DECLS

/* ---- what an element is ---- */

/* What kind it is and how many bytes it has.  0 is none. */
typedef uint64_t ipc_element;

#define IPC_ELEMENT_INT32  (UINT64_C(1) << 56 | 4)
#define IPC_ELEMENT_INT64  (UINT64_C(2) << 56 | 8)
#define IPC_ELEMENT_DOUBLE (UINT64_C(3) << 56 | 8)
#define IPC_ELEMENT_CHAR   (UINT64_C(4) << 56 | 1)
#define IPC_ELEMENT_BYTE   (UINT64_C(5) << 56 | 1) /* uint8_t */

/* Anything of so many bytes, 1 or more: IPC_ELEMENT_STRUCT(sizeof(struct
 * point)).  Pointers in it mean something in family memory only. */
#define IPC_ELEMENT_STRUCT(bytes) (UINT64_C(6) << 56 | (bytes))

#define IPC_ELEMENT_SIZE(element) ((element)&UINT64_C(0xffffffffffffff))

/* ---- storage: the caller's, the family's, or a name's ---- */

/* 192 bytes, and the elements behind.  The fields are shown for debuggers; use
 * the functions. */
typedef struct ipc_array {
    ipc_rlock lock_;
    uint64_t magic_; /* stored last, when all the rest is there */
    ipc_element element_;
    uint64_t length_;
    uint64_t flags_;
    uint64_t seal_; /* made of the four above */
    uint64_t reserved_[3];
} ipc_array;

#define IPC_ARRAY_RAW     1u /* no call takes the lock */
#define IPC_ARRAY_PERSIST 2u /* by name: keep it when all its users died */

typedef struct ipc_array_options {
    uint32_t size;       /* of this structure: IPC_ARRAY_OPTIONS_INIT */
    uint32_t flags;      /* IPC_ARRAY_... */
    const char *label;   /* shown in error details; up to 23 bytes are kept */
    const void *initial; /* its elements, to be copied; NULL: all zero */
} ipc_array_options;

#define IPC_ARRAY_OPTIONS_INIT                                                 \
    {                                                                          \
        sizeof(ipc_array_options), 0, NULL, NULL                               \
    }

/* Bytes of memory that an array takes.  As a constant, for numbers that are
 * known to be sensible: */
#define IPC_ARRAY_BYTES(element, length)                                       \
    (sizeof(ipc_array) + IPC_ELEMENT_SIZE(element) * (length))

/* The same, checked: 0 when there is no such element, no such length (at least
 * 1), or it would be 1 TiB or more; ipc_error_detail() says which. */
IPC_API size_t ipc_array_bytes(ipc_element element, size_t length);

/* Make an array of length elements in the caller's memory of so many bytes,
 * aligned to 8 and better to 64.  Nobody may be using that memory.  A process
 * that dies in here leaves no array there.
 *
 * Errors: -EMSGSIZE too little memory; -EINVAL no such element or length,
 * unknown flags, memory not aligned; -E2BIG. */
IPC_API int ipc_array_init(ipc_array *array, size_t bytes, ipc_element element,
                           size_t length, const ipc_array_options *options)
    IPC_NONNULL(1);

/* End its use; the memory is no array then.
 *
 * Errors: -EBUSY somebody holds its lock; -EUCLEAN it was none. */
IPC_API int ipc_array_fini(ipc_array *array) IPC_NONNULL(1);

/* An array in family memory: children forked later, and earlier ones that are
 * given the pointer, see it at the same address.
 *
 * Errors: -ENOMEM; -EINVAL and -E2BIG as for init, -EINVAL also for more than
 * the family's whole range. */
IPC_API IPC_MUST_USE int ipc_array_new(ipc_element element, size_t length,
                                       const ipc_array_options *options,
                                       ipc_array **out) IPC_NONNULL(4);

/* -EBUSY while somebody holds its lock, -EINVAL if it is not from
 * ipc_array_new(), -EUCLEAN if its header is damaged.  NULL is fine. */
IPC_API int ipc_array_free(ipc_array *array);

/* Arrays with a name, for unrelated programs.  Each is a segment of its own:
 * see segment.h for names, errors and trust.  An array appears under its name
 * with its initial elements or not at all.
 *
 * Lifetime as for named locks: when all its users have died, ipc_array_open()
 * finds it all the same, ipc_array_create() makes a new one in its place, and
 * ipc_segment_gc() removes it, unless somebody died holding its lock and
 * nobody has been told yet.  IPC_ARRAY_PERSIST keeps it from both. */
IPC_API IPC_MUST_USE int ipc_array_create(const char *name, ipc_element element,
                                          size_t length,
                                          const ipc_array_options *options,
                                          ipc_array **out) IPC_NONNULL(1, 5);

/* element and length say what the caller expects: 0 is anything.
 *
 * Errors, further: -EINVAL it has elements of another kind or size, or the
 * name is not an array's; -EMSGSIZE another number of them; -EUCLEAN its
 * header is damaged. */
IPC_API IPC_MUST_USE int ipc_array_open(const char *name, ipc_element element,
                                        size_t length, ipc_array **out)
    IPC_NONNULL(1, 4);

/* An existing one keeps its contents, its label and its flags, and has to be
 * of that element and length. */
IPC_API IPC_MUST_USE int
ipc_array_open_or_create(const char *name, ipc_element element, size_t length,
                         const ipc_array_options *options, ipc_array **out)
    IPC_NONNULL(1, 5);

/* Stop using a named array in this process; -EBUSY while the calling thread
 * holds its lock, -EINVAL if it has no name.  NULL is fine. */
IPC_API int ipc_array_close(ipc_array *array);

/* Remove the name; those who have it open keep it. */
IPC_API int ipc_array_unlink(const char *name) IPC_NONNULL(1);

/* ---- one element ---- */

/* Read an element, or write it, of the type that the array has, or by copying
 * bytes bytes, which have to be the size of an element.  Negative indexes
 * count from the end: -1 is the last element.
 *
 * Returns 0, or IPC_OWNER_DIED: done, see above.
 * Errors: -ERANGE no such index, the detail says how many there are; -EINVAL
 * not an array of that type or size; -EUCLEAN no array, or a damaged one; and
 * what ipc_rlock_acquire() fails with, -ENOTRECOVERABLE among them, after
 * which ipc_rlock_reset(ipc_array_lock(array)) helps.
 *
 * Blocks: while somebody holds its lock, for as long as that takes.  Not to
 * wait, or to wait with a deadline, take ipc_array_lock() first. */
IPC_API IPC_MUST_USE int ipc_array_get(ipc_array *array, int64_t index,
                                       void *out, size_t bytes)
    IPC_NONNULL(1, 3);
IPC_API int ipc_array_set(ipc_array *array, int64_t index, const void *in,
                          size_t bytes) IPC_NONNULL(1, 3);

IPC_API IPC_MUST_USE int ipc_array_get_i32(ipc_array *array, int64_t index,
                                           int32_t *out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_array_get_i64(ipc_array *array, int64_t index,
                                           int64_t *out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_array_get_f64(ipc_array *array, int64_t index,
                                           double *out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_array_get_char(ipc_array *array, int64_t index,
                                            char *out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int ipc_array_get_byte(ipc_array *array, int64_t index,
                                            uint8_t *out) IPC_NONNULL(1, 3);

IPC_API int ipc_array_set_i32(ipc_array *array, int64_t index, int32_t value)
    IPC_NONNULL(1);
IPC_API int ipc_array_set_i64(ipc_array *array, int64_t index, int64_t value)
    IPC_NONNULL(1);
IPC_API int ipc_array_set_f64(ipc_array *array, int64_t index, double value)
    IPC_NONNULL(1);
IPC_API int ipc_array_set_char(ipc_array *array, int64_t index, char value)
    IPC_NONNULL(1);
IPC_API int ipc_array_set_byte(ipc_array *array, int64_t index, uint8_t value)
    IPC_NONNULL(1);

/* Add to an element, and store what it was before unless before is NULL.  One
 * step, in raw arrays too.  Sums that do not fit wrap around.  Results as
 * above. */
IPC_API int ipc_array_add_i32(ipc_array *array, int64_t index, int32_t by,
                              int32_t *before) IPC_NONNULL(1);
IPC_API int ipc_array_add_i64(ipc_array *array, int64_t index, int64_t by,
                              int64_t *before) IPC_NONNULL(1);
IPC_API int ipc_array_add_f64(ipc_array *array, int64_t index, double by,
                              double *before) IPC_NONNULL(1);

/* ---- several elements ---- */

/* Copy count elements out or in, from index first on (Python: a[first:first +
 * count]).  bytes is the size of buffer and has to be that of count elements;
 * count may be 0.  Results as above; -ERANGE when one of them is not there,
 * and none is copied then (Python would copy fewer).
 *
 * A write whose process is killed has copied some of them, from the first on;
 * IPC_OWNER_DIED tells the next one. */
IPC_API IPC_MUST_USE int ipc_array_read(ipc_array *array, int64_t first,
                                        size_t count, void *buffer,
                                        size_t bytes) IPC_NONNULL(1, 4);
IPC_API int ipc_array_write(ipc_array *array, int64_t first, size_t count,
                            const void *buffer, size_t bytes) IPC_NONNULL(1, 4);

/* ---- the array itself ---- */

/* Its elements, for direct access: under ipc_array_lock(), or by atomic.h.
 * NULL, with a detail, when it is no array. */
IPC_API void *ipc_array_data(ipc_array *array) IPC_NONNULL(1);

/* Its lock.  That of a raw array is there too, for the program's own use: no
 * call here takes it. */
IPC_API ipc_rlock *ipc_array_lock(ipc_array *array) IPC_NONNULL(1);

/* How many elements; what they are; the bytes of one.  0, with a detail, when
 * it is no array. */
IPC_API size_t ipc_array_length(const ipc_array *array) IPC_NONNULL(1);
IPC_API ipc_element ipc_array_element(const ipc_array *array) IPC_NONNULL(1);
IPC_API size_t ipc_array_element_size(const ipc_array *array) IPC_NONNULL(1);

/* Do its calls go without the lock?  False when it is no array. */
IPC_API bool ipc_array_is_raw(const ipc_array *array) IPC_NONNULL(1);

IPC_END_DECLS

#endif
