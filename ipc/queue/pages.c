#include "queue/pages.h"

#include <errno.h>

#include "base/atomic.h"
#include "kernel/memory.h"

/* Memory is asked for in pieces of this many pages, so that little messages
 * do not ask each time. */
#define PIECE 64u

static uint64_t word_of(const struct ipc__pages *pages, uint32_t page)
{
    return load_relaxed(&pages->taken[page / 64]);
}

/* The first free page from here on, or the end. */
static uint32_t next_free(const struct ipc__pages *pages, uint32_t page)
{
    while (page < pages->count) {
        const uint64_t free = ~word_of(pages, page) >> page % 64;
        if (free != 0) {
            page += (uint32_t)__builtin_ctzll(free);
            return page < pages->count ? page : pages->count;
        }
        page += 64 - page % 64;
    }
    return pages->count;
}

/* The first taken page in page .. end-1, or end. */
static uint32_t next_taken(const struct ipc__pages *pages, uint32_t page,
                           uint32_t end)
{
    while (page < end) {
        const uint64_t taken = word_of(pages, page) >> page % 64;
        if (taken != 0) {
            page += (uint32_t)__builtin_ctzll(taken);
            return page < end ? page : end;
        }
        page += 64 - page % 64;
    }
    return end;
}

static void set(const struct ipc__pages *pages, uint32_t first, uint32_t n,
                bool taken)
{
    while (n != 0) {
        const uint32_t bit = first % 64;
        const uint32_t here = n < 64 - bit ? n : 64 - bit;
        const uint64_t mask =
            (here == 64 ? ~(uint64_t)0 : ((uint64_t)1 << here) - 1) << bit;
        uint64_t *word = &pages->taken[first / 64];
        const uint64_t now = load_relaxed(word);
        store_relaxed(word, taken ? now | mask : now & ~mask);
        first += here;
        n -= here;
    }
}

static int have_memory(const struct ipc__pages *pages, uint32_t end)
{
    const uint32_t present = load_relaxed(pages->present);
    if (end <= present)
        return 0;
    uint32_t upto = (end + PIECE - 1) / PIECE * PIECE;
    upto = upto < pages->count ? upto : pages->count;
    const int rc = ipc__memory_populate(pages->memory + present * IPC__PAGE,
                                        (upto - present) * IPC__PAGE);
    if (rc == 0)
        store_relaxed(pages->present, upto);
    return rc;
}

int ipc__pages_take(const struct ipc__pages *pages, uint32_t n, uint32_t *first)
{
    uint32_t page = 0;
    for (;;) {
        page = next_free(pages, page);
        if (n > pages->count - page)
            return -EAGAIN;
        const uint32_t end = next_taken(pages, page, page + n);
        if (end == page + n)
            break;
        page = end;
    }
    const int rc = have_memory(pages, page + n);
    if (rc != 0)
        return rc;
    set(pages, page, n, true);
    *first = page;
    return 0;
}

void ipc__pages_free(const struct ipc__pages *pages, uint32_t first, uint32_t n)
{
    set(pages, first, n, false);
}

void ipc__pages_mark(const struct ipc__pages *pages, uint32_t first, uint32_t n)
{
    set(pages, first, n, true);
}

void ipc__pages_clear(const struct ipc__pages *pages)
{
    for (uint32_t page = 0; page < pages->count; page += 64)
        store_relaxed(&pages->taken[page / 64], (uint64_t)0);
}

void ipc__pages_trim(const struct ipc__pages *pages)
{
    const uint32_t present = load_relaxed(pages->present);
    uint32_t end = present < pages->count ? present : pages->count;
    uint32_t last = 0;
    for (uint32_t page = 0; (page = next_taken(pages, page, end)) < end; page++)
        last = page + 1;
    if (last == end)
        return;
    store_relaxed(pages->present, last); /* first: it is only believed less */
    ipc__memory_release(pages->memory + last * IPC__PAGE,
                        (end - last) * IPC__PAGE, 0);
}
