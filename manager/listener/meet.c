#include "listener/meet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <unistd.h>

#include <sodium.h>

#include "base/atomic.h"
#include "fail.h"

/* In the handshake at a time; who came first goes then. */
#define GUESTS 128u

struct ipcm__guest {
    struct list place;
    struct ipcm__stream stream;
    struct ipcm__shake shake;
    bool shaking;  /* the handshake has begun: tls has done its own */
    bool accepted; /* all that is missing is that he is told */
    bool refused;
    uint32_t events;
    ipc_deadline deadline;
    char text[64];
};

/* ---- coming and going ---- */

static void remove_guest(struct ipcm__meeting *meeting,
                         struct ipcm__guest *guest)
{
    (void)epoll_ctl(meeting->epoll, EPOLL_CTL_DEL, guest->stream.fd, NULL);
    list_remove(&guest->place);
    meeting->count--;
    if (guest->shaking)
        ipcm__shake_end(&guest->shake);
}

static void send_away(struct ipcm__meeting *meeting, struct ipcm__guest *guest)
{
    remove_guest(meeting, guest);
    ipcm__stream_end(&guest->stream);
    free(guest);
}

static struct ipcm__guest *first(const struct ipcm__meeting *meeting)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who was freed is in no list */
    return list_entry(meeting->guests.next, struct ipcm__guest, place);
}

int ipcm__meeting_add(struct ipcm__meeting *meeting, int fd,
                      const struct ipcm__peer *peer)
{
    /* Other users have no business here, whatever they know. */
    if (peer->transport == IPCM__UNIX && peer->uid != geteuid() &&
        peer->uid != 0) {
        close(fd);
        return 0;
    }
    struct ipcm__guest *guest = calloc(1, sizeof *guest);
    int rc = guest != NULL
                 ? ipcm__stream_begin(&guest->stream, fd,
                                      meeting->tls != NULL ? meeting->tls->tls
                                                           : NULL)
                 : -ENOMEM;
    if (rc != 0) {
        free(guest);
        close(fd);
        return ipcm__fail(rc, "no memory for %s", peer->text);
    }
    if (meeting->count >= GUESTS)
        send_away(meeting, first(meeting));
    guest->deadline = ipc_after_ms(meeting->handshake_ms);
    guest->events = EPOLLIN;
    memcpy(guest->text, peer->text, sizeof guest->text);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = guest};
    if (epoll_ctl(meeting->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        rc = -errno;
        ipcm__stream_end(&guest->stream);
        free(guest);
        return ipcm__fail(rc, "%s cannot be watched", peer->text);
    }
    list_append(&meeting->guests, &guest->place);
    meeting->count++;
    return 0;
}

/* ---- the handshake ---- */

/* 1: it has begun; 0: not yet; negative: it will not. */
static int begin(const struct ipcm__meeting *meeting, struct ipcm__guest *guest)
{
    uint8_t binding[32];
    if (guest->shaking)
        return 1;
    int rc = ipcm__stream_ready(&guest->stream);
    if (rc != 1)
        return rc;
    rc = ipcm__stream_binding(&guest->stream, binding);
    if (rc != 0)
        return rc;
    const struct ipcm__shake_options options = {
        .purpose = IPCM__FOR_MESSAGES,
        .key = meeting->key,
        .key_bytes = meeting->key_bytes,
        .binding = binding,
    };
    rc = ipcm__shake_begin(&guest->shake, IPCM__SERVER, &options);
    if (rc != 0)
        return rc;
    guest->shaking = true;
    return 1;
}

/* 0: all is said; -EAGAIN. */
static int say(struct ipcm__guest *guest)
{
    const void *data = NULL;
    for (size_t n; (n = ipcm__shake_output(&guest->shake, &data)) > 0;) {
        const int64_t sent = ipcm__stream_write(&guest->stream, data, n);
        if (sent < 0)
            return (int)sent;
        ipcm__shake_sent(&guest->shake, (size_t)sent);
    }
    return 0;
}

static int hear(const struct ipcm__meeting *meeting, struct ipcm__guest *guest)
{
    uint8_t bytes[IPCM__HELLO_BYTES];
    size_t room = ipcm__shake_wants(&guest->shake);
    if (room > sizeof bytes)
        room = sizeof bytes;
    const int64_t n = ipcm__stream_read(&guest->stream, bytes, room);
    if (n < 0)
        return (int)n;
    const int rc = ipcm__shake_feed(&guest->shake, bytes, (size_t)n);
    if (rc == IPCM__SHAKE_ASK) {
        const struct ipcm__welcome welcome = {.frame_bytes =
                                                  meeting->max_bytes};
        ipcm__shake_accept(&guest->shake, &welcome);
        guest->accepted = true;
    } else if (rc < 0) {
        guest->refused = true; /* and told so */
    }
    return 0;
}

/* 1: he has the key; 0: wait; negative: he has not, or has gone. */
static int shake_hands(const struct ipcm__meeting *meeting,
                       struct ipcm__guest *guest)
{
    const int begun = begin(meeting, guest);
    if (begun != 1)
        return begun;
    for (;;) {
        int rc = say(guest);
        if (rc == 0 && guest->refused)
            return -EACCES;
        if (rc == 0 && guest->accepted)
            return 1;
        if (rc == 0)
            rc = hear(meeting, guest);
        if (rc == -EAGAIN)
            return 0;
        if (rc != 0)
            return rc;
    }
}

static int make_link(struct ipcm__meeting *meeting, struct ipcm__guest *guest,
                     ipc_link **out)
{
    remove_guest(meeting, guest);
    const int rc = ipcm__link_make(&guest->stream, meeting->tls,
                                   meeting->max_bytes, meeting->max_bytes, out);
    if (rc != 0)
        ipcm__stream_end(&guest->stream);
    else if (meeting->tls != NULL)
        (void)add_relaxed(&meeting->tls->references, 1);
    free(guest);
    return rc != 0 ? rc : 1;
}

static void watch(const struct ipcm__meeting *meeting,
                  struct ipcm__guest *guest)
{
    const void *data;
    const bool write =
        guest->stream.want_write ||
        (guest->shaking && ipcm__shake_output(&guest->shake, &data) > 0 &&
         !guest->stream.want_read);
    const uint32_t events = write ? EPOLLOUT : EPOLLIN;
    if (events == guest->events)
        return;
    guest->events = events;
    struct epoll_event event = {.events = events, .data.ptr = guest};
    (void)epoll_ctl(meeting->epoll, EPOLL_CTL_MOD, guest->stream.fd, &event);
}

int ipcm__meeting_go_on(struct ipcm__meeting *meeting,
                        struct ipcm__guest *guest, ipc_link **out, char *last,
                        size_t size)
{
    const int rc = shake_hands(meeting, guest);
    if (rc == 1) {
        snprintf(last, size, "%s", guest->text);
        return make_link(meeting, guest, out);
    }
    if (rc == 0)
        watch(meeting, guest);
    else
        send_away(meeting, guest);
    return 0;
}

/* ---- time, and the end ---- */

void ipcm__meeting_expire(struct ipcm__meeting *meeting)
{
    while (!list_is_empty(&meeting->guests) &&
           ipc_time_left(first(meeting)->deadline) == 0)
        send_away(meeting, first(meeting));
}

ipc_deadline ipcm__meeting_next(const struct ipcm__meeting *meeting)
{
    return list_is_empty(&meeting->guests) ? IPC_TIME_FOREVER
                                           : first(meeting)->deadline;
}

void ipcm__meeting_forget(struct ipcm__meeting *meeting)
{
    while (!list_is_empty(&meeting->guests)) {
        struct ipcm__guest *guest = first(meeting);
        list_remove(&guest->place);
        if (guest->shaking)
            ipcm__shake_end(&guest->shake);
        ipcm__stream_end(&guest->stream);
        free(guest);
    }
    meeting->count = 0;
}

void ipcm__meeting_end(struct ipcm__meeting *meeting)
{
    struct list *at, *next;
    for (at = meeting->guests.next; at != &meeting->guests; at = next) {
        next = at->next;
        send_away(meeting, list_entry(at, struct ipcm__guest, place));
    }
    if (meeting->epoll >= 0)
        close(meeting->epoll);
    ipcm__shared_tls_drop(meeting->tls);
    sodium_memzero(meeting->key, sizeof meeting->key);
}
