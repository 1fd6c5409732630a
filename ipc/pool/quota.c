/* How many CPUs there are for us: affinity, and the control group's quota. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/pool.h>

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

/* CPUs in thousandths, or 0: no quota. */
static long long quota_of_v2(const char *folder)
{
    char path[600];
    char text[64];
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", folder);
    if (!read_text(path, text, sizeof text) || text[0] == 'm')
        return 0;
    char *after;
    const long long quota = strtoll(text, &after, 10);
    const long long period = strtoll(after, NULL, 10);
    return quota > 0 && period > 0 ? quota * 1000 / period : 0;
}

static long long quota_of_v1(const char *folder)
{
    char path[600];
    snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us",
             folder);
    const long long quota = number_in(path);
    snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us",
             folder);
    const long long period = number_in(path);
    return quota > 0 && period > 0 ? quota * 1000 / period : 0;
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
    if (read_text("/proc/self/cgroup", text, sizeof text)) {
        char *rest = text;
        char *line;
        while ((line = strsep(&rest, "\n")) != NULL)
            less_of(&least, quota_of_line(line));
    }
    if (least != 0 && (least + 999) / 1000 < cpus)
        cpus = (int)((least + 999) / 1000);
    return cpus < 1 ? 1 : cpus;
}
