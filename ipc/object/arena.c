/* Arenas: where they are stored, and what has a name in them.
 *
 * State
 *   the header  written before anybody else sees it; then see visit.c
 *   root        the object (a dict) that holds what has a name, or 0
 *   region->arena  of the family: the address of its own arena, or 0; CAS
 *
 * Death: of who makes the family's own arena before the CAS: its memory stays
 * taken (leaky), and another one is made. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <ipc/arena.h>
#include <ipc/segment.h>
#include <ipc/shared.h>

#include "base/options.h"
#include "core/check.h"
#include "core/error.h"
#include "core/family.h"
#include "memory/passed.h"
#include "memory/shared.h"
#include "object/object.h"
#include "object/parts.h"
#include "object/table.h"
#include "sync/object.h"

#define NOUN "arena"

#define MAX_LEAST      ((uint64_t)64 << 10)
#define MAX_MOST       ((uint64_t)32 << 30)
#define MAX_DEFAULT    ((uint64_t)1 << 30)
#define MAX_FAMILY     ((uint64_t)4 << 30)
#define LEAST_FAMILY   ((uint64_t)16 << 20) /* where addresses are short */
#define NAME_MAX_BYTES 255

_Static_assert(IPC_ARENA_PERSIST == IPC_SEGMENT_PERSIST, "passed on as it is");

/* ---- a new one ---- */

/* The journal can hold half of what the heap can, and no less than a few
 * visits take. */
static void lay_out(ipc_arena *made, uint64_t max)
{
    uint64_t journal = round_up(max / 2, 4096);
    if (journal < 2 * IPC__JOURNAL_LEAST * sizeof(uint64_t))
        journal = 2 * IPC__JOURNAL_LEAST * sizeof(uint64_t);
    made->heap = IPC__JOURNAL_AT + journal + IPC__ARENA_HEADER;
    made->heap_end = round_up(IPC__JOURNAL_AT + journal + max, 4096);
    made->top = made->heap;
    made->heap_present = made->heap;
    made->journal_present = IPC__JOURNAL_LEAST;
}

static uint64_t random_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) !=
        (ssize_t)sizeof number)
        number = (uint64_t)ipc_now() * 0x9e3779b97f4a7c15u;
    return number;
}

static int prepare(ipc_arena *made, struct ipc__image *image,
                   const ipc_arena_options *options, uint32_t *flags)
{
    ipc_arena_options given;
    const int rc = ipc__object_options(NOUN, &given, sizeof given, options,
                                       IPC_ARENA_PERSIST);
    if (rc != 0)
        return rc;
    const uint64_t max = given.max_bytes != 0 ? given.max_bytes : MAX_DEFAULT;
    if (max < MAX_LEAST || max > MAX_MOST)
        return ipc__fail(-EINVAL,
                         "an arena of %llu bytes: %llu to %llu are possible",
                         (unsigned long long)max, (unsigned long long)MAX_LEAST,
                         (unsigned long long)MAX_MOST);
    memset(made, 0, sizeof *made);
    ipc__object_label(made->lock.label_, given.label);
    lay_out(made, max);
    made->hash_key[0] = random_number();
    made->hash_key[1] = random_number();
    made->serial = random_number() >> 8; /* it counts up from there */
    *flags = given.flags;
    *image = (struct ipc__image){
        .noun = NOUN,
        .data = made,
        .size = sizeof *made,
        .room = {.needed = made->heap_end,
                 .present =
                     IPC__JOURNAL_AT + IPC__JOURNAL_LEAST * sizeof(uint64_t)},
        .least = IPC__JOURNAL_AT + IPC__JOURNAL_LEAST * sizeof(uint64_t)};
    return 0;
}

int ipc_arena_new(const ipc_arena_options *options, ipc_arena **out)
{
    ipc_arena made;
    struct ipc__image image;
    uint32_t flags;
    void *object;
    int rc = prepare(&made, &image, options, &flags);
    if (rc == 0 && flags != 0)
        rc = ipc__fail(-EINVAL, "an arena without a name cannot persist");
    if (rc == 0)
        rc = ipc__object_new(&image, &object);
    if (rc == 0)
        *out = object;
    return rc;
}

static int finish(void *object)
{
    ipc_arena *arena = object;
    if (ipc_lock_is_held(&arena->lock) &&
        ipc_atomic_begin_nowait(arena) != 0 && /* of one who died: fine */
        ipc_lock_is_held(&arena->lock))
        return ipc__fail(-EBUSY, "somebody is in a transaction of the arena");
    ipc__object_wipe(arena, sizeof *arena);
    return 0;
}

int ipc_arena_free(ipc_arena *arena)
{
    return ipc__object_free(arena, sizeof *arena, NOUN, finish);
}

/* ---- by name ---- */

static void fill(void *data, const void *arg)
{
    memcpy(data, arg, sizeof(ipc_arena));
}

/* What there is to make, or to find.  made has to stay as long as it does. */
static int describe(struct ipc__named *what, ipc_arena *made, const char *name,
                    const ipc_arena_options *options)
{
    struct ipc__image image;
    uint32_t flags;
    const int rc = prepare(made, &image, options, &flags);
    if (rc != 0)
        return rc;
    *what = (struct ipc__named){
        .name = name,
        .kind = IPC__REGION_ARENA,
        .size = image.room.needed,
        .least = image.least,
        .present = image.room.present,
        .flags = flags,
        .fill = fill,
        .arg = made,
    };
    return 0;
}

/* The arena in a region that was mapped. */
static int arena_of(struct ipc__region *region, const char *name,
                    ipc_arena **out)
{
    ipc_arena *arena = ipc__region_data(region);
    if (arena->heap_end > ipc__region_mapped_size(region) - IPC__REGION_TABLE) {
        ipc__named_close(region);
        return ipc__fail(-EUCLEAN, "%s is larger than its memory", name);
    }
    *out = arena;
    return 0;
}

static int get_by_name(ipc__named_getter *get, const char *name,
                       const ipc_arena_options *options, ipc_arena **out)
{
    ipc_arena made;
    struct ipc__named what;
    struct ipc__region *region;
    int rc = describe(&what, &made, name, options);
    if (rc == 0)
        rc = get(&what, &region);
    return rc == 0 ? arena_of(region, name, out) : rc;
}

int ipc_arena_create(const char *name, const ipc_arena_options *options,
                     ipc_arena **out)
{
    return get_by_name(ipc__named_create, name, options, out);
}

int ipc_arena_open_or_create(const char *name, const ipc_arena_options *options,
                             ipc_arena **out)
{
    return get_by_name(ipc__named_open_or_create, name, options, out);
}

int ipc_arena_open(const char *name, ipc_arena **out)
{
    return get_by_name(ipc__named_open, name, NULL, out);
}

static bool is_held(const void *object)
{
    const ipc_arena *arena = object;
    return ipc_lock_is_mine(&arena->lock);
}

int ipc_arena_close(ipc_arena *arena)
{
    return ipc__object_close(arena, IPC__REGION_ARENA, NOUN, is_held);
}

int ipc_arena_unlink(const char *name)
{
    return ipc__named_unlink(name, IPC__REGION_ARENA);
}

/* ---- by descriptor ---- */

int ipc_arena_create_fd(const ipc_arena_options *options, int *fd,
                        ipc_arena **out)
{
    ipc_arena made;
    struct ipc__named what;
    struct ipc__region *region;
    int rc = describe(&what, &made, NOUN, options);
    if (rc == 0)
        rc = ipc__passed_create(&what, fd, &region);
    return rc == 0 ? arena_of(region, NOUN, out) : rc;
}

int ipc_arena_attach(int fd, ipc_arena **out)
{
    ipc_arena made;
    struct ipc__named what;
    struct ipc__region *region;
    int rc = describe(&what, &made, NOUN, NULL);
    if (rc == 0)
        rc = ipc__passed_attach(fd, &what, &region);
    return rc == 0 ? arena_of(region, NOUN, out) : rc;
}

/* ---- the owner ---- */

static int own(ipc_arena *arena, struct ipc__region *region)
{
    if (arena->owner != 0)
        return ipc__fail(-EBUSY, "the arena has an owner already");
    const uint32_t place = ipc__peer_place(region);
    if (place == 0)
        return ipc__fail(-ENOTSUP, "the kernel would not tell the others of "
                                   "the end of this thread");
    store_relaxed(&arena->owner, ipc__self.id);
    store_release(&arena->owner_place, place);
    return 0;
}

int ipc_arena_own(ipc_arena *arena)
{
    struct ipc__visit v;
    struct ipc__region *region = ipc__region_find(arena, NULL, NULL);
    if (region == NULL || arena != ipc__region_data(region) ||
        region->facts.kind != IPC__REGION_ARENA)
        return ipc__fail(-EINVAL, "an arena in family memory is the family's");
    int rc = ipc__arena_enter(&v, arena);
    if (rc != 0)
        return rc;
    const int owned = own(arena, region);
    rc = ipc__arena_leave_unchanged(&v);
    return rc < 0 ? rc : owned;
}

/* ---- the family's own ---- */

static SLOW_PATH int make_default(struct ipc__region *family, ipc_arena **out)
{
    ipc_arena_options options = {.size = sizeof options,
                                 .max_bytes = MAX_FAMILY,
                                 .label = "of the family"};
    int rc = ipc_arena_new(&options, out);
    while ((rc == -ENOMEM || rc == -EINVAL) &&
           options.max_bytes > LEAST_FAMILY) {
        options.max_bytes /= 2;
        rc = ipc_arena_new(&options, out);
    }
    if (rc != 0)
        return rc;
    if (!cas64_release(&family->arena, 0, (uint64_t)(uintptr_t)*out)) {
        rc = ipc_arena_free(*out); /* another one was faster */
        *out = (ipc_arena *)(uintptr_t)load_acquire(&family->arena);
    }
    return rc;
}

int ipc__arena_default(ipc_arena **out)
{
    struct ipc__region *family;
    const int rc = ipc__family(&family);
    if (rc != 0)
        return rc;
    const uint64_t at = load_acquire(&family->arena);
    if (unlikely(at == 0))
        return make_default(family, out);
    const uint64_t size = ipc__region_mapped_size(family) - IPC__REGION_TABLE;
    if (unlikely(at % 4096 != 0 || at - (uintptr_t)ipc__region_data(family) >=
                                       size - sizeof(ipc_arena)))
        return ipc__fail(-EUCLEAN, "the family has its arena at 0x%llx",
                         (unsigned long long)at);
    *out = (ipc_arena *)(uintptr_t)at;
    return 0;
}
