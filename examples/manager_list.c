/* A list that a manager owns: what children append the parent sees.
 *
 *     def task(data_list):
 *         data_list.append(111)
 *         data_list.append(333)
 *         print(data_list)
 *
 *     if __name__ == '__main__':
 *         manager = Manager()
 *         with manager:
 *             data = manager.list()
 *             t = multiprocessing.Process(target=task, args=(data,))
 *             t.start()
 *             t.join()
 *             print(data)             # [111, 333]
 *
 * The manager is a server in a process of its own.  without_manager shows the
 * same with an ordinary array, shared_list_direct a list without a server. */
#include <ipc/ipc.h>
#include <ipc/manager.h>

#include <err.h>
#include <stdint.h>
#include <stdio.h>

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* All of it as it is at one moment. */
static void print(const char *who, ipc_list *list)
{
    ipc_anys all;
    char text[80];

    check(ipc_list_slice(list, 0, INT64_MAX, 1, &all));
    printf("%s: [", who);
    for (size_t i = 0; i < all.count; i++) {
        ipc_any_format(&all.items[i], text, sizeof text);
        printf("%s%s", i > 0 ? ", " : "", text);
    }
    printf("]\n");
    ipc_anys_free(&all);
}

static int task(void *arg)
{
    ipc_list *data = arg;

    check(ipc_list_append_i64(data, 111));
    check(ipc_list_append_i64(data, 333));
    print("child", data);
    return 0;
}

int main(void)
{
    ipc_manager *manager;
    ipc_list *data;
    ipc_process t;
    int exitcode;

    check(ipc_manager_start(NULL, &manager));
    check(ipc_manager_list(manager, NULL, &data));
    ipc_process_init(&t, task, data, NULL);
    check(ipc_process_start(&t));
    check(ipc_process_join(&t));
    check(ipc_process_exitcode(&t, &exitcode));
    ipc_process_close(&t);
    print("parent", data);
    check(ipc_list_close(data));
    check(ipc_manager_close(manager)); /* the server ends */
    return exitcode;
}
