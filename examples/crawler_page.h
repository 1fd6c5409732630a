/* What a crawler does with a page: fetch it by libcurl, and parse it by libxml2
 * for its posts. */
#ifndef CRAWLER_PAGE_H
#define CRAWLER_PAGE_H

#include "crawler_site.h"

#include <curl/curl.h>
#include <stddef.h>

struct post {
    char href[24];
    char title[64];
};

/* What was found; unused room is zero. */
struct posts {
    int count;
    struct post list[SITE_PAGES * SITE_POSTS];
};

/* Once in the program, while it has one thread; and at its end. */
void page_begin(void);
void page_end(void);

/* Fetch a page into memory from malloc().  The handle keeps its connection for
 * the next one; each thread has its own.  Returns 0 or
 * what went wrong. */
CURLcode page_fetch(CURL *curl, const char *url, char **html, size_t *bytes);

/* Store up to SITE_POSTS posts of a page.  Returns how many, or a negative
 * errno. */
int page_parse(const char *html, size_t bytes, struct post *posts);

/* One page after the other; ends the program if that fails. */
void crawl_alone(const struct site *site, struct posts *posts);

/* See that they are the same, in whatever order, or end the program. */
void posts_compare(struct posts *found, struct posts *expected);

#endif
