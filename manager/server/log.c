/* The log: lines for the program that started us, not too many a second. */
#include <stdarg.h>
#include <stdio.h>

#include "server/core.h"

#define LINES_A_SECOND 10
#define SECOND         ((int64_t)1000000000)

/* False: it is one too many. */
static bool may_log(struct ipcm__server *server)
{
    if (server->now - server->log.second >= SECOND) {
        const uint32_t dropped = server->log.dropped;
        server->log.second = server->now;
        server->log.lines = 0;
        server->log.dropped = 0;
        if (dropped != 0)
            ipcm__log(server, IPC_MANAGER_LOG_WARNING,
                      "%u lines more were not logged", dropped);
    }
    if (server->log.lines < LINES_A_SECOND) {
        server->log.lines++;
        return true;
    }
    server->log.dropped++;
    return false;
}

void ipcm__log(struct ipcm__server *server, int level, const char *format, ...)
{
    const struct ipcm__config *config = server->config;
    char line[512];
    va_list args;
    if (config->log == NULL || !may_log(server))
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    config->log(config->arg, level, line);
}
