/* Memory that the runner and its case share: how the case reports. */
#include "harness/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct case_page *test__page;

void test__leak(const char *format, ...)
{
    size_t used = strlen(test__page->leaks);
    size_t room = sizeof test__page->leaks - used;
    if (room < 2)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(test__page->leaks + used, room - 1, format, args);
    va_end(args);
    used = strlen(test__page->leaks);
    test__page->leaks[used] = '\n';
    test__page->leaks[used + 1] = '\0';
}

void test_skip(const char *reason, ...)
{
    if (test__page != NULL) {
        va_list args;
        va_start(args, reason);
        (void)vsnprintf(test__page->skip_reason, sizeof test__page->skip_reason,
                        reason, args);
        va_end(args);
    }
    (void)fflush(stdout);
    _exit(TEST_SKIPPED);
}

void test_fail_at(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    _fail(file, line);
    abort(); /* _fail() does not return; its declaration does not say so */
}

void test_report(const char *name, long long value)
{
    struct case_page *page = test__page;
    if (page == NULL)
        return;
    for (uint32_t i = 0; i < page->report_count; i++) {
        if (strncmp(page->reports[i].name, name,
                    sizeof page->reports[i].name - 1) == 0) {
            page->reports[i].value = value;
            return;
        }
    }
    uint32_t i = __atomic_fetch_add(&page->report_count, 1, __ATOMIC_SEQ_CST);
    if (i >= PAGE_REPORTS)
        test_fail("more than %d figures reported", (int)PAGE_REPORTS);
    (void)snprintf(page->reports[i].name, sizeof page->reports[i].name, "%s",
                   name);
    page->reports[i].value = value;
}

const char *test_tmpdir(void)
{
    char *path = test__page->tmpdir;
    if (path[0] != '\0')
        return path;
    const char *root = getenv("TMPDIR");
    if (root == NULL || root[0] != '/' || strlen(root) > 64)
        root = "/tmp";
    (void)snprintf(path, sizeof test__page->tmpdir, "%s/ipc-test-XXXXXX", root);
    if (mkdtemp(path) == NULL)
        test_fail("no temporary folder %s: %m", path);
    return path;
}

void test_allow_fd(const char *target_prefix)
{
    uint32_t i = test__page->allowed_count++;
    if (i >= PAGE_ALLOWED)
        test_fail("more than %d calls of test_allow_fd()", (int)PAGE_ALLOWED);
    (void)snprintf(test__page->allowed[i], sizeof test__page->allowed[i], "%s",
                   target_prefix);
}

int test_shm_names(void)
{
    struct lines names = {NULL, 0};
    test__shm_list(&names, false);
    int count = (int)names.count;
    lines_free(&names);
    return count;
}

void *test_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        test_fail("no shared memory of %zu bytes", size);
    return memory;
}

int64_t test_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
