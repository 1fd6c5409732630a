/* Promises: futures that the program completes itself.
 *
 *     promise = Future()                  # concurrent.futures.Future
 *     promise.set_running_or_notify_cancel()
 *     promise.set_result(count)           # in another thread or process
 *     promise.result()
 *
 * A process counts the words of this very source, and promises the number to
 * whoever wants it; a second one promises and is killed.  Who waits for that one
 * is told so, and does not wait for ever. */
#include <ipc/ipc.h>

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void check(int rc)
{
    if (rc < 0)
        errx(1, "promise: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static long count_words(FILE *file)
{
    long words = 0;
    int inside = 0;
    for (int c; (c = getc(file)) != EOF; inside = !isspace(c))
        words += !inside && !isspace(c);
    return words;
}

static int count(void *arg)
{
    ipc_future *promise = arg;

    check(ipc_promise_begin(promise)); /* not to be cancelled from here on */
    FILE *file = fopen(__FILE__, "re");
    if (file == NULL) { /* the source is somewhere else */
        check(ipc_promise_set_exception(promise, -errno, "no " __FILE__));
        return 0;
    }
    const long words = count_words(file);
    (void)fclose(file);
    check(ipc_promise_set_result(promise, &words, sizeof words));
    return 0;
}

static int be_killed(void *arg)
{
    check(ipc_promise_begin(arg));
    (void)kill(getpid(), SIGKILL);
    return 0;
}

/* Called by the library's thread for callbacks. */
static void tell(ipc_future *future, void *arg)
{
    (void)future;
    printf("callback: the %s is done\n", (const char *)arg);
}

int main(void)
{
    ipc_process counter, unlucky;
    ipc_future *words, *nothing;
    ipc_exception why = IPC_EXCEPTION_INIT;
    long number;

    check(ipc_promise_new(sizeof number, &words));
    check(ipc_promise_new(0, &nothing));
    char what[] = "count";
    check(ipc_future_add_done_callback(words, tell, what));
    ipc_process_init(&counter, count, words, NULL);
    ipc_process_init(&unlucky, be_killed, nothing, NULL);
    check(ipc_process_start(&counter));
    check(ipc_process_start(&unlucky));

    int rc = ipc_future_result(words, &number, sizeof number, NULL);
    if (rc == 0)
        printf("result: %ld words\n", number);
    else
        printf("no result: %s\n", ipc_error_detail());

    check(ipc_future_exception(nothing, &why, ipc_after_s(10)));
    printf("exception: %s\n", why.message);

    check(ipc_process_join(&counter));
    check(ipc_process_join(&unlucky));
    ipc_process_close(&counter);
    ipc_process_close(&unlucky);
    check(ipc_future_free(words)); /* its callback is called all the same */
    check(ipc_future_free(nothing));
    return why.kind == IPC_EXCEPTION_DIED ? 0 : 1;
}
