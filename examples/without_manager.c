/* What is not shared: each process appends to a list of its own.
 *
 *     def task(index, data_list):
 *         data_list.append(index)
 *         print(data_list)
 *     data = []
 *     for i in range(0, 6):
 *         t = multiprocessing.Process(target=task, args=(i, data))
 *         t.start()
 *         t.join()
 *     print(data)                     # []
 *
 * The array is the parent's, and every child has a copy of it as it was at the
 * fork.  shared_list_direct and manager_list show what is shared. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    CHILDREN = 6
};

struct numbers {
    int count;
    int item[CHILDREN];
};

static struct numbers data;
static int next; /* what the next child appends */

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void print(const char *who)
{
    printf("%s: [", who);
    for (int i = 0; i < data.count; i++)
        printf("%s%d", i > 0 ? ", " : "", data.item[i]);
    printf("]\n");
}

static int task(void *arg)
{
    (void)arg;
    data.item[data.count++] = next;
    print("child");
    return 0;
}

int main(void)
{
    for (next = 0; next < CHILDREN; next++) {
        ipc_process child;

        ipc_process_init(&child, task, NULL, NULL);
        check(ipc_process_start(&child));
        check(ipc_process_join(&child));
        ipc_process_close(&child);
    }
    print("parent");
    return data.count != 0;
}
