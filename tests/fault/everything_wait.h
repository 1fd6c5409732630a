/* One use of ipc_wait() and of descriptors that stand for objects: a part of
 * everything.c, where DONE() is.
 *
 * Nothing that is ready is overlooked, and nothing is taken. */
#ifndef FAULT_EVERYTHING_WAIT_H
#define FAULT_EVERYTHING_WAIT_H

#include <fcntl.h>
#include <poll.h>

#include <ipc/wait.h>

enum {
    MANY_FDS = 20 /* more than are polled without memory for them */
};

struct things {
    ipc_queue *queue; /* empty */
    ipc_queue *posix; /* NULL: there are none */
    ipc_connection *here, *there;
    ipc_semaphore semaphore; /* no permit */
    ipc_event event;
    ipc_lock lock;
    ipc_rlock rlock;
    int ends[2];
    bool stuck; /* something is there that cannot be got */
};

/* ---- words, descriptors, and both ---- */

/* ThreadSanitizer waits for a second at the end of a process that has it. */
static bool has_helper(void)
{
    return !now->no_threads && !now->no_timers && !now->no_helper &&
           !THREAD_SANITIZED;
}

static void expect_none(const struct things *t, ipc_wait_item *items, size_t n)
{
    if (t->stuck)
        return;
    int rc = ipc_wait(items, n, IPC_TIME_NOW);
    assert_true(rc == -EAGAIN || !done("wait", rc));
    rc = ipc_wait(items, n, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("wait", rc));
}

/* It is ready, and once more if that could not be found out. */
static void expect_ready(ipc_wait_item *items, size_t n, size_t which)
{
    for (int i = 0; i < 2; i++)
        if (DONE(ipc_wait(items, n, ipc_after_ms(LIMIT_MS)))) {
            assert_true(items[which].ready != 0);
            return;
        }
}

/* Each of these is made ready for a while. */
static void wait_for_message(struct things *t, ipc_wait_item *items, size_t n,
                             size_t which)
{
    uint32_t number = 0;
    if (!DONE(ipc_queue_put_nowait(t->queue, "x", 1)))
        return;
    expect_ready(items, n, which);
    for (int i = 0; i < 2; i++)
        if (DONE(ipc_queue_get_nowait(t->queue, &number, sizeof number, NULL)))
            return;
    t->stuck = true;
}

static void wait_for_permit(struct things *t, ipc_wait_item *items, size_t n,
                            size_t which)
{
    if (!DONE(ipc_semaphore_release(&t->semaphore)))
        return;
    expect_ready(items, n, which);
    CHECK(ipc_semaphore_acquire_nowait(&t->semaphore), 0);
}

static void wait_for_event(struct things *t, ipc_wait_item *items, size_t n,
                           size_t which)
{
    if (!DONE(ipc_event_set(&t->event)))
        return;
    expect_ready(items, n, which);
    (void)DONE(ipc_event_clear(&t->event));
}

static void wait_for_letter(struct things *t, ipc_wait_item *items, size_t n,
                            size_t which)
{
    size_t bytes;
    char letter[4];
    if (!DONE(ipc_connection_send(t->there, "x", 1)))
        return;
    expect_ready(items, n, which);
    for (int i = 0; i < 2; i++)
        if (DONE(ipc_connection_recv_into_nowait(t->here, letter, sizeof letter,
                                                 &bytes)))
            return;
    t->stuck = true;
}

static void wait_for_words(struct things *t)
{
    ipc_wait_item items[] = {IPC_WAIT_QUEUE(t->queue),
                             IPC_WAIT_SEMAPHORE(&t->semaphore),
                             IPC_WAIT_EVENT(&t->event)};
    expect_none(t, items, 3);
    wait_for_message(t, items, 3, 0);
    wait_for_permit(t, items, 3, 1);
    wait_for_event(t, items, 3, 2);
}

static void wait_for_what_is_ready(struct things *t)
{
    ipc_wait_item items[] = {IPC_WAIT_LOCK(&t->lock), IPC_WAIT_RLOCK(&t->rlock),
                             IPC_WAIT_QUEUE_ROOM(t->queue, 30)};
    for (size_t i = 0; i < 3; i++)
        expect_ready(items, 3, i);
}

static void wait_for_descriptors(struct things *t)
{
    ipc_wait_item items[] = {IPC_WAIT_CONNECTION(t->here),
                             IPC_WAIT_FD(t->ends[0], POLLIN),
                             IPC_WAIT_FD(t->ends[1], POLLOUT)};
    expect_none(t, items, 2);
    wait_for_letter(t, items, 2, 0);
    expect_ready(items, 3, 2);
    ipc_wait_item room = IPC_WAIT_QUEUE_ROOM(t->posix, 1);
    if (t->posix != NULL)
        expect_ready(&room, 1, 0);
}

static void wait_for_many(const struct things *t)
{
    ipc_wait_item items[MANY_FDS];
    for (size_t i = 0; i < MANY_FDS; i++)
        items[i] = (ipc_wait_item)IPC_WAIT_FD(t->ends[0], POLLIN);
    expect_none(t, items, MANY_FDS);
    items[MANY_FDS - 1] = (ipc_wait_item)IPC_WAIT_FD(t->ends[1], POLLOUT);
    expect_ready(items, MANY_FDS, MANY_FDS - 1);
    CHECK(ipc_wait(items, 0, IPC_TIME_NOW), -EINVAL);
}

static void wait_for_all_kinds(struct things *t)
{
    ipc_wait_item items[] = {
        IPC_WAIT_QUEUE(t->queue), IPC_WAIT_SEMAPHORE(&t->semaphore),
        IPC_WAIT_EVENT(&t->event), IPC_WAIT_CONNECTION(t->here),
        IPC_WAIT_QUEUE(t->posix)};
    const size_t n = t->posix != NULL ? 5 : 4;
    expect_none(t, items, n);
    wait_for_message(t, items, n, 0);
    wait_for_permit(t, items, n, 1);
    wait_for_event(t, items, n, 2);
    wait_for_letter(t, items, n, 3);
}

/* ---- what ends ---- */

static void wait_for_process(void)
{
    ipc_process process;
    ipc_wait_item item = IPC_WAIT_PROCESS(&process);
    CHECK(ipc_process_init(&process, return_zero, NULL, NULL), 0);
    const bool started = DONE(ipc_process_start(&process));
    if (started)
        expect_ready(&item, 1, 0);
    finish(&process, started, 0);
}

static void wait_for_thread(void)
{
    ipc_thread thread;
    ipc_wait_item item = IPC_WAIT_THREAD(&thread);
    CHECK(ipc_thread_init(&thread, do_nothing, NULL, NULL), 0);
    const bool started = BEGAN(ipc_thread_start(&thread));
    if (started)
        expect_ready(&item, 1, 0);
    finish_thread(&thread, started, 0);
}

static void wait_for_time(void)
{
    ipc_timer timer = {.state_ = 0};
    uint32_t calls = 0;
    ipc_wait_item item = IPC_WAIT_TIMER(&timer);
    if (!BEGAN(ipc_timer_start(&timer, ipc_after_us(50), count_call, &calls,
                               NULL)))
        return;
    expect_ready(&item, 1, 0);
    wait_for_timer(&timer);
    assert_int_equal(calls, 1);
}

/* ---- descriptors that stand for objects ---- */

static bool is_readable(int fd, int ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, ms) == 1;
}

/* Readable as soon as it is ready, with nobody's help. */
static void use_fd_of_queue(struct things *t)
{
    char byte;
    (void)ipc__fail_plain(0);
    const int fd = ipc_queue_fd(t->queue, POLLIN);
    if (done("fd", fd)) {
        assert_int_equal(ipc_queue_fd(t->queue, POLLIN), fd);
        if (DONE(ipc_queue_put_nowait(t->queue, "x", 1))) {
            assert_true(now->blind || is_readable(fd, LIMIT_MS));
            (void)DONE(ipc_queue_get_nowait(t->queue, &byte, 1, NULL));
        }
        CHECK(ipc_fd_close(fd), 0);
    }
    (void)ipc__fail_plain(0);
    const int room = ipc_queue_fd(t->queue, POLLOUT);
    if (done("fd", room)) /* closed with its queue */
        assert_true(now->blind || is_readable(room, LIMIT_MS));
}

static void use_fd_of_event(struct things *t)
{
    (void)ipc__fail_plain(0);
    const int fd = ipc_event_fd(&t->event);
    if (!done("fd", fd))
        return;
    assert_true(now->blind || !is_readable(fd, 0));
    if (DONE(ipc_event_set(&t->event)))
        assert_true(now->blind || is_readable(fd, LIMIT_MS));
    (void)DONE(ipc_event_clear(&t->event));
    CHECK(ipc_fd_close(fd), 0);
}

static void use_fd_that_is_ready(int fd)
{
    if (!done("fd", fd))
        return;
    assert_true(now->blind || is_readable(fd, LIMIT_MS));
    CHECK(ipc_fd_close(fd), 0);
}

static void use_fds_of_the_rest(struct things *t)
{
    (void)ipc__fail_plain(0);
    use_fd_that_is_ready(ipc_lock_fd(&t->lock));
    (void)ipc__fail_plain(0);
    use_fd_that_is_ready(ipc_rlock_fd(&t->rlock));
    (void)ipc__fail_plain(0);
    if (t->posix != NULL)
        use_fd_that_is_ready(ipc_queue_fd(t->posix, POLLOUT));
    (void)ipc__fail_plain(0);
    const int fd = ipc_semaphore_fd(&t->semaphore);
    if (done("fd", fd))
        CHECK(ipc_fd_close(fd), 0);
    CHECK(ipc_fd_close(t->ends[0]), -EINVAL);
}

/* ---- all of it ---- */

static void use_things(struct things *t)
{
    wait_for_words(t);
    wait_for_what_is_ready(t);
    wait_for_descriptors(t);
    wait_for_many(t);
    if (!now->no_processes)
        wait_for_process();
    if (!now->no_threads)
        wait_for_thread();
    if (!now->no_threads && !now->no_timers)
        wait_for_time();
    if (!has_helper())
        return;
    wait_for_all_kinds(t);
    use_fd_of_queue(t);
    use_fd_of_event(t);
    use_fds_of_the_rest(t);
}

static void use_things_with_queue(struct things *t)
{
    const ipc_queue_options options = {.size = sizeof options, .capacity = 2};
    if (!DONE(ipc_queue_new(&options, &t->queue)))
        return;
    if (has_posix_queues() && !DONE(ipc_queue_open_or_create(
                                  posix_name_of_everything(), NULL, &t->posix)))
        t->posix = NULL;
    use_things(t);
    if (t->posix != NULL) {
        CHECK(ipc_queue_detach(t->posix), 0);
        (void)DONE(ipc_queue_unlink(posix_name_of_everything()));
    }
    CHECK(ipc_queue_free(t->queue), 0);
}

static void use_waits(void)
{
    static struct things t;
    memset(&t, 0, sizeof t);
    CHECK(ipc_semaphore_init(&t.semaphore, 0, NULL), 0);
    if (pipe2(t.ends, O_CLOEXEC) != 0)
        return;
    if (DONE(ipc_pipe(NULL, &t.here, &t.there))) {
        use_things_with_queue(&t);
        CHECK(ipc_connection_close(t.here), 0);
        CHECK(ipc_connection_close(t.there), 0);
    }
    (void)close(t.ends[0]);
    (void)close(t.ends[1]);
}

#endif
