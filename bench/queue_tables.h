/* The lists of peers. */
#ifndef IPC_BENCH_QUEUE_TABLES_H
#define IPC_BENCH_QUEUE_TABLES_H

#include "queue_peer.h"

/* Of all that are compiled in; ends with NULL. */
extern const struct queue_peer *const queue_tables[];

/* Those of CPython; ends with one without a name. */
struct queue_python_peer {
    const char *name;
    bool one_to_one;
};

extern const struct queue_python_peer queue_python_peers[];

/* To be called first.  Says on stderr who is not compiled in. */
void queue_prepare(void);

/* c->what is the peer of CPython, c->how the shape. */
void queue_run_python(const struct bench_case *c);

#endif
