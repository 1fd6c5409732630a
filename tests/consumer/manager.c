/* A program outside the tree that uses libipc-manager: a child and its parent
 * append to a list of a server, and count with a value of it. */
#include <ipc/ipc.h>
#include <ipc/managed.h>
#include <ipc/manager.h>

#include <stdint.h>
#include <stdio.h>

struct shop {
    ipc_list *list;
    ipc_managed *value;
};

static int work(void *arg)
{
    struct shop *shop = arg;
    int rc = ipc_list_append_i64(shop->list, 111);

    if (rc == 0)
        rc = ipc_managed_value_incr(shop->value, 1, NULL);
    return rc == 0 ? 0 : 1;
}

static int run(struct shop *shop)
{
    ipc_process child;
    int exitcode = -1;
    int64_t sum = -1;
    int rc;

    ipc_process_init(&child, work, shop, NULL);
    rc = ipc_process_start(&child);
    if (rc < 0) {
        fprintf(stderr, "start: %s: %s\n", ipc_strerror(rc),
                ipc_error_detail());
        return 1;
    }
    rc = work(shop);
    ipc_process_join(&child);
    ipc_process_exitcode(&child, &exitcode);
    ipc_process_close(&child);
    if (rc == 0)
        rc = ipc_managed_value_incr(shop->value, 0, &sum);
    if (rc != 0 || exitcode != 0 || sum != 2 ||
        ipc_list_length(shop->list) != 2) {
        fprintf(stderr, "counted to %d, %d items: %d, %d\n", (int)sum,
                (int)ipc_list_length(shop->list), rc, exitcode);
        return 1;
    }
    return 0;
}

int main(void)
{
    struct shop shop;
    ipc_manager *manager;
    int result;

    if (ipc_manager_start(NULL, &manager) < 0 ||
        ipc_manager_list(manager, "orders", &shop.list) < 0 ||
        ipc_manager_value(manager, "count", ipc_i64(0), NULL, &shop.value) <
            0) {
        fprintf(stderr, "manager: %s\n", ipc_error_detail());
        return 1;
    }
    result = run(&shop);
    ipc_managed_close(shop.value);
    ipc_list_close(shop.list);
    ipc_manager_close(manager);
    if (result == 0)
        printf("libipc-manager works\n");
    return result;
}
