/* Segments: a named region and a handle to it. */
#include <errno.h>
#include <stdlib.h>

#include <ipc/segment.h>

#include "base/options.h"
#include "core/error.h"
#include "memory/named.h"

struct ipc_segment {
    struct ipc__region *region;
    size_t size; /* not looked up in shared memory again */
    uint64_t id;
};

static int read_options(const ipc_segment_options *options, uint32_t *flags)
{
    ipc_segment_options given;
    const int rc = ipc__options_read(&given, sizeof given, options);
    if (rc != 0)
        return ipc__fail(rc, "segment options of a size that is not known");
    if ((given.flags & ~IPC_SEGMENT_PERSIST) != 0)
        return ipc__fail(-EINVAL, "segment options: unknown flags 0x%x",
                         given.flags);
    *flags = given.flags;
    return 0;
}

static int make_handle(int (*get)(const struct ipc__named *what,
                                  struct ipc__region **out),
                       const struct ipc__named *what, ipc_segment **out)
{
    ipc_segment *segment = malloc(sizeof *segment);
    if (segment == NULL)
        return ipc__fail(-ENOMEM, "no memory for a segment handle");
    const int rc = get(what, &segment->region);
    if (rc != 0) {
        free(segment);
        return rc;
    }
    const size_t most =
        ipc__region_mapped_size(segment->region) - IPC__REGION_TABLE;
    segment->size = (size_t)segment->region->facts.data_size;
    if (segment->size > most)
        segment->size = most;
    segment->id = segment->region->facts.id;
    *out = segment;
    return 0;
}

int ipc_segment_create(const char *name, size_t size,
                       const ipc_segment_options *options, ipc_segment **out)
{
    struct ipc__named what = {
        .name = name, .kind = IPC__REGION_SEGMENT, .size = size};
    const int rc = read_options(options, &what.flags);
    return rc != 0 ? rc : make_handle(ipc__named_create, &what, out);
}

int ipc_segment_open(const char *name, ipc_segment **out)
{
    const struct ipc__named what = {.name = name, .kind = IPC__REGION_SEGMENT};
    return make_handle(ipc__named_open, &what, out);
}

int ipc_segment_open_or_create(const char *name, size_t size,
                               const ipc_segment_options *options,
                               ipc_segment **out)
{
    struct ipc__named what = {
        .name = name, .kind = IPC__REGION_SEGMENT, .size = size};
    const int rc = read_options(options, &what.flags);
    return rc != 0 ? rc : make_handle(ipc__named_open_or_create, &what, out);
}

int ipc_segment_close(ipc_segment *segment)
{
    if (segment == NULL)
        return 0;
    ipc__named_close(segment->region);
    free(segment);
    return 0;
}

int ipc_segment_unlink(const char *name)
{
    return ipc__named_unlink(name, IPC__REGION_SEGMENT);
}

void *ipc_segment_data(const ipc_segment *segment)
{
    return ipc__region_data(segment->region);
}

size_t ipc_segment_size(const ipc_segment *segment)
{
    return segment->size;
}

uint64_t ipc_segment_id(const ipc_segment *segment)
{
    return segment->id;
}

int ipc_segment_gc(void)
{
    return ipc__named_gc();
}
