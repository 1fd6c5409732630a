/* What the parts of the runner share.  Not for tests. */
#ifndef HARNESS_INTERNAL_H
#define HARNESS_INTERNAL_H

#include "harness/harness.h"

#include <sys/types.h>

/* Sanitizers own malloc(), trap signals, and start threads. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define TEST_SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
        __has_feature(memory_sanitizer)
#        define TEST_SANITIZED 1
#    endif
#endif

/* ---- lines.c: a set of texts, to compare before with after ---- */

enum {
    LINE_SIZE = 512
};

struct lines {
    char (*text)[LINE_SIZE];
    size_t count;
};

void lines_add(struct lines *set, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool lines_has(const struct lines *set, const char *text);
void lines_free(struct lines *set);

/* ---- page.c: memory that the runner and its case share ---- */

enum {
    PAGE_REPORTS = 40,
    PAGE_ALLOWED = 4
};

struct case_page {
    uint32_t finished; /* the case returned */
    uint32_t report_count;
    struct case_report {
        char name[40];
        long long value;
    } reports[PAGE_REPORTS];
    uint32_t allowed_count;
    char allowed[PAGE_ALLOWED][64]; /* prefixes given to test_allow_fd() */
    char skip_reason[256];
    char tmpdir[128]; /* empty: not asked for */
    char leaks[4096]; /* a line for each thing left in the case's process */
};

/* Of the case that this process belongs to; NULL outside of one. */
extern struct case_page *test__page;

/* Append a line to page->leaks. */
void test__leak(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- leaks.c: what a process has, and what is new ---- */

struct held {
    struct lines fds;
    struct lines mappings;
    int threads;
};

void test__held_now(struct held *out);
void test__held_free(struct held *held);

/* test__leak() each difference. */
void test__held_compare(const struct held *before);

/* Names in /dev/shm; only_mine: of files that belong to this user. */
void test__shm_list(struct lines *out, bool only_mine);

/* ---- procfs.c ---- */

/* The text of /proc/tid/what.  False: none. */
bool test__proc_read(pid_t tid, const char *what, char *out, size_t size);

/* The number that a text begins with; -1: none.  rest, if not NULL, is set
 * behind it. */
long test__number(const char *text, int base, char **rest);

/* Its state, as ps shows it, and its parent.  False: no such thread. */
bool test__proc_state(pid_t tid, char *state, pid_t *parent);

/* ---- processes.c: children and orphans ---- */

/* "pid 12 (name) S, in system call 202" */
void test__describe(pid_t pid, char *out, size_t size);

/* The children of this process, ended or not: describes the first ones, and
 * returns how many there are. */
int test__children(struct lines *out, bool with_ended);

/* Kill and reap until there is no child. */
void test__kill_children(void);

/* ---- shm_private.c ---- */

/* Give this process a /dev/shm of its own, once.  False: not permitted, or not
 * wanted. */
bool test__shm_private(void);

/* Where that is not to be had: wait until no other test program uses the
 * machine's. */
void test__shm_alone(void);

/* A private one with these options of tmpfs, every time. */
bool test__own_shm(const char *options);

/* ---- case.c ---- */

/* Set when calls fail that what runs at exit() may need. */
extern bool test__unfit_to_exit;

/* The life of a case's process. */
_Noreturn void test__case_main(const struct test_case *test, int log_fd,
                               pid_t runner);

/* ---- runner.c ---- */

enum verdict {
    PASSED,
    FAILED,
    SKIPPED
};

struct outcome {
    enum verdict verdict;
    int status; /* as waitpid() gives it */
    long ms;
    struct lines causes; /* of a failure */
    struct case_page *page;
    int log_fd; /* what the case printed */
};

/* Let SIGINT and SIGTERM end the program, if yes after cleaning up. */
void test__catch_stop(bool yes);

/* Run one case.  Free the outcome after use. */
void test__run_case(const struct test_case *test, struct outcome *outcome);
void test__outcome_free(struct outcome *outcome);

#endif
