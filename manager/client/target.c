/* Targets: objects of the server as handles know them.
 *
 * State
 *   manager, type, names and options stay; id, instance, epoch and process
 *   say in which session the handle has a reference, under which number.  They
 *   are changed under the lock of forks, by whoever finds them out of date, and
 *   not while he asks the server. */
#include "client/client.h"
#include "client/fork.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "fail.h"

/* ---- asking ---- */

/* One request, answered; results are numbers. */
static int ask_once(ipc_manager *manager, uint64_t epoch, struct ipcm__ask *ask)
{
    const int rc = ipcm__link_ask(manager, epoch, ask, 1, IPC_TIME_FOREVER);
    if (rc != 0)
        return rc;
    if (ask->status < 0 && ask->status != IPCM__AGAIN)
        ipc_remote_detail("%s", ask->detail);
    return ask->status;
}

/* A request for OPEN, made of an opening and nothing else. */
static ipc_any *open_args(const struct ipcm__opening *opening, uint64_t epoch,
                          ipc_manager *manager, size_t *count, int *rc)
{
    ipc_any *args = calloc(opening->count + 4, sizeof *args);
    if (args == NULL) {
        *rc = ipcm__fail(-ENOMEM, "no memory for %zu values", opening->count);
        return NULL;
    }
    size_t n = 0;
    args[n++] = ipc_str(opening->type);
    args[n++] = opening->name != NULL ? ipc_str(opening->name) : ipc_nil();
    *rc = 0;
    if (opening->lock != NULL) {
        uint64_t id = 0;
        *rc = ipcm__target_id(&opening->lock->target, epoch, &id);
        args[n++] = ipc_str("lock");
        args[n++] = ipc_u64(id);
    }
    for (size_t i = 0; *rc == 0 && i < opening->count; i++)
        *rc = ipcm__to_wire(manager, epoch, &opening->options[i], &args[n++]);
    *count = n;
    if (*rc == 0)
        return args;
    free(args);
    return NULL;
}

struct opened {
    uint64_t id;
    uint64_t instance;
    uint32_t place;
    uint32_t durability;
};

static bool is_number(const ipc_any *value)
{
    return value->type == IPC_TYPE_I64 || value->type == IPC_TYPE_U64;
}

static int read_opened(struct ipcm__ask *ask, struct opened *out)
{
    const ipc_anys *r = &ask->results;
    int rc = ask->status;
    if (r->count < 3 || !is_number(&r->items[0]) || !is_number(&r->items[1]) ||
        !is_number(&r->items[2]))
        rc = ipcm__fail(-EPROTO, "an answer that makes no sense");
    else
        *out = (struct opened){
            .id = r->items[0].u64,
            .instance = ask->instance,
            .place = r->items[1].i64 == 1,
            .durability = (uint32_t)r->items[2].u64,
        };
    ipcm__free_numbers(&ask->results);
    return rc;
}

static int open_in(ipc_manager *manager, uint64_t epoch,
                   const struct ipcm__opening *opening, struct opened *out)
{
    size_t count = 0;
    int rc = 0;
    ipc_any *args = open_args(opening, epoch, manager, &count, &rc);
    if (args == NULL)
        return rc;
    struct ipcm__ask ask = {
        .request = {.op = IPCM__OP_OPEN, .args = args, .count = count}};
    rc = ask_once(manager, epoch, &ask);
    free(args);
    return rc < 0 ? rc : read_opened(&ask, out);
}

static int refer(const struct ipcm__target *target, uint64_t epoch,
                 struct opened *out)
{
    const ipc_any args[] = {ipc_u64(target->id), ipc_i64(target->type)};
    struct ipcm__ask ask = {
        .request = {.op = IPCM__OP_REFER, .args = args, .count = 2}};
    const int rc = ask_once(target->manager, epoch, &ask);
    if (rc < 0)
        return rc;
    ipcm__free_numbers(&ask.results);
    *out = (struct opened){.id = target->id, .instance = ask.instance};
    return 0;
}

/* ---- the number in an epoch ---- */

static int fail_stale(const struct ipcm__target *target)
{
    return ipcm__fail(-ESTALE, "the %s %s%s%sis no more", target->type_name,
                      target->name != NULL ? "\"" : "",
                      target->name != NULL ? target->name : "",
                      target->name != NULL ? "\" " : "");
}

/* In a server that has been started again, what was not durable and has a name
 * is made again. */
static int find_again(const struct ipcm__target *target, uint64_t epoch,
                      struct opened *out)
{
    uint32_t flags;
    int rc = refer(target, epoch, out);
    if (rc != -ESTALE && rc != -EINVAL)
        return rc;
    const uint64_t instance =
        ipcm__link_instance(target->manager, epoch, &flags);
    if (instance == 0)
        return IPCM__AGAIN;
    if (instance == target->instance || target->name == NULL ||
        target->one_time)
        return fail_stale(target);
    const struct ipcm__opening opening = {
        .type = target->type_name,
        .name = target->name,
        .options = target->options.items,
        .count = target->options.count,
    };
    rc = open_in(target->manager, epoch, &opening, out);
    return rc > 0 ? 0 : rc;
}

/* Without the lock: who changes it does so for a later epoch, in which the
 * server is not asked for this one's numbers any more.  The number is stored
 * first, then for what it is good. */
static bool is_fresh(const struct ipcm__target *target, uint64_t epoch,
                     uint64_t *id)
{
    if (load_acquire(&target->process) != ipcm__process() ||
        load_acquire(&target->epoch) != epoch)
        return false;
    *id = load_relaxed(&target->id);
    return true;
}

int ipcm__target_id(struct ipcm__target *target, uint64_t epoch, uint64_t *out)
{
    if (is_fresh(target, epoch, out))
        return 0;
    const uint64_t process = ipcm__process();
    ipcm__forks_lock();
    const struct ipcm__target known = *target;
    ipcm__forks_unlock();
    struct opened found = {0};
    const int rc = find_again(&known, epoch, &found);
    if (rc != 0)
        return rc;
    ipcm__forks_lock();
    const bool late = target->epoch == epoch && target->process == process;
    if (!late) {
        store_relaxed(&target->id, found.id);
        target->instance = found.instance;
        store_release(&target->epoch, epoch);
        store_release(&target->process, process);
    }
    *out = target->id;
    ipcm__forks_unlock();
    if (late)
        ipcm__link_tell(target->manager, epoch, found.id);
    return 0;
}

void ipcm__target_end(struct ipcm__target *target)
{
    if (target->process == ipcm__process())
        ipcm__link_tell(target->manager, target->epoch, target->id);
    free(target->name);
    ipc_anys_free(&target->options);
    ipcm__manager_drop(target->manager);
}

/* ---- OPEN ---- */

static int keep_names(struct ipcm__target *target,
                      const struct ipcm__opening *opening)
{
    snprintf(target->type_name, sizeof target->type_name, "%s", opening->type);
    if (opening->name == NULL)
        return 0;
    target->one_time = opening->kept != opening->count || opening->lock != NULL;
    const int rc =
        ipcm__copy_values(opening->options, opening->kept, &target->options);
    if (rc != 0)
        return rc;
    target->name = strdup(opening->name);
    return target->name != NULL ? 0 : ipcm__fail(-ENOMEM, "no memory");
}

int ipcm__open(ipc_manager *manager, const struct ipcm__opening *opening,
               struct ipcm__target *out, uint32_t *place)
{
    struct ipcm__target target = {.manager = manager};
    struct opened opened = {0};
    int rc = keep_names(&target, opening);
    uint64_t epoch = 0;
    if (rc == 0)
        rc = IPCM__AGAIN;
    for (int i = 0; rc == IPCM__AGAIN && i < IPCM__TRIES; i++) {
        rc = ipcm__link_up(manager, &epoch);
        if (rc == 0)
            rc = open_in(manager, epoch, opening, &opened);
    }
    if (rc == IPCM__AGAIN)
        rc = ipcm__fail_again();
    if (rc < 0) {
        free(target.name);
        ipc_anys_free(&target.options);
        return rc;
    }
    target.id = opened.id;
    target.instance = opened.instance;
    target.epoch = epoch;
    target.process = ipcm__process();
    target.durability = opened.durability;
    *place = opened.place;
    ipcm__manager_hold(manager);
    *out = target;
    return rc;
}
