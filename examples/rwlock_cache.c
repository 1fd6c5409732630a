/* A cache that many look things up in, and one keeps up to date.
 *
 *     with cache.reading():               # together with other readers
 *         quote = cache[i]
 *
 *     with cache.writing():               # alone
 *         cache[i].price, cache[i].tax = ...
 *
 * With a plain lock the readers would wait for each other too.  Python's
 * threading has no such lock. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    READERS = 4,
    LOOKUPS = 100000,
    UPDATES = 1000,
    QUOTES = 50
};

struct cache {
    ipc_rwlock lock;
    struct {
        long price;
        long tax; /* a fifth of it */
    } quotes[QUOTES];
    int64_t wrong; /* quotes of which a reader saw only half an update */
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

static int look_up(void *arg)
{
    struct cache *cache = arg;

    for (int i = 0; i < LOOKUPS; i++) {
        check(ipc_rwlock_acquire_read(&cache->lock), "acquire_read");
        const long price = cache->quotes[i % QUOTES].price;
        const long tax = cache->quotes[i % QUOTES].tax;
        check(ipc_rwlock_release(&cache->lock), "release");
        if (price != 5 * tax)
            ipc_atomic_add_i64(&cache->wrong, 1);
    }
    return 0;
}

static int keep_up_to_date(void *arg)
{
    struct cache *cache = arg;

    for (int update = 1; update <= UPDATES; update++) {
        check(ipc_rwlock_acquire_write(&cache->lock), "acquire_write");
        for (int i = 0; i < QUOTES; i++) {
            cache->quotes[i].price += 5L * i;
            cache->quotes[i].tax = cache->quotes[i].price / 5;
        }
        check(ipc_rwlock_release(&cache->lock), "release");
    }
    return 0;
}

int main(void)
{
    struct cache *cache = ipc_shared_alloc(sizeof *cache); /* a free rwlock */
    ipc_process p[READERS + 1];
    int exitcode, failed = 0;

    if (cache == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    for (int i = 0; i <= READERS; i++) {
        ipc_process_init(&p[i], i < READERS ? look_up : keep_up_to_date, cache,
                         NULL);
        check(ipc_process_start(&p[i]), "start");
    }
    for (int i = 0; i <= READERS; i++) {
        check(ipc_process_join(&p[i]), "join");
        check(ipc_process_exitcode(&p[i], &exitcode), "exitcode");
        failed |= exitcode != 0;
        ipc_process_close(&p[i]);
    }
    printf("%d readers looked up %d quotes each, one writer updated all %d "
           "times\n",
           READERS, LOOKUPS, UPDATES);
    printf("half updated quotes seen: %lld; the last one costs %ld\n",
           (long long)cache->wrong, cache->quotes[QUOTES - 1].price);
    failed |= cache->wrong != 0;
    check(ipc_rwlock_fini(&cache->lock), "fini");
    check(ipc_shared_free(cache), "free");
    return failed;
}
