/* Two threads take turns: one prints 1 to 52, the other one A to Z, and what
 * comes out is 12A34B56C and so on to 5152Z.
 *
 *     def numbers():                      def letters():
 *         for i in range(1, 52, 2):           for i in range(26):
 *             turn_of_numbers.acquire()           turn_of_letters.acquire()
 *             print(i, i + 1)                     print(chr(i + ord('A')))
 *             turn_of_letters.release()           turn_of_numbers.release()
 *
 * There each lock is released by the other thread.  A condition says what is
 * meant.  With --processes the same two functions run as two processes. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>
#include <string.h>

/* In family memory, which threads and processes see alike. */
struct game {
    ipc_lock lock;
    ipc_condition changed;
    bool letters_turn;
};

static void check(int rc)
{
    if (rc != 0)
        errx(1, "alternate: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void say(struct game *game, bool letters, const char *text)
{
    check(ipc_lock_acquire(&game->lock));
    while (game->letters_turn != letters)
        check(ipc_condition_wait(&game->changed, &game->lock));
    fputs(text, stdout);
    fflush(stdout); /* before the other one prints */
    game->letters_turn = !letters;
    check(ipc_condition_notify(&game->changed, 1));
    check(ipc_lock_release(&game->lock));
}

static int numbers(void *arg)
{
    char text[24];

    for (int i = 1; i <= 52; i += 2) {
        snprintf(text, sizeof text, "%d%d", i, i + 1);
        say(arg, false, text);
    }
    return 0;
}

static int letters(void *arg)
{
    for (char text[] = "A"; text[0] <= 'Z'; text[0]++)
        say(arg, true, text);
    return 0;
}

static void play_in_threads(struct game *game)
{
    ipc_thread one, two;

    ipc_thread_init(&one, numbers, game, NULL);
    ipc_thread_init(&two, letters, game, NULL);
    check(ipc_thread_start(&one));
    check(ipc_thread_start(&two));
    check(ipc_thread_join(&one));
    check(ipc_thread_join(&two));
    ipc_thread_close(&one);
    ipc_thread_close(&two);
}

static void play_in_processes(struct game *game)
{
    ipc_process one, two;

    ipc_process_init(&one, numbers, game, NULL);
    ipc_process_init(&two, letters, game, NULL);
    check(ipc_process_start(&one));
    check(ipc_process_start(&two));
    check(ipc_process_join(&one));
    check(ipc_process_join(&two));
    ipc_process_close(&one);
    ipc_process_close(&two);
}

int main(int argc, char **argv)
{
    const bool processes = argc > 1 && strcmp(argv[1], "--processes") == 0;
    struct game *game = ipc_shared_alloc(sizeof *game);

    if (game == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    (processes ? play_in_processes : play_in_threads)(game);
    putchar('\n');
    return 0;
}
