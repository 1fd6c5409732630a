/* The command line of a test program, and what it prints. */
#include "harness/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool verbose;

static void print_log(int log_fd)
{
    int copy = dup(log_fd);
    FILE *log = copy < 0 ? NULL : fdopen(copy, "r");
    if (log == NULL)
        return;
    rewind(log);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, log) > 0) {
        line[strcspn(line, "\n")] = '\0';
        /* cmocka's marks: "[   LINE   ] --- " */
        const char *text = line;
        if (text[0] == '[' && strncmp(text + 11, "] --- ", 6) == 0)
            text += 17;
        printf("        | %s\n", text);
    }
    free(line);
    (void)fclose(log);
}

static void print_outcome(const struct test_case *test,
                          const struct outcome *outcome)
{
    const struct case_page *page = outcome->page;
    static const char *const words[] = {"ok", "FAIL", "skip"};
    printf("  %-4s  %-44s %6ld ms", words[outcome->verdict], test->name,
           outcome->ms);
    for (uint32_t i = 0; i < page->report_count && i < PAGE_REPORTS; i++)
        printf("  %s=%lld", page->reports[i].name, page->reports[i].value);
    if (outcome->verdict == SKIPPED)
        printf("  %s", page->skip_reason);
    printf("\n");
    for (size_t i = 0; i < outcome->causes.count; i++)
        printf("        %s\n", outcome->causes.text[i]);
    if (outcome->verdict == FAILED || verbose)
        print_log(outcome->log_fd);
    (void)fflush(stdout);
}

/* ---- the command line ---- */

static bool is_named(const struct test_case *test, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        any = true;
        if (strcmp(argv[i], test->name) == 0)
            return true;
    }
    return !any;
}

static bool is_known(const char *name, const struct test_case *cases,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(cases[i].name, name) == 0)
            return true;
    return false;
}

/* Returns an exit code to stop with, or -1 to run cases. */
static int read_arguments(const struct test_case *cases, size_t count, int argc,
                          char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            for (size_t j = 0; j < count; j++)
                printf("%s\n", cases[j].name);
            return 0;
        }
        if (strcmp(argv[i], "-v") == 0) {
            verbose = true;
        } else if (argv[i][0] == '-' || !is_known(argv[i], cases, count)) {
            fprintf(stderr,
                    "no such case: %s\n"
                    "usage: %s [--list] [-v] [case...]\n",
                    argv[i], program_invocation_short_name);
            return 2;
        }
    }
    return -1;
}

/* The library's, in programs that start processes with it. */
extern void ipc_spawn_main(int argc, char **argv) __attribute__((weak));

int test_run(const struct test_case *cases, size_t count, int argc, char **argv)
{
    if (ipc_spawn_main != NULL)
        ipc_spawn_main(argc, argv);
    int stop = read_arguments(cases, count, argc, argv);
    if (stop >= 0)
        return stop;

    /* Orphans come to us.  A failed assertion ends the process it is in:
     * cmocka's own way, a longjmp to its runner, would in a forked process
     * land in the copy of a frame that belongs to the parent. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    (void)setenv("CMOCKA_TEST_ABORT", "1", 1);
    if (!test__shm_private()) {
        printf("(no private /dev/shm here: leftovers of other programs of "
               "this user count)\n");
        test__shm_alone();
    }

    test__catch_stop(true);
    int totals[3] = {0, 0, 0};
    int64_t start = test_now_ns();
    for (size_t i = 0; i < count; i++) {
        if (!is_named(&cases[i], argc, argv))
            continue;
        struct outcome outcome;
        test__run_case(&cases[i], &outcome);
        print_outcome(&cases[i], &outcome);
        totals[outcome.verdict]++;
        test__outcome_free(&outcome);
    }
    test__catch_stop(false);
    printf("%s: %d ok, %d failed, %d skipped, %.1f s\n",
           program_invocation_short_name, totals[PASSED], totals[FAILED],
           totals[SKIPPED], (double)(test_now_ns() - start) / 1e9);
    (void)fflush(stdout);
    if (totals[FAILED] > 0)
        return 1;
    return totals[PASSED] == 0 && totals[SKIPPED] > 0 ? TEST_SKIPPED : 0;
}
