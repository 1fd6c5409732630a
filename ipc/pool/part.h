/* Parts: what a map is cut into.  Each is a task of its own, whose argument is
 * this and all that belongs to it; nothing is shared between the parts of a
 * map, so what is true of tasks, whoever dies, is true of maps.
 *
 * Arrays that the worker sees where they lie (family memory; any, if it is a
 * thread of this process) are used there.  Of others the part has copies, of
 * its own items: they are behind this header, and so are copies of results. */
#ifndef IPC_POOL_PART_H
#define IPC_POOL_PART_H

#include "pool/death.h"
#include "pool/hold.h"
#include "pool/table.h"
#include "pool/worker.h"

#define IPC__PART_STAR     1u /* fn gets pointers, one into each array */
#define IPC__PART_GO_ON    2u /* after failures, which are in statuses */
#define IPC__PART_ANY_SIZE 4u /* of its only item: see result_sizes_at */

/* The first item is at this address, or so many bytes behind the header. */
struct ipc__part_array {
    uint64_t address;
    uint64_t offset; /* 0: it is at address */
    uint64_t item_bytes;
};

/* Of the first item that failed. */
struct ipc__part_failure {
    uint32_t item; /* + 1; 0: none has */
    int32_t status;
    int32_t pid;
    uint32_t kind; /* IPC_EXCEPTION_... */
    struct ipc__death death;
    char message[162];
};

struct ipc__part {
    /* Filled by who submits: */
    uint64_t first; /* which item of the map its first one is */
    uint32_t count;
    uint32_t flags;
    uint32_t retries; /* of an item */
    uint32_t array_count;
    uint32_t statuses_at; /* offsets; 0: there are none */
    uint32_t sizes_at;    /* of items of different sizes */
    uint32_t pointers_at; /* room for those that fn gets */
    /* Of results of different sizes.  One that is larger than its place among
     * the results is the result of the part's future. */
    uint32_t result_sizes_at;
    uint32_t stop; /* begin no more items; also later */
    struct ipc__part_array results;

    /* How far it is.  By its worker, and by the supervisor when that is
     * dead. */
    uint32_t next;      /* items before it are finished */
    uint32_t at;        /* if more than next: the one that is being run, + 1 */
    uint32_t dead_item; /* + 1: where the last worker died, so often: */
    uint32_t deaths;

    struct ipc__part_failure failure;
    struct ipc__part_array arrays[];
};

/* ---- for those who submit; see part.c ---- */

/* How a map is cut: what all its parts have in common. */
struct ipc__cut {
    struct ipc_pool *pool;
    uint64_t *hold; /* NULL: what is not submitted when it is shut down is not
                       run */
    struct ipc__order order;
    const ipc_map_array *arrays; /* of the caller */
    uint32_t array_count;
    uint32_t flags;
    uint32_t retries;
    uint32_t chunk; /* items of a part, at most */
    size_t count;   /* of all; 0: not known */
    char *results;
    size_t result_bytes;
    bool statuses;
    bool streams;  /* items and results of any size; results are not kept */
    bool in_place; /* parts see memory of the caller */
    size_t draft_bytes;
    struct ipc__part *draft; /* the next part is written here */
};

/* Begin to cut: look where the arrays are, choose the size of parts if chunk is
 * 0, and make the draft.  0; -ENOMEM, -EINVAL, -EMSGSIZE. */
int ipc__cut_begin(struct ipc__cut *cut, ipc_task_function *fn,
                   const ipc_map_options *options);
void ipc__cut_end(struct ipc__cut *cut);

/* Draft items first to first + n. */
void ipc__cut_draft(struct ipc__cut *cut, size_t first, uint32_t n);

/* Where item number i of the draft is, and its size; of streams. */
void *ipc__cut_item(const struct ipc__cut *cut, uint32_t i);
void ipc__cut_set_size(struct ipc__cut *cut, uint32_t i, size_t bytes);

/* Workers that a map may count on. */
uint32_t ipc__cut_workers(const struct ipc_pool *pool);

/* A part that was submitted. */
struct ipc__piece {
    struct ipc_future *future; /* NULL: none */
    struct ipc__part *part;
};

/* Submit what is drafted, also when the pool was shut down since it is held.  A
 * worker of the pool runs it at once where there is no room in line.  As
 * ipc__table_submit(); -ECANCELED what is pending is cancelled. */
int ipc__piece_submit(struct ipc__piece *out, const struct ipc__cut *cut,
                      ipc_deadline deadline);

/* A part that is done, but was interrupted for no fault of its items: have the
 * rest of it run.  1: it is pending again; 0: that is not so; negative: as
 * above, and nothing has changed. */
int ipc__piece_resume(struct ipc__piece *piece, const struct ipc__cut *cut,
                      ipc_deadline deadline);

bool ipc__piece_is_done(const struct ipc__piece *piece);

/* Items that are finished, as of this moment. */
uint32_t ipc__piece_finished(const struct ipc__piece *piece);

/* Nobody wants it any more: it is not begun, or begins no other item; with
 * terminate, what runs is ended at once: see ipc_future_terminate(). */
void ipc__piece_stop(const struct ipc__piece *piece, bool terminate);

/* Let go of it.  What still runs goes on, and is dropped. */
void ipc__piece_free(struct ipc__piece *piece);

/* Of a part that is done: what its items that were not run have come to, and
 * what another one has. */
int ipc__piece_status(const struct ipc__piece *piece, uint32_t item);
const char *ipc__piece_result(const struct ipc__piece *piece, uint32_t item);

/* The same of streams, where it may have any size.  *data is NULL if that is
 * 0.  0; -EUCLEAN. */
int ipc__piece_borrow(const struct ipc__piece *piece, uint32_t item,
                      const void **data, size_t *bytes);

/* Say why an item has failed, as the error's detail; returns its status. */
int ipc__piece_fail(const struct ipc__piece *piece, uint32_t item,
                    size_t count);

/* Those that are at work or not looked at, in the order of their items. */
struct ipc__pieces {
    struct ipc__piece *all;
    ipc_future **futures; /* for ipc_wait_futures() */
    uint32_t used;
    uint32_t max;
};

int ipc__pieces_begin(struct ipc__pieces *pieces, uint32_t max);
void ipc__pieces_end(struct ipc__pieces *pieces);
void ipc__pieces_remove(struct ipc__pieces *pieces, uint32_t i);

/* Sleep until one of n of them, from number `from` on, may be done, or, in a
 * worker of their pool, run one of all.  As ipc_future_wait_until(). */
int ipc__pieces_wait(struct ipc__pieces *pieces, uint32_t from, uint32_t n,
                     ipc_deadline deadline);

/* ---- telling the caller how far it is ---- */

struct ipc__progress {
    void (*fn)(size_t done, size_t total, void *arg);
    void *arg;
    size_t told;
    ipc_deadline when;
};

#define IPC__PROGRESS_NS ((int64_t)100 * 1000 * 1000)

void ipc__progress_tell(struct ipc__progress *progress, size_t done,
                        size_t total);

/* ---- for the worker; see job.c ---- */

/* In an item: its sizes, which attempt it is, and why it fails. */
size_t ipc__job_arg_bytes(const struct ipc_task *task);
size_t ipc__job_result_bytes(const struct ipc_task *task);
uint32_t ipc__job_attempt(const struct ipc_task *task);
void ipc__job_say(struct ipc_task *task, const char *message);

/* See ipc_task_reserve(). */
int ipc__job_reserve(struct ipc_task *task, size_t bytes, void **out);

#endif
