#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ipc/version.h>

static __thread char detail[1024];

void ipc__set_detail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
}

int ipc__fail_plain(int error)
{
    detail[0] = '\0';
    return error;
}

const char *ipc_error_detail(void)
{
    return detail;
}

static const struct {
    int code;
    const char *text;
} texts[] = {
    {IPC_OWNER_DIED, "held; its last owner died"},
    {0, "done"},
    {-EAGAIN, "would have to wait"},
    {-ETIMEDOUT, "timed out"},
    {-EDEADLK, "would wait for itself"},
    {-EPERM, "not permitted, or not the owner"},
    {-ENOTRECOVERABLE, "beyond repair: its owner died, or it is broken"},
    {-EBUSY, "in use"},
    {-EALREADY, "done already"},
    {-ECANCELED, "cancelled, or the barrier is broken"},
    {-EOWNERDEAD, "who was at it has died"},
    {-EOVERFLOW, "more than its bound"},
    {-ERANGE, "no such index"},
    {-ETIME, "its time was up"},
    {-ENOBUFS, "too many are in use"},
    {-EMSGSIZE, "it does not fit"},
    {-EXDEV, "belongs to another pid namespace"},
    {-EUCLEAN, "shared memory holds impossible content"},
    {-EPROTONOSUPPORT, "made by an incompatible version"},
    {-E2BIG, "options of a newer version"},
    {-EINVAL, "invalid argument"},
    {-ENOMEM, "out of memory"},
    {-ENOSPC, "no space left"},
    {-EPIPE, "closed, or the other side is gone"},
    {-ENOMSG, "the next message is of the other kind"},
    {-EPROTO, "what came is no message of libipc's"},
    {-EFBIG, "more than a limit permits"},
    {-ESTALE, "its lease has run out"},
    {-ENOTSUP, "not possible with this kind"},
    {-ECHILD, "a process that somebody else started or waited for"},
};

const char *ipc_strerror(int result)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].code == result)
            return texts[i].text;
    if (result > 0)
        return "done, with something to know";
    /* strerrordesc_np() is constant and thread-safe, unlike strerror(). */
    const char *text = result == INT32_MIN ? NULL : strerrordesc_np(-result);
    return text != NULL ? text : "unknown error";
}

int ipc_version_number(void)
{
    return IPC_VERSION_NUMBER;
}

const char *ipc_version(void)
{
    return IPC_VERSION_STRING;
}
