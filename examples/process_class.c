/* A kind of process with data and methods of its own.
 *
 *     class Eater(Process):
 *         def __init__(self, bowls):
 *             super().__init__()
 *             self.bowls = bowls
 *         def run(self):
 *             ...
 *
 *     p = Eater(5)
 *     p.start()
 *
 * The structure embeds ipc_process as its first member; the ops table names
 * its run(), which gets the structure back as self.  The result of run() is
 * the exit code. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

struct eater {
    ipc_process process;
    int bowls;
};

static void eater_eat(const struct eater *self)
{
    for (int i = 1; i <= self->bowls; i++) {
        printf("bowl %d of %d\n", i, self->bowls);
        ipc_sleep_until(ipc_after_ms(10));
    }
}

static int eater_run(ipc_process *process)
{
    const struct eater *self = (const struct eater *)process;

    printf("%s begins\n", ipc_process_name(process));
    eater_eat(self);
    printf("%s is full\n", ipc_process_name(process));
    return self->bowls;
}

static int eater_init(struct eater *self, const char *name, int bowls)
{
    static const ipc_process_ops ops = {.run = eater_run};
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;

    options.name = name;
    self->bowls = bowls;
    return ipc_process_init_ops(&self->process, &ops, &options);
}

int main(void)
{
    struct eater eater;
    int exitcode = 0, rc;

    rc = eater_init(&eater, "Harbor", 5);
    if (rc == 0)
        rc = ipc_process_start(&eater.process);
    if (rc == 0)
        rc = ipc_process_join(&eater.process);
    if (rc == 0)
        rc = ipc_process_exitcode(&eater.process, &exitcode);
    if (rc < 0)
        errx(1, "eater: %s: %s", ipc_strerror(rc), ipc_error_detail());
    ipc_process_close(&eater.process);

    printf("the exit code says %d bowls\n", exitcode);
    return exitcode == eater.bowls ? 0 : 1;
}
