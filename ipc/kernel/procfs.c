#include "kernel/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read the start of a small /proc file as text.  Returns the length or a
 * negative errno.  A thread that ends while its file is open gives -ESRCH. */
static int read_file(const char *path, char *out, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n;
    do {
        n = read(fd, out, size - 1);
    } while (n < 0 && errno == EINTR);
    const int rc = n < 0 ? -errno : (int)n;
    close(fd);
    if (rc >= 0)
        out[rc] = '\0';
    return rc;
}

static int read_of(int tid, const char *name, char *out, size_t size)
{
    char path[48];
    if (tid == 0)
        snprintf(path, sizeof path, "/proc/thread-self/%s", name);
    else
        snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
    return read_file(path, out, size);
}

int ipc__proc_start_time(int tid, uint64_t *ticks)
{
    char text[512];
    const int n = read_of(tid, "stat", text, sizeof text);
    if (n < 0)
        return n;

    /* The second field is the name in parentheses and may hold anything; the
     * third is the state; the 22nd, nineteen further on, is the start. */
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ')
        return -EIO;
    const char state = at[2];
    at += 2;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (at == NULL)
            return -EIO;
        at++;
    }
    *ticks = strtoull(at, NULL, 10);
    return state == 'Z' || state == 'X' ? 1 : 0;
}

/* The value of "Name:\t<number>" in /proc/<tid>/status, or -1. */
static long status_number(int tid, const char *name)
{
    char text[4096];
    if (read_of(tid, "status", text, sizeof text) <= 0)
        return -1;
    const char *at = strstr(text, name);
    return at == NULL ? -1 : strtol(at + strlen(name), NULL, 10);
}

bool ipc__proc_is_ours(void)
{
    char text[16];
    const ssize_t n = readlink("/proc/self", text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return strtol(text, NULL, 10) == getpid();
}

bool ipc__proc_is_dumping(int tid)
{
    return status_number(tid, "\nCoreDumping:") == 1;
}

int ipc__proc_pid_of(int tid)
{
    const long pid = status_number(tid, "\nTgid:");
    return pid > 0 ? (int)pid : 0;
}

void ipc__proc_name(int tid, char *out, int size)
{
    const int n = read_of(tid, "comm", out, (size_t)size);
    if (n <= 0)
        out[0] = '\0';
    else
        out[strcspn(out, "\n")] = '\0';
}

uint64_t ipc__proc_pid_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}
