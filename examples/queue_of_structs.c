/* Orders as plain structs through a queue, and prices back through another.
 *
 *     def cashier(orders, prices):
 *         while True:
 *             order = orders.get()
 *             if order.count == 0:
 *                 break
 *             prices.put((order.number, order.count * order.cents))
 *
 * Python pickles each object; a struct goes as the bytes that it is.  A message
 * that is not of that size is refused with -EMSGSIZE, and stays in the queue.
 * Pointers in a struct mean nothing to another process. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

struct order {
    uint32_t number;
    uint32_t count;
    uint32_t cents; /* for one */
    char dish[20];
};

struct price {
    uint32_t number;
    uint32_t cents;
};

struct shop {
    ipc_queue *orders;
    ipc_queue *prices;
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "shop: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static int cashier(void *arg)
{
    const struct shop *shop = arg;
    struct order order;

    for (;;) {
        check(IPC_QUEUE_GET(shop->orders, &order));
        if (order.count == 0)
            return 0;
        struct price price = {order.number, order.count * order.cents};
        check(IPC_QUEUE_PUT(shop->prices, price));
    }
}

int main(void)
{
    const struct order orders[] = {
        {1, 2, 350, "tea"},
        {2, 1, 990, "noodles"},
        {3, 3, 120, "rice"},
        {0, 0, 0, ""}, /* that was all */
    };
    struct shop shop;
    struct price price;
    uint32_t total = 0;
    ipc_process p;

    check(ipc_queue_new(NULL, &shop.orders));
    check(ipc_queue_new(NULL, &shop.prices));
    ipc_process_init(&p, cashier, &shop, NULL);
    check(ipc_process_start(&p));

    for (int i = 0; i < 4; i++)
        check(IPC_QUEUE_PUT(shop.orders, orders[i]));
    for (int i = 0; i < 3; i++) {
        check(IPC_QUEUE_GET(shop.prices, &price));
        printf("order %u, %s: %u cents\n", price.number,
               orders[price.number - 1].dish, price.cents);
        total += price.cents;
    }
    check(ipc_process_join(&p));
    ipc_process_close(&p);

    check(ipc_queue_put(shop.orders, "a text", 7));
    if (IPC_QUEUE_GET(shop.orders, &price) == -EMSGSIZE)
        printf("a text is no price, and stays: %zu in the queue\n",
               ipc_queue_size(shop.orders));
    check(ipc_queue_free(shop.orders));
    check(ipc_queue_free(shop.prices));
    printf("3 orders cost %u cents\n", total);
    return 0;
}
