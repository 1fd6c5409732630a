/* A crawler as three threads that fetch pages and two that parse them, with
 * queues in between; and before that, for comparison, as one thread.
 *
 *     def do_craw(url_queue, html_queue):
 *         while True:
 *             url = url_queue.get()
 *             html_queue.put(craw(url))
 *
 *     def do_parse(html_queue, results):
 *         while True:
 *             results.extend(parse(html_queue.get()))
 *
 *     crawler_threads [--far MS]
 *
 * Nobody has to guess when all is done: a queue that is closed is -EPIPE to its
 * readers as soon as it is empty.
 *
 * This site is near: to fetch a page takes about as long as to parse it, and
 * threads help as far as there are CPUs.  Of one that takes 20 ms to answer,
 * --far 20, three threads wait for three pages at once. */
#include "crawler_page.h"
#include "crawler_site.h"

#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FETCHERS = 3,
    PARSERS = 2
};

struct crawl {
    ipc_queue *urls;
    ipc_queue *pages;
    ipc_lock lock; /* of posts */
    struct posts posts;
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "crawler: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static int fetch_all(void *arg)
{
    struct crawl *crawl = arg;
    CURL *curl = curl_easy_init();
    char url[64], *html;
    size_t bytes;
    int rc;

    if (curl == NULL)
        errx(1, "libcurl has no memory");
    while ((rc = ipc_queue_get(crawl->urls, url, sizeof url, NULL)) == 0) {
        const CURLcode code = page_fetch(curl, url, &html, &bytes);

        if (code != CURLE_OK)
            errx(1, "%s: %s", url, curl_easy_strerror(code));
        check(ipc_queue_put(crawl->pages, html, bytes));
        free(html);
    }
    curl_easy_cleanup(curl);
    if (rc != -EPIPE)
        check(rc);
    return 0;
}

static void add(struct crawl *crawl, const struct post *posts, int n)
{
    int rc;

    IPC_WITH_LOCK(&crawl->lock, rc) {
        memcpy(crawl->posts.list + crawl->posts.count, posts,
               (size_t)n * sizeof *posts);
        crawl->posts.count += n;
    }
    check(rc);
}

static int parse_all(void *arg)
{
    struct crawl *crawl = arg;
    struct post posts[SITE_POSTS];
    void *html;
    size_t bytes;
    int n, rc;

    while ((rc = ipc_queue_get_alloc(crawl->pages, &html, &bytes,
                                     IPC_TIME_FOREVER)) == 0) {
        check(n = page_parse(html, bytes, posts));
        add(crawl, posts, n);
        free(html);
    }
    if (rc != -EPIPE)
        check(rc);
    return 0;
}

static void start(ipc_thread *threads, int n, int (*target)(void *arg),
                  struct crawl *crawl)
{
    for (int i = 0; i < n; i++) {
        ipc_thread_init(&threads[i], target, crawl, NULL);
        check(ipc_thread_start(&threads[i]));
    }
}

static void join(ipc_thread *threads, int n)
{
    for (int i = 0; i < n; i++) {
        check(ipc_thread_join(&threads[i]));
        check(ipc_thread_close(&threads[i]));
    }
}

static void crawl_by_threads(const struct site *site, struct crawl *crawl)
{
    ipc_thread fetchers[FETCHERS], parsers[PARSERS];
    char url[64];

    check(ipc_queue_new(NULL, &crawl->urls));
    check(ipc_queue_new(NULL, &crawl->pages));
    start(fetchers, FETCHERS, fetch_all, crawl);
    start(parsers, PARSERS, parse_all, crawl);
    for (int page = 1; page <= SITE_PAGES; page++) {
        snprintf(url, sizeof url, "%s/page/%d", site->url, page);
        check(ipc_queue_put(crawl->urls, url, strlen(url) + 1));
    }

    check(ipc_queue_close(crawl->urls, false));
    join(fetchers, FETCHERS);
    check(ipc_queue_close(crawl->pages, false));
    join(parsers, PARSERS);
    check(ipc_queue_free(crawl->urls));
    check(ipc_queue_free(crawl->pages));
}

static double ms_since(ipc_deadline begin)
{
    return (double)(ipc_now() - begin) / 1e6;
}

int main(int argc, char **argv)
{
    static struct crawl crawl;
    static struct posts alone;
    struct site site;
    ipc_deadline begin;
    const int far_ms = site_far_option(argc, argv);

    page_begin();
    check(site_start(&site, far_ms));

    begin = ipc_now();
    crawl_alone(&site, &alone);
    printf("one thread: %.0f ms\n", ms_since(begin));

    begin = ipc_now();
    crawl_by_threads(&site, &crawl);
    printf("%d that fetch and %d that parse: %.0f ms\n", FETCHERS, PARSERS,
           ms_since(begin));

    site_stop(&site);
    page_end();
    posts_compare(&crawl.posts, &alone);
    printf("both found the same %d posts on %d pages\n", alone.count,
           SITE_PAGES);
    return 0;
}
