/* Cars wait at a red light and go when it is green: an event.
 *
 *     def light():
 *         while True:
 *             e.clear(); print('red');   sleep(5)
 *             e.set();   print('green'); sleep(4)
 *
 *     def car(name):
 *         if not e.is_set():
 *             print(f'{name} waits')
 *             e.wait()
 *         print(f'{name} goes')
 *
 * All who were waiting when it turned green go, however short the green is. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

#define CARS 6

/* In family memory.  Zero-filled: both are not set. */
struct crossing {
    ipc_event green;
    ipc_event off; /* no more traffic */
};

struct car {
    struct crossing *crossing;
    int number;
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "traffic light: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static int light(void *arg)
{
    struct crossing *c = arg;

    do {
        printf("light: red\n");
        check(ipc_event_clear(&c->green));
        ipc_sleep_until(ipc_after_ms(50));
        printf("light: green\n");
        check(ipc_event_set(&c->green));
    } while (ipc_event_wait_until(&c->off, ipc_after_ms(40)) == -ETIMEDOUT);
    return 0;
}

static int drive(void *arg)
{
    const struct car *car = arg;
    struct crossing *c = car->crossing;

    if (!ipc_event_is_set(&c->green)) {
        printf("car %d: waits\n", car->number);
        check(ipc_event_wait(&c->green));
    }
    printf("car %d: goes\n", car->number);
    return 0;
}

int main(void)
{
    ipc_process_options copied = IPC_PROCESS_OPTIONS_INIT;
    struct crossing *c = ipc_shared_alloc(sizeof *c);
    ipc_process lights, cars[CARS];
    int exitcode, crossed = 0;

    if (c == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    setvbuf(stdout, NULL, _IOLBF, 0); /* several processes print lines */
    ipc_process_init(&lights, light, c, NULL);
    check(ipc_process_start(&lights));

    copied.arg_bytes = sizeof(struct car);
    for (int i = 0; i < CARS; i++) {
        struct car car = {c, i + 1};

        ipc_process_init(&cars[i], drive, &car, &copied);
        check(ipc_process_start(&cars[i]));
        ipc_sleep_until(ipc_after_ms(20));
    }
    for (int i = 0; i < CARS; i++) {
        check(ipc_process_join(&cars[i]));
        check(ipc_process_exitcode(&cars[i], &exitcode));
        crossed += exitcode == 0;
        ipc_process_close(&cars[i]);
    }
    check(ipc_event_set(&c->off));
    check(ipc_process_join(&lights));
    ipc_process_close(&lights);
    printf("%d of %d cars have crossed\n", crossed, CARS);
    return 0;
}
