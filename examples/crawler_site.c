#include "crawler_site.h"

#include <ipc/time.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAR_MS_MAX = 1000,
    PARAGRAPHS = 3, /* of a post */
    SENTENCES = 6   /* of a paragraph */
};

int site_far_option(int argc, char **argv)
{
    char *end;
    long far_ms;

    if (argc == 1)
        return 0;
    if (argc != 3 || strcmp(argv[1], "--far") != 0)
        errx(2, "usage: crawler [--far MS]");
    errno = 0;
    far_ms = strtol(argv[2], &end, 10);
    if (errno != 0 || end == argv[2] || *end != '\0' || far_ms < 0 ||
        far_ms > FAR_MS_MAX)
        errx(2, "--far takes a number from 0 to %d, not '%s'", FAR_MS_MAX,
             argv[2]);
    return (int)far_ms;
}

/* ---- what stands on it ---- */

static const char *const subjects[] = {"The ferry", "A lighthouse", "The cook",
                                       "Our cat",   "The harbour",  "A gull"};
static const char *const verbs[] = {"waits for", "looks at", "dreams of",
                                    "sings to", "forgets"};
static const char *const objects[] = {"the fog",  "the last train", "a storm",
                                      "the moon", "an old map",     "the tide",
                                      "a letter"};

#define PICK(list, n) ((list)[(n) % (sizeof(list) / sizeof(list)[0])])

/* The same number makes the same sentence. */
static void write_sentence(FILE *out, unsigned number)
{
    fprintf(out, "%s %s %s", PICK(subjects, number), PICK(verbs, number / 2),
            PICK(objects, number / 3));
}

static void write_post(FILE *out, unsigned number)
{
    fprintf(out,
            "<div class=\"post\"><h2><a class=\"post-title\" "
            "href=\"/post/%u\">",
            number);
    write_sentence(out, number);
    fprintf(out, "</a></h2>\n");
    for (unsigned i = 0; i < PARAGRAPHS; i++) {
        fprintf(out, "<p>");
        for (unsigned k = 0; k < SENTENCES; k++) {
            write_sentence(out, number * 31 + i * 7 + k);
            fprintf(out, " &ndash; ");
        }
        fprintf(out, "<a href=\"/tag/%u\">more</a><br>\n", i);
    }
    fprintf(out, "</div>\n");
}

static void write_page(FILE *out, unsigned page)
{
    fprintf(out,
            "<!DOCTYPE html><html><head><title>Page %u</title></head>\n"
            "<body><ul><li><a href=\"/\">Home<li><a href=\"/page/%u\">Next"
            "</ul>\n",
            page, page + 1);
    for (unsigned i = 0; i < SITE_POSTS; i++)
        write_post(out, (page - 1) * SITE_POSTS + i + 1);
    fprintf(out, "</body></html>\n");
}

/* In memory from malloc(), or NULL. */
static char *new_page(unsigned page, size_t *bytes)
{
    char *html = NULL;
    FILE *out = open_memstream(&html, bytes);

    if (out == NULL)
        return NULL;
    write_page(out, page);
    if (fclose(out) == 0)
        return html;
    free(html);
    return NULL;
}

/* ---- the server ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code,
                              char *body, size_t bytes)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, body, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (response == NULL) {
        free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type",
                            "text/html; charset=utf-8");
    result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* The parameters are libmicrohttpd's.
 * NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection,
                              const char *path, const char *method,
                              const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    const struct site *site = arg;
    unsigned page = 0;
    size_t bytes = 0;
    char *html;

    (void)method, (void)version, (void)upload, (void)upload_bytes, (void)state;
    ipc_sleep_until(ipc_after_ms(site->far_ms));
    if (strncmp(path, "/page/", 6) == 0)
        page = (unsigned)strtoul(path + 6, NULL, 10);
    if (page == 0 || page > SITE_PAGES)
        return answer(connection, MHD_HTTP_NOT_FOUND, strdup("no page"), 7);
    html = new_page(page, &bytes);
    return html == NULL ? MHD_NO : answer(connection, MHD_HTTP_OK, html, bytes);
}

int site_start(struct site *site, int far_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const union MHD_DaemonInfo *info;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    site->far_ms = far_ms;
    errno = 0;
    site->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0,
        NULL, NULL, handle, site, MHD_OPTION_SOCK_ADDR, &address,
        MHD_OPTION_END);
    if (site->daemon == NULL)
        return errno != 0 ? -errno : -EIO;
    info = MHD_get_daemon_info(site->daemon, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(site->url, sizeof site->url, "http://127.0.0.1:%u", info->port);
    return 0;
}

void site_stop(struct site *site)
{
    MHD_stop_daemon(site->daemon);
}
