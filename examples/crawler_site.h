/* A web site for the crawlers: pages of a blog, served on loopback by threads
 * of this very process. */
#ifndef CRAWLER_SITE_H
#define CRAWLER_SITE_H

enum {
    SITE_PAGES = 24,
    SITE_POSTS = 20 /* on each page */
};

struct MHD_Daemon;

struct site {
    struct MHD_Daemon *daemon;
    int far_ms;
    char url[40]; /* "http://127.0.0.1:PORT" */
};

/* The one option of the crawlers: [--far MS], how long the site takes to
 * answer, as if it were far away.  Says what is wrong and exits with 2. */
int site_far_option(int argc, char **argv);

/* Serve it, at a port that is free.  Page n is at URL/page/n, from 1 on.
 * Returns 0 or a negative errno. */
int site_start(struct site *site, int far_ms);
void site_stop(struct site *site);

#endif
