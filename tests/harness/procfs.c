/* Reading /proc. */
#include "harness/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool test__proc_read(pid_t tid, const char *what, char *out, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)tid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, out, size - 1);
    (void)close(fd);
    out[length < 0 ? 0 : length] = '\0';
    return length > 0;
}

long test__number(const char *text, int base, char **rest)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, base);
    if (rest != NULL)
        *rest = end;
    return end == text || errno != 0 ? -1 : value;
}

bool test__proc_state(pid_t tid, char *state, pid_t *parent)
{
    char text[512];
    if (!test__proc_read(tid, "stat", text, sizeof text))
        return false;
    /* The name before these fields may hold blanks and parentheses. */
    const char *name_end = strrchr(text, ')');
    if (name_end == NULL || strlen(name_end) < 5)
        return false;
    *state = name_end[2];
    *parent = (pid_t)test__number(name_end + 4, 10, NULL);
    return true;
}
