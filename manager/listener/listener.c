/* Listeners.
 *
 * State
 *   An epoll set with the door and those that are in the handshake, several at
 *   a time, each with a deadline; under lock.  Its descriptor is what programs
 *   poll.  Of what is ready no more is done than what the next link needs, so
 *   that it stays readable while there is more.
 *
 * Fork
 *   A child has the door, and those in the handshake are its parent's: in its
 *   first call it makes an epoll set of its own.  An entry is removed from the
 *   set before its descriptor is closed: a child's copy would keep it there.
 *
 * Death
 *   The kernel closes it all; the next listener at the address removes the
 *   socket's file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "client/dial.h"
#include "client/fork.h"
#include "fail.h"
#include "list.h"
#include "listener/link.h"
#include "listener/meet.h"

#define HANDSHAKE_MS 2000u
#define BACKLOG      128u
#define EVENTS       64

struct ipc_listener {
    pthread_mutex_t lock;
    int32_t pid;   /* whose epoll set it is */
    int32_t maker; /* who removes the file */
    struct ipcm__door door;
    struct ipcm__meeting meeting;
    char address[IPCM__ADDRESS_TEXT];
    char last[64];
};

/* ---- making ---- */

static int take_key(struct ipcm__meeting *meeting, const void *key,
                    size_t bytes)
{
    if (bytes < IPC_MANAGER_KEY_MIN || bytes > IPC_MANAGER_KEY_MAX)
        return ipcm__fail(-EINVAL,
                          "the key has %zu bytes; %u to %u are permitted",
                          bytes, IPC_MANAGER_KEY_MIN, IPC_MANAGER_KEY_MAX);
    memcpy(meeting->key, key, bytes);
    meeting->key_bytes = bytes;
    return 0;
}

static int begin_tls(ipc_listener *listener, const ipc_link_options *options)
{
    if (listener->door.address.transport != IPCM__TLS)
        return 0;
    const struct ipcm__tls_options tls = {
        .server = true,
        .certificate = options->tls_certificate,
        .key = options->tls_key,
        .ca = options->tls_ca,
    };
    if (tls.certificate == NULL || tls.key == NULL)
        return ipcm__fail(-EINVAL, "a listener over tls needs a certificate "
                                   "and its key");
    return ipcm__shared_tls_new(&tls, &listener->meeting.tls);
}

static int watch_door(ipc_listener *listener)
{
    struct epoll_event event = {.events = EPOLLIN};
    listener->meeting.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listener->meeting.epoll < 0)
        return ipcm__fail(-errno, "no descriptor for a listener: %s",
                          ipc_strerror(-errno));
    if (epoll_ctl(listener->meeting.epoll, EPOLL_CTL_ADD, listener->door.fd,
                  &event) != 0)
        return ipcm__fail(-errno, "the listener cannot be watched: %s",
                          ipc_strerror(-errno));
    listener->pid = getpid();
    return 0;
}

static int open_door(ipc_listener *listener, const char *address,
                     const ipc_link_options *options)
{
    struct ipcm__address where;
    int rc = ipcm__address_parse(address, &where);
    if (rc == 0)
        rc = ipcm__door_open(&where,
                             (options->flags & IPC_LINK_PLAIN_TCP) != 0
                                 ? IPCM__DOOR_PLAIN_TCP
                                 : 0,
                             &listener->door);
    if (rc != 0)
        return rc;
    const uint32_t backlog = options->backlog != 0 ? options->backlog : BACKLOG;
    (void)listen(listener->door.fd,
                 backlog > INT32_MAX ? INT32_MAX : (int)backlog);
    listener->maker = getpid();
    ipcm__address_format(&listener->door.address, listener->address,
                         sizeof listener->address);
    rc = begin_tls(listener, options);
    if (rc == 0)
        rc = watch_door(listener);
    if (rc != 0)
        ipcm__door_close(&listener->door);
    return rc;
}

int ipc_listener_new(const char *address, const void *key, size_t key_bytes,
                     const ipc_link_options *options, ipc_listener **out)
{
    ipc_link_options given;
    int rc = ipcm__link_options(options, HANDSHAKE_MS, &given);
    if (rc != 0)
        return rc;
    ipc_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a listener");
    struct ipcm__meeting *meeting = &listener->meeting;
    list_init(&meeting->guests);
    meeting->epoll = -1;
    meeting->max_bytes = given.max_bytes;
    meeting->handshake_ms = given.connect_ms;
    rc = take_key(meeting, key, key_bytes);
    if (rc == 0)
        rc = ipcm__forks_watch();
    if (rc == 0)
        rc = open_door(listener, address, &given);
    if (rc != 0) {
        ipcm__meeting_end(meeting);
        free(listener);
        return rc;
    }
    pthread_mutex_init(&listener->lock, NULL);
    *out = listener;
    return 0;
}

int ipc_listener_close(ipc_listener *listener)
{
    if (listener == NULL)
        return 0;
    if (listener->pid != getpid())
        ipcm__meeting_forget(&listener->meeting);
    ipcm__meeting_end(&listener->meeting);
    if (listener->maker == getpid())
        ipcm__door_close(&listener->door);
    else
        ipcm__door_forget(&listener->door);
    pthread_mutex_destroy(&listener->lock);
    free(listener);
    return 0;
}

/* ---- accepting ---- */

/* In a child the lock may be held by a thread that is not there. */
static int begin_in_child(ipc_listener *listener)
{
    pthread_mutex_init(&listener->lock, NULL);
    ipcm__meeting_forget(&listener->meeting);
    close(listener->meeting.epoll);
    listener->meeting.epoll = -1;
    return watch_door(listener);
}

static int be_this_process(ipc_listener *listener)
{
    int rc = 0;
    ipcm__forks_lock();
    if (listener->pid != getpid())
        rc = begin_in_child(listener);
    ipcm__forks_unlock();
    return rc;
}

static int let_in(ipc_listener *listener)
{
    for (;;) {
        struct ipcm__peer peer;
        int fd = -1;
        int rc = ipcm__door_accept(&listener->door, &fd, &peer);
        if (rc == -EAGAIN)
            return 0;
        if (rc != 0)
            return rc;
        if (peer.transport == IPCM__UNIX && peer.pidfd >= 0)
            close(peer.pidfd);
        rc = ipcm__meeting_add(&listener->meeting, fd, &peer);
        if (rc != 0)
            return rc;
    }
}

/* 1: there is one; 0: not yet.  One event at a time: what is done for it may
 * send another guest away. */
static int look(ipc_listener *listener, ipc_link **out)
{
    struct epoll_event event;
    int rc = 0;
    for (int i = 0; rc == 0 && i < EVENTS; i++) {
        if (epoll_wait(listener->meeting.epoll, &event, 1, 0) != 1)
            break;
        struct ipcm__guest *guest = event.data.ptr;
        rc = guest == NULL
                 ? let_in(listener)
                 : ipcm__meeting_go_on(&listener->meeting, guest, out,
                                       listener->last, sizeof listener->last);
    }
    ipcm__meeting_expire(&listener->meeting);
    return rc;
}

static int try_accept(ipc_listener *listener, ipc_link **out,
                      ipc_deadline *patience)
{
    int rc = be_this_process(listener);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&listener->lock);
    rc = look(listener, out);
    *patience = ipcm__meeting_next(&listener->meeting);
    pthread_mutex_unlock(&listener->lock);
    return rc;
}

int ipc_listener_accept_until(ipc_listener *listener, ipc_link **out,
                              ipc_deadline deadline)
{
    for (;;) {
        ipc_deadline next = IPC_TIME_FOREVER;
        ipc_link *link = NULL;
        int rc = try_accept(listener, &link, &next);
        if (rc == 1)
            *out = link;
        if (rc != 0)
            return rc == 1 ? 0 : rc;
        if (deadline == IPC_TIME_NOW)
            return ipcm__fail(-EAGAIN, "%s: nobody has come",
                              listener->address);
        if (ipc_time_left(deadline) == 0)
            return ipcm__fail(-ETIMEDOUT, "%s: nobody has come",
                              listener->address);
        rc = ipcm__wait_fd(ipc_listener_fd(listener), EPOLLIN,
                           next < deadline ? next : deadline);
        if (rc != 0 && rc != -ETIMEDOUT)
            return ipcm__fail(rc, "%s cannot be watched", listener->address);
    }
}

int ipc_listener_accept(ipc_listener *listener, ipc_link **out)
{
    return ipc_listener_accept_until(listener, out, IPC_TIME_FOREVER);
}

int ipc_listener_accept_nowait(ipc_listener *listener, ipc_link **out)
{
    return ipc_listener_accept_until(listener, out, IPC_TIME_NOW);
}

/* ---- looking at it ---- */

const char *ipc_listener_address(const ipc_listener *listener)
{
    return listener->address;
}

const char *ipc_listener_last(const ipc_listener *listener)
{
    return listener->last;
}

int ipc_listener_fd(const ipc_listener *listener)
{
    /* A child's is another one. */
    (void)be_this_process((ipc_listener *)(uintptr_t)listener);
    return listener->meeting.epoll;
}
