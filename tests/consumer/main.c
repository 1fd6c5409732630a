/* A program outside the tree: two processes count to 2000 together, and the
 * library that runs is the one whose headers were used. */
#include <ipc/ipc.h>

#include <stdio.h>
#include <string.h>

#define ROUNDS 1000

struct counter {
    ipc_lock lock;
    int count;
};

static int count_up(void *arg)
{
    struct counter *counter = arg;

    for (int i = 0; i < ROUNDS; i++) {
        int rc;

        IPC_WITH_LOCK(&counter->lock, rc) {
            counter->count++;
        }
        if (rc != 0)
            return 1;
    }
    return 0;
}

static int run(struct counter *counter)
{
    ipc_process child;
    int exitcode = -1;
    int rc;

    ipc_process_init(&child, count_up, counter, NULL);
    rc = ipc_process_start(&child);
    if (rc < 0) {
        fprintf(stderr, "start: %s: %s\n", ipc_strerror(rc),
                ipc_error_detail());
        return 1;
    }
    rc = count_up(counter);
    ipc_process_join(&child);
    ipc_process_exitcode(&child, &exitcode);
    ipc_process_close(&child);
    if (rc != 0 || exitcode != 0 || counter->count != 2 * ROUNDS) {
        fprintf(stderr, "counted to %d: %d, %d\n", counter->count, rc,
                exitcode);
        return 1;
    }
    return 0;
}

int main(void)
{
    struct counter *counter;
    int result;

    if (strcmp(ipc_version(), IPC_VERSION_STRING) != 0 ||
        ipc_version_number() != IPC_VERSION_NUMBER) {
        fprintf(stderr, "headers %s, library %s\n", IPC_VERSION_STRING,
                ipc_version());
        return 1;
    }
    counter = ipc_shared_alloc(sizeof *counter);
    if (counter == NULL) {
        fprintf(stderr, "shared memory: %s\n", ipc_error_detail());
        return 1;
    }
    result = run(counter);
    ipc_shared_free(counter);
    if (result == 0)
        printf("libipc %s works\n", ipc_version());
    return result;
}
