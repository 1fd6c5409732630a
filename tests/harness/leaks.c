/* What a process has that it could leave behind, and what of it is new. */
#include "harness/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FAMILY_MEMORY "/memfd:libipc"

enum {
    SHOWN_CHILDREN = 4
};

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "3 -> /dev/null" for each descriptor but the one used for looking.  In front
 * of that, up to the SEPARATOR, by what it is known again: the path of a file
 * may be another one later, in another mount namespace. */
#define SEPARATOR "\t"

static void add_fd(struct lines *out, const char *number, const char *target)
{
    const int fd = (int)test__number(number, 10, NULL);
    struct stat st;
    if (!begins(target, "anon_inode:") && fstat(fd, &st) == 0)
        lines_add(out, "%d %ju:%ju" SEPARATOR "%d -> %s", fd,
                  (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, fd, target);
    else /* they all have the same inode */
        lines_add(out, "%d %s" SEPARATOR "%d -> %s", fd, target, fd, target);
}

static const char *shown(const char *line)
{
    return strstr(line, SEPARATOR) + strlen(SEPARATOR);
}

static bool has_same(const struct lines *set, const char *line)
{
    const size_t length = (size_t)(shown(line) - line);
    for (size_t i = 0; i < set->count; i++)
        if (strncmp(set->text[i], line, length) == 0)
            return true;
    return false;
}

static void list_fds(struct lines *out)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' ||
            test__number(entry->d_name, 10, NULL) == dirfd(dir))
            continue;
        char target[256];
        ssize_t length =
            readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = '\0';
        add_fd(out, entry->d_name, target);
    }
    (void)closedir(dir);
}

/* The fifth field of a line of /proc/self/maps. */
static long inode_of(const char *line)
{
    for (int i = 0; i < 4 && line != NULL; i++) {
        line = strchr(line, ' ');
        line = line == NULL ? NULL : line + 1;
    }
    return line == NULL ? 0 : test__number(line, 10, NULL);
}

/* The mapped files that are shared memory, each file once. */
static void list_mappings(struct lines *out)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        return;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, maps) > 0) {
        line[strcspn(line, "\n")] = '\0';
        const char *path = strchr(line, '/');
        if (path != NULL &&
            (begins(path, "/dev/shm/") || begins(path, "/memfd:")))
            lines_add(out, "%s, inode %ld", path, inode_of(line));
    }
    free(line);
    (void)fclose(maps);
}

static int count_threads(void)
{
    struct stat st;
    return stat("/proc/self/task", &st) == 0 ? (int)st.st_nlink - 2 : 0;
}

void test__held_now(struct held *out)
{
    *out = (struct held){.threads = count_threads()};
    list_fds(&out->fds);
    list_mappings(&out->mappings);
}

void test__held_free(struct held *held)
{
    lines_free(&held->fds);
    lines_free(&held->mappings);
}

/* Also the descriptor of the family's memory. */
static bool fd_allowed(const char *line)
{
    const char *target = strstr(line, " -> ") + 4;
    if (begins(target, FAMILY_MEMORY " ") || strcmp(target, FAMILY_MEMORY) == 0)
        return true;
    for (uint32_t i = 0; i < test__page->allowed_count; i++)
        if (begins(target, test__page->allowed[i]))
            return true;
    return false;
}

static void compare_fds(const struct lines *before, const struct lines *after)
{
    for (size_t i = 0; i < after->count; i++)
        if (!has_same(before, after->text[i]) && !fd_allowed(after->text[i]))
            test__leak("descriptor left open: %s", shown(after->text[i]));
    for (size_t i = 0; i < before->count; i++)
        if (!has_same(after, before->text[i]))
            test__leak("descriptor closed that was not the case's: %s",
                       shown(before->text[i]));
}

static void compare_mappings(const struct lines *before,
                             const struct lines *after)
{
    int families = 0;
    for (size_t i = 0; i < after->count; i++) {
        const char *text = after->text[i];
        if (begins(text, FAMILY_MEMORY) && ++families == 1)
            continue;
        if (!lines_has(before, text))
            test__leak("mapping left: %s", text);
    }
}

/* ThreadSanitizer's, which comes with the first thread after a fork. */
#ifdef __SANITIZE_THREAD__
enum {
    FOREIGN_THREADS = 1
};
#else
enum {
    FOREIGN_THREADS = 0
};
#endif

/* A thread that was joined may still be listed for a moment. */
static int new_threads(int before)
{
    int added = 0;
    for (int i = 0; i < 1000; i++) {
        added = count_threads() - before - FOREIGN_THREADS;
        if (added <= 0)
            break;
        (void)nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return added;
}

void test__held_compare(const struct held *before)
{
    struct held after;
    test__held_now(&after);
    compare_fds(&before->fds, &after.fds);
    compare_mappings(&before->mappings, &after.mappings);
    test__held_free(&after);

    int threads = new_threads(before->threads);
    if (threads > 0)
        test__leak("threads left running: %d", threads);

    struct lines children = {NULL, 0};
    (void)test__children(&children, true);
    for (size_t i = 0; i < children.count && i < SHOWN_CHILDREN; i++)
        test__leak("child left, running or not waited for: %s",
                   children.text[i]);
    if (children.count > SHOWN_CHILDREN)
        test__leak("and %zu children more", children.count - SHOWN_CHILDREN);
    lines_free(&children);
}

void test__shm_list(struct lines *out, bool only_mine)
{
    DIR *dir = opendir("/dev/shm");
    if (dir == NULL)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        struct stat st;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (only_mine && st.st_uid != geteuid()))
            continue;
        lines_add(out, "%s", name);
    }
    (void)closedir(dir);
}
