/* ipc-bench-process: how long it takes to start a process that ends at once,
 * and to see it end; from a small process and from one with much memory,
 * whose page tables a fork has to copy. */
#include "process_peer.h"

#include <ipc/process.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SAMPLE_NS   INT64_C(300000000)
#define SAMPLES_MIN 15
#define SAMPLES_MAX 20000
#define WARM_UP     3
#define MIB         ((size_t)1 << 20)

struct process_shape {
    const char *params;
    size_t mib; /* touched by the parent, in small pages */
    bool many;
};

static const struct process_shape shapes[] = {
    {"0MiB", 0, false},
    {"0MiB,10proc", 0, true},
    {"1024MiB", 1024, false},
};

static const struct process_peer *const tables[] = {
    process_peers_libipc,
    process_peers_system,
    NULL,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Is there room for that much, and as much again for everybody else? */
static bool has_memory(size_t mib)
{
    static const char label[] = "MemAvailable:";
    uint64_t kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");

    if (f == NULL)
        return false;
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, label, strlen(label)) == 0)
            kib = strtoull(line + strlen(label), NULL, 10);
    }
    fclose(f);
    return kib / 1024 >= 2 * (uint64_t)mib;
}

/* The end of the case gives it back. */
static void touch_memory(size_t mib)
{
    size_t size = mib * MIB;
    volatile char *memory;
    void *mapped;

    if (!has_memory(mib))
        bench_skip();
    mapped = mmap(NULL, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        bench_skip();
    /* -EINVAL from a kernel without huge pages is as good. */
    (void)madvise(mapped, size, MADV_NOHUGEPAGE);
    memory = mapped;
    for (size_t i = 0; i < size; i += 4096)
        memory[i] = 1;
}

static void run(const struct bench_case *c)
{
    static double samples[SAMPLES_MAX];
    const struct process_peer *peer = c->what;
    const struct process_shape *shape = c->how;
    void (*start_and_wait)(void) = shape->many ? peer->many : peer->one;
    size_t count = 0;
    int64_t begin;
    int64_t end;

    if (peer->is_there != NULL && !peer->is_there())
        bench_skip();
    if (shape->mib > 0)
        touch_memory(shape->mib);
    for (int i = 0; i < WARM_UP; i++)
        start_and_wait();
    begin = end = bench_now();
    while (count < SAMPLES_MAX &&
           (count < SAMPLES_MIN || end - begin < SAMPLE_NS)) {
        int64_t start = bench_now();

        start_and_wait();
        end = bench_now();
        samples[count++] = (double)(end - start) / 1e3;
    }
    bench_result(c, "", bench_median(samples, count), "us");
}

int main(int argc, char **argv)
{
    struct bench bench = {.workload = "process"};

    ipc_spawn_main(argc, argv);
    for (size_t s = 0; s < COUNT(shapes); s++) {
        for (size_t t = 0; tables[t] != NULL; t++) {
            for (const struct process_peer *peer = tables[t];
                 peer->name != NULL; peer++) {
                if (!shapes[s].many || peer->many != NULL)
                    bench_add(&bench, peer->name, shapes[s].params, run, peer,
                              &shapes[s]);
            }
        }
    }
    bench_add(&bench, "mp-fork", "0MiB, 1024MiB", bench_run_python,
              "process_peers.py", NULL);
    return bench_main(&bench, argc, argv);
}
