/* The most frequent words of many files: map and reduce.
 *
 *     with Pool() as pool:
 *         for words in pool.imap_unordered(count_words, files):   # map
 *             total.update(words)                                 # reduce
 *     print(total.most_common(10))
 *
 *     word_count [--quiet] [FILE...]     (no file: the sources of libipc)
 *
 * A worker reads a file and counts; what it gives back is as long as there are
 * different words.  This process adds up the counts of each file as it is done,
 * where the worker has put them. */
#include "word_table.h"

#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef WORD_COUNT_FILES
#    define WORD_COUNT_FILES "*.c"
#endif

enum {
    MOST = 10
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* ---- map: in a worker ---- */

static int count_stream(struct word_table *table, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int rc;

    errno = 0;
    while ((length = getline(&line, &room, file)) >= 0)
        word_table_add_text(table, line, (size_t)length);
    rc = feof(file) ? 0 : -errno;
    free(line);
    return rc;
}

/* The task: arg is the name of a file, which the worker has too, as it was
 * forked; the result is a row of words. */
static int count_words(const void *arg, void *result, ipc_task *task)
{
    struct word_table table = {NULL, 0, 0};
    const char *path = *(char *const *)arg;
    FILE *file = fopen(path, "re");
    int rc;

    (void)result;
    if (file == NULL)
        return ipc_task_fail(task, -errno, "%s", path);
    rc = count_stream(&table, file);
    fclose(file);
    word_table_sort(&table);
    if (rc < 0)
        rc = ipc_task_fail(task, rc, "%s", path);
    else
        rc = ipc_task_return(task, table.places,
                             table.used * sizeof *table.places);
    word_table_free(&table);
    return rc;
}

/* ---- reduce: here ---- */

static void add_counts(struct word_table *total, const struct word *words,
                       size_t n)
{
    for (const struct word *word = words; word < words + n; word++)
        word_table_add(total, word->text, strlen(word->text), word->count);
}

static void count_files(struct word_table *total, char **paths, size_t n,
                        bool quiet)
{
    const ipc_imap_source files = {
        .items = paths, .item_bytes = sizeof *paths, .count = n};
    ipc_map_options options = IPC_MAP_OPTIONS_INIT;
    ipc_progress_bar_options looks = IPC_PROGRESS_BAR_OPTIONS_INIT;
    ipc_progress_bar bar;
    ipc_imap *counts;
    ipc_pool *pool;
    const void *words;
    size_t bytes;
    int rc;

    looks.quiet = quiet;
    check(ipc_progress_bar_begin(&bar, "count", n, &looks));
    options.progress = ipc_progress_bar_show;
    options.progress_arg = &bar;
    check(ipc_pool_new(NULL, &pool));
    check(ipc_pool_imap_unordered(pool, count_words, &files, 0, &options,
                                  &counts));
    while ((rc = ipc_imap_borrow(counts, &words, &bytes, IPC_TIME_FOREVER)) > 0)
        add_counts(total, words, bytes / sizeof(struct word));
    if (rc < 0)
        errx(2, "%s: %s", ipc_error_detail(), ipc_strerror(rc));
    ipc_imap_end(counts);
    check(ipc_pool_free(pool));
    ipc_progress_bar_end(&bar);
}

static void print_most(struct word_table *total, size_t files)
{
    size_t words = 0;

    word_table_sort(total);
    for (size_t i = 0; i < total->used; i++)
        words += total->places[i].count;
    for (size_t i = 0; i < MOST && i < total->used; i++)
        printf("%7u %s\n", total->places[i].count, total->places[i].text);
    printf("words: %zu, different ones: %zu, files: %zu\n", words, total->used,
           files);
}

int main(int argc, char **argv)
{
    struct word_table total = {NULL, 0, 0};
    glob_t found = {0};
    const bool quiet = argc > 1 && strcmp(argv[1], "--quiet") == 0;
    char **paths = argv + 1 + quiet;
    size_t n = (size_t)argc - 1 - quiet;

    if (n == 0) {
        /* There is one thread.  NOLINTNEXTLINE(concurrency-mt-unsafe) */
        if (glob(WORD_COUNT_FILES, 0, NULL, &found) != 0)
            errx(2, "there is no %s", WORD_COUNT_FILES);
        paths = found.gl_pathv;
        n = found.gl_pathc;
    }
    count_files(&total, paths, n, quiet);
    print_most(&total, n);
    word_table_free(&total);
    globfree(&found);
    return 0;
}
