/* Several changes as one: a transaction over two dicts.
 *
 * Customers put things from a common stock into their carts, all at once, and
 * some of them are killed while they do it.  What a cart has the stock has not,
 * at any moment: nobody ever sees, or leaves behind, half of a purchase. */
#include <ipc/ipc.h>

#include <err.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    APPLES = 100000,
    CUSTOMERS = 4,
    KILLED = 2
};

static ipc_dict *stock;
static ipc_dict *carts;

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* 1: it is in the cart; 0: there is none left. */
static int buy(const char *customer, const char *what)
{
    int64_t left;

    check(ipc_atomic_begin(NULL));
    check(ipc_dict_incr(stock, ipc_str(what), -1, &left));
    check(ipc_dict_incr(carts, ipc_str(customer), 1, NULL));
    if (left < 0) {
        check(ipc_atomic_abort(NULL)); /* none of it was */
        return 0;
    }
    check(ipc_atomic_commit(NULL));
    return 1;
}

static int shop(void *arg)
{
    const char *customer = ipc_process_name(ipc_current_process());

    (void)arg;
    while (buy(customer, "apples"))
        continue;
    return 0;
}

static int64_t count(ipc_dict *dict)
{
    ipc_anys values;
    int64_t sum = 0;

    check(ipc_dict_values(dict, &values));
    for (size_t i = 0; i < values.count; i++)
        sum += values.items[i].i64;
    ipc_anys_free(&values);
    return sum;
}

/* Both at one moment. */
static int64_t count_all(void)
{
    int64_t sum;

    check(ipc_atomic_begin(NULL));
    sum = count(stock) + count(carts);
    check(ipc_atomic_commit(NULL));
    return sum;
}

int main(void)
{
    static const char *const names[CUSTOMERS] = {"ada", "bob", "cem", "dan"};
    ipc_process p[CUSTOMERS];
    int64_t looks = 0, wrong = 0, left;

    check(ipc_dict_new(NULL, &stock));
    check(ipc_dict_new(NULL, &carts));
    check(ipc_dict_set_i64(stock, "apples", APPLES));
    for (int i = 0; i < CUSTOMERS; i++) {
        ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
        options.name = names[i];
        ipc_process_init(&p[i], shop, NULL, &options);
        check(ipc_process_start(&p[i]));
    }
    do {
        check(ipc_dict_get_i64(stock, "apples", &left));
        wrong += count_all() != APPLES;
        looks++;
        if (left < APPLES / 2)
            for (int i = 0; i < KILLED; i++)
                check(ipc_process_kill(&p[i]));
    } while (left > 0);
    for (int i = 0; i < CUSTOMERS; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
    printf("%d apples, %d customers, %d of them killed\n", APPLES, CUSTOMERS,
           KILLED);
    printf("looked at it %s: stock and carts made %d %s\n",
           looks > 1 ? "often" : "once", APPLES,
           wrong == 0 ? "each time" : "NOT each time");
    printf("in the end: %" PRId64 " in stock, %" PRId64 " in carts\n",
           count(stock), count(carts));
    check(ipc_dict_free(stock));
    check(ipc_dict_free(carts));
    return wrong != 0;
}
