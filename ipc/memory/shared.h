/* Family memory for the library's own use. */
#ifndef IPC_MEMORY_SHARED_H
#define IPC_MEMORY_SHARED_H

#include <stddef.h>
#include <stdint.h>

/* As ipc_shared_alloc(), with its error as result: 0, -ENOMEM, -EINVAL,
 * -EXDEV, -ENOSYS. */
int ipc__shared_alloc(size_t size, void **out);

/* The same, but only the first bytes have memory if it is large; the rest is
 * had, and given back, by kernel/memory.h. */
int ipc__shared_reserve(size_t size, size_t present, void **out);

/* ---- allocations that are never lost ----
 *
 * A cell is a word in family memory that outlives who uses it.  It is 0, or
 * holds the address of an allocation that is the cell's: whoever dies wherever
 * in these two calls, either nothing is allocated or the cell says what.
 *
 * A cell has one user at a time.  When that one has died, what the cell says
 * may be half made or half gone: it is only for ipc__shared_free_in(), by one
 * caller at a time, who may die too.  A cell that is 0 needs nothing. */

/* Allocate size bytes, zero-filled and aligned like all others, and store
 * their address in *cell, which is 0, as one step.
 *
 * Returns 0, and on errors the cell is 0 as before: those of
 * ipc__shared_alloc(); -EINVAL also when the cell is in use or not in family
 * memory. */
int ipc__shared_alloc_in(uint64_t *cell, size_t size);

/* Give back what *cell says and store 0 there, as one step.  0 in it is fine.
 * (ipc_shared_free() would leave the address in the cell.)
 *
 * Errors, and then nothing has happened: -EINVAL when the cell is not in
 * family memory, or what it says is not allocated; -EXDEV, -ENOMEM. */
int ipc__shared_free_in(uint64_t *cell);

#endif
