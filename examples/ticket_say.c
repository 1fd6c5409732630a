#include "ticket_say.h"

#include <ipc/error.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void say(int fd, const char *format, ...)
{
    char line[PATH_MAX + 1024];
    va_list args;
    size_t length;

    va_start(args, format);
    vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);

    length = strlen(line);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[length++] = '\n';

    /* Nobody listens: that is no reason to stop selling. */
    if (write(fd, line, length) < 0)
        return;
}

int complain(const char *who, const char *what)
{
    say(STDERR_FILENO, "ticket-race: %s%s%s", who, *who ? ": " : "", what);
    return -1;
}

int complain_result(const char *who, const char *what, int result)
{
    const char *detail = ipc_error_detail();

    say(STDERR_FILENO, "ticket-race: %s%s%s: %s%s%s", who, *who ? ": " : "",
        what, ipc_strerror(result), *detail ? ": " : "", detail);
    return -1;
}
