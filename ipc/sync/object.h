/* What all synchronisation objects have in common: names for messages,
 * options, and the places where they are stored. */
#ifndef IPC_SYNC_OBJECT_H
#define IPC_SYNC_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/region.h"
#include "memory/named.h"

#define IPC__LABEL_BYTES 24
#define IPC__NAME_BYTES  48

/* "lock "tickets"", or "lock 0x7f..." if it has no label.  Returns out. */
const char *ipc__object_name(const char *noun,
                             const char label[IPC__LABEL_BYTES],
                             const void *object, char out[IPC__NAME_BYTES]);

/* Copy a label, which may be NULL. */
void ipc__object_label(char out[IPC__LABEL_BYTES], const char *label);

/* Read options, which begin with size and flags, into out.  0, -E2BIG or
 * -EINVAL, with a detail line. */
int ipc__object_options(const char *noun, void *out, size_t out_size,
                        const void *given, uint32_t known_flags);

/* The object is no more: zeros, or in check mode what none of them is. */
void ipc__object_wipe(void *object, size_t size);

/* ---- storage ---- */

/* How much memory an object takes, and how much its caller says there is. */
struct ipc__room {
    size_t needed;
    size_t given;
    size_t present; /* so much has to have memory at first; 0: all */
};

/* The beginning of an object, made elsewhere, and the room it takes.  What
 * follows is zero. */
struct ipc__image {
    const char *noun;
    const void *data;
    size_t size;
    struct ipc__room room;
    size_t least; /* what one that exists already has to have */
};

typedef int ipc__named_getter(const struct ipc__named *what,
                              struct ipc__region **out);

int ipc__object_init(void *object, const struct ipc__image *image);
int ipc__object_new(const struct ipc__image *image, void **out);
int ipc__object_free(void *object, size_t least, const char *noun,
                     int (*fini)(void *object));
int ipc__object_get(ipc__named_getter *get, enum ipc__region_kind kind,
                    const char *name, const struct ipc__image *image,
                    size_t (*bytes_of)(const void *object), void **out);
int ipc__object_close(void *object, enum ipc__region_kind kind,
                      const char *noun, bool (*is_held)(const void *object));

/* Define init, new, free, create, open, open_or_create, close and unlink of
 * ipc_<x>, all of which say the same for every object.  PARAMETERS and
 * ARGUMENTS, in parentheses, are what describes a new one.  The file has
 *
 *     static int prepare(ipc_x *made, struct ipc__room *room, PARAMETERS);
 *     static size_t bytes_of(const void *object);   // what it takes
 *     static bool is_held(const void *object);      // by the calling thread
 *     static int finish(void *object);              // ipc_x_fini()
 *
 * In parentheses stands what macros cannot take otherwise. */
#define IPC__UNPACK(...) __VA_ARGS__

/* NOLINTBEGIN(bugprone-macro-parentheses): types and parameter lists */
#define IPC__OBJECT_STORAGE(x, KIND, NOUN, PARAMETERS, ARGUMENTS)              \
    int ipc_##x##_init(ipc_##x *object, IPC__UNPACK PARAMETERS)                \
    {                                                                          \
        ipc_##x made = {0};                                                    \
        struct ipc__image image = {                                            \
            NOUN, &made, sizeof made, {0, 0, 0}, sizeof made};                 \
        const int rc = prepare(&made, &image.room, IPC__UNPACK ARGUMENTS);     \
        return rc != 0 ? rc : ipc__object_init(object, &image);                \
    }                                                                          \
                                                                               \
    int ipc_##x##_new(IPC__UNPACK PARAMETERS, ipc_##x **out)                   \
    {                                                                          \
        ipc_##x made = {0};                                                    \
        void *object;                                                          \
        struct ipc__image image = {                                            \
            NOUN, &made, sizeof made, {0, 0, 0}, sizeof made};                 \
        int rc = prepare(&made, &image.room, IPC__UNPACK ARGUMENTS);           \
        if (rc == 0)                                                           \
            rc = ipc__object_new(&image, &object);                             \
        if (rc == 0)                                                           \
            *out = object;                                                     \
        return rc;                                                             \
    }                                                                          \
                                                                               \
    int ipc_##x##_free(ipc_##x *object)                                        \
    {                                                                          \
        return ipc__object_free(object, sizeof *object, NOUN, finish);         \
    }                                                                          \
                                                                               \
    static int get_by_name(ipc__named_getter *get, const char *name,           \
                           IPC__UNPACK PARAMETERS, ipc_##x **out)              \
    {                                                                          \
        ipc_##x made = {0};                                                    \
        void *object;                                                          \
        struct ipc__image image = {                                            \
            NOUN, &made, sizeof made, {0, 0, 0}, sizeof made};                 \
        int rc = prepare(&made, &image.room, IPC__UNPACK ARGUMENTS);           \
        if (rc == 0)                                                           \
            rc = ipc__object_get(get, KIND, name, &image, bytes_of, &object);  \
        if (rc == 0)                                                           \
            *out = object;                                                     \
        return rc;                                                             \
    }                                                                          \
                                                                               \
    int ipc_##x##_create(const char *name, IPC__UNPACK PARAMETERS,             \
                         ipc_##x **out)                                        \
    {                                                                          \
        return get_by_name(ipc__named_create, name, IPC__UNPACK ARGUMENTS,     \
                           out);                                               \
    }                                                                          \
                                                                               \
    int ipc_##x##_open_or_create(const char *name, IPC__UNPACK PARAMETERS,     \
                                 ipc_##x **out)                                \
    {                                                                          \
        return get_by_name(ipc__named_open_or_create, name,                    \
                           IPC__UNPACK ARGUMENTS, out);                        \
    }                                                                          \
                                                                               \
    int ipc_##x##_open(const char *name, ipc_##x **out)                        \
    {                                                                          \
        void *object;                                                          \
        const struct ipc__image image = {                                      \
            NOUN, NULL, 0, {sizeof(ipc_##x), 0, 0}, 0};                        \
        const int rc = ipc__object_get(ipc__named_open, KIND, name, &image,    \
                                       bytes_of, &object);                     \
        if (rc == 0)                                                           \
            *out = object;                                                     \
        return rc;                                                             \
    }                                                                          \
                                                                               \
    int ipc_##x##_close(ipc_##x *object)                                       \
    {                                                                          \
        return ipc__object_close(object, KIND, NOUN, is_held);                 \
    }                                                                          \
                                                                               \
    int ipc_##x##_unlink(const char *name)                                     \
    {                                                                          \
        return ipc__named_unlink(name, KIND);                                  \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
