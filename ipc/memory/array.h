/* What arrays and values have in common: a value is an array of one. */
#ifndef IPC_MEMORY_ARRAY_H
#define IPC_MEMORY_ARRAY_H

#include <ipc/array.h>

#include "core/region.h"

/* How the two differ. */
struct ipc__array_kind {
    uint64_t magic;
    enum ipc__region_kind region;
    const char *noun;  /* for messages */
    const char *a_one; /* "an array" */
    size_t least;      /* bytes that one takes, however small its element */
};

extern const struct ipc__array_kind ipc__array_kind
    __attribute__((visibility("hidden")));
extern const struct ipc__array_kind ipc__value_kind
    __attribute__((visibility("hidden")));

/* ---- the header ---- */

/* What a header says, when it may be believed. */
struct ipc__elements {
    char *data;
    ipc_element element;
    size_t size; /* of one element */
    size_t length;
    bool raw;
};

/* Read the header once, and check it against itself and the memory that is
 * mapped.  0, -EUCLEAN or -EINVAL. */
int ipc__array_look(const ipc_array *array, const struct ipc__array_kind *kind,
                    struct ipc__elements *out);

/* Is there such an element? */
bool ipc__element_is_valid(ipc_element element);

/* "int32", "struct of 12 bytes".  Returns out. */
const char *ipc__element_name(ipc_element element, char out[40]);

/* What seal_ has to be: changes when any one of the others does. */
static inline uint64_t ipc__array_seal(uint64_t magic, ipc_element element,
                                       uint64_t length, uint64_t flags)
{
    /* Odd factors: a multiplication by one of them loses nothing. */
    return magic ^ element * UINT64_C(0x9e3779b97f4a7c15) ^
           length * UINT64_C(0xc2b2ae3d27d4eb4f) ^
           flags * UINT64_C(0x165667b19e3779f9);
}

/* ---- reading and writing ---- */

/* Which elements somebody wants, and what he takes them for. */
struct ipc__access {
    ipc_array *array;
    const struct ipc__array_kind *kind;
    ipc_element element; /* 0: any */
    int64_t first;
    size_t count;
};

/* As ipc_array_read() and the like. */
int ipc__array_read(const struct ipc__access *access, void *buffer,
                    size_t bytes);
int ipc__array_write(const struct ipc__access *access, const void *buffer,
                     size_t bytes);
int ipc__array_add_i32(const struct ipc__access *access, int32_t by,
                       int32_t *before);
int ipc__array_add_i64(const struct ipc__access *access, int64_t by,
                       int64_t *before);
int ipc__array_add_f64(const struct ipc__access *access, double by,
                       double *before);

/* ---- storage ---- */

/* What somebody wants to have made, or expects to find. */
struct ipc__array_wish {
    const struct ipc__array_kind *kind;
    ipc_element element; /* to find: 0 for any */
    size_t length;       /* the same */
    const ipc_array_options *options;
};

/* As ipc_array_bytes(), ipc_array_init() and so on. */
size_t ipc__array_bytes(const struct ipc__array_kind *kind, ipc_element element,
                        size_t length);
int ipc__array_init(const struct ipc__array_wish *wish, ipc_array *array,
                    size_t bytes);
int ipc__array_fini(const struct ipc__array_kind *kind, ipc_array *array);
int ipc__array_new(const struct ipc__array_wish *wish, ipc_array **out);
int ipc__array_free(const struct ipc__array_kind *kind, ipc_array *array);
int ipc__array_create(const struct ipc__array_wish *wish, const char *name,
                      ipc_array **out);
int ipc__array_open(const struct ipc__array_wish *wish, const char *name,
                    ipc_array **out);
int ipc__array_open_or_create(const struct ipc__array_wish *wish,
                              const char *name, ipc_array **out);
int ipc__array_close(const struct ipc__array_kind *kind, ipc_array *array);

#endif
