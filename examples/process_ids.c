/* Who am I, and who started me?
 *
 *     print(os.getpid())
 *     p = Process(target=sing, args=('Harbor',))
 *     p.start()                       # in sing: os.getpid(), os.getppid()
 *
 * The child's parent is the process that printed its own number first. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

static int sing(void *arg)
{
    const char *name = arg;

    printf("child:  my number is %d\n", ipc_getpid());
    printf("child:  %s sings\n", name);
    printf("child:  my parent's number is %d\n", ipc_getppid());
    return 0;
}

int main(void)
{
    char name[] = "Harbor";
    ipc_process p;
    int rc;

    printf("parent: my number is %d\n", ipc_getpid());

    ipc_process_init(&p, sing, name, NULL);
    rc = ipc_process_start(&p);
    if (rc < 0)
        errx(1, "start: %s: %s", ipc_strerror(rc), ipc_error_detail());
    rc = ipc_process_join(&p);
    if (rc < 0)
        errx(1, "join: %s: %s", ipc_strerror(rc), ipc_error_detail());

    printf("parent: the child's number was %d\n", ipc_process_pid(&p));
    ipc_process_close(&p);
    return 0;
}
