/* What embedded servers have left that were killed, or whose starter was: a
 * socket and a lock file each, whose names nobody will use again.
 *
 * Order  As for a door that is opened: lock, look whether the lock file is
 *        still the one in the folder and whether nobody answers, remove the
 *        socket, then the lock file.  A lock file without a socket may be of a
 *        server that is about to lock it: it is left alone for a while.
 * Death  What is left then is found by the next one. */
#include "net/door.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sys/stat.h>
#include <unistd.h>

#define BEGIN     "m-"
#define DIGITS    16
#define LOCK      ".lock"
#define YOUNG_FOR 60 /* seconds */

/* "m-0123456789abcdef.lock": those of ipcm__address_default(). */
static bool is_name(const char *name)
{
    const size_t begin = sizeof BEGIN - 1;
    return strncmp(name, BEGIN, begin) == 0 &&
           strspn(name + begin, "0123456789abcdef") == DIGITS &&
           strcmp(name + begin + DIGITS, LOCK) == 0;
}

static bool is_young(const struct stat *lock, const char *socket)
{
    struct stat st;
    return lstat(socket, &st) != 0 && lock->st_mtime + YOUNG_FOR > time(NULL);
}

static void sweep_one(const char *folder, const char *name)
{
    struct ipcm__address address = {.transport = IPCM__UNIX};
    struct stat st;
    char lock[sizeof address.path + sizeof LOCK];
    const int n = snprintf(lock, sizeof lock, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof lock)
        return;
    memcpy(address.path, lock, (size_t)n - (sizeof LOCK - 1));
    if (lstat(lock, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_uid != geteuid() || is_young(&st, address.path))
        return;
    ipcm__door_clear_unix(&address);
}

/* Where others may write, they may also put things in place of others. */
static bool is_ours_alone(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void ipcm__doors_sweep(const struct ipcm__address *address)
{
    char folder[sizeof address->path];
    const char *slash = strrchr(address->path, '/');
    if (slash == NULL || slash == address->path)
        return;
    memcpy(folder, address->path, (size_t)(slash - address->path));
    folder[slash - address->path] = '\0';
    const int fd =
        open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    DIR *all = is_ours_alone(fd) ? fdopendir(fd) : NULL;
    if (all == NULL) {
        close(fd);
        return;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours */
    for (const struct dirent *at; (at = readdir(all)) != NULL;)
        if (is_name(at->d_name))
            sweep_one(folder, at->d_name);
    (void)closedir(all);
}
