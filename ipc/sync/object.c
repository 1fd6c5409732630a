#include "sync/object.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ipc/shared.h>

#include "base/options.h"
#include "core/check.h"
#include "core/error.h"
#include "memory/shared.h"
#include "wait/fd.h"

/* ---- messages and options ---- */

const char *ipc__object_name(const char *noun,
                             const char label[IPC__LABEL_BYTES],
                             const void *object, char out[IPC__NAME_BYTES])
{
    char text[IPC__LABEL_BYTES]; /* shared memory: may be anything */
    memcpy(text, label, sizeof text);
    text[sizeof text - 1] = '\0';
    bool is_text = text[0] != '\0';
    for (const char *c = text; *c != '\0'; c++)
        is_text = is_text && ((unsigned char)*c >= ' ' && *c != 127);
    if (is_text && (unsigned char)text[0] != IPC__CHECK_WIPED)
        snprintf(out, IPC__NAME_BYTES, "%s \"%s\"", noun, text);
    else
        snprintf(out, IPC__NAME_BYTES, "%s %p", noun, object);
    return out;
}

void ipc__object_label(char out[IPC__LABEL_BYTES], const char *label)
{
    memset(out, 0, IPC__LABEL_BYTES);
    if (label != NULL)
        snprintf(out, IPC__LABEL_BYTES, "%s", label);
}

int ipc__object_options(const char *noun, void *out, size_t out_size,
                        const void *given, uint32_t known_flags)
{
    uint32_t flags;
    const int rc = ipc__options_read(out, out_size, given);
    if (rc != 0)
        return ipc__fail(rc, "%s options of a size that is not known", noun);
    memcpy(&flags, (char *)out + sizeof(uint32_t), sizeof flags);
    if ((flags & ~known_flags) != 0)
        return ipc__fail(-EINVAL, "%s options: unknown flags 0x%x", noun,
                         flags & ~known_flags);
    return 0;
}

void ipc__object_wipe(void *object, size_t size)
{
    memset(object, ipc_check_is_enabled() ? IPC__CHECK_WIPED : 0, size);
}

/* ---- storage ---- */

int ipc__object_init(void *object, const struct ipc__image *image)
{
    const struct ipc__room *room = &image->room;
    if (room->needed > image->size && room->given < room->needed)
        return ipc__fail(-EMSGSIZE,
                         "such a %s takes %zu bytes, the options say %zu",
                         image->noun, room->needed, room->given);
    memset(object, 0, room->needed);
    memcpy(object, image->data, image->size);
    return 0;
}

int ipc__object_new(const struct ipc__image *image, void **out)
{
    void *object;
    const struct ipc__room *room = &image->room;
    const int rc = ipc__shared_reserve(
        room->needed, room->present != 0 ? room->present : room->needed,
        &object);
    if (rc == 0)
        *out = memcpy(object, image->data, image->size);
    return rc;
}

int ipc__object_free(void *object, size_t least, const char *noun,
                     int (*fini)(void *object))
{
    if (object == NULL)
        return 0;
    if (ipc_shared_size(object) < least)
        return ipc__fail(-EINVAL, "%p is no %s in family memory", object, noun);
    ipc__forget(object);
    const int rc = fini(object);
    return rc != 0 ? rc : ipc_shared_free(object);
}

static void fill(void *data, const void *arg)
{
    const struct ipc__image *image = arg;
    memcpy(data, image->data, image->size);
}

int ipc__object_get(ipc__named_getter *get, enum ipc__region_kind kind,
                    const char *name, const struct ipc__image *image,
                    size_t (*bytes_of)(const void *object), void **out)
{
    struct ipc__region *region;
    const struct ipc__named what = {
        .name = name,
        .kind = kind,
        .size = image->room.needed,
        .least = image->least,
        .present = image->room.present,
        .fill = fill,
        .arg = image,
    };
    const int rc = get(&what, &region);
    if (rc != 0)
        return rc;
    void *object = ipc__region_data(region);
    if (bytes_of(object) >
        ipc__region_mapped_size(region) - IPC__REGION_TABLE) {
        ipc__named_close(region);
        return ipc__fail(-EUCLEAN, "%s \"%s\" is larger than its segment",
                         image->noun, name);
    }
    *out = object;
    return 0;
}

/* The region of a named object, if it is one. */
static struct ipc__region *named_region(const void *object,
                                        enum ipc__region_kind kind)
{
    struct ipc__region *region = ipc__region_find(object, NULL, NULL);
    return region != NULL && region->facts.kind == (uint32_t)kind &&
                   ipc__region_data(region) == object
               ? region
               : NULL;
}

int ipc__object_close(void *object, enum ipc__region_kind kind,
                      const char *noun, bool (*is_held)(const void *object))
{
    if (object == NULL)
        return 0;
    struct ipc__region *region = named_region(object, kind);
    if (region == NULL)
        return ipc__fail(-EINVAL, "the %s was not opened by name", noun);
    if (is_held(object))
        return ipc__fail(-EBUSY, "the calling thread holds the %s", noun);
    ipc__forget(object);
    ipc__named_close(region);
    return 0;
}
