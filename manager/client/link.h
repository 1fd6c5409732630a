/* The link's own parts: what they promise each other.
 *
 * State
 *   Under lock: everything but process and manager; up and epoch are read
 *   without it, too.  A waiter, and the asks of his,
 *   are on his stack, and are the link's while they are in its lists.
 *
 *   queue    asks that have no id yet
 *   sent     asks with an id and no answer, by id; unanswered counts them
 *   out      bytes of theirs that the socket has not taken yet
 *   in       what has come of replies; the pumper's alone, lock or not
 *   waiters  threads in a call
 *   pumping  one of them has the turn: he alone polls, reads, gives the
 *            connection up and makes a new one, without the lock where that
 *            takes time
 *
 * Invariants
 *   1  Without the lock, up and the descriptor stay as they are while somebody
 *      is pumping; what has to end it sets broken and kicks him.  He sees it at
 *      once in poll(2), and within a moment in a read that waits.
 *   2  When the lock is free and there are waiters, somebody pumps, or one of
 *      them was woken and has not had the lock since.
 *   3  An ask with a status is in no list.  A waiter whose open is 0 is not
 *      touched any more once the lock is free.
 *   4  was_sent is true before the server can have the whole of it.
 *
 * Order
 *   The lock, and that of forks (fork.h) inside it.  Nothing else is held.
 *
 * Death
 *   All of it is this process's and goes with it; the server notices. */
#ifndef IPC_MANAGER_CLIENT_LINK_H
#define IPC_MANAGER_CLIENT_LINK_H

#include <pthread.h>

#include <ipc/event.h>

#include "client/client.h"
#include "client/fork.h"

struct ipcm__waiter {
    struct list place;
    ipc_event event;
    size_t open;   /* asks of his without a status */
    bool wants_up; /* has none, and waits for a connection */
    bool sleeps;   /* for the event */
    bool polls;    /* he has to look at the time or at the kick meanwhile */
    int rc;        /* wants_up: why there is none */
    ipc_deadline wait;
    ipc_deadline give_up; /* when an answer is overdue; 0: not reckoned yet */
    ipc_deadline until;   /* when he leaves his asks behind */
    char detail[IPCM__DETAIL];
};

struct ipcm__link {
    ipc_manager *manager;
    uint64_t process; /* see fork.h */

    /* fork.c */
    struct list of_process;
    int fds[2]; /* what a forked child closes: socket and kick */

    pthread_mutex_t lock;
    bool up;
    bool pumping;
    bool polling;   /* without the lock: a kick is needed */
    bool broken;    /* the connection is to be given up */
    bool forget;    /* and the session */
    bool had_one;   /* it has been connected before */
    bool closed;    /* no more calls */
    uint32_t users; /* threads in a call */
    int kick;       /* an eventfd that ends the pumper's poll */

    struct ipcm__stream stream;
    bool has_session;
    uint8_t session[IPCM__SESSION_BYTES];
    uint64_t epoch; /* 0: none yet */
    uint64_t instance;
    uint64_t last_id;
    uint32_t welcome_flags;
    uint32_t in_flight;
    struct ipcm__wire_limits limits;
    struct ipcm__decoder *decoder;

    struct ipcm__buffer in;
    struct ipcm__buffer out;
    uint64_t written; /* bytes of out, in all, that have gone */
    struct list queue;
    struct list sent;
    struct list waiters;
    uint32_t unanswered;
    ipc_deadline lost_at;
    char reason[IPCM__DETAIL]; /* why it was lost */

    /* References to be given back. */
    uint64_t *drops;
    size_t drop_count;
    size_t drop_room;
};

/* ---- fork.c ---- */

/* The link of this process, made if there is none.  NULL: -ENOMEM, -EMFILE in
 * *rc. */
struct ipcm__link *ipcm__link_here(ipc_manager *manager, int *rc);

/* Its descriptors, as a forked child is to close them. */
void ipcm__link_register(struct ipcm__link *link);
void ipcm__link_unregister(struct ipcm__link *link);

/* ---- link.c ---- */

/* The ask has its answer; detail may be NULL.  An ask that nobody waits for is
 * freed. */
void ipcm__link_answer(struct ipcm__link *link, struct ipcm__ask *ask,
                       int status, const char *detail);

/* His thread goes on, if it sleeps. */
void ipcm__link_wake(struct ipcm__waiter *waiter);

/* Somebody has to look at the socket anew. */
void ipcm__link_kick(struct ipcm__link *link);

/* The end of the session; waits a moment for the answer. */
void ipcm__link_goodbye(struct ipcm__link *link);

/* More time for its answer. */
void ipcm__link_be_patient(const struct ipcm__link *link,
                           struct ipcm__waiter *waiter);

/* ---- link_send.c ---- */

/* Take from the queue what may be sent, and write what the socket takes. */
void ipcm__link_submit(struct ipcm__link *link);

/* Does this ask wait at the server?  And do as many wait as may? */
bool ipcm__link_waits(const struct ipcm__ask *ask);
bool ipcm__link_is_crowded(const struct ipcm__link *link);

/* A reference is to be given back with the next request. */
void ipcm__link_note_drop(struct ipcm__link *link, uint64_t object);

/* What was sent and not answered, once more on a new connection. */
void ipcm__link_repeat(struct ipcm__link *link);

/* ---- label.c ---- */

/* A new connection: the label is to be sent. */
void ipcm__link_label(struct ipcm__link *link);

/* ---- link_receive.c ---- */

/* Read what is there, and hand out the replies. */
void ipcm__link_receive(struct ipcm__link *link);

/* Pumping: the same, but wait for it a moment, without the lock.  False:
 * nothing came. */
bool ipcm__link_await(struct ipcm__link *link);

/* ---- link_back.c ---- */

/* It may have been done, and if so for good: what a session takes its end gives
 * back, so that it can be asked for again. */
bool ipcm__link_is_unknown(const struct ipcm__ask *ask);

/* Pumping: the connection is gone.  And: find the server again, or tell all who
 * wait that it cannot be found; until: then it is somebody else's turn. */
void ipcm__link_lose(struct ipcm__link *link);
void ipcm__link_return(struct ipcm__link *link, ipc_deadline until);

/* The handshake is done. */
int ipcm__link_begin(struct ipcm__link *link, const struct ipcm__stream *stream,
                     const struct ipcm__welcome *welcome);

/* The server says what makes no sense: all who wait are told so. */
void ipcm__link_spoilt(struct ipcm__link *link, const char *detail);

#endif
