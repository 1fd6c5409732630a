/* How many CPUs there are for us: affinity, and the control group's quota. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/maker.h"

#define PATH_ROOM 1024

const char *ipc__system_root = "";

/* The beginning of a file, as text; false: there is none. */
static bool read_text(const char *path, char *out, size_t room)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, out, room - 1);
    (void)close(fd);
    out[n < 0 ? 0 : n] = '\0';
    return n > 0;
}

static long long number_in(const char *path)
{
    char text[64];
    return read_text(path, text, sizeof text) ? strtoll(text, NULL, 10) : -1;
}

/* CPUs in thousandths, rounded up, or 0: no quota. */
static long long thousandths(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota > LLONG_MAX / 2000 ||
        period > LLONG_MAX / 2)
        return 0;
    return (quota * 1000 + period - 1) / period;
}

static long long quota_of_v2(const char *folder)
{
    char path[PATH_ROOM];
    char text[64];
    snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/cpu.max", ipc__system_root,
             folder);
    if (!read_text(path, text, sizeof text) || text[0] == 'm')
        return 0;
    char *after;
    const long long quota = strtoll(text, &after, 10);
    return thousandths(quota, strtoll(after, NULL, 10));
}

static long long quota_of_v1(const char *folder)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us",
             ipc__system_root, folder);
    const long long quota = number_in(path);
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu%s/cpu.cfs_period_us",
             ipc__system_root, folder);
    return thousandths(quota, number_in(path));
}

static void less_of(long long *least, long long found)
{
    if (found != 0 && (*least == 0 || found < *least))
        *least = found;
}

/* The group and those that it lies in. */
static long long quota_along(char *folder, long long (*quota)(const char *))
{
    long long least = 0;
    for (;;) {
        less_of(&least, quota(folder));
        char *slash = strrchr(folder, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

static bool is_cpu(const char *controllers, size_t length)
{
    for (size_t at = 0; at < length;) {
        const size_t n = strcspn(controllers + at, ",:");
        if (n == 3 && strncmp(controllers + at, "cpu", 3) == 0)
            return true;
        at += n + 1;
    }
    return false;
}

/* A line of /proc/self/cgroup: "0::/a/b", or "4:cpu,cpuacct:/a/b". */
static long long quota_of_line(char *line)
{
    char *controllers = strchr(line, ':');
    char *folder = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (folder == NULL)
        return 0;
    controllers++;
    const size_t length = (size_t)(folder - controllers);
    if (length == 0)
        return quota_along(folder + 1, quota_of_v2);
    return is_cpu(controllers, length) ? quota_along(folder + 1, quota_of_v1)
                                       : 0;
}

int ipc_cpu_quota(void)
{
    char text[4096];
    long long least = 0;
    int cpus = ipc_cpu_count();
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", ipc__system_root);
    if (read_text(path, text, sizeof text)) {
        char *rest = text;
        char *line;
        while ((line = strsep(&rest, "\n")) != NULL)
            less_of(&least, quota_of_line(line));
    }
    if (least != 0 && (least + 999) / 1000 < cpus)
        cpus = (int)((least + 999) / 1000);
    return cpus < 1 ? 1 : cpus;
}
