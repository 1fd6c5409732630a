/* Three ways to hand arguments to a process.
 *
 *     Process(target=greet, args=('Harbor',))
 *     Process(target=count, args=(i,))
 *     Process(target=dance, kwargs={'name': 'Harbor', 'times': 2})
 *
 * A pointer is enough for what lives until start(): the child has a copy of
 * all memory.  With arg_bytes the argument itself is copied by init, so that
 * it may be a local variable that changes right after.  A structure and C's
 * designated initialisers make keyword arguments, with defaults of 0. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

struct dance_args {
    const char *name;
    int times;
    bool sing;
};

static int greet(void *arg)
{
    printf("hello, I am %s\n", (const char *)arg);
    return 0;
}

static int count(void *arg)
{
    const int *i = arg;

    printf("this is bowl %d\n", *i);
    return 0;
}

static int dance(void *arg)
{
    const struct dance_args *a = arg;

    for (int i = 1; i <= a->times; i++)
        printf("%s dances%s, %d\n", a->name, a->sing ? " and sings" : "", i);
    return 0;
}

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(EXIT_FAILURE, "%s: %s: %s", what, ipc_strerror(rc),
             ipc_error_detail());
}

static void start(ipc_process *p, int (*target)(void *), void *arg,
                  size_t arg_bytes)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;

    options.arg_bytes = arg_bytes;
    check(ipc_process_init(p, target, arg, &options), "init");
    check(ipc_process_start(p), "start");
}

int main(void)
{
    struct dance_args args = {.name = "Harbor", .times = 2};
    char name[] = "Harbor";
    ipc_process p[5];

    start(&p[0], greet, name, 0);
    for (int i = 1; i <= 3; i++)
        start(&p[i], count, &i, sizeof i);
    start(&p[4], dance, &args, sizeof args);

    for (int i = 0; i < 5; i++) {
        check(ipc_process_join(&p[i]), "join");
        ipc_process_close(&p[i]);
    }
    return 0;
}
