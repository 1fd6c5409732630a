/* Allocations that fail: malloc() and its kin, in the test program, before
 * libc's.  A library of its own, since every program that links this file gets
 * them. */
#include "harness/faults.h"

#include "harness/internal.h"

#include <errno.h>
#include <stdlib.h>

#ifdef TEST_SANITIZED

void fault_malloc_nth(long nth, bool onward)
{
    (void)nth, (void)onward;
    test_skip("a sanitizer owns malloc()");
}

long fault_malloc_end(void)
{
    return 0;
}

#else

/* glibc's own names for what we hide. */
/* NOLINTBEGIN(readability-identifier-naming): glibc's */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
/* NOLINTEND(readability-identifier-naming) */

static struct {
    bool active;
    bool onward;
    long nth;
    long count;
} plan;

void fault_malloc_nth(long nth, bool onward)
{
    plan.nth = nth;
    plan.onward = onward;
    plan.count = 0;
    __atomic_store_n(&plan.active, true, __ATOMIC_SEQ_CST);
}

long fault_malloc_end(void)
{
    __atomic_store_n(&plan.active, false, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&plan.count, __ATOMIC_SEQ_CST);
}

static bool must_fail(void)
{
    if (!__atomic_load_n(&plan.active, __ATOMIC_SEQ_CST))
        return false;
    long count = __atomic_add_fetch(&plan.count, 1, __ATOMIC_SEQ_CST);
    if (plan.nth == 0 || count < plan.nth || (count > plan.nth && !plan.onward))
        return false;
    errno = ENOMEM;
    return true;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): glibc's
 * begin with underscores */
void *malloc(size_t size)
{
    return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return must_fail() ? NULL : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = must_fail() ? NULL : __libc_memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

#endif
