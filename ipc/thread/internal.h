/* What the files of this folder share. */
#ifndef IPC_THREAD_INTERNAL_H
#define IPC_THREAD_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <ipc/thread.h>
#include <ipc/timer.h>

#include "core/local.h"
#include "thread/context.h"
#include "thread/end.h"

/* ipc_thread.state_: nothing that lies about in memory by chance. */
#define IPC__THREAD_READY 0x74687264u

/* ipc_thread_ident() of the main thread; the others' follow. */
#define IPC__THREAD_IDENT_MAIN 1u

/* A thread, as long as anybody may ask about it.  Ours, not the caller's: at
 * the end of the program the caller's object may be gone. */
struct ipc__thread {
    struct ipc__thread *next, **link; /* in the list, until it is joined */
    ipc_thread *object;
    ipc_thread own; /* the object, if nobody else has one */
    const ipc_thread_ops *ops;
    int (*target)(void *arg);
    void *arg;
    char name[32];
    uint64_t process; /* whose */
    uint64_t ident;
    pthread_t handle; /* the thread writes it; for those who saw it end */
    uint32_t state;   /* enum ipc__thread_state; a futex */
    uint32_t tid;     /* a futex; see enum ipc__thread_tid */
    int32_t exitcode;
    uint32_t holders; /* who uses it beside its object */
    bool returned;    /* exitcode says how it ended */
    bool daemon;
    bool closed; /* its object has let go of it */
    enum {
        IPC__THREAD_STARTED, /* by the program, with us */
        IPC__THREAD_MAIN,
        IPC__THREAD_HELPER, /* our own, which nobody joins */
        IPC__THREAD_FOREIGN
    } kind;

    /* What it begins with, and how that went: a futex, and a result. */
    const ipc_thread_options *setup; /* NULL: nothing to set */
    uint32_t is_set_up;
    int32_t setup_error;
};

enum ipc__thread_state {
    IPC__THREAD_RUNNING = 0,
    IPC__THREAD_EXITING = 1, /* it has called exit() */
    IPC__THREAD_ENDED = 2,
    IPC__THREAD_JOINING = 3, /* somebody is in pthread_join() */
    IPC__THREAD_JOINED = 4
};

/* Before the thread has said what its tid is. */
enum ipc__thread_tid {
    IPC__TID_UNKNOWN = 0,
    IPC__TID_AWAITED = 0x80000000u /* and somebody waits for it */
};

/* The timers of this process; see timer.c. */
struct ipc__timers {
    uint32_t lock;        /* private */
    uint32_t changed;     /* futex: their thread sleeps on it */
    uint32_t ended;       /* futex: those who wait for a timer sleep on it */
    uint32_t sleepers;    /* how many do */
    uint32_t waited;      /* pending ones that the process's end waits for */
    bool running;         /* there is a thread */
    bool exiting;         /* it has called exit() */
    bool now_waited;      /* the end waits for the callback that is running */
    bool watched;         /* somebody may sleep on ended, uncounted */
    const ipc_timer *now; /* whose callback is running */
    uint64_t runs;        /* callbacks begun */
    uint64_t starts;
    ipc_timer *first; /* the heap */
    ipc_deadline sleeps_until;
    ipc_deadline empty_since;
    const struct ipc__thread *record; /* of their thread */
};

/* The threads of this process.  On a page that is zero in a new one; zero is
 * the valid state of a process that has the main thread alone. */
struct ipc__threads {
    uint32_t lock;  /* private; the list, holders and closed */
    uint32_t ready; /* main is filled in */
    uint32_t named;
    uint32_t dummies;
    uint32_t ended; /* that nobody has joined yet */
    uint64_t idents;
    struct ipc__thread *first;
    struct ipc__thread **end; /* NULL: &first */
    struct ipc__thread main;
    struct ipc__timers timers;
    struct ipc__values_list values;
};

union ipc__threads_page {
    struct ipc__threads threads;
    unsigned char page[IPC_PAGE_MAX];
};

extern union ipc__threads_page ipc__threads_page
    __attribute__((visibility("hidden")));

/* For those who know that it is ready for use. */
#define ipc__the_threads (ipc__threads_page.threads)

/* This process's, ready for use.  NULL if the kernel cannot wipe pages. */
struct ipc__threads *ipc__threads(void);

/* The same, with what the start of a thread needs: a handler for the end of
 * the process, and room for its last steps.  0 or a negative errno. */
int ipc__threads_begin(struct ipc__threads **out);

/* With the lock: the list. */
void ipc__threads_add(struct ipc__threads *threads, struct ipc__thread *record);
void ipc__threads_remove(struct ipc__threads *threads,
                         struct ipc__thread *record);

/* Join those that have ended. */
void ipc__threads_collect(struct ipc__threads *threads);

/* The calling thread's record, made if there is none; NULL without memory. */
struct ipc__thread *ipc__thread_self(void);

/* Is it this process's? */
static inline bool ipc__thread_is_ours(const struct ipc__thread *record)
{
    return record->process == ipc__process_number();
}

/* Make it its own object, as the program has none for it. */
void ipc__thread_give_object(struct ipc__thread *record);

/* Create the thread of a record, and list it.  0 or a negative errno. */
int ipc__thread_spawn(struct ipc__threads *threads, struct ipc__thread *record,
                      size_t stack_bytes);

/* Call attempt(arg) until it gives another result than -EAGAIN, for 100 ms:
 * where no more threads are allowed one may end soon. */
int ipc__thread_patiently(int (*attempt)(void *arg), void *arg);

/* The calling thread's last act: those who join it go on.  The record of one
 * that nobody can join is freed. */
void ipc__thread_end(struct ipc__thread *record);

/* Wait for its end, with ipc_thread_join()'s results. */
int ipc__thread_join(struct ipc__thread *record, ipc_deadline deadline);

/* pthread_join() one that has ended, unless somebody has. */
void ipc__thread_reap(struct ipc__thread *record);

/* End a use of it; the last one frees it.  Its object's own use ends with
 * closed set. */
void ipc__thread_let_go(struct ipc__thread *record);

/* If the calling thread, which is ending the process, is that of the timers:
 * those who wait for a timer learn that it will not run. */
void ipc__timers_exiting(void);

/* Wait until no timer is left that the end of the process waits for.  True if
 * there was one. */
bool ipc__timers_wait(void);

/* Is the caller in a callback that the end of the process waits for? */
bool ipc__timers_is_waited_for(void);

#endif
