/* A dict that a manager owns, and what goes wrong with Python's.
 *
 *     d = manager.dict()
 *     d[1] = '1'
 *     d['2'] = 2
 *     d[0.25] = None
 *     d['hits'] += 1                  # get and set: some are lost
 *     d['by'] = {}                    # a copy goes to the server,
 *     d['by']['ada'] = 1              # and this changes another copy
 *
 * Here += is one call, and a dict within a dict is the thing itself: everybody
 * who looks into it sees what others change there. */
#include <ipc/ipc.h>
#include <ipc/managed.h>

#include <err.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    VISITORS = 4,
    VISITS = 2000
};

static ipc_managed *meeting;

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* Each of these is one step; from get to set others have theirs.  The first
 * time all meet in between, so that some are lost in any case. */
static void count_badly(ipc_dict *d, bool first)
{
    int64_t n;

    check(ipc_dict_get_i64(d, "hits, get and set", &n));
    if (first)
        check(ipc_managed_barrier_wait(meeting));
    check(ipc_dict_set_i64(d, "hits, get and set", n + 1));
}

static int visit(void *arg)
{
    const char *name = ipc_process_name(ipc_current_process());
    ipc_dict *d = arg, *by;

    check(ipc_dict_dict(d, "by", &by)); /* made by the first who asks */
    for (int i = 0; i < VISITS; i++) {
        count_badly(d, i == 0);
        check(ipc_dict_incr(d, ipc_str("hits"), 1, NULL));
        check(ipc_dict_incr(by, ipc_str(name), 1, NULL));
    }
    return ipc_dict_close(by);
}

static void run_visitors(ipc_dict *d)
{
    static const char *const names[VISITORS] = {"ada", "bob", "cem", "dan"};
    ipc_process p[VISITORS];

    for (int i = 0; i < VISITORS; i++) {
        ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
        options.name = names[i];
        ipc_process_init(&p[i], visit, d, &options);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < VISITORS; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
}

static void print(const char *indent, ipc_dict *dict)
{
    ipc_anys items; /* key, value, key, value, ... */
    char key[80], value[80];

    check(ipc_dict_items(dict, &items));
    for (size_t i = 0; i < items.count; i += 2) {
        ipc_any_format(&items.items[i], key, sizeof key);
        ipc_any_format(&items.items[i + 1], value, sizeof value);
        printf("%s%s: %s\n", indent, key, value);
        if (items.items[i + 1].type == IPC_TYPE_DICT)
            print("    ", items.items[i + 1].dict);
    }
    ipc_anys_free(&items);
}

int main(void)
{
    int64_t hits, badly, sum = 0;
    ipc_manager *manager;
    ipc_anys visits;
    ipc_dict *d, *by;

    check(ipc_manager_start(NULL, &manager));
    check(ipc_manager_dict(manager, NULL, &d));

    /* Keys and values of any type, mixed as one likes. */
    check(ipc_dict_set(d, ipc_i64(1), ipc_str("1")));
    check(ipc_dict_set(d, ipc_str("2"), ipc_i64(2)));
    check(ipc_dict_set(d, ipc_f64(0.25), ipc_nil()));
    check(ipc_dict_set_i64(d, "hits, get and set", 0));
    check(ipc_manager_barrier(manager, NULL, VISITORS, &meeting));
    run_visitors(d);
    print("", d);

    check(ipc_dict_dict(d, "by", &by));
    check(ipc_dict_values(by, &visits));
    for (size_t i = 0; i < visits.count; i++)
        sum += visits.items[i].i64;
    ipc_anys_free(&visits);
    check(ipc_dict_get_i64(d, "hits", &hits));
    check(ipc_dict_get_i64(d, "hits, get and set", &badly));
    printf("%d visitors came %" PRId64 " times: %" PRId64
           " are told by name, get and set lost %" PRId64 "\n",
           VISITORS, hits, sum, hits - badly);
    check(ipc_managed_close(meeting));
    check(ipc_dict_close(by));
    check(ipc_dict_close(d));
    check(ipc_manager_close(manager));
    return hits != (int64_t)VISITORS * VISITS || sum != hits || badly >= hits;
}
