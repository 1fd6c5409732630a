/* Links and forks.
 *
 * State
 *   links      those of this process that have descriptors open
 *   inherited  those that the process had at its fork: memory that other
 *              threads may have been changing, never looked at again
 *   here       the number of the process, on a page that every child finds
 *              filled with zeros
 *
 * A child closes the descriptors in the fork itself, not in its first call: a
 * child that never calls would keep its parent's connection open, and over tcp
 * the server would not notice the parent's death. */
#include "client/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "fail.h"

/* The largest page size of the machines that we run on. */
#if defined(__x86_64__)
#    define PAGE_MAX 4096
#else
#    define PAGE_MAX 65536
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list links = {&links, &links};
static struct list inherited = {&inherited, &inherited};
static bool watching;

/* ---- which process ---- */

static union {
    uint64_t number; /* 0: a new process */
    unsigned char page[PAGE_MAX];
} here __attribute__((aligned(PAGE_MAX)));

/* In ordinary memory, so that a child goes on counting. */
static uint64_t last_number;

/* Is the page wiped?  Tried once, by the first process, and inherited. */
enum {
    UNTRIED,
    WIPED,
    NOT_WIPED
};
static uint32_t wiping = UNTRIED;

static SLOW_PATH uint64_t number_process(void)
{
    /* Wiped before the first number is stored: a fork in between copies
     * zeros. */
    if (load_acquire(&wiping) == UNTRIED) {
        const bool done = madvise(&here, sizeof here, MADV_WIPEONFORK) == 0;
        (void)cas32_release(&wiping, UNTRIED, done ? WIPED : NOT_WIPED);
    }
    if (load_acquire(&wiping) != WIPED)
        return (uint64_t)getpid();
    const uint64_t number = add_relaxed(&last_number, 1) + 1;
    (void)cas64_release(&here.number, 0, number);
    return load_acquire(&here.number);
}

uint64_t ipcm__process(void)
{
    const uint64_t number = load_acquire(&here.number);
    return likely(number != 0) ? number : number_process();
}

/* ---- links ---- */

void ipcm__forks_lock(void)
{
    pthread_mutex_lock(&lock);
}

void ipcm__forks_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    while (!list_is_empty(&links)) {
        struct ipcm__link *link =
            list_entry(links.next, struct ipcm__link, of_process);
        for (int i = 0; i < 2; i++)
            if (link->fds[i] >= 0)
                close(link->fds[i]);
        list_remove(&link->of_process);
        list_append(&inherited, &link->of_process);
    }
    ipcm__forks_unlock();
}

static int watch(void)
{
    if (!watching &&
        pthread_atfork(ipcm__forks_lock, ipcm__forks_unlock, in_child) != 0)
        return ipcm__fail(-ENOMEM, "no memory to be told of forks");
    watching = true;
    return 0;
}

int ipcm__forks_watch(void)
{
    ipcm__forks_lock();
    const int rc = watch();
    ipcm__forks_unlock();
    return rc;
}

void ipcm__link_register(struct ipcm__link *link)
{
    ipcm__forks_lock();
    link->fds[0] = link->up ? link->stream.fd : -1;
    link->fds[1] = link->kick;
    list_remove(&link->of_process);
    list_append(&links, &link->of_process);
    ipcm__forks_unlock();
}

void ipcm__link_unregister(struct ipcm__link *link)
{
    ipcm__forks_lock();
    list_remove(&link->of_process);
    ipcm__forks_unlock();
}

/* ---- making one ---- */

static struct ipcm__link *make_link(ipc_manager *manager, int *rc)
{
    struct ipcm__link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        *rc = ipcm__fail(-ENOMEM, "no memory for a connection");
        return NULL;
    }
    link->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->kick < 0) {
        *rc = ipcm__fail(-errno, "no descriptor for a connection");
        free(link);
        return NULL;
    }
    link->manager = manager;
    link->process = ipcm__process();
    link->stream.fd = -1;
    link->lost_at = ipc_now();
    pthread_mutex_init(&link->lock, NULL);
    list_init(&link->of_process);
    list_init(&link->queue);
    list_init(&link->sent);
    list_init(&link->waiters);
    return link;
}

static struct ipcm__link *find_or_make(ipc_manager *manager, int *rc)
{
    struct ipcm__link *link = load_acquire(&manager->link);
    if (link != NULL && link->process == ipcm__process())
        return link;
    *rc = watch();
    if (*rc != 0)
        return NULL;
    link = make_link(manager, rc);
    if (link == NULL)
        return NULL;
    link->fds[0] = -1;
    link->fds[1] = link->kick;
    list_append(&links, &link->of_process);
    store_release(&manager->link, link);
    return link;
}

struct ipcm__link *ipcm__link_here(ipc_manager *manager, int *rc)
{
    struct ipcm__link *link = load_acquire(&manager->link);
    if (link != NULL && link->process == ipcm__process())
        return link;
    ipcm__forks_lock();
    link = find_or_make(manager, rc);
    ipcm__forks_unlock();
    return link;
}

void ipcm__link_free(ipc_manager *manager)
{
    struct ipcm__link *link = manager->link;
    if (link == NULL || link->process != ipcm__process())
        return;
    ipcm__link_unregister(link);
    close(link->kick);
    pthread_mutex_destroy(&link->lock);
    free(link);
}
