/* Notify: sd_notify(3) in a few lines.  NOTIFY_SOCKET is a path, or with '@'
 * for its first byte an abstract name. */
#include "managerd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ipc/error.h>

/* The length of the address; 0: it is none of these. */
static socklen_t read_address(const char *text, struct sockaddr_un *out)
{
    const size_t bytes = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || bytes < 2 ||
        bytes >= sizeof out->sun_path)
        return 0;
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, text, bytes);
    if (text[0] == '@')
        out->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
}

static int send_to(struct sockaddr_un *address, socklen_t bytes,
                   const char *state)
{
    struct iovec part = {(char *)(uintptr_t)state, strlen(state)};
    const struct msghdr message = {.msg_name = address,
                                   .msg_namelen = bytes,
                                   .msg_iov = &part,
                                   .msg_iovlen = 1};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const int rc = sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
    (void)close(fd);
    return rc;
}

void managerd_notify(const char *state)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment. */
    const char *text = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    if (text == NULL)
        return;
    const socklen_t bytes = read_address(text, &address);
    const int rc = bytes == 0 ? -EINVAL : send_to(&address, bytes, state);
    if (rc < 0)
        managerd_log(IPC_MANAGER_LOG_WARNING, "NOTIFY_SOCKET is %s: %s", text,
                     ipc_strerror(rc));
}
