#include "process/arrange.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Another number for the one that lies at this, if one of the others does. */
static int make_room(struct ipc__arranged *places, uint32_t count,
                     const struct ipc__arranged *wanted)
{
    for (uint32_t i = 0; i < count; i++) {
        struct ipc__arranged *place = &places[i];
        if (place == wanted || place->fd != wanted->number)
            continue;
        const int fd = fcntl(place->fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return -errno;
        place->fd = fd; /* the old number is about to be written over */
        return 0;
    }
    return wanted->number > 2 && fcntl(wanted->number, F_GETFD) >= 0 ? -EBUSY
                                                                     : 0;
}

static int put(struct ipc__arranged *places, uint32_t count,
               struct ipc__arranged *place)
{
    const int flags = place->cloexec ? O_CLOEXEC : 0;
    if (place->fd == place->number)
        return fcntl(place->fd, F_SETFD, place->cloexec ? FD_CLOEXEC : 0) == 0
                   ? 0
                   : -errno;
    const int rc = make_room(places, count, place);
    if (rc != 0)
        return rc;
    if (dup3(place->fd, place->number, flags) < 0)
        return -errno;
    (void)close(place->fd);
    place->fd = place->number;
    return 0;
}

int ipc__arrange(struct ipc__arranged *places, uint32_t count)
{
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        if (places[i].number >= 0)
            rc = put(places, count, &places[i]);
    return rc;
}
