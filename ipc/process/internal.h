/* What the files of this folder share. */
#ifndef IPC_PROCESS_INTERNAL_H
#define IPC_PROCESS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/process.h>

/* ipc_process.state_ */
#define IPC__PROCESS_READY 1u

/* A started process, as long as anybody may ask about it.  Ours, not the
 * caller's: at the end of the program the caller's object may be gone. */
struct ipc__child {
    struct ipc__child *next, **link; /* in the list, until it is closed */
    ipc_process *process;
    char name[32];
    uint32_t running; /* 0 is stored with release, after exitcode and lost */
    int32_t starter;  /* whose child it is */
    int32_t pid;
    int32_t fd; /* pidfd, or -1 */
    int32_t exitcode;
    uint32_t holders; /* who uses it beside its process object */
    uint32_t method;  /* enum ipc_start_method */
    bool daemon;
    bool closed; /* its process object has let go of it */
    bool lost;   /* it has ended, but nobody can tell us how */
    bool core;   /* it has ended, and written a core dump */
    enum {
        IPC__CHILD,
        IPC__PARENT,
        IPC__SELF
    } relation;
    struct ipc__start *start;
    struct ipc__server *server; /* forkserver: whose child it is */
};

/* What a child tells the one who started it.  In family memory; only for a
 * child that has something to tell. */
struct ipc__start {
    uint32_t state; /* enum ipc__start_state; the child writes, with release */
    int32_t error;  /* FAILED: a negative errno */
    int32_t code;   /* EXITING: the exit code, as wait() will not tell */
    int32_t pid;    /* in a fresh image: the child's, by itself */
    uint32_t step;  /* FAILED: at which enum ipc__start_step */
    uint32_t ended; /* 1: status is there; the template writes, with release */
    int32_t status; /* as of waitpid() */
};

enum ipc__start_state {
    IPC__START_BEGUN = 0,
    IPC__START_RUNNING = 1,
    IPC__START_FAILED = 2,
    IPC__START_EXITING = 3,
    IPC__START_ENTERED = 4,  /* a fresh image has reached ipc_spawn_main() */
    IPC__START_ABANDONED = 5 /* by the starter: it is not to run */
};

enum ipc__start_step {
    IPC__STEP_SETUP = 0,
    IPC__STEP_EXEC,
    IPC__STEP_FAMILY,
    IPC__STEP_REQUEST,
    IPC__STEP_ENTRY,
    IPC__STEP_FDS,
    IPC__STEP_PRELOAD,
    IPC__STEP_THREADS
};

/* The processes around this process.  On a page that is zero in a new one;
 * zero is the valid state of a process without children.
 *
 * In a new child this page is the only memory that starting it writes: every
 * page that a child writes after the fork costs it a page fault, and ten of
 * those cost as much as a third of the fork. */
struct ipc__tree {
    uint32_t lock;  /* private; the list, and reaping */
    uint32_t ready; /* self and parent are filled in */
    uint32_t named; /* how many children got a name from us */
    bool warned;    /* that a fork of threads is a trap */
    uint32_t own;   /* threads of ours, which are none */
    struct ipc__child *first;
    struct ipc__child **end; /* NULL: &first */

    /* This process: the object it was started with, as the fork copied it,
     * and its starter's record of it; or main_object, and NULL. */
    ipc_process *current;
    const struct ipc__child *origin;
    struct ipc__child self;
    struct ipc__child parent; /* pid 0: none */
    bool adopted;             /* the kernel's parent is a template */
    ipc_process main_object;
    ipc_process parent_object;

    uint32_t server_lock;       /* private; server, and talking to it */
    struct ipc__server *server; /* the template; NULL: none */
    struct ipc__plan *plan;     /* how to make another one */
};

/* This process's tree.  NULL if the kernel cannot wipe pages. */
struct ipc__tree *ipc__tree(void);

/* The calling thread runs nothing of the program's, as long as it is one of
 * ours: what its starts have to say nobody reads, and it holds no locks that
 * a child may miss. */
void ipc__own_thread_begin(void);
void ipc__own_thread_end(void);

/* How many threads this process has for the kernel.  0: unknown. */
uint32_t ipc__count_threads(void);

/* With the tree's lock: the list of children. */
void ipc__tree_add(struct ipc__tree *tree, struct ipc__child *child);
void ipc__tree_remove(struct ipc__tree *tree, struct ipc__child *child);

/* In a new child: who it is and whose.  origin is its starter's record. */
void ipc__tree_begin(struct ipc__tree *tree, const struct ipc__child *origin,
                     const char *parent_name);

/* In a new child that has no copy of its starter's memory.  parent_fd is a
 * pidfd of its starter if that is not its parent, or -1. */
struct ipc__request;
void ipc__tree_begin_fresh(struct ipc__tree *tree,
                           const struct ipc__request *request, int parent_fd);

/* The record to use for a process object: its own or, for the object of the
 * calling process, the one in the tree.  NULL if it was not started. */
struct ipc__child *ipc__tree_record(const ipc_process *process);

/* Join the threads, and end and join the children, daemons first: as at the
 * end of any process. */
void ipc__tree_end(void);

/* What ends before them, if anything does: pools.  Set once, and inherited. */
extern void (*ipc__ends_first)(void) __attribute__((visibility("hidden")));

/* Have ipc__tree_end() run when this process exits normally.  With the tree's
 * lock. */
int ipc__tree_end_at_exit(void);

/* With the tree's lock: take the exit status if the child has ended. */
void ipc__child_reap(struct ipc__child *child);

/* Note it if it, or another relative, has ended. */
void ipc__child_collect(struct ipc__child *child);

/* Note that a child has ended, and that its status cannot be waited for; what
 * can still be known of it is. */
void ipc__child_set_lost(struct ipc__child *child);

/* Drop what stands for a child that has ended: its place in the list, and its
 * descriptor. */
void ipc__child_forget(struct ipc__child *child);

/* Give back its start block, and its use of a template. */
void ipc__child_free_start(struct ipc__child *child);

/* End a use of it; the last one frees it.  The process object's own use ends
 * with closed set. */
void ipc__child_let_go(struct ipc__child *child);

/* Send it a signal, if it runs.  0 or a negative errno. */
int ipc__child_signal(struct ipc__child *child, int sig);

/* Wait for its end, with ipc_process_join()'s results. */
int ipc__child_join(struct ipc__child *child, ipc_deadline deadline);

/* Give a child that is about to be started its name.  With the tree's lock. */
void ipc__child_name(struct ipc__tree *tree, struct ipc__child *child);

/* A descriptor number for a child's pidfd must be had before there is a child:
 * this keeps the place.  Returns it or a negative errno. */
int ipc__keep_place(void);

/* Note that a child has been started with this pid.  Returns 0 or a negative
 * errno; it is undone then. */
int ipc__child_born(struct ipc__child *child, int pid);

/* Drop a child's use of its template. */
void ipc__server_put(struct ipc__server *server);

/* Has it ended? */
bool ipc__server_is_gone(const struct ipc__server *server);

/* In a child of the owner: its descriptors are not ours. */
void ipc__server_close_inherited(const struct ipc__server *server);

/* At the end of this process: end its template. */
void ipc__server_end(struct ipc__tree *tree);

/* Kill the calling process by SIGKILL when the process parent_pid, its
 * parent, is gone.  Returns 0 or a negative errno. */
int ipc__watch_parent(int parent_pid);

/* The same for any process, by a pidfd, which is kept. */
int ipc__watch_process(int pid, int pidfd);

/* In a child of a process that watches: what it watches with is not ours. */
void ipc__watch_forget(void);

#endif
