/* A pool of threads: one word in the options.
 *
 *     p = ThreadPoolExecutor(4)
 *     for row in range(SIZE):
 *         p.submit(multiply_row, a, b, product, row)
 *     p.shutdown()
 *
 * Functions, futures and errors are those of a pool of processes.  But threads
 * see all memory of the program: a task may be given pointers, and may write
 * its result where it belongs.  In Python only one of them computes at a time;
 * here all do. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    SIZE = 240
};

typedef uint32_t matrix[SIZE][SIZE];

struct row {
    matrix *a, *b, *product;
    int number;
};

/* The task: one row of the product.  Nobody else writes there. */
static int multiply_row(const void *arg, void *result, ipc_task *task)
{
    const struct row *row = arg;
    const uint32_t *a = (*row->a)[row->number];
    uint32_t *product = (*row->product)[row->number];

    (void)result;
    (void)task;
    for (int k = 0; k < SIZE; k++)
        for (int column = 0; column < SIZE; column++)
            product[column] += a[k] * (*row->b)[k][column];
    return 0;
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "pool: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* Pascal's triangle, and its mirror image: row by column they make the same
 * numbers again, in a square. */
static void fill(matrix a, matrix b)
{
    for (int i = 0; i < SIZE; i++)
        a[i][0] = b[0][i] = 1;
    for (int i = 1; i < SIZE; i++)
        for (int k = 1; k <= i; k++)
            a[i][k] = b[k][i] = a[i - 1][k - 1] + a[i - 1][k];
}

static int count_wrong(matrix square)
{
    int wrong = 0;

    for (int i = 0; i < SIZE; i++)
        wrong += (square[i][0] != 1) + (square[0][i] != 1);
    for (int i = 1; i < SIZE; i++)
        for (int k = 1; k < SIZE; k++)
            wrong += square[i][k] != square[i - 1][k] + square[i][k - 1];
    return wrong;
}

int main(void)
{
    static matrix a, b, product;
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_pool *pool;
    int wrong;

    fill(a, b);
    options.kind = IPC_POOL_THREADS;
    options.workers = 4;
    check(ipc_pool_new(&options, &pool));
    for (int number = 0; number < SIZE; number++) {
        const struct row row = {&a, &b, &product, number};

        check(ipc_pool_submit(pool, multiply_row, &row, sizeof row, 0, NULL));
    }
    check(ipc_pool_shutdown(pool, true, false));
    check(ipc_pool_free(pool));

    wrong = count_wrong(product);
    printf("%d rows by 4 threads: %d numbers of %d are wrong\n", SIZE, wrong,
           SIZE * SIZE);
    return wrong != 0;
}
