/* The progress bar, drawn on a terminal (a pty), into a file, and not at all. */
#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ipc/progress.h>

/* ---- what is drawn on ---- */

static int new_file(void)
{
    const int fd = memfd_create("bar", MFD_CLOEXEC);
    assert_true(fd > 0);
    return fd;
}

/* All that is in the file, as text. */
static const char *file_text(int fd)
{
    static char text[16384];
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

struct terminal {
    int master;
    int slave;
};

static void open_terminal(struct terminal *t, unsigned short columns)
{
    const struct winsize size = {.ws_row = 25, .ws_col = columns};
    assert_int_equal(openpty(&t->master, &t->slave, NULL, NULL, &size), 0);
}

static void close_terminal(struct terminal *t)
{
    close(t->master);
    close(t->slave);
}

/* What has come since the last look. */
static const char *seen(const struct terminal *t)
{
    static char text[16384];
    size_t length = 0;
    struct pollfd ready = {.fd = t->master, .events = POLLIN};
    while (poll(&ready, 1, 0) > 0) {
        const ssize_t n =
            read(t->master, text + length, sizeof text - 1 - length);
        assert_true(n > 0);
        length += (size_t)n;
    }
    text[length] = '\0';
    return text;
}

static void expect_part(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        test_fail("\"%s\" is not in \"%s\"", part, text);
}

static void expect_no_part(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        test_fail("\"%s\" is in \"%s\"", part, text);
}

/* As if it had begun so long ago, and was drawn a while ago. */
static void pretend(ipc_progress_bar *bar, double seconds)
{
    bar->began_ = ipc_now() - (ipc_deadline)(seconds * 1e9);
    bar->drawn_ = bar->began_;
}

static ipc_progress_bar_options on_fd(int fd)
{
    ipc_progress_bar_options options = IPC_PROGRESS_BAR_OPTIONS_INIT;
    options.fd = fd;
    return options;
}

static ipc_progress_bar_options on_file(int fd, uint32_t width)
{
    ipc_progress_bar_options options = on_fd(fd);
    options.always = true;
    options.width = width;
    return options;
}

/* In a case there is one thread. */
static void set_variable(const char *name, const char *value)
{
    if (value != NULL)
        (void)setenv(name, value, 1); /* NOLINT(concurrency-mt-unsafe) */
    else
        (void)unsetenv(name); /* NOLINT(concurrency-mt-unsafe) */
}

/* ---- cases ---- */

static void what_is_no_terminal_gets_nothing(void)
{
    ipc_progress_bar bar;
    const int fd = new_file();
    const ipc_progress_bar_options options = on_fd(fd);
    assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 10, &options), 0);
    pretend(&bar, 5);
    ipc_progress_bar_update(&bar, 5);
    ipc_progress_bar_end(&bar);
    assert_string_equal(file_text(fd), "");
    close(fd);
}

static void quiet_is_stronger_than_always(void)
{
    struct terminal t;
    ipc_progress_bar bar;
    open_terminal(&t, 80);
    ipc_progress_bar_options options = on_file(t.slave, 0);
    options.quiet = true;
    assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 10, &options), 0);
    pretend(&bar, 5);
    ipc_progress_bar_update(&bar, 5);
    ipc_progress_bar_end(&bar);
    assert_string_equal(seen(&t), "");
    close_terminal(&t);
}

static void a_file_gets_lines_if_always(void)
{
    ipc_progress_bar bar;
    const int fd = new_file();
    const ipc_progress_bar_options options = on_file(fd, 80);
    assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 1024, &options), 0);
    assert_string_equal(file_text(fd), "blur  [                        ]"
                                       "    0%  0/1024  0/s  -:-- left\n");
    pretend(&bar, 10);
    ipc_progress_bar_update(&bar, 512);
    expect_part(file_text(fd), "\nblur  [############            ]   50%  "
                               "512/1024  51/s  0:10 left\n");
    pretend(&bar, 20);
    ipc_progress_bar_update(&bar, 1024);
    ipc_progress_bar_end(&bar);
    expect_part(file_text(fd), "\nblur  [########################]  100%  "
                               "1024/1024  51/s  0:20\n");
    expect_no_part(file_text(fd), "\r");
    expect_no_part(file_text(fd), "\033");
    close(fd);
}

static void rate_and_time_are_short(void)
{
    static const struct {
        double seconds;
        size_t done;
        const char *shown;
    } cases[] = {
        {10, 5, "  0.5 pages/s"},          {10, 20, "  2.0 pages/s"},
        {10, 120, "  12 pages/s  1:2"},    {1, 1300, "  1.3 k pages/s"},
        {1, 250000000, "  250 M pages/s"}, {4000, 1000, "  0.2 pages/s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ipc_progress_bar bar;
        const int fd = new_file();
        ipc_progress_bar_options options = on_file(fd, 120);
        options.unit = "pages";
        assert_int_equal(ipc_progress_bar_begin(
                             &bar, "", i == 2 ? 1120 : 1000000000, &options),
                         0);
        pretend(&bar, cases[i].seconds);
        ipc_progress_bar_update(&bar, cases[i].done);
        expect_part(file_text(fd), cases[i].shown);
        close(fd);
    }
}

static void hours_are_shown(void)
{
    ipc_progress_bar bar;
    const int fd = new_file();
    const ipc_progress_bar_options options = on_file(fd, 80);
    assert_int_equal(ipc_progress_bar_begin(&bar, "x", 1000, &options), 0);
    pretend(&bar, 3723);
    ipc_progress_bar_update(&bar, 500);
    expect_part(file_text(fd), "  1:02:03 left\n");
    close(fd);
}

static void without_a_total_it_counts(void)
{
    ipc_progress_bar bar;
    const int fd = new_file();
    const ipc_progress_bar_options options = on_file(fd, 80);
    assert_int_equal(ipc_progress_bar_begin(&bar, "lines", 0, &options), 0);
    pretend(&bar, 65);
    ipc_progress_bar_update(&bar, 650);
    ipc_progress_bar_end(&bar);
    expect_part(file_text(fd), "\nlines  650  10/s  1:05\n");
    expect_no_part(file_text(fd), "[");
    expect_no_part(file_text(fd), "%");
    close(fd);
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;
    while (*text != '\0') {
        const size_t n = strcspn(text, "\r\n");
        longest = n > longest ? n : longest;
        text += n + strspn(text + n, "\r\n");
    }
    return longest;
}

static void no_line_reaches_the_last_column(void)
{
    for (uint32_t width = 1; width < 100; width++) {
        ipc_progress_bar bar;
        const int fd = new_file();
        const ipc_progress_bar_options options = on_file(fd, width);
        assert_int_equal(
            ipc_progress_bar_begin(&bar, "a long label", 123456, &options), 0);
        pretend(&bar, 7);
        ipc_progress_bar_update(&bar, 100000);
        ipc_progress_bar_end(&bar);
        assert_true(longest_line(file_text(fd)) < width);
        close(fd);
    }
}

static void what_does_not_fit_goes_from_the_right(void)
{
    static const struct {
        uint32_t width;
        const char *line;
    } cases[] = {
        {80, "\nblur  [############            ]   50%  5/10  1.0/s  "
             "0:05 left\n"},
        {50, "\nblur  [#####      ]   50%  5/10  1.0/s  0:05 left\n"},
        {40, "\nblur   50%  5/10  1.0/s  0:05 left\n"},
        {28, "\nblur   50%  5/10  1.0/s\n"},
        {20, "\nblur   50%  5/10\n"},
        {10, "\nblur\n"},
        {3, "\nbl\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ipc_progress_bar bar;
        const int fd = new_file();
        const ipc_progress_bar_options options = on_file(fd, cases[i].width);
        assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 10, &options), 0);
        pretend(&bar, 5);
        ipc_progress_bar_update(&bar, 5);
        expect_part(file_text(fd), cases[i].line);
        close(fd);
    }
}

static void a_terminal_line_is_drawn_over(void)
{
    struct terminal t;
    ipc_progress_bar bar;
    set_variable("NO_COLOR", "1");
    open_terminal(&t, 60);
    const ipc_progress_bar_options options = on_fd(t.slave);
    assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 100, &options), 0);
    const char *text = seen(&t);
    assert_int_equal(text[strlen(text) - 1], '\r');
    const size_t first = strlen(text) - 1;
    assert_true(first < 60);

    pretend(&bar, 2); /* its line is shorter: covered by spaces */
    ipc_progress_bar_update(&bar, 100);
    text = seen(&t);
    expect_part(text, "100%  100/100  50/s  0:00 left");
    assert_true(strlen(text) - 1 >= first);

    ipc_progress_bar_end(&bar);
    text = seen(&t);
    assert_int_equal(text[strlen(text) - 1], '\n');
    expect_part(text, "100%  100/100  50/s  0:02");
    ipc_progress_bar_end(&bar);
    ipc_progress_bar_update(&bar, 1);
    assert_string_equal(seen(&t), "");
    close_terminal(&t);
}

static void it_follows_the_width_of_the_terminal(void)
{
    struct terminal t;
    ipc_progress_bar bar;
    set_variable("NO_COLOR", "1");
    open_terminal(&t, 80);
    const ipc_progress_bar_options options = on_fd(t.slave);
    assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 100, &options), 0);
    expect_part(seen(&t), "[");
    const struct winsize narrow = {.ws_row = 25, .ws_col = 30};
    assert_int_equal(ioctl(t.master, TIOCSWINSZ, &narrow), 0);
    bar.shown_ = 0;
    pretend(&bar, 2);
    ipc_progress_bar_update(&bar, 50);
    const char *text = seen(&t);
    expect_no_part(text, "[");
    assert_true(longest_line(text) < 30);
    close_terminal(&t);
}

static const char *drawn_with(const char *no_color, const char *term)
{
    struct terminal t;
    ipc_progress_bar bar;
    set_variable("NO_COLOR", no_color);
    set_variable("TERM", term);
    open_terminal(&t, 80);
    const ipc_progress_bar_options options = on_fd(t.slave);
    assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 100, &options), 0);
    const char *text = seen(&t);
    close_terminal(&t);
    return text;
}

static void colour_is_for_terminals_that_have_it(void)
{
    expect_part(drawn_with(NULL, "xterm"), "[\033[32m\033[0m ");
    expect_part(drawn_with("", "xterm"), "\033[32m");
    expect_no_part(drawn_with("1", "xterm"), "\033");
    expect_no_part(drawn_with(NULL, "dumb"), "\033");
    expect_no_part(drawn_with(NULL, NULL), "\033");
}

static void it_is_drawn_ten_times_a_second_at_most(void)
{
    struct terminal t;
    ipc_progress_bar bar;
    open_terminal(&t, 80);
    const ipc_progress_bar_options options = on_fd(t.slave);
    assert_int_equal(ipc_progress_bar_begin(&bar, "blur", 1000000, &options),
                     0);
    int drawn = 0;
    const int64_t began = test_now_ns();
    for (size_t i = 0; test_now_ns() - began < 250000000; i++)
        ipc_progress_bar_update(&bar, i);
    const int64_t took = test_now_ns() - began;
    for (const char *at = seen(&t); *at != '\0'; at++)
        drawn += *at == '\r';
    assert_true(drawn <= 1 + took / 100000000);
    test_report("drawn", drawn);
    close_terminal(&t);
}

static void too_much_is_all(void)
{
    ipc_progress_bar bar;
    const int fd = new_file();
    const ipc_progress_bar_options options = on_file(fd, 80);
    assert_int_equal(ipc_progress_bar_begin(&bar, "x", 10, &options), 0);
    ipc_progress_bar_update(&bar, 11);
    ipc_progress_bar_end(&bar);
    expect_part(file_text(fd), "100%  10/10");
    close(fd);
}

static void show_is_update(void)
{
    ipc_progress_bar bar;
    const int fd = new_file();
    const ipc_progress_bar_options options = on_file(fd, 80);
    assert_int_equal(ipc_progress_bar_begin(&bar, "x", 10, &options), 0);
    ipc_progress_bar_show(4, 10, &bar);
    ipc_progress_bar_end(&bar);
    expect_part(file_text(fd), " 40%  4/10");
    close(fd);
}

static void long_labels_are_cut_between_characters(void)
{
    ipc_progress_bar bar;
    const int fd = new_file();
    const ipc_progress_bar_options options = on_file(fd, 30);
    assert_int_equal(
        ipc_progress_bar_begin(&bar,
                               "\xc3\xa4\xc3\xb6\xc3\xbc" /* two bytes each */
                               "abcdefghijklmnopqrstuvwx\xc3\xa4yz",
                               0, &options),
        0);
    expect_part(file_text(fd), "abcdefghijklmnopqrstuvwx\n");
    ipc_progress_bar_end(&bar);
    close(fd);
}

static void bad_options_are_refused(void)
{
    ipc_progress_bar bar;
    ipc_progress_bar_options options = on_fd(-1);
    assert_int_equal(ipc_progress_bar_begin(&bar, "x", 1, &options), -EINVAL);
    options.size = 3;
    assert_int_equal(ipc_progress_bar_begin(&bar, "x", 1, &options), -EINVAL);
    struct {
        ipc_progress_bar_options options;
        int more;
    } newer = {.options = IPC_PROGRESS_BAR_OPTIONS_INIT, .more = 1};
    newer.options.size = sizeof newer;
    assert_int_equal(ipc_progress_bar_begin(&bar, "x", 1, &newer.options),
                     -E2BIG);
}

static const struct test_case cases[] = {
    TEST_CASE(what_is_no_terminal_gets_nothing),
    TEST_CASE(quiet_is_stronger_than_always),
    TEST_CASE(a_file_gets_lines_if_always),
    TEST_CASE(rate_and_time_are_short),
    TEST_CASE(hours_are_shown),
    TEST_CASE(without_a_total_it_counts),
    TEST_CASE(no_line_reaches_the_last_column),
    TEST_CASE(what_does_not_fit_goes_from_the_right),
    TEST_CASE(a_terminal_line_is_drawn_over),
    TEST_CASE(it_follows_the_width_of_the_terminal),
    TEST_CASE(colour_is_for_terminals_that_have_it),
    TEST_CASE(it_is_drawn_ten_times_a_second_at_most),
    TEST_CASE(too_much_is_all),
    TEST_CASE(show_is_update),
    TEST_CASE(long_labels_are_cut_between_characters),
    TEST_CASE(bad_options_are_refused),
};
TEST_MAIN(cases)
