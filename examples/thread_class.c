/* A kind of thread with data and methods of its own.
 *
 *     class Adder(Thread):
 *         def __init__(self, first, last):
 *             super().__init__()
 *             self.first, self.last = first, last
 *         def run(self):
 *             self.sum = sum(range(self.first, self.last + 1))
 *
 *     adders = [Adder(1, 250), Adder(251, 500), ...]
 *
 * The structure embeds ipc_thread as its first member; the ops table names its
 * run(), which gets the structure back as self.  Threads share memory, so the
 * result is simply left in the structure, to be read after join(). */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

#define ADDERS  4
#define NUMBERS 1000000

struct adder {
    ipc_thread thread;
    long first, last;
    long sum;
};

static int adder_run(ipc_thread *thread)
{
    struct adder *self = (struct adder *)thread;

    for (long i = self->first; i <= self->last; i++)
        self->sum += i;
    printf("%s: %ld to %ld make %ld\n", ipc_thread_name(thread), self->first,
           self->last, self->sum);
    return 0;
}

static void adder_init(struct adder *self, const char *name, long first,
                       long last)
{
    static const ipc_thread_ops ops = {.run = adder_run};
    ipc_thread_options options = IPC_THREAD_OPTIONS_INIT;

    options.name = name;
    self->first = first;
    self->last = last;
    self->sum = 0;
    ipc_thread_init_ops(&self->thread, &ops, &options);
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "adder: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

int main(void)
{
    static const char *const names[] = {"Ada", "Ben", "Cleo", "Dan"};
    struct adder adders[ADDERS];
    const long part = NUMBERS / ADDERS;
    long sum = 0;

    for (int i = 0; i < ADDERS; i++) {
        adder_init(&adders[i], names[i], i * part + 1, (i + 1) * part);
        check(ipc_thread_start(&adders[i].thread));
    }
    for (int i = 0; i < ADDERS; i++) {
        check(ipc_thread_join(&adders[i].thread));
        check(ipc_thread_close(&adders[i].thread));
        sum += adders[i].sum;
    }
    printf("1 to %d make %ld\n", NUMBERS, sum);
    return sum == (long)NUMBERS * (NUMBERS + 1) / 2 ? 0 : 1;
}
