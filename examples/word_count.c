/* The most frequent words of many files: map and reduce.
 *
 *     with ProcessPoolExecutor() as pool:
 *         for words in pool.map(count_words, files):     # map
 *             total.update(words)                        # reduce
 *     print(total.most_common(10))
 *
 *     word_count [FILE...]         (no file: the sources of libipc)
 *
 * A worker reads a file and counts; what it gives back is as long as there are
 * different words.  This process adds up the counts of each file as it is
 * done. */
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

/* The task: arg is the name of a file, the result a row of words. */
static int count_words(const void *arg, void *result, ipc_task *task)
{
    struct word_table table = {NULL, 0, 0};
    const char *path = arg;
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

static void add_counts(struct word_table *total, ipc_future *counts)
{
    const void *data;
    size_t bytes;
    int rc = ipc_future_borrow(counts, &data, &bytes, IPC_TIME_NOW);

    if (rc < 0)
        errx(2, "%s: %s", ipc_error_detail(), ipc_strerror(rc));
    for (const struct word *word = data;
         word < (const struct word *)data + bytes / sizeof *word; word++)
        word_table_add(total, word->text, strlen(word->text), word->count);
    check(ipc_future_free(counts));
}

static void count_files(struct word_table *total, char **paths, size_t n)
{
    ipc_future **counts = calloc(n, sizeof(ipc_future *));
    ipc_as_completed *next;
    ipc_progress_bar bar;
    ipc_pool *pool;
    size_t i;
    int rc;

    if (counts == NULL)
        err(1, "%zu files", n);
    check(ipc_progress_bar_begin(&bar, "count", n, NULL));
    check(ipc_pool_new(NULL, &pool));
    for (i = 0; i < n; i++)
        check(ipc_pool_submit(pool, count_words, paths[i], strlen(paths[i]) + 1,
                              0, &counts[i]));
    check(ipc_as_completed_begin(counts, n, &next));
    ipc_as_completed_progress(next, ipc_progress_bar_show, &bar);
    while ((rc = ipc_as_completed_next(next, IPC_TIME_FOREVER, &i)) > 0)
        add_counts(total, counts[i]);
    check(rc);
    ipc_as_completed_end(next);
    check(ipc_pool_free(pool));
    ipc_progress_bar_end(&bar);
    free(counts);
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
    char **paths = argv + 1;
    size_t n = (size_t)argc - 1;

    if (argc < 2) {
        /* There is one thread.  NOLINTNEXTLINE(concurrency-mt-unsafe) */
        if (glob(WORD_COUNT_FILES, 0, NULL, &found) != 0)
            errx(2, "there is no %s", WORD_COUNT_FILES);
        paths = found.gl_pathv;
        n = found.gl_pathc;
    }
    count_files(&total, paths, n);
    print_most(&total, n);
    word_table_free(&total);
    globfree(&found);
    return 0;
}
