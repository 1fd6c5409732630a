/* Arrays: a header, an rlock, and elements.
 *
 * State
 *   lock_      see sync/rlock.c
 *   magic_, element_, length_, flags_, seal_   written by init, magic_ last;
 *              then only read, until fini wipes them
 *   elements   written under the lock; in raw arrays, and directly by the
 *              program, at any time
 *
 * Invariants
 *   1  nothing that the header says is used but for a copy of it in which the
 *      seal fits the rest, and all elements fit into the memory from the
 *      array's address on to the end of the region that it lies in;
 *   2  elements of 1, 2, 4 or 8 bytes are never torn: see array_copy.c.
 *
 * Order
 *   [publish→look]  the rest of the header and the initial elements are
 *   written before magic_ is stored with release.
 *   The elements: the lock's own order.
 *
 * Death
 *   before the lock is had       nothing has happened;
 *   with it                      the lock names a dead owner: the next call
 *                                is told and passes that on;
 *   by the one who was told      until the release the lock names it, a dead
 *                                owner again, said to be consistent or not:
 *                                the next one is told. */
#include "memory/array.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ipc/atomic.h>
#include <ipc/error.h>
#include <ipc/value.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/local.h"
#include "memory/array_copy.h"

_Static_assert(sizeof(ipc_array) == 192, "array layout");
_Static_assert(offsetof(ipc_array, lock_) == 0, "named.c looks at the lock");
_Static_assert(offsetof(ipc_array, magic_) == 128, "array layout");
_Static_assert(offsetof(ipc_array, seal_) == 160, "array layout");
_Static_assert(sizeof(ipc_value) == 256, "value layout");
_Static_assert(offsetof(ipc_value, data_) == sizeof(ipc_array), "value layout");

const struct ipc__array_kind ipc__array_kind = {
    .magic = UINT64_C(0x7961727241637069), /* "ipcArray" */
    .region = IPC__REGION_ARRAY,
    .noun = "array",
    .a_one = "an array",
    .least = sizeof(ipc_array),
};

const struct ipc__array_kind ipc__value_kind = {
    .magic = UINT64_C(0x65756c6156637069), /* "ipcValue" */
    .region = IPC__REGION_VALUE,
    .noun = "value",
    .a_one = "a value",
    .least = sizeof(ipc_value),
};

/* ---- elements ---- */

enum element_kind {
    INT32 = 1,
    INT64,
    DOUBLE,
    CHAR,
    BYTE,
    STRUCT
};

static const struct {
    const char *name;
    size_t size; /* 0: any */
} element_kinds[] = {
    [INT32] = {"int32", 4}, [INT64] = {"int64", 8}, [DOUBLE] = {"double", 8},
    [CHAR] = {"char", 1},   [BYTE] = {"byte", 1},   [STRUCT] = {"struct", 0},
};

static size_t kind_of(ipc_element element)
{
    return (size_t)(element >> 56);
}

bool ipc__element_is_valid(ipc_element element)
{
    const size_t kind = kind_of(element);
    const size_t size = IPC_ELEMENT_SIZE(element);
    if (kind < INT32 || kind > STRUCT)
        return false;
    return kind == STRUCT ? size > 0 : size == element_kinds[kind].size;
}

const char *ipc__element_name(ipc_element element, char out[40])
{
    if (!ipc__element_is_valid(element))
        snprintf(out, 40, "0x%llx", (unsigned long long)element);
    else if (kind_of(element) == STRUCT)
        snprintf(out, 40, "struct of %llu bytes",
                 (unsigned long long)IPC_ELEMENT_SIZE(element));
    else
        snprintf(out, 40, "%s", element_kinds[kind_of(element)].name);
    return out;
}

/* ---- the header ---- */

/* Addresses of which the calling thread knows what lies behind them. */
static __thread struct {
    uint64_t epoch; /* of the process when it looked */
    uintptr_t lo;
    uintptr_t span;
} known __attribute__((tls_model("initial-exec")));

static SLOW_PATH void look_around(const void *address)
{
    known.epoch = load_acquire(&ipc__local.epoch);
    (void)ipc__region_find(address, &known.lo, &known.span);
}

/* Bytes from here to the end of the region, or where there is none, to the
 * next one. */
static inline size_t room_at(const void *address)
{
    if (unlikely(known.epoch != load_acquire(&ipc__local.epoch)) ||
        unlikely((uintptr_t)address - known.lo >= known.span))
        look_around(address);
    return known.span - ((uintptr_t)address - known.lo);
}

static SLOW_PATH int fail_header(const ipc_array *array,
                                 const struct ipc__array_kind *kind,
                                 const char *why)
{
    return ipc__fail(-EUCLEAN, "%s at %p: %s", kind->a_one, (const void *)array,
                     why);
}

int ipc__array_look(const ipc_array *array, const struct ipc__array_kind *kind,
                    struct ipc__elements *out)
{
    if (unlikely((uintptr_t)array % _Alignof(ipc_array) != 0))
        return ipc__fail(-EINVAL, "%p is not aligned", (const void *)array);
    const size_t room = room_at(array);
    if (unlikely(room < sizeof *array))
        return fail_header(array, kind, "no room for it");

    const uint64_t magic = load_acquire(&array->magic_); /* [publish→look] */
    const ipc_element element = load_relaxed(&array->element_);
    const uint64_t length = load_relaxed(&array->length_);
    const uint64_t flags = load_relaxed(&array->flags_);
    if (unlikely(magic != kind->magic))
        return fail_header(array, kind, "there is none");
    if (unlikely(load_relaxed(&array->seal_) !=
                 ipc__array_seal(magic, element, length, flags)) ||
        unlikely(!ipc__element_is_valid(element)))
        return fail_header(array, kind, "its header is damaged");

    size_t bytes;
    if (unlikely(__builtin_mul_overflow(length, IPC_ELEMENT_SIZE(element),
                                        &bytes)) ||
        unlikely(bytes > room - sizeof *array))
        return fail_header(array, kind,
                           "it claims to be larger than its memory");
    *out = (struct ipc__elements){
        .data = (char *)(uintptr_t)array + sizeof *array,
        .element = element,
        .size = IPC_ELEMENT_SIZE(element),
        .length = length,
        .raw = (flags & IPC_ARRAY_RAW) != 0,
    };
    return 0;
}

/* ---- what is asked for ---- */

/* "an array", or "array "scores"" if it has a label.  Returns out. */
static const char *name_of(const struct ipc__access *access, char out[40])
{
    char label[sizeof access->array->lock_.lock_.label_];
    memcpy(label, access->array->lock_.lock_.label_, sizeof label);
    label[sizeof label - 1] = '\0'; /* shared memory: may lack its end */
    if (label[0] != '\0')
        snprintf(out, 40, "%s \"%s\"", access->kind->noun, label);
    else
        snprintf(out, 40, "%s", access->kind->a_one);
    return out;
}

static SLOW_PATH int fail_element(const struct ipc__access *access,
                                  const struct ipc__elements *found)
{
    char is[40];
    char wanted[40];
    char name[40];
    return ipc__fail(-EINVAL, "%s of %s, not of %s", name_of(access, name),
                     ipc__element_name(found->element, is),
                     ipc__element_name(access->element, wanted));
}

static SLOW_PATH int fail_index(const struct ipc__access *access,
                                const struct ipc__elements *found)
{
    char name[40];
    name_of(access, name);
    if (access->count == 1)
        return ipc__fail(-ERANGE, "index %lld of %s of %zu",
                         (long long)access->first, name, found->length);
    return ipc__fail(-ERANGE, "%zu elements from index %lld of %s of %zu",
                     access->count, (long long)access->first, name,
                     found->length);
}

static SLOW_PATH int fail_bytes(const struct ipc__access *access,
                                const struct ipc__elements *found, size_t bytes)
{
    char name[40];
    return ipc__fail(-EINVAL, "%s: %zu bytes for %zu elements of %zu",
                     name_of(access, name), bytes, access->count, found->size);
}

/* Where the elements begin that are asked for.  0, -EINVAL or -ERANGE. */
static inline int locate(const struct ipc__access *access,
                         const struct ipc__elements *found, size_t bytes,
                         char **at)
{
    size_t needed;
    if (unlikely(access->element != 0 && access->element != found->element))
        return fail_element(access, found);
    if (unlikely(__builtin_mul_overflow(access->count, found->size, &needed)) ||
        unlikely(bytes != needed))
        return fail_bytes(access, found, bytes);

    size_t first = (size_t)access->first;
    if (access->first < 0)
        first += found->length; /* still huge if there is no such index */
    if (unlikely(first > found->length) ||
        unlikely(access->count > found->length - first))
        return fail_index(access, found);
    *at = found->data + first * found->size;
    return 0;
}

/* ---- reading and writing ---- */

/* A call between having the elements to itself and giving them back. */
struct turn {
    struct ipc__elements elements;
    char *at; /* the first of those that were asked for */
};

/* 0 or IPC_OWNER_DIED when the caller may go on, to end(). */
static inline int begin(const struct ipc__access *access, size_t bytes,
                        struct turn *turn)
{
    int rc = ipc__array_look(access->array, access->kind, &turn->elements);
    if (likely(rc == 0))
        rc = locate(access, &turn->elements, bytes, &turn->at);
    if (rc != 0 || turn->elements.raw)
        return rc;
    return ipc_rlock_acquire(&access->array->lock_);
}

/* rc is what begin() returned, and becomes the result of the call. */
static inline int end(const struct ipc__access *access, const struct turn *turn,
                      int rc)
{
    if (turn->elements.raw)
        return rc;
    /* Never so for who holds it already: the lock is the caller's then, and
     * so is the news. */
    if (unlikely(rc == IPC_OWNER_DIED))
        (void)ipc_rlock_consistent(&access->array->lock_);
    (void)ipc_rlock_release(&access->array->lock_);
    return rc;
}

int ipc__array_read(const struct ipc__access *access, void *buffer,
                    size_t bytes)
{
    struct turn turn;
    const int rc = begin(access, bytes, &turn);
    if (unlikely(rc < 0))
        return rc;
    ipc__elements_read(buffer, turn.at, turn.elements.size, bytes);
    return end(access, &turn, rc);
}

int ipc__array_write(const struct ipc__access *access, const void *buffer,
                     size_t bytes)
{
    struct turn turn;
    const int rc = begin(access, bytes, &turn);
    if (unlikely(rc < 0))
        return rc;
    ipc__elements_write(turn.at, buffer, turn.elements.size, bytes);
    return end(access, &turn, rc);
}

int ipc__array_add_i32(const struct ipc__access *access, int32_t by,
                       int32_t *before)
{
    struct turn turn;
    const int rc = begin(access, sizeof by, &turn);
    if (unlikely(rc < 0))
        return rc;
    const int32_t old = ipc_atomic_add_i32((int32_t *)(void *)turn.at, by);
    (void)end(access, &turn, rc);
    if (before != NULL)
        *before = old;
    return rc;
}

int ipc__array_add_i64(const struct ipc__access *access, int64_t by,
                       int64_t *before)
{
    struct turn turn;
    const int rc = begin(access, sizeof by, &turn);
    if (unlikely(rc < 0))
        return rc;
    const int64_t old = ipc_atomic_add_i64((int64_t *)(void *)turn.at, by);
    (void)end(access, &turn, rc);
    if (before != NULL)
        *before = old;
    return rc;
}

/* The old sum, in one step. */
static double add_double(uint64_t *at, double by)
{
    uint64_t old = ipc_atomic_load_u64(at);
    for (;;) {
        double sum;
        uint64_t bits;
        memcpy(&sum, &old, sizeof sum);
        const double before = sum;
        sum += by;
        memcpy(&bits, &sum, sizeof bits);
        if (ipc_atomic_cas_u64(at, &old, bits))
            return before;
    }
}

int ipc__array_add_f64(const struct ipc__access *access, double by,
                       double *before)
{
    struct turn turn;
    const int rc = begin(access, sizeof by, &turn);
    if (unlikely(rc < 0))
        return rc;
    const double old = add_double((uint64_t *)(void *)turn.at, by);
    (void)end(access, &turn, rc);
    if (before != NULL)
        *before = old;
    return rc;
}
