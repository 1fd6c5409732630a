/* Who is measured. */
#include "queue_tables.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

const struct queue_peer *const queue_tables[] = {
    queue_peers_libipc,
    queue_peers_raw,
    queue_peers_system,
#ifdef IPC_BENCH_BOOST
    queue_peers_boost,
#endif
#ifdef IPC_BENCH_ZEROMQ
    queue_peers_zeromq,
#endif
#ifdef IPC_BENCH_NNG
    queue_peers_nng,
#endif
#ifdef IPC_BENCH_NANOMSG
    queue_peers_nanomsg,
#endif
#ifdef IPC_BENCH_CK
    queue_peers_ck,
#endif
    NULL,
};

const struct queue_python_peer queue_python_peers[] = {
    {"mp-Queue", false}, {"mp-SimpleQueue", false},
    {"mp-Pipe", true},   {"mp-Pipe-bytes", true},
    {NULL, false},
};

static const char *const missing[] = {
#ifndef IPC_BENCH_BOOST
    "boost-mq",
#endif
#ifndef IPC_BENCH_ZEROMQ
    "zeromq",
#endif
#ifndef IPC_BENCH_NNG
    "nng",
#endif
#ifndef IPC_BENCH_NANOMSG
    "nanomsg",
#endif
#ifndef IPC_BENCH_CK
    "ck_ring",
#endif
    NULL,
};

#define REASONS 8

/* What was said before, in whichever process. */
static const char **reasons;

void queue_prepare(void)
{
    reasons = bench_shared(REASONS * sizeof *reasons);
    for (size_t i = 0; missing[i] != NULL; i++)
        warnx("%s was not installed when this was built: skipped", missing[i]);
}

void queue_skip(const char *why)
{
    size_t i = 0;

    while (i < REASONS && reasons[i] != NULL && reasons[i] != why)
        i++;
    if (i < REASONS && reasons[i] == NULL) {
        reasons[i] = why;
        warnx("%s: skipped", why);
    }
    bench_skip();
}

void queue_run_python(const struct bench_case *c)
{
    const struct queue_python_peer *peer = c->what;
    const struct queue_shape *shape = c->how;
    struct bench_case script = *c;
    char what[256];

    snprintf(what, sizeof what, "%s %s %s %zu %zu %zu %zu %d", c->workload,
             c->peer, c->params, shape->size, shape->producers,
             shape->consumers, shape->depth, shape->one_cpu);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (setenv("IPC_BENCH_QUEUE", what, 1) != 0)
        err(EXIT_FAILURE, "setenv for %s", peer->name);
    script.what = "queue_peers.py";
    bench_run_python(&script);
}
