/* A picture is blurred in bands, by a pool.
 *
 *     image_blur [--quiet] [--threads] [-r RADIUS] [-o OUT.ppm] [IN.pgm|IN.ppm]
 *
 * A task is a band of rows: it reads the rows of the picture that it needs and
 * its result is the rows of the new one, straight in their place.  Both
 * pictures lie in family memory, so nothing is copied between the processes.
 * The same is done once more without a pool, and must give the same bytes. */
#include <ipc/ipc.h>
#include <ipc/pool.h>
#include <ipc/progress.h>
#include <ipc/shared.h>

#include <err.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BAND = 8, /* rows */
    RADIUS_MAX = 64
};

/* In family memory. */
struct picture {
    int width;
    int height;
    int channels; /* 1: PGM, 3: PPM */
    int radius;
    float weights[2 * RADIUS_MAX + 1];
    unsigned char *pixels; /* whole bands */
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static size_t row_bytes(const struct picture *p)
{
    return (size_t)p->width * (size_t)p->channels;
}

static int band_count(const struct picture *p)
{
    return (p->height + BAND - 1) / BAND;
}

static unsigned char *new_pixels(const struct picture *p)
{
    unsigned char *pixels =
        ipc_shared_alloc((size_t)band_count(p) * BAND * row_bytes(p));

    if (pixels == NULL)
        errx(1, "image_blur: %s", ipc_error_detail());
    return pixels;
}

/* What a task is given; which band, is its index. */
struct item {
    const struct picture *picture;
};

/* ---- blurring ---- */

static void prepare(struct picture *p, int radius)
{
    float sum = 0;

    p->radius = radius;
    for (int i = -radius; i <= radius; i++) {
        const float x = 2.0F * (float)i / (float)(radius + 1);
        sum += p->weights[i + radius] = expf(-x * x / 2);
    }
    for (int i = 0; i <= 2 * radius; i++)
        p->weights[i] /= sum;
}

static int within(int i, int end)
{
    return i < 0 ? 0 : i >= end ? end - 1 : i;
}

/* One row of the picture, blurred from left to right. */
static void blur_row(const struct picture *p, int y, float *out)
{
    const unsigned char *row = p->pixels + (size_t)y * row_bytes(p);

    for (int x = 0; x < p->width; x++)
        for (int c = 0; c < p->channels; c++) {
            float sum = 0;
            for (int i = -p->radius; i <= p->radius; i++)
                sum += p->weights[i + p->radius] *
                       (float)row[within(x + i, p->width) * p->channels + c];
            out[x * p->channels + c] = sum;
        }
}

/* Row y from rows that are blurred already; rows[0] is row y - radius. */
static void blur_down(const struct picture *p, const float *rows,
                      unsigned char *out)
{
    const size_t n = row_bytes(p);

    for (size_t x = 0; x < n; x++) {
        float sum = 0;
        for (int i = 0; i <= 2 * p->radius; i++)
            sum += p->weights[i] * rows[(size_t)i * n + x];
        out[x] = (unsigned char)(sum + 0.5F);
    }
}

static int blur_band(const struct picture *p, int band, unsigned char *out)
{
    const size_t n = row_bytes(p);
    const int first = band * BAND - p->radius;
    const int count = BAND + 2 * p->radius;
    float *rows = calloc((size_t)count * n, sizeof *rows);

    if (rows == NULL)
        return -1;
    for (int i = 0; i < count; i++)
        blur_row(p, within(first + i, p->height), rows + (size_t)i * n);
    for (int i = 0; i < BAND && band * BAND + i < p->height; i++)
        blur_down(p, rows + (size_t)i * n, out + (size_t)i * n);
    free(rows);
    return 0;
}

/* The task. */
static int blur_task(const void *arg, void *result, ipc_task *task)
{
    const struct item *item = arg;

    if (blur_band(item->picture, (int)ipc_task_index(task), result) != 0)
        return ipc_task_fail(task, -ENOMEM, "no memory for a band");
    return 0;
}

/* ---- pictures ---- */

/* Rings and a grid: sharp edges everywhere. */
static void draw(struct picture *p)
{
    p->width = 640;
    p->height = 483; /* not whole bands */
    p->channels = 3;
    p->pixels = new_pixels(p);
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            const int dx = x - p->width / 2, dy = y - p->height / 2;
            unsigned char *pixel =
                p->pixels + (size_t)y * row_bytes(p) + (size_t)x * 3;
            pixel[0] = (dx * dx + dy * dy) / 2000 % 2 ? 250 : 20;
            pixel[1] = (unsigned char)((x / 32 + y / 32) % 2 ? 200 : 60);
            pixel[2] = (unsigned char)(x * 255 / p->width);
        }
}

/* A number of a header, behind spaces and comments; -1: there is none. */
static int next_number(FILE *file)
{
    int n = -1, c = getc(file);

    while (c == '#' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        while (c == '#' && (c = getc(file)) != '\n' && c != EOF)
            c = '#';
        c = getc(file);
    }
    for (; c >= '0' && c <= '9' && n < 1 << 15; c = getc(file))
        n = (n < 0 ? 0 : n * 10) + c - '0';
    ungetc(c, file);
    return n > 0 && n < 1 << 15 ? n : -1;
}

static void read_picture(struct picture *p, const char *path)
{
    FILE *file = fopen(path, "rb");
    char kind[3] = "";

    if (file == NULL)
        err(1, "%s", path);
    if (fread(kind, 1, 2, file) != 2 || kind[0] != 'P' ||
        (kind[1] != '5' && kind[1] != '6'))
        errx(1, "%s: no binary PGM or PPM file", path);
    p->channels = kind[1] == '5' ? 1 : 3;
    p->width = next_number(file);
    p->height = next_number(file);
    if (p->width < 0 || p->height < 0 || next_number(file) != 255)
        errx(1, "%s: size or depth not understood", path);
    (void)getc(file); /* the one space before the pixels */
    p->pixels = new_pixels(p);
    if (fread(p->pixels, row_bytes(p), (size_t)p->height, file) !=
        (size_t)p->height)
        errx(1, "%s: too short", path);
    fclose(file);
}

static void write_picture(const struct picture *p, const unsigned char *pixels,
                          const char *path)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL)
        err(1, "%s", path);
    fprintf(file, "P%d\n%d %d\n255\n", p->channels == 1 ? 5 : 6, p->width,
            p->height);
    if (fwrite(pixels, row_bytes(p), (size_t)p->height, file) !=
            (size_t)p->height ||
        fclose(file) != 0)
        err(1, "%s", path);
}

/* ---- the program ---- */

struct wishes {
    bool quiet;
    uint32_t kind;
    int radius;
    const char *out;
    const char *in;
};

static struct wishes read_wishes(int argc, char **argv)
{
    struct wishes w = {.radius = 9};

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--quiet") == 0)
            w.quiet = true;
        else if (strcmp(argv[i], "--threads") == 0)
            w.kind = IPC_POOL_THREADS;
        else if (strcmp(argv[i], "-r") == 0 && i + 1 < argc)
            w.radius = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            w.out = argv[++i];
        else if (argv[i][0] != '-' && w.in == NULL)
            w.in = argv[i];
        else
            errx(2, "usage: image_blur [--quiet] [--threads] [-r RADIUS] "
                    "[-o OUT] [IN]");
    if (w.radius < 1 || w.radius > RADIUS_MAX)
        errx(2, "the radius is between 1 and %d", RADIUS_MAX);
    return w;
}

static double blur_in_pool(const struct picture *p, unsigned char *out,
                           const struct wishes *w)
{
    const size_t n = (size_t)band_count(p);
    struct item *items = ipc_shared_alloc(n * sizeof *items);
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_progress_bar_options looks = IPC_PROGRESS_BAR_OPTIONS_INIT;
    ipc_map_options map = IPC_MAP_OPTIONS_INIT;
    ipc_progress_bar bar;
    ipc_pool *pool;

    if (items == NULL)
        errx(1, "image_blur: %s", ipc_error_detail());
    for (size_t i = 0; i < n; i++)
        items[i].picture = p;
    options.kind = w->kind;
    check(ipc_pool_new(&options, &pool));
    looks.quiet = w->quiet;
    looks.unit = "bands";
    check(ipc_progress_bar_begin(&bar, "blur", n, &looks));
    map.progress = ipc_progress_bar_show;
    map.progress_arg = &bar;
    map.chunk = 1;

    const ipc_deadline began = ipc_now();
    check(ipc_pool_map(pool, blur_task, items, sizeof *items, n, out,
                       BAND * row_bytes(p), &map));
    const double ms = (double)(ipc_now() - began) / 1e6;
    ipc_progress_bar_end(&bar);
    check(ipc_pool_free(pool));
    check(ipc_shared_free(items));
    return ms;
}

static double blur_serially(const struct picture *p, unsigned char *out)
{
    const ipc_deadline began = ipc_now();

    for (int band = 0; band < band_count(p); band++)
        if (blur_band(p, band, out + (size_t)band * BAND * row_bytes(p)) != 0)
            errx(1, "no memory");
    return (double)(ipc_now() - began) / 1e6;
}

int main(int argc, char **argv)
{
    const struct wishes w = read_wishes(argc, argv);
    struct picture *p = ipc_shared_alloc(sizeof *p);

    if (p == NULL)
        errx(1, "image_blur: %s", ipc_error_detail());
    if (w.in != NULL)
        read_picture(p, w.in);
    else
        draw(p);
    prepare(p, w.radius);

    unsigned char *by_pool = new_pixels(p);
    unsigned char *alone = new_pixels(p);
    const double pool_ms = blur_in_pool(p, by_pool, &w);
    const double alone_ms = blur_serially(p, alone);
    const bool same =
        memcmp(by_pool, alone, (size_t)p->height * row_bytes(p)) == 0;

    printf("%d x %d pixels, radius %d: %d bands\n", p->width, p->height,
           w.radius, band_count(p));
    printf("alone %.0f ms, %d %s %.0f ms: %.2f times as fast\n", alone_ms,
           ipc_cpu_quota(),
           w.kind == IPC_POOL_THREADS ? "threads" : "processes", pool_ms,
           alone_ms / pool_ms);
    if (same && w.out != NULL)
        write_picture(p, by_pool, w.out);
    printf("the two pictures are %s\n", same ? "the same" : "different");
    check(ipc_shared_free(p->pixels));
    check(ipc_shared_free(by_pool));
    check(ipc_shared_free(alone));
    check(ipc_shared_free(p));
    return same ? 0 : 1;
}
