/* Fresh images of the program: making one, and being one. */
#ifndef IPC_PROCESS_FRESH_H
#define IPC_PROCESS_FRESH_H

#include "process/request.h"

/* ---- methods ---- */

/* The method that an option means. */
uint32_t ipc__start_method(uint32_t option);

/* Start a child by another method than fork.  Returns 0 or a negative errno. */
int ipc__start_spawn(struct ipc__child *child);
int ipc__start_by_server(struct ipc__child *child);

/* ---- making one ---- */

/* What a child is told, ready to be sent. */
struct ipc__orders {
    struct ipc__request request;
    struct ipc__passed fds[IPC_PROCESS_FDS_MAX];
    int fd; /* the sealed file: the caller closes it */
};

/* May this process's program be started anew?  0, -EINVAL or -EPERM. */
int ipc__fresh_is_possible(void);

/* Look these descriptors up.  -EBADF or -EINVAL. */
int ipc__orders_fds(struct ipc__orders *orders, const int *fds, uint32_t count);

/* Is the argument NULL or in family memory?  -EINVAL. */
int ipc__orders_arg(struct ipc__orders *orders, const void *arg);

/* For a child.  With an open orders->fd if it returns 0. */
int ipc__orders_write(struct ipc__orders *orders,
                      const struct ipc__child *child);

/* Start an image of this program that finds these orders, and also has the
 * descriptor extra, if that is not -1.  Returns its pid or a negative errno. */
int ipc__image_start(const struct ipc__orders *orders, int extra);

/* Start a child as an image and wait until it is about to do as ordered.
 * list: it is one of the process's children, and not a template. */
int ipc__fresh_start(struct ipc__child *child, const struct ipc__orders *orders,
                     int extra, bool list);

/* Fail as a child has reported. */
int ipc__fresh_failed(const char *name, int error, enum ipc__start_step step);

/* How long an image may take to reach ipc_spawn_main().  Set by tests only. */
extern int64_t ipc__fresh_patience_ns __attribute__((visibility("hidden")));

/* The name of the environment variable that tells an image what it is: the
 * request's descriptor, and how often it has tried. */
#define IPC__FRESH_VARIABLE "LIBIPC_SPAWN"

/* ---- being one ---- */

/* False in an image that has not reached ipc_spawn_main(). */
bool ipc__fresh_is_entered(void);

/* What main() gave to ipc_spawn_main(), or NULL. */
char **ipc__fresh_argv(void);

/* Have what IPC_START_DEFAULT means. */
void ipc__set_start_method(uint32_t method);

/* In a new process without a copy of its starter's memory: be what was asked
 * for, short of running it.  parent_fd as for ipc__tree_begin_fresh().
 * Returns 0, or a negative errno with the step. */
int ipc__fresh_become(const struct ipc__request *request,
                      const struct ipc__request_tables *tables, int parent_fd,
                      enum ipc__start_step *step);

/* Be a template, for good. */
_Noreturn void ipc__template_run(const struct ipc__request *request);

#endif
