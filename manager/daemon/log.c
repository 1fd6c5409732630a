/* Log: lines to standard error.
 *
 * Each is one write(), and only when there is room for it, so that a server
 * does not wait for who reads its log.  A pipe or socket that can be written at
 * all has room for a line: these are shorter than PIPE_BUF. */
#include "managerd.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <ipc/error.h>

#define LINE_BYTES 1024
_Static_assert(LINE_BYTES <= PIPE_BUF, "a line is written in one piece");

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int level;
    bool journal;
    unsigned lost;
} state = {IPC_MANAGER_LOG_INFO, false, 0};

/* JOURNAL_STREAM names what standard error was when we were started; it may
 * have been redirected since. */
static bool is_journal(const char *stream)
{
    struct stat about;
    char *end;
    if (stream == NULL || fstat(STDERR_FILENO, &about) != 0)
        return false;
    const unsigned long long device = strtoull(stream, &end, 10);
    if (*end != ':')
        return false;
    const unsigned long long inode = strtoull(end + 1, &end, 10);
    return *end == '\0' && device == about.st_dev && inode == about.st_ino;
}

void managerd_log_begin(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet. */
    state.journal = is_journal(getenv("JOURNAL_STREAM"));
}

void managerd_log_level(int level)
{
    state.level = level;
}

static const char *name_of(int level)
{
    if (level <= IPC_MANAGER_LOG_ERROR)
        return "error: ";
    if (level == IPC_MANAGER_LOG_WARNING)
        return "warning: ";
    return level >= IPC_MANAGER_LOG_DEBUG ? "debug: " : "";
}

/* False: there is no room for it. */
static bool put(int level, const char *text)
{
    struct pollfd place = {.fd = STDERR_FILENO, .events = POLLOUT};
    char line[LINE_BYTES];
    if (state.journal)
        (void)snprintf(line, sizeof line - 1, "<%d>%s", level, text);
    else
        (void)snprintf(line, sizeof line - 1, "ipc-managerd: %s%s",
                       name_of(level), text);
    size_t bytes = strlen(line);
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[bytes++] = '\n';
    if (poll(&place, 1, 0) != 1 || (place.revents & POLLOUT) == 0)
        return false;
    return write(STDERR_FILENO, line, bytes) == (ssize_t)bytes;
}

static void put_or_count(int level, const char *text)
{
    char told[64];
    if (state.lost != 0) {
        (void)snprintf(told, sizeof told, "%u lines were not read, and lost",
                       state.lost);
        if (put(IPC_MANAGER_LOG_WARNING, told))
            state.lost = 0;
    }
    if (state.lost != 0 || !put(level, text))
        state.lost++;
}

void managerd_log_line(void *arg, int level, const char *line)
{
    (void)arg;
    if (level > state.level)
        return;
    (void)pthread_mutex_lock(&guard);
    put_or_count(level, line);
    (void)pthread_mutex_unlock(&guard);
}

void managerd_log(int level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    managerd_log_line(NULL, level, line);
}
