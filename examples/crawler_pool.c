/* A crawler as a pool: pages are fetched by tasks, and parsed by tasks as soon
 * as they are there.  By one thread first, then by a pool of threads, and by
 * one of processes: only an option differs.
 *
 *     with ThreadPoolExecutor() as pool:
 *         fetches = [pool.submit(craw, url) for url in urls]
 *         parses = [pool.submit(parse, f.result())
 *                   for f in as_completed(fetches)]
 *         posts = [post for p in parses for post in p.result()]
 *
 *     crawler_pool [--far MS]       (a site that takes so long to answer)
 *
 * A worker keeps its connection for the next page: the initializer makes what
 * all tasks of a worker use, the finalizer takes it down. */
#include "crawler_page.h"
#include "crawler_site.h"

#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 4
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "crawler: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* ---- in a worker ---- */

static _Thread_local CURL *curl;

static int connect_worker(void *arg)
{
    (void)arg;
    curl = curl_easy_init();
    return curl == NULL ? -ENOMEM : 0;
}

static void disconnect_worker(void *arg)
{
    (void)arg;
    curl_easy_cleanup(curl);
}

/* A task: an address makes a page. */
static int fetch(const void *arg, void *result, ipc_task *task)
{
    const char *url = arg;
    CURLcode code;
    size_t bytes;
    char *html;
    int rc;

    (void)result;
    code = page_fetch(curl, url, &html, &bytes);
    if (code != CURLE_OK)
        return ipc_task_fail(task, -EIO, "%s: %s", url,
                             curl_easy_strerror(code));
    rc = ipc_task_return(task, html, bytes);
    free(html);
    return rc;
}

/* A task: a page makes posts. */
static int parse(const void *arg, void *result, ipc_task *task)
{
    struct post posts[SITE_POSTS];
    const int n = page_parse(arg, ipc_task_arg_bytes(task), posts);

    (void)result;
    return n < 0 ? n : ipc_task_return(task, posts, (size_t)n * sizeof *posts);
}

/* ---- here ---- */

static ipc_pool *new_pool(uint32_t kind)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_pool *pool;

    options.kind = kind;
    options.workers = WORKERS;
    options.initializer = connect_worker;
    options.finalizer = disconnect_worker;
    check(ipc_pool_new(&options, &pool));
    return pool;
}

static void submit_fetches(ipc_pool *pool, const struct site *site,
                           ipc_future **fetches)
{
    char url[64];

    for (int i = 0; i < SITE_PAGES; i++) {
        snprintf(url, sizeof url, "%s/page/%d", site->url, i + 1);
        check(
            ipc_pool_submit(pool, fetch, url, strlen(url) + 1, 0, &fetches[i]));
    }
}

/* parses[i] is for the page of fetches[i]. */
static void submit_parses(ipc_pool *pool, ipc_future *const *fetches,
                          ipc_future **parses)
{
    ipc_as_completed *next;
    const void *html;
    size_t i, bytes;
    int rc;

    check(ipc_as_completed_begin(fetches, SITE_PAGES, &next));
    while ((rc = ipc_as_completed_next(next, IPC_TIME_FOREVER, &i)) > 0) {
        check(ipc_future_borrow(fetches[i], &html, &bytes, IPC_TIME_NOW));
        check(ipc_pool_submit(pool, parse, html, bytes, 0, &parses[i]));
        check(ipc_future_free(fetches[i]));
    }
    check(rc);
    ipc_as_completed_end(next);
}

static void crawl(ipc_pool *pool, const struct site *site, struct posts *posts)
{
    ipc_future *fetches[SITE_PAGES], *parses[SITE_PAGES] = {NULL};
    size_t bytes;

    submit_fetches(pool, site, fetches);
    submit_parses(pool, fetches, parses);
    for (int i = 0; i < SITE_PAGES; i++) {
        struct post *end = posts->list + posts->count;

        if (parses[i] == NULL)
            errx(1, "page %d was never fetched", i + 1);
        check(ipc_future_result(parses[i], end, SITE_POSTS * sizeof *end,
                                &bytes));
        posts->count += (int)(bytes / sizeof *end);
        check(ipc_future_free(parses[i]));
    }
}

static double ms_since(ipc_deadline begin)
{
    return (double)(ipc_now() - begin) / 1e6;
}

static void race(const char *who, ipc_pool *pool, const struct site *site,
                 struct posts *expected)
{
    static struct posts posts;
    const ipc_deadline begin = ipc_now();

    memset(&posts, 0, sizeof posts);
    crawl(pool, site, &posts);
    printf("%d %s: %.0f ms\n", WORKERS, who, ms_since(begin));
    posts_compare(&posts, expected);
}

int main(int argc, char **argv)
{
    static struct posts alone;
    const int far_ms = site_far_option(argc, argv);
    ipc_pool *processes, *threads;
    struct site site;
    ipc_deadline begin;

    /* Processes first: before there are threads, which they would not have. */
    page_begin();
    processes = new_pool(IPC_POOL_PROCESSES);
    threads = new_pool(IPC_POOL_THREADS);
    check(site_start(&site, far_ms));

    begin = ipc_now();
    crawl_alone(&site, &alone);
    printf("one thread: %.0f ms\n", ms_since(begin));
    race("threads", threads, &site, &alone);
    race("processes", processes, &site, &alone);

    check(ipc_pool_free(threads));
    check(ipc_pool_free(processes));
    site_stop(&site);
    page_end();
    printf("all found the same %d posts on %d pages\n", alone.count,
           SITE_PAGES);
    return 0;
}
