/* Value: one number, byte or structure that threads and processes share, as
 * Python's multiprocessing.Value and RawValue.
 *
 *     ipc_value *hits;
 *     ipc_value_new(IPC_ELEMENT_INT64, NULL, &hits);  // Value('q', 0)
 *
 *     rc = ipc_value_set_i64(hits, 10);               // hits.value = 10
 *     rc = ipc_value_get_i64(hits, &n);               // n = hits.value
 *     rc = ipc_value_add_i64(hits, 1, NULL);          // one step
 *
 *     IPC_WITH_RLOCK (ipc_value_lock(hits), rc) {     // with hits.get_lock():
 *         rc = ipc_value_get_i64(hits, &n);           //     hits.value *= 2
 *         rc = ipc_value_set_i64(hits, 2 * n);
 *     }
 *
 * A get and a set after each other are two steps, in between which others get
 * theirs: an update is one step by ..._add, or with the lock around it.
 *
 * A value is an array of one: all that array.h says about elements, the lock,
 * raw ones, the death of an owner and the contracts holds here.  For a mere
 * counter atomic.h is several times as fast. */
#ifndef IPC_VALUE_H
#define IPC_VALUE_H

#include <ipc/api.h>
#include <ipc/array.h>

IPC_BEGIN_DECLS

/* 256 bytes: room for an element of up to 64 bytes; larger ones use more
 * memory, behind it.  The fields are shown for debuggers; use the
 * functions. */
typedef struct ipc_value {
    ipc_array array_;
    uint64_t data_[8];
} ipc_value;

/* Those of arrays; initial points to one element. */
typedef ipc_array_options ipc_value_options;

#define IPC_VALUE_OPTIONS_INIT IPC_ARRAY_OPTIONS_INIT
#define IPC_VALUE_RAW          IPC_ARRAY_RAW
#define IPC_VALUE_PERSIST      IPC_ARRAY_PERSIST

/* ---- storage: the caller's, the family's, or a name's; as for arrays ---- */

/* Bytes of memory that a value takes: sizeof(ipc_value) or more; 0, with a
 * detail, when there is no such element. */
IPC_API size_t ipc_value_bytes(ipc_element element);

IPC_API int ipc_value_init(ipc_value *value, size_t bytes, ipc_element element,
                           const ipc_value_options *options) IPC_NONNULL(1);
IPC_API int ipc_value_fini(ipc_value *value) IPC_NONNULL(1);
IPC_API IPC_MUST_USE int ipc_value_new(ipc_element element,
                                       const ipc_value_options *options,
                                       ipc_value **out) IPC_NONNULL(3);
IPC_API int ipc_value_free(ipc_value *value);

IPC_API IPC_MUST_USE int ipc_value_create(const char *name, ipc_element element,
                                          const ipc_value_options *options,
                                          ipc_value **out) IPC_NONNULL(1, 4);
IPC_API IPC_MUST_USE int ipc_value_open(const char *name, ipc_element element,
                                        ipc_value **out) IPC_NONNULL(1, 3);
IPC_API IPC_MUST_USE int
ipc_value_open_or_create(const char *name, ipc_element element,
                         const ipc_value_options *options, ipc_value **out)
    IPC_NONNULL(1, 4);
IPC_API int ipc_value_close(ipc_value *value);
IPC_API int ipc_value_unlink(const char *name) IPC_NONNULL(1);

/* ---- get, set, add: results as for arrays ---- */

IPC_API IPC_MUST_USE int ipc_value_get(ipc_value *value, void *out,
                                       size_t bytes) IPC_NONNULL(1, 2);
IPC_API int ipc_value_set(ipc_value *value, const void *in, size_t bytes)
    IPC_NONNULL(1, 2);

IPC_API IPC_MUST_USE int ipc_value_get_i32(ipc_value *value, int32_t *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_value_get_i64(ipc_value *value, int64_t *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_value_get_f64(ipc_value *value, double *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_value_get_char(ipc_value *value, char *out)
    IPC_NONNULL(1, 2);
IPC_API IPC_MUST_USE int ipc_value_get_byte(ipc_value *value, uint8_t *out)
    IPC_NONNULL(1, 2);

IPC_API int ipc_value_set_i32(ipc_value *value, int32_t to) IPC_NONNULL(1);
IPC_API int ipc_value_set_i64(ipc_value *value, int64_t to) IPC_NONNULL(1);
IPC_API int ipc_value_set_f64(ipc_value *value, double to) IPC_NONNULL(1);
IPC_API int ipc_value_set_char(ipc_value *value, char to) IPC_NONNULL(1);
IPC_API int ipc_value_set_byte(ipc_value *value, uint8_t to) IPC_NONNULL(1);

/* Add, and store what it was before unless before is NULL: one step. */
IPC_API int ipc_value_add_i32(ipc_value *value, int32_t by, int32_t *before)
    IPC_NONNULL(1);
IPC_API int ipc_value_add_i64(ipc_value *value, int64_t by, int64_t *before)
    IPC_NONNULL(1);
IPC_API int ipc_value_add_f64(ipc_value *value, double by, double *before)
    IPC_NONNULL(1);

/* ---- the value itself: as for arrays ---- */

IPC_API void *ipc_value_data(ipc_value *value) IPC_NONNULL(1);
IPC_API ipc_rlock *ipc_value_lock(ipc_value *value) IPC_NONNULL(1);
IPC_API ipc_element ipc_value_element(const ipc_value *value) IPC_NONNULL(1);
IPC_API size_t ipc_value_element_size(const ipc_value *value) IPC_NONNULL(1);
IPC_API bool ipc_value_is_raw(const ipc_value *value) IPC_NONNULL(1);

IPC_END_DECLS

#endif
