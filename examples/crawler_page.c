#include "crawler_page.h"

#include <err.h>
#include <errno.h>
#include <libxml/HTMLparser.h>
#include <libxml/xpath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_begin(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        errx(1, "libcurl does not start");
    xmlInitParser();
}

void page_end(void)
{
    xmlCleanupParser();
    curl_global_cleanup();
}

/* ---- fetch ---- */

static size_t receive(char *data, size_t size, size_t n, void *out)
{
    return fwrite(data, size, n, out);
}

static CURLcode get(CURL *curl, const char *url, FILE *out)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* other threads */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
    return curl_easy_perform(curl);
}

CURLcode page_fetch(CURL *curl, const char *url, char **html, size_t *bytes)
{
    FILE *out = open_memstream(html, bytes);
    CURLcode code;

    if (out == NULL)
        return CURLE_OUT_OF_MEMORY;
    code = get(curl, url, out);
    fclose(out);
    if (code != CURLE_OK)
        free(*html);
    return code;
}

/* ---- parse ---- */

static void copy_text(char *to, size_t room, xmlChar *text)
{
    snprintf(to, room, "%s", text == NULL ? "" : (const char *)text);
    xmlFree(text);
}

static int find_posts(xmlXPathContext *context, struct post *posts)
{
    xmlXPathObject *found =
        xmlXPathEvalExpression(BAD_CAST "//a[@class='post-title']", context);
    int n = 0;

    if (found == NULL)
        return -ENOMEM;
    for (int i = 0; i < xmlXPathNodeSetGetLength(found->nodesetval); i++) {
        xmlNode *link = found->nodesetval->nodeTab[i];

        if (n == SITE_POSTS)
            break;
        posts[n] = (struct post){"", ""};
        copy_text(posts[n].href, sizeof posts[n].href,
                  xmlGetProp(link, BAD_CAST "href"));
        copy_text(posts[n].title, sizeof posts[n].title,
                  xmlNodeGetContent(link));
        n++;
    }
    xmlXPathFreeObject(found);
    return n;
}

int page_parse(const char *html, size_t bytes, struct post *posts)
{
    /* As everywhere in the web, it need not be correct. */
    xmlDoc *document =
        htmlReadMemory(html, (int)bytes, NULL, "UTF-8",
                       HTML_PARSE_RECOVER | HTML_PARSE_NOERROR |
                           HTML_PARSE_NOWARNING | HTML_PARSE_NONET);
    xmlXPathContext *context =
        document == NULL ? NULL : xmlXPathNewContext(document);
    const int n = context == NULL ? -ENOMEM : find_posts(context, posts);

    xmlXPathFreeContext(context);
    xmlFreeDoc(document);
    return n;
}

/* ---- all of it ---- */

static void crawl_page(CURL *curl, const char *url, struct posts *posts)
{
    size_t bytes;
    char *html;
    const CURLcode code = page_fetch(curl, url, &html, &bytes);
    int n;

    if (code != CURLE_OK)
        errx(1, "%s: %s", url, curl_easy_strerror(code));
    n = page_parse(html, bytes, posts->list + posts->count);
    if (n < 0)
        errx(1, "%s: no memory", url);
    posts->count += n;
    free(html);
}

void crawl_alone(const struct site *site, struct posts *posts)
{
    CURL *curl = curl_easy_init();
    char url[64];

    if (curl == NULL)
        errx(1, "libcurl has no memory");
    posts->count = 0;
    for (int page = 1; page <= SITE_PAGES; page++) {
        snprintf(url, sizeof url, "%s/page/%d", site->url, page);
        crawl_page(curl, url, posts);
    }
    curl_easy_cleanup(curl);
}

static int by_href(const void *a, const void *b)
{
    const struct post *x = a, *y = b;

    return strcmp(x->href, y->href);
}

static void sort(struct posts *posts)
{
    qsort(posts->list, (size_t)posts->count, sizeof posts->list[0], by_href);
}

void posts_compare(struct posts *found, struct posts *expected)
{
    sort(found);
    sort(expected);
    if (memcmp(found, expected, sizeof *found) != 0)
        errx(1, "%d posts were found, but these are other ones than the %d",
             found->count, expected->count);
}
