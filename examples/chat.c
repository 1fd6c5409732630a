/* A chat: everybody sees every message, and all see them in the same order.
 *
 * The room is a list.  Who says something appends to it; who listens waits for
 * a change of the list (ipc_list_watch()) and reads on from where he was.  The
 * participants greet whoever comes, and say goodbye when they have met all.
 * Python's managers cannot wait for a change: there one asks again and again.
 */
#include <ipc/ipc.h>
#include <ipc/manager.h>

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    GUESTS = 5,
    /* hello, hi to each of the others, bye */
    MESSAGES = GUESTS * (1 + (GUESTS - 1) + 1)
};

struct guest {
    const char *name;
    ipc_list *room;
    int met, left;       /* others that came; all that went */
    uint64_t transcript; /* of all that was heard, in its order */
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void say(const struct guest *guest, const char *what, const char *whom)
{
    char text[80];

    snprintf(text, sizeof text, "%s: %s%s", guest->name, what, whom);
    check(ipc_list_append_str(guest->room, text));
}

/* Two transcripts are the same if all messages and their order are. */
static uint64_t write_down(uint64_t transcript, const char *text)
{
    do
        transcript = (transcript ^ (unsigned char)*text) * 0x100000001b3;
    while (*text++ != '\0');
    return transcript;
}

static void answer(struct guest *guest, const char *text)
{
    const size_t length = strcspn(text, ":");
    char name[32];

    snprintf(name, sizeof name, "%.*s", (int)length, text);
    if (strcmp(text + length, ": bye") == 0)
        guest->left++;
    if (strcmp(text + length, ": hello") != 0 || strcmp(name, guest->name) == 0)
        return;
    say(guest, "hi ", name);
    if (++guest->met == GUESTS - 1)
        say(guest, "bye", "");
}

/* What has been said since; own messages come back too. */
static void listen_to(struct guest *guest, ipc_list_cursor *at)
{
    ipc_any message;
    int rc;

    while ((rc = ipc_list_next(guest->room, at, &message)) == 1) {
        guest->transcript = write_down(guest->transcript, message.str);
        answer(guest, message.str);
        ipc_any_free(&message);
    }
    check(rc);
}

static int chat(void *arg)
{
    ipc_manager *manager = arg;
    struct guest guest = {.name = ipc_process_name(ipc_current_process())};
    ipc_list_cursor at = {0};
    uint64_t version = 0;
    ipc_dict *heard;

    check(ipc_manager_list(manager, "room", &guest.room));
    check(ipc_manager_dict(manager, "heard", &heard));
    say(&guest, "hello", "");
    while (guest.left < GUESTS) {
        check(ipc_list_watch(guest.room, &version, IPC_TIME_FOREVER));
        listen_to(&guest, &at);
    }
    check(ipc_dict_set(heard, ipc_str(guest.name), ipc_u64(guest.transcript)));
    check(ipc_dict_close(heard));
    return ipc_list_close(guest.room);
}

static void run_guests(ipc_manager *manager)
{
    static const char *const names[GUESTS] = {"ada", "bob", "cem", "dan",
                                              "eve"};
    ipc_process p[GUESTS];

    for (int i = 0; i < GUESTS; i++) {
        ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
        options.name = names[i];
        ipc_process_init(&p[i], chat, manager, &options);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < GUESTS; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
}

/* How many guests have heard what is in the room, in that order. */
static int count_who_heard(ipc_list *room, ipc_dict *heard)
{
    ipc_anys said, transcripts;
    uint64_t transcript = 0;
    int same = 0;

    check(ipc_list_slice(room, 0, INT64_MAX, 1, &said));
    for (size_t i = 0; i < said.count; i++) {
        printf("  %s\n", said.items[i].str);
        transcript = write_down(transcript, said.items[i].str);
    }
    ipc_anys_free(&said);

    const ipc_any expected = ipc_u64(transcript);
    check(ipc_dict_values(heard, &transcripts));
    for (size_t i = 0; i < transcripts.count; i++)
        same += ipc_any_equal(&transcripts.items[i], &expected);
    ipc_anys_free(&transcripts);
    return same;
}

int main(void)
{
    ipc_manager *manager;
    ipc_list *room;
    ipc_dict *heard;

    check(ipc_manager_start(NULL, &manager));
    check(ipc_manager_list(manager, "room", &room));
    check(ipc_manager_dict(manager, "heard", &heard));
    run_guests(manager);

    const int same = count_who_heard(room, heard);
    const int64_t messages = ipc_list_length(room);
    printf("%" PRId64 " messages: %d of %d guests heard them all, in this "
           "order\n",
           messages, same, GUESTS);
    check(ipc_dict_close(heard));
    check(ipc_list_close(room));
    check(ipc_manager_close(manager));
    return messages != MESSAGES || same != GUESTS;
}
