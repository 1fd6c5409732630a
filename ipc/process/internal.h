/* What the files of this folder share. */
#ifndef IPC_PROCESS_INTERNAL_H
#define IPC_PROCESS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/process.h>

/* ipc_process.state_ */
enum ipc__process_state {
    IPC__PROCESS_NONE = 0, /* not init'ed, or closed */
    IPC__PROCESS_READY = 1,
    IPC__PROCESS_RUNNING = 2, /* started; exitcode_ not known yet */
    IPC__PROCESS_ENDED = 3    /* exitcode_ holds; stored with release */
};

/* ipc_process.flags_ */
#define IPC__PROCESS_PARENT 1u /* the object of the process's parent */
#define IPC__PROCESS_SELF   2u /* the object of the process itself */
#define IPC__PROCESS_LOST   4u /* ended, but somebody else took the status */

/* What a child tells the one who started it.  In family memory. */
struct ipc__start {
    uint32_t state; /* enum ipc__start_state; the child writes, with release */
    int32_t error;  /* FAILED: a negative errno */
    int32_t code;   /* EXITING: the exit code, should wait() not tell */
};

enum ipc__start_state {
    IPC__START_BEGUN = 0,
    IPC__START_RUNNING = 1,
    IPC__START_FAILED = 2,
    IPC__START_EXITING = 3
};

/* The processes of this process.  On a page that is zero in a new one; zero is
 * the valid state of a process without children. */
struct ipc__family_tree {
    uint32_t lock;  /* private; the list, and reaping */
    uint32_t ready; /* relatives below are filled in */
    uint32_t named; /* how many got a name from us */
    ipc_process *first;
    ipc_process **end; /* NULL: &first */
    ipc_process *current;
    ipc_process main;   /* our own object, unless a parent made one */
    ipc_process parent; /* pid_ 0: none */
};

/* This process's tree.  NULL if the kernel cannot wipe pages. */
struct ipc__family_tree *ipc__tree(void);

/* With the tree's lock: the list of children. */
void ipc__tree_add(struct ipc__family_tree *tree, ipc_process *process);
void ipc__tree_remove(struct ipc__family_tree *tree, ipc_process *process);

/* In a new child: who it is and whose. */
void ipc__tree_begin(ipc_process *self, const char *parent_name,
                     int parent_pid);

/* End and join the children, as at the end of any process: daemons first. */
void ipc__tree_end(void);

/* Have ipc__tree_end() run when this process exits normally. */
int ipc__tree_end_at_exit(void);

/* With the tree's lock: take the exit status if the child has ended. */
void ipc__process_reap(struct ipc__family_tree *tree, ipc_process *process);

/* Kill the calling process by SIGKILL when the process parent_pid, its
 * parent, is gone.  Returns 0 or a negative errno. */
int ipc__watch_parent(int parent_pid);

#endif
