/* What is printed around the start of a process is printed once, and what it
 * has read stays read. */
#include "unit/process_support.h"

#include <pthread.h>

static char output[300]; /* path of the file that a program writes to */

static const char *in_tmpdir(const char *name)
{
    (void)snprintf(output, sizeof output, "%s/%s", test_tmpdir(), name);
    return output;
}

static void read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    (void)fclose(file);
}

/* Run a program whose standard output is a file, with a buffer of its own,
 * and compare what is in it at the end. */
static void expect_output(void (*program)(void *), void *arg, const char *text)
{
    char got[1000];
    struct role role;
    (void)unlink(in_tmpdir("output"));
    role_start(&role, program, arg);
    role_wait_ok(&role, LIMIT_MS);
    read_file(output, got, sizeof got);
    assert_string_equal(got, text);
}

static void print_to_the_file(void)
{
    assert_non_null(freopen(output, "we", stdout));
    (void)setvbuf(stdout, NULL, _IOFBF, 4096);
}

/* ---- standard output ---- */

enum {
    BY_RETURN,
    BY_EXIT,
    BY__EXIT,
    BY_KILL
};

static int print_and_leave(void *arg)
{
    printf("child,");
    switch (*(int *)arg) {
    case BY_EXIT:
        leave(0);
    case BY__EXIT:
        _exit(0);
    case BY_KILL:
        (void)raise(SIGKILL);
        return 0;
    default:
        return 0;
    }
}

static void print_around_a_child(void *arg)
{
    const int code = *(int *)arg == BY_KILL ? -SIGKILL : 0;
    print_to_the_file();
    printf("before,");
    assert_int_equal(run(print_and_leave, arg), code);
    assert_int_equal(run_daemon(print_and_leave, arg), code);
    printf("after");
    leave(0);
}

static void text_is_printed_once(void)
{
    static const struct {
        int way;
        const char *text;
    } table[] = {
        {BY_RETURN, "before,child,child,after"},
        {BY_EXIT, "before,child,child,after"},
        {BY__EXIT, "before,after"}, /* says so itself */
        {BY_KILL, "before,after"},
    };
    /* ThreadSanitizer flushes at _exit(), and kills itself. */
    for (int i = 0; i < (THREAD_SANITIZED ? 2 : 4); i++) {
        int way = table[i].way;
        expect_output(print_around_a_child, &way, table[i].text);
    }
}

static void *run_a_child(void *arg)
{
    assert_int_equal(run(print_and_leave, arg), 0);
    return NULL;
}

/* Another thread holds the lock of an input stream all the while. */
static void *read_for_good(void *arg)
{
    (void)fgetc(arg);
    return NULL;
}

static void print_around_a_child_with_threads(void *arg)
{
    int ends[2];
    pthread_t reader, starter;
    print_to_the_file();
    assert_int_equal(pipe(ends), 0);
    FILE *stream = fdopen(ends[0], "r");
    assert_non_null(stream);
    assert_int_equal(pthread_create(&reader, NULL, read_for_good, stream), 0);
    while (ftrylockfile(stream) == 0) {
        funlockfile(stream);
        poll_pause();
    }
    printf("before,");
    assert_int_equal(pthread_create(&starter, NULL, run_a_child, arg), 0);
    (void)pthread_join(starter, NULL);
    printf("after");
    (void)close(ends[1]);
    (void)pthread_join(reader, NULL);
    leave(0);
}

static void text_is_printed_once_by_programs_with_threads(void)
{
    int way = BY_RETURN;
    expect_output(print_around_a_child_with_threads, &way,
                  "before,child,after");
}

static int start_another(void *arg)
{
    printf("1,");
    assert_int_equal(run(print_and_leave, arg), 0);
    printf("2,");
    return 0;
}

static void print_around_generations(void *arg)
{
    print_to_the_file();
    printf("0,");
    assert_int_equal(run(start_another, arg), 0);
    printf("3");
    leave(0);
}

static void text_is_printed_once_by_all_generations(void)
{
    int way = BY_RETURN;
    expect_output(print_around_generations, &way, "0,1,child,2,3");
}

static void handler(void)
{
    printf("handler");
}

static int print_in_the_handlers(void *unused)
{
    (void)unused;
    assert_int_equal(atexit(handler), 0);
    leave(0);
}

static void run_a_child_with_a_handler(void *unused)
{
    (void)unused;
    print_to_the_file();
    assert_int_equal(run(print_in_the_handlers, NULL), 0);
    leave(0);
}

static void text_of_exit_handlers_is_printed(void)
{
    expect_output(run_a_child_with_a_handler, NULL, "handler");
}

/* ---- other streams ---- */

static FILE *stream; /* of the program */

static int print_to_the_stream(void *unused)
{
    (void)unused;
    fprintf(stream, "child,");
    return 0;
}

static void print_to_a_stream(void *unused)
{
    (void)unused;
    stream = fopen(output, "we");
    assert_non_null(stream);
    fprintf(stream, "before,");
    assert_int_equal(run(print_to_the_stream, NULL), 0);
    fprintf(stream, "after");
    leave(0);
}

static void text_in_other_streams_is_printed_once(void)
{
    if (THREAD_SANITIZED)
        test_skip("a program with threads flushes the standard streams only");
    expect_output(print_to_a_stream, NULL, "before,child,after");
}

/* A child that ends does not move the place at which its parent reads, which
 * they share: exit() would. */
static int read_a_line(void *unused)
{
    char line[20];
    (void)unused;
    assert_non_null(fgets(line, sizeof line, stream));
    return line[0];
}

static void parent_goes_on_reading_where_it_was(void)
{
    char line[20];
    FILE *file = fopen(in_tmpdir("input"), "we");
    assert_non_null(file);
    for (int i = 0; i < 5000; i++)
        fprintf(file, "%d\n", i);
    (void)fclose(file);
    stream = fopen(output, "re");
    assert_non_null(stream);
    for (int i = 0; i < 5000; i++) {
        assert_non_null(fgets(line, sizeof line, stream));
        assert_int_equal(strtol(line, NULL, 10), i);
        if (i % 500 == 10) {
            assert_int_equal(run(return_zero, NULL), 0);
            assert_int_equal(run(read_a_line, NULL), line[0]);
        }
    }
    (void)fclose(stream);
}

static const struct test_case cases[] = {
    TEST_CASE(text_is_printed_once),
    TEST_CASE(text_is_printed_once_by_programs_with_threads),
    TEST_CASE(text_is_printed_once_by_all_generations),
    TEST_CASE(text_of_exit_handlers_is_printed),
    TEST_CASE(text_in_other_streams_is_printed_once),
    TEST_CASE(parent_goes_on_reading_where_it_was),
};
TEST_MAIN(cases)
