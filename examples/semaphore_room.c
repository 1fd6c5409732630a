/* A room for three: nine come, and three at a time are in.
 *
 *     def home(name, s):
 *         s.acquire()
 *         print(f'{name} comes in')
 *         time.sleep(3)
 *         print(f'{name} leaves')
 *         s.release()
 *
 *     s = Semaphore(3)
 *     for i in range(9):
 *         p = Process(target=home, args=(f'Tom{i}', s))
 *         p.start()
 *
 * The same semaphore would do for nine threads. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdatomic.h>
#include <stdio.h>

#define PEOPLE 9
#define PLACES 3

struct room {
    ipc_semaphore *places;
    atomic_int inside; /* right now */
    atomic_int most;   /* ever */
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

static void be_inside(struct room *room, const char *name)
{
    const int inside = atomic_fetch_add(&room->inside, 1) + 1;
    int most = atomic_load(&room->most);

    while (inside > most &&
           !atomic_compare_exchange_weak(&room->most, &most, inside))
        ;
    printf("%s comes in, %d inside\n", name, inside);
    fflush(stdout); /* before somebody else prints */
    ipc_sleep_until(ipc_after_ms(30));
    printf("%s leaves\n", name);
    fflush(stdout);
    atomic_fetch_sub(&room->inside, 1);
}

static int home(void *arg)
{
    struct room *room = arg;

    check(ipc_semaphore_acquire(room->places), "acquire");
    be_inside(room, ipc_process_name(ipc_current_process()));
    check(ipc_semaphore_release(room->places), "release");
    return 0;
}

int main(void)
{
    struct room *room = ipc_shared_alloc(sizeof *room);
    ipc_process p[PEOPLE];
    int exitcode, failed = 0;

    if (room == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    check(ipc_semaphore_new(PLACES, NULL, &room->places), "new");

    for (int i = 0; i < PEOPLE; i++) {
        char name[16];
        snprintf(name, sizeof name, "Tom%d", i);
        ipc_process_init(&p[i], home, room, NULL);
        check(ipc_process_set_name(&p[i], name), "name");
        check(ipc_process_start(&p[i]), "start");
    }
    for (int i = 0; i < PEOPLE; i++) {
        check(ipc_process_join(&p[i]), "join");
        check(ipc_process_exitcode(&p[i], &exitcode), "exitcode");
        failed |= exitcode != 0;
        ipc_process_close(&p[i]);
    }

    failed |= atomic_load(&room->most) > PLACES;
    printf("%d came, never more than %d were inside%s\n", PEOPLE, PLACES,
           failed ? ": not so" : "");
    check(ipc_semaphore_free(room->places), "free");
    ipc_shared_free(room);
    return failed;
}
