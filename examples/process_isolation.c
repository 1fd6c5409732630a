/* Processes do not share variables; family memory they do.
 *
 *     age = 10
 *     def task(name):
 *         global age
 *         age = 0
 *     Process(target=task, args=('Harbor',)).start()
 *     print(age)                                       # still 10
 *
 * A child works on its own copy of every variable of the program.  What
 * ipc_shared_alloc() returns is one and the same for all of them. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

static int age = 10;

static int task(void *arg)
{
    int *shared_age = arg;

    age = 0;
    *shared_age = 0;
    printf("child:  age is %d, shared age is %d\n", age, *shared_age);
    return 0;
}

int main(void)
{
    ipc_process p;
    int *shared_age, rc;

    shared_age = ipc_shared_alloc(sizeof *shared_age);
    if (shared_age == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    *shared_age = 10;

    ipc_process_init(&p, task, shared_age, NULL);
    rc = ipc_process_start(&p);
    if (rc < 0)
        errx(1, "start: %s: %s", ipc_strerror(rc), ipc_error_detail());
    rc = ipc_process_join(&p);
    if (rc < 0)
        errx(1, "join: %s: %s", ipc_strerror(rc), ipc_error_detail());
    ipc_process_close(&p);

    printf("parent: age is %d, shared age is %d\n", age, *shared_age);
    rc = age == 10 && *shared_age == 0 ? 0 : 1;
    ipc_shared_free(shared_age);
    return rc;
}
