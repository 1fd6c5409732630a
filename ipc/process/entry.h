/* Registered functions, by a name that is the same in a fresh image of the
 * program, where addresses are others. */
#ifndef IPC_PROCESS_ENTRY_H
#define IPC_PROCESS_ENTRY_H

#include <stdint.h>

#include <ipc/process.h>

typedef void (*ipc__function)(void);

/* Plain data: it may travel through shared memory. */
struct ipc__entry_id {
    uint32_t index; /* in the order in which they registered */
    uint32_t hash;  /* of the names up to this one: the images agree so far */
};

/* The id of a function.  -EINVAL if it is not registered, with a detail that
 * names it. */
int ipc__entry_of(ipc__function function, struct ipc__entry_id *out);

/* The function with that id, or NULL if this image has no such one. */
ipc__function ipc__entry_at(struct ipc__entry_id id);

/* The name that a function has registered with, or NULL. */
const char *ipc__entry_name(ipc__function function);

/* Which image of the program this process runs: one odd number for all that are
 * forks of each other, where functions have the same addresses.  It is in
 * ipc__image from the first call on; before, that is 0. */
#define IPC__NO_IMAGE 2u
uint64_t ipc__image_number(void);
extern uint64_t ipc__image __attribute__((visibility("hidden")));

#endif
