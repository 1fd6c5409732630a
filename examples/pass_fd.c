/* A file that one process has opened, and another one writes to: its
 * descriptor goes through a connection.
 *
 *     from multiprocessing.reduction import send_handle, recv_handle
 *     send_handle(conn, file.fileno(), p.pid)
 *     fd = recv_handle(conn)                 # in the worker
 *
 * The worker could not have opened the file: it is anonymous.  In the same way
 * an end of another pipe is handed over: a way for the worker to answer that
 * was made after the worker was started. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static int worker(void *arg)
{
    ipc_connection *boss = arg, *answers;
    static const char line[] = "written by the worker\n";
    int file, end;

    check(ipc_connection_recv_fd(boss, &file));
    if (write(file, line, sizeof line - 1) != sizeof line - 1)
        err(1, "write");
    close(file);

    check(ipc_connection_recv_fd(boss, &end));
    check(ipc_connection_from_fd(end, NULL, &answers));
    check(ipc_connection_send(answers, "done", 4));
    ipc_connection_close(answers);
    return 0;
}

int main(void)
{
    const ipc_pipe_options one_way = {.size = sizeof one_way,
                                      .flags = IPC_PIPE_ONE_WAY};
    ipc_connection *here, *there, *in, *out;
    ipc_process p;
    void *answer;
    size_t bytes;
    char text[80] = "";
    FILE *file = tmpfile();

    if (file == NULL)
        err(1, "tmpfile");
    check(ipc_pipe(NULL, &here, &there));
    ipc_process_init(&p, worker, there, NULL);
    check(ipc_process_start(&p));

    /* What was sent stays open for the worker when it is closed here. */
    check(ipc_pipe(&one_way, &in, &out));
    check(ipc_connection_send_fd(here, fileno(file)));
    check(ipc_connection_send_fd(here, ipc_connection_fileno(out)));
    ipc_connection_close(out);

    check(ipc_connection_recv(in, &answer, &bytes));
    printf("the worker says: %s\n", (char *)answer);
    free(answer);
    check(ipc_process_join(&p));
    ipc_process_close(&p);

    rewind(file);
    if (fgets(text, sizeof text, file) == NULL)
        errx(1, "the file is empty");
    printf("the file says: %s", text);
    fclose(file);
    ipc_connection_close(in);
    ipc_connection_close(here);
    ipc_connection_close(there);
    return 0;
}
