/* Where arrays and values are stored: the caller's memory, the family's, or
 * under a name. */
#include <errno.h>
#include <string.h>

#include <ipc/rlock.h>
#include <ipc/segment.h>

#include "base/atomic.h"
#include "core/error.h"
#include "memory/array.h"
#include "memory/named.h"
#include "memory/shared.h"
#include "sync/object.h"

#define FLAGS (IPC_ARRAY_RAW | IPC_ARRAY_PERSIST)

/* Far more often than others can take a name and remove it just before each of
 * our looks. */
#define TRIES 1000

/* ---- what is to be made ---- */

/* An array as it will be: its header, and what its elements begin with. */
struct plan {
    ipc_array header;
    size_t bytes; /* of it all */
    size_t data_bytes;
    const void *initial;
};

static int fail_wish(const struct ipc__array_wish *wish)
{
    char name[40];
    if (!ipc__element_is_valid(wish->element))
        return ipc__fail(-EINVAL, "there is no element %s",
                         ipc__element_name(wish->element, name));
    if (wish->length == 0)
        return ipc__fail(-EINVAL, "an array has at least one element");
    return ipc__fail(-EINVAL, "%zu of %s are 1 TiB or more", wish->length,
                     ipc__element_name(wish->element, name));
}

/* Its size; false if there can be no such one. */
static bool sizes_of(const struct ipc__array_wish *wish, struct plan *plan)
{
    if (!ipc__element_is_valid(wish->element) || wish->length == 0 ||
        __builtin_mul_overflow(wish->length, IPC_ELEMENT_SIZE(wish->element),
                               &plan->data_bytes) ||
        plan->data_bytes >
            IPC__REGION_MAX - IPC__REGION_TABLE - sizeof(ipc_array))
        return false;
    plan->bytes = sizeof(ipc_array) + plan->data_bytes;
    if (plan->bytes < wish->kind->least)
        plan->bytes = wish->kind->least;
    return true;
}

static int make_plan(const struct ipc__array_wish *wish, struct plan *plan)
{
    ipc_array_options given;
    int rc = ipc__object_options(wish->kind->noun, &given, sizeof given,
                                 wish->options, FLAGS);
    if (rc != 0)
        return rc;
    memset(plan, 0, sizeof *plan);
    if (!sizes_of(wish, plan))
        return fail_wish(wish);
    plan->initial = given.initial;

    ipc_lock_options lock = IPC_LOCK_OPTIONS_INIT;
    lock.label = given.label;
    rc = ipc_rlock_init(&plan->header.lock_, &lock);
    if (rc != 0)
        return rc;
    plan->header.element_ = wish->element;
    plan->header.length_ = wish->length;
    plan->header.flags_ = given.flags;
    plan->header.seal_ = ipc__array_seal(wish->kind->magic, wish->element,
                                         wish->length, given.flags);
    plan->header.magic_ = wish->kind->magic;
    return 0;
}

/* In zero-filled memory that is no array yet. */
static void fill(void *memory, const void *arg)
{
    const struct plan *plan = arg;
    ipc_array *array = memory;
    ipc_array header = plan->header;
    header.magic_ = 0;
    memcpy(array, &header, sizeof header);
    if (plan->initial != NULL)
        memcpy(array + 1, plan->initial, plan->data_bytes);
    store_release(&array->magic_, plan->header.magic_); /* [publish→look] */
}

size_t ipc__array_bytes(const struct ipc__array_kind *kind, ipc_element element,
                        size_t length)
{
    const struct ipc__array_wish wish = {kind, element, length, NULL};
    struct plan plan;
    if (sizes_of(&wish, &plan))
        return plan.bytes;
    (void)fail_wish(&wish);
    return 0;
}

/* ---- the caller's memory ---- */

int ipc__array_init(const struct ipc__array_wish *wish, ipc_array *array,
                    size_t bytes)
{
    struct plan plan;
    const int rc = make_plan(wish, &plan);
    if (rc != 0)
        return rc;
    if ((uintptr_t)array % _Alignof(ipc_array) != 0)
        return ipc__fail(-EINVAL, "%p is not aligned", (void *)array);
    if (bytes < plan.bytes)
        return ipc__fail(-EMSGSIZE, "such %s takes %zu bytes, there are %zu",
                         wish->kind->a_one, plan.bytes, bytes);
    store_relaxed(&array->magic_, 0); /* before anything of it changes */
    compiler_barrier();
    memset(array, 0, plan.bytes);
    fill(array, &plan);
    return 0;
}

int ipc__array_fini(const struct ipc__array_kind *kind, ipc_array *array)
{
    struct ipc__elements found;
    int rc = ipc__array_look(array, kind, &found);
    if (rc == 0)
        rc = ipc_rlock_fini(&array->lock_);
    if (rc == 0)
        ipc__object_wipe(array, sizeof *array);
    return rc;
}

/* ---- family memory ---- */

int ipc__array_new(const struct ipc__array_wish *wish, ipc_array **out)
{
    struct plan plan;
    void *memory;
    int rc = make_plan(wish, &plan);
    if (rc == 0)
        rc = ipc__shared_alloc(plan.bytes, &memory);
    if (rc != 0)
        return rc;
    fill(memory, &plan);
    *out = memory;
    return 0;
}

static int fini_array(void *array)
{
    return ipc__array_fini(&ipc__array_kind, array);
}

static int fini_value(void *value)
{
    return ipc__array_fini(&ipc__value_kind, value);
}

int ipc__array_free(const struct ipc__array_kind *kind, ipc_array *array)
{
    return ipc__object_free(array, kind->least, kind->noun,
                            kind == &ipc__array_kind ? fini_array : fini_value);
}

/* ---- names ---- */

/* What was found under a name is an array, and the one that is expected. */
static int check_found(const struct ipc__array_wish *wish, const char *name,
                       const ipc_array *array)
{
    char is[40];
    char wanted[40];
    struct ipc__elements found;
    const int rc = ipc__array_look(array, wish->kind, &found);
    if (rc != 0)
        return rc;
    if (wish->element != 0 && wish->element != found.element)
        return ipc__fail(-EINVAL, "the %s %s is of %s, not of %s",
                         wish->kind->noun, name,
                         ipc__element_name(found.element, is),
                         ipc__element_name(wish->element, wanted));
    if (wish->length != 0 && wish->length != found.length)
        return ipc__fail(-EMSGSIZE, "the %s %s has a length of %zu, not %zu",
                         wish->kind->noun, name, found.length, wish->length);
    return 0;
}

int ipc__array_open(const struct ipc__array_wish *wish, const char *name,
                    ipc_array **out)
{
    /* More is asked for when it is known what it is. */
    const struct ipc__named what = {
        .name = name,
        .kind = wish->kind->region,
        .size = sizeof(ipc_array),
    };
    struct ipc__region *region;
    int rc = ipc__named_open(&what, &region);
    if (rc != 0)
        return rc;
    ipc_array *array = ipc__region_data(region);
    rc = check_found(wish, name, array);
    if (rc != 0) {
        ipc__named_close(region);
        return rc;
    }
    *out = array;
    return 0;
}

static int create(const struct ipc__array_kind *kind, const struct plan *plan,
                  const char *name, ipc_array **out)
{
    const struct ipc__named what = {
        .name = name,
        .kind = kind->region,
        .size = plan->bytes,
        .flags = (plan->header.flags_ & IPC_ARRAY_PERSIST) != 0
                     ? IPC_SEGMENT_PERSIST
                     : 0,
        .fill = fill,
        .arg = plan,
    };
    struct ipc__region *region;
    const int rc = ipc__named_create(&what, &region);
    if (rc == 0)
        *out = ipc__region_data(region);
    return rc;
}

int ipc__array_create(const struct ipc__array_wish *wish, const char *name,
                      ipc_array **out)
{
    struct plan plan;
    const int rc = make_plan(wish, &plan);
    return rc != 0 ? rc : create(wish->kind, &plan, name, out);
}

int ipc__array_open_or_create(const struct ipc__array_wish *wish,
                              const char *name, ipc_array **out)
{
    struct plan plan;
    int rc = make_plan(wish, &plan);
    if (rc != 0)
        return rc;
    for (int i = 0; i < TRIES; i++) {
        rc = ipc__array_open(wish, name, out);
        if (rc != -ENOENT)
            return rc;
        rc = create(wish->kind, &plan, name, out);
        if (rc != -EEXIST)
            return rc;
    }
    return ipc__fail(-EBUSY, "others keep making and removing %s", name);
}

static bool is_held(const void *array)
{
    return ipc_rlock_is_mine(&((const ipc_array *)array)->lock_);
}

int ipc__array_close(const struct ipc__array_kind *kind, ipc_array *array)
{
    return ipc__object_close(array, kind->region, kind->noun, is_held);
}
