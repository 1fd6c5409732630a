/* Progress bar: one line, drawn over and over.
 *
 * A line never reaches the last column, where terminals begin a new one, and
 * is as long as the one before it, so that nothing of that is left.  What is no
 * terminal gets lines, one a second. */
#include <ipc/progress.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/options.h"
#include "core/error.h"

#define DRAWS    1u
#define TERMINAL 2u
#define COLOUR   4u

#define TERMINAL_NS ((int64_t)100 * 1000 * 1000)
#define FILE_NS     ((int64_t)1000 * 1000 * 1000)

#define COLUMNS_DEFAULT 80u
#define COLUMNS_MAX     512u
#define CELLS_MIN       8u
#define CELLS_MAX       24u

#define GREEN "\033[32m"
#define PLAIN "\033[0m"

/* ---- a line ---- */

struct line {
    char text[COLUMNS_MAX * 4 + 64];
    size_t length; /* bytes */
};

static void put(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct line *line, const char *format, ...)
{
    const size_t room = sizeof line->text - line->length;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(line->text + line->length, room, format, args);
    va_end(args);
    if (n > 0)
        line->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void fill(struct line *line, char with, uint32_t n)
{
    while (n-- > 0)
        put(line, "%c", with);
}

/* Columns of UTF-8 text without escapes. */
static uint32_t columns_of(const char *text)
{
    uint32_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* So many columns of it at most: returns how many bytes. */
static int cut_to(const char *text, uint32_t columns)
{
    const char *end = text;
    while (*end != '\0') {
        if (((unsigned char)*end & 0xc0) != 0x80 && columns-- == 0)
            break;
        end++;
    }
    return (int)(end - text);
}

/* ---- figures ---- */

/* 1.3 k, 12, 250 M */
static void put_si(struct line *line, double value)
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t i = 0;
    while (value >= 999.5 && i + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        i++;
    }
    put(line, "%.*f%s", value != 0 && value < 9.95 ? 1 : 0, value, units[i]);
}

static void put_time(struct line *line, double seconds)
{
    const uint64_t s = seconds < 1e9 ? (uint64_t)seconds : 1000000000;
    if (s >= 3600)
        put(line, "%llu:%02llu:%02llu", (unsigned long long)(s / 3600),
            (unsigned long long)(s / 60 % 60), (unsigned long long)(s % 60));
    else
        put(line, "%llu:%02llu", (unsigned long long)(s / 60),
            (unsigned long long)(s % 60));
}

static double rate_of(const ipc_progress_bar *bar, double seconds)
{
    return seconds > 0 ? (double)bar->done_ / seconds : 0;
}

/* Two spaces are before each figure, so that a narrow line can lose them from
 * the right. */
static void put_rate(struct line *line, const ipc_progress_bar *bar,
                     double rate)
{
    put(line, "  ");
    put_si(line, rate);
    put(line, "%s%s/s", bar->unit_[0] != '\0' ? " " : "", bar->unit_);
}

static void put_left(struct line *line, const ipc_progress_bar *bar,
                     double seconds, bool is_end)
{
    const double rate = rate_of(bar, seconds);
    put(line, "  ");
    if (bar->total_ == 0 || is_end) {
        put_time(line, seconds);
    } else if (rate > 0) {
        put_time(line, (double)(bar->total_ - bar->done_) / rate + 0.5);
        put(line, " left");
    } else {
        put(line, "-:-- left");
    }
}

/* ---- what a line consists of ---- */

static void put_count(struct line *line, const ipc_progress_bar *bar)
{
    if (bar->total_ == 0) {
        put(line, "  %zu", bar->done_);
        return;
    }
    const unsigned percent =
        (unsigned)((double)bar->done_ * 100 / (double)bar->total_);
    put(line, "  %3u%%  %zu/%zu", percent, bar->done_, bar->total_);
}

/* All that is right of the bar, as far as there is room. */
static void put_figures(struct line *line, const ipc_progress_bar *bar,
                        uint32_t room, bool is_end)
{
    const double seconds = (double)(ipc_now() - bar->began_) / 1e9;
    size_t good = 0;
    put_count(line, bar);
    good = line->length <= room ? line->length : 0;
    put_rate(line, bar, rate_of(bar, seconds));
    good = line->length <= room ? line->length : good;
    put_left(line, bar, seconds, is_end);
    good = line->length <= room ? line->length : good;
    line->length = good;
    line->text[good] = '\0';
}

static void put_bar(struct line *line, const ipc_progress_bar *bar,
                    uint32_t cells)
{
    const uint32_t full =
        (uint32_t)((double)bar->done_ / (double)bar->total_ * cells);
    const bool colour = (bar->flags_ & COLOUR) != 0;
    put(line, "  [%s", colour ? GREEN : "");
    fill(line, '#', full);
    put(line, "%s", colour ? PLAIN : "");
    fill(line, ' ', cells - full);
    put(line, "]");
}

static uint32_t columns_to_use(const ipc_progress_bar *bar)
{
    struct winsize size;
    uint32_t columns = bar->options_.width;
    if (columns == 0 && (bar->flags_ & TERMINAL) != 0 &&
        ioctl(bar->options_.fd, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns == 0)
        columns = COLUMNS_DEFAULT;
    return (columns < COLUMNS_MAX ? columns : COLUMNS_MAX) - 1;
}

static uint32_t cells_for(const ipc_progress_bar *bar, uint32_t room)
{
    const uint32_t ends = 4; /* "  [" and "]" */
    if (bar->total_ == 0 || room < ends + CELLS_MIN)
        return 0;
    return room - ends < CELLS_MAX ? room - ends : CELLS_MAX;
}

/* Returns how many columns it takes. */
static uint32_t compose(struct line *line, const ipc_progress_bar *bar,
                        bool is_end)
{
    struct line figures = {.length = 0};
    const uint32_t columns = columns_to_use(bar);
    const int label = cut_to(bar->label_, columns);
    put(line, "%.*s", label, bar->label_);
    uint32_t used = columns_of(line->text);
    put_figures(&figures, bar, columns - used, is_end);
    used += columns_of(figures.text);
    const uint32_t cells = cells_for(bar, columns - used);
    if (cells != 0) {
        put_bar(line, bar, cells);
        used += cells + 4;
    }
    put(line, "%s", figures.text);
    return used;
}

static void draw(ipc_progress_bar *bar, bool is_end)
{
    struct line line = {.length = 0};
    const bool is_terminal = (bar->flags_ & TERMINAL) != 0;
    bar->drawn_ = ipc_now();
    const uint32_t used = compose(&line, bar, is_end);
    if (is_terminal && used < bar->shown_)
        fill(&line, ' ', bar->shown_ - used);
    bar->shown_ = used;
    put(&line, "%s", is_end || !is_terminal ? "\n" : "\r");
    /* It is for looking at: what cannot be written is left out. */
    const ssize_t n = write(bar->options_.fd, line.text, line.length);
    (void)n;
}

/* ---- the calls ---- */

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no_color == NULL || no_color[0] == '\0') && term != NULL &&
           term[0] != '\0' && strcmp(term, "dumb") != 0;
}

static void copy_text(char *out, size_t room, const char *text)
{
    if (text == NULL)
        text = "";
    size_t n = strnlen(text, room);
    if (n == room) { /* not half a character */
        n--;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

int ipc_progress_bar_begin(ipc_progress_bar *bar, const char *label,
                           size_t total,
                           const ipc_progress_bar_options *options)
{
    ipc_progress_bar_options o;
    const int rc = ipc__options_read(&o, sizeof o, options);
    if (rc != 0)
        return ipc__fail(rc, "progress bar: options of another version");
    if (o.fd < 0)
        return ipc__fail(-EINVAL, "progress bar: on descriptor %d", o.fd);
    if (o.fd == 0)
        o.fd = STDERR_FILENO;
    memset(bar, 0, sizeof *bar);
    bar->options_ = o;
    bar->options_.unit = NULL;
    copy_text(bar->label_, sizeof bar->label_, label);
    copy_text(bar->unit_, sizeof bar->unit_, o.unit);
    bar->total_ = total;
    bar->began_ = ipc_now();
    if (isatty(o.fd) == 1)
        bar->flags_ |= TERMINAL | (wants_colour() ? COLOUR : 0);
    if (!o.quiet && (o.always || (bar->flags_ & TERMINAL) != 0)) {
        bar->flags_ |= DRAWS;
        draw(bar, false);
    }
    return 0;
}

void ipc_progress_bar_update(ipc_progress_bar *bar, size_t done)
{
    bar->done_ = bar->total_ != 0 && done > bar->total_ ? bar->total_ : done;
    if ((bar->flags_ & DRAWS) == 0)
        return;
    const int64_t pause = (bar->flags_ & TERMINAL) != 0 ? TERMINAL_NS : FILE_NS;
    if (ipc_now() - bar->drawn_ >= pause)
        draw(bar, false);
}

void ipc_progress_bar_end(ipc_progress_bar *bar)
{
    if ((bar->flags_ & DRAWS) != 0)
        draw(bar, true);
    bar->flags_ = 0;
}

void ipc_progress_bar_show(size_t done, size_t total, void *bar)
{
    (void)total;
    ipc_progress_bar_update(bar, done);
}
