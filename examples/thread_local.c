/* Each thread has its own request object, as web frameworks do it.
 *
 *     local = threading.local()       # Flask's request is such a thing
 *
 *     def handle(path):
 *         local.path = path
 *         render()                    # which looks at local.path
 *
 * Functions deep down ask for "the request" instead of having it passed
 * through all the others, and get the one of their own thread.  An object is
 * made when a thread first asks for it, and destroyed when the thread ends. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS  4
#define REQUESTS 1000

struct request {
    char path[32];
    char *page; /* kept from one request to the next */
};

static ipc_local requests;
static atomic_int made, destroyed, mixed_up;

static int request_init(void *value, void *arg)
{
    struct request *self = value;

    (void)arg;
    self->page = malloc(100);
    made++;
    return self->page != NULL ? 0 : -1;
}

static void request_fini(void *value, void *arg)
{
    (void)arg;
    free(((struct request *)value)->page);
    destroyed++;
}

static struct request *the_request(void)
{
    struct request *self = ipc_local_get(&requests);

    if (self == NULL)
        errx(1, "no request: %s", ipc_error_detail());
    return self;
}

static void render(void)
{
    snprintf(the_request()->page, 100, "this is %s", the_request()->path);
}

static int serve(void *arg)
{
    char expected[100];

    for (int i = 0; i < REQUESTS; i++) {
        const int user = *(int *)arg;
        snprintf(the_request()->path, 32, "/users/%d/%d", user, i);
        render();
        snprintf(expected, sizeof expected, "this is /users/%d/%d", user, i);
        mixed_up += strcmp(the_request()->page, expected) != 0;
    }
    return 0;
}

int main(void)
{
    const ipc_local_options options = {
        .size = sizeof options, .init = request_init, .fini = request_fini};
    int users[WORKERS], rc;
    ipc_thread t[WORKERS];

    rc = ipc_local_init(&requests, sizeof(struct request), &options);
    for (int i = 0; i < WORKERS && rc == 0; i++) {
        users[i] = i;
        ipc_thread_init(&t[i], serve, &users[i], NULL);
        rc = ipc_thread_start(&t[i]);
    }
    if (rc < 0)
        errx(1, "start: %s: %s", ipc_strerror(rc), ipc_error_detail());
    for (int i = 0; i < WORKERS; i++) {
        ipc_thread_join(&t[i]);
        ipc_thread_close(&t[i]);
    }
    printf("%d requests, %d mixed up\n", WORKERS * REQUESTS, mixed_up);
    printf("%d objects made, %d destroyed\n", made, destroyed);
    ipc_local_fini(&requests);
    return mixed_up != 0 || made != destroyed;
}
