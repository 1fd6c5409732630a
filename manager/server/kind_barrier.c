/* Barriers: those who have come, and whether it is broken.
 *
 * State
 *   came      parties that wait, in the order of coming.  Each waiting call has
 *             one (scratch[0]); when the phase ends it is taken out and told
 *             how, so what happens afterwards in the same turn means nothing
 *             to it
 *   attached  for each session that is enrolled or has come: its hold.  One
 *             whose connection was lost while it waited stays attached until
 *             the phase ends: it may come again, or its end breaks the barrier
 *
 * Death
 *   The session of one who has come, or is enrolled, ends: broken. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "server/kinds.h"

#define PARTIES_MAX 65535

enum outcome {
    HAS_COME = 0,
    ALL_CAME,
    BROKEN
};

struct barrier {
    struct list came;
    uint32_t waiting; /* how many came */
    uint32_t parties;
    uint32_t enrolled;
    bool broken;
};

struct party {
    struct list of_phase;
    enum outcome outcome;
    uint32_t place;
};

struct attached {
    struct ipcm__hold hold;
    bool enrolled;
    bool has_come; /* in this phase */
};

/* ---- making and ending ---- */

static int create(struct ipcm__object *object, const ipc_any *args,
                  size_t count)
{
    struct ipcm__options options = {args, count, 0};
    struct ipcm__option option;
    int64_t parties = 0;
    int rc = ipcm__option_next(&options, &option);
    while (rc == 1) {
        if (!ipcm__option_is(option.name, option.bytes, "parties") ||
            ipcm__option_i64(option.value, 1, PARTIES_MAX, &parties) < 0)
            return ipcm__option_fail(object, option.name, option.bytes);
        rc = ipcm__option_next(&options, &option);
    }
    if (rc == 0 && parties == 0)
        return ipcm__fail(-EINVAL, "a barrier needs option parties");
    struct barrier *barrier = rc < 0 ? NULL : calloc(1, sizeof *barrier);
    if (barrier == NULL)
        return rc != 0 ? rc : ipcm__fail_no_memory();
    list_init(&barrier->came);
    barrier->parties = (uint32_t)parties;
    object->state = barrier;
    return 0;
}

static void destroy(struct ipcm__object *object)
{
    free(object->state);
}

/* ---- sessions ---- */

static struct attached *find_attached(struct ipcm__object *object,
                                      const struct ipcm__session *session)
{
    struct list *held = (struct list *)(uintptr_t)&session->held;
    for (struct list *at = held->next; at != held; at = at->next) {
        struct ipcm__hold *hold = list_entry(at, struct ipcm__hold, of_session);
        if (hold->object == object)
            return (struct attached *)(void *)hold;
    }
    return NULL;
}

static struct attached *attach(struct ipcm__object *object,
                               struct ipcm__session *session)
{
    struct attached *attached = find_attached(object, session);
    return attached != NULL ? attached
                            : ipcm__hold_new(sizeof *attached, session, object);
}

static void end_attached(struct attached *attached)
{
    ipcm__hold_end(&attached->hold);
}

/* ---- phases ---- */

static void end_phase(struct ipcm__object *object, enum outcome outcome)
{
    struct barrier *barrier = object->state;
    uint32_t place = 0;
    while (!list_is_empty(&barrier->came)) {
        struct party *party =
            list_entry(barrier->came.next, struct party, of_phase);
        list_remove(&party->of_phase);
        party->outcome = outcome;
        party->place = place++;
    }
    barrier->waiting = 0;
    struct list *next;
    for (struct list *at = object->holds.next; at != &object->holds;
         at = next) {
        struct attached *attached = (struct attached *)(void *)list_entry(
            at, struct ipcm__hold, of_object);
        next = at->next;
        attached->has_come = false;
        if (!attached->enrolled)
            end_attached(attached);
    }
    ipcm__object_ring(object);
}

static void break_it(struct ipcm__object *object)
{
    struct barrier *barrier = object->state;
    if (barrier->broken)
        return;
    barrier->broken = true;
    end_phase(object, BROKEN);
}

static int reset(struct ipcm__object *object)
{
    struct barrier *barrier = object->state;
    barrier->broken = false;
    end_phase(object, BROKEN);
    return 0;
}

/* ---- waiting ---- */

static struct party *party_of(const struct ipcm__call *call)
{
    return (struct party *)(uintptr_t)call->scratch[0];
}

static void end_party(struct ipcm__call *call)
{
    free(party_of(call));
    call->scratch[0] = 0;
}

static int fail_broken(const struct ipcm__object *object)
{
    return ipcm__fail(-ECANCELED,
                      "%s is broken: a party died or timed out, or "
                      "it was aborted or reset",
                      object->name != NULL ? object->name : "the barrier");
}

/* The place was given out when the phase ended. */
static int told(struct ipcm__object *object, struct ipcm__call *call)
{
    const struct party party = *party_of(call);
    end_party(call);
    return party.outcome == ALL_CAME ? ipcm__answer_i64(call, party.place)
                                     : fail_broken(object);
}

static int come(struct ipcm__object *object, struct ipcm__call *call)
{
    struct barrier *barrier = object->state;
    struct party *party = calloc(1, sizeof *party);
    if (party == NULL)
        return ipcm__fail_no_memory();
    struct attached *attached = attach(object, call->session);
    if (attached == NULL) {
        free(party);
        return -ENOMEM;
    }
    attached->has_come = true;
    list_append(&barrier->came, &party->of_phase);
    call->scratch[0] = (uintptr_t)party;
    if (++barrier->waiting == barrier->parties)
        end_phase(object, ALL_CAME);
    return 0;
}

/* Who gives up breaks it, for everybody. */
static int give_up(struct ipcm__object *object, struct ipcm__call *call)
{
    struct barrier *barrier = object->state;
    const uint32_t waiting = barrier->waiting;
    break_it(object);
    end_party(call);
    return ipcm__fail(-ETIMEDOUT, "%u of %u came", (unsigned)waiting,
                      (unsigned)barrier->parties);
}

static int wait_for(struct ipcm__object *object, struct ipcm__call *call)
{
    const struct barrier *barrier = object->state;
    int64_t ns;
    int rc = ipcm__arg_count(&call->request, 1, 1);
    if (rc == 0)
        rc = ipcm__arg_ns(call, 0, &ns);
    if (rc != 0)
        return rc;
    if (party_of(call) == NULL) {
        if (barrier->broken)
            return fail_broken(object);
        if (ns == 0 && barrier->waiting + 1 < barrier->parties)
            return ipcm__fail(-EAGAIN, "%u of %u came",
                              (unsigned)barrier->waiting,
                              (unsigned)barrier->parties);
        rc = come(object, call);
        if (rc != 0)
            return rc;
    }
    if (party_of(call)->outcome != HAS_COME)
        return told(object, call);
    return call->expired ? give_up(object, call) : IPCM__WAITS;
}

/* ---- the other operations ---- */

static int enroll(struct ipcm__object *object, struct ipcm__session *session)
{
    struct barrier *barrier = object->state;
    struct attached *attached = find_attached(object, session);
    if (attached != NULL && attached->enrolled)
        return ipcm__fail(-EALREADY, "the session is enrolled");
    if (barrier->enrolled == barrier->parties)
        return ipcm__fail(-ENOSPC, "all %u parties are enrolled",
                          (unsigned)barrier->parties);
    attached = attach(object, session);
    if (attached == NULL)
        return -ENOMEM;
    attached->enrolled = true;
    barrier->enrolled++;
    return 0;
}

static int leave(struct ipcm__object *object,
                 const struct ipcm__session *session)
{
    struct barrier *barrier = object->state;
    struct attached *attached = find_attached(object, session);
    if (attached == NULL || !attached->enrolled)
        return ipcm__fail(-ESRCH, "the session is not enrolled");
    attached->enrolled = false;
    barrier->enrolled--;
    if (!attached->has_come)
        end_attached(attached);
    return 0;
}

static int info(const struct barrier *barrier, struct ipcm__call *call)
{
    int rc = ipcm__answer_i64(call, barrier->parties);
    if (rc == 0)
        rc = ipcm__answer_i64(call, barrier->waiting);
    if (rc == 0)
        rc = ipcm__call_result(call, ipc_bool(barrier->broken));
    return rc;
}

static int call_barrier(struct ipcm__object *object, struct ipcm__call *call)
{
    const uint32_t op = call->request.op;
    if (op < IPCM__OP_BARRIER_WAIT || op > IPCM__OP_BARRIER_INFO)
        return ipcm__fail_no_operation(call);
    if (op == IPCM__OP_BARRIER_WAIT)
        return wait_for(object, call);
    const int rc = ipcm__arg_count(&call->request, 0, 0);
    if (rc != 0)
        return rc;
    switch (op) {
    case IPCM__OP_BARRIER_ENROLL:
        return enroll(object, call->session);
    case IPCM__OP_BARRIER_LEAVE:
        return leave(object, call->session);
    case IPCM__OP_BARRIER_ABORT:
        break_it(object);
        return 0;
    case IPCM__OP_BARRIER_RESET:
        return reset(object);
    default:
        return info(object->state, call);
    }
}

/* It has not come; the session may send it again. */
static void withdrawn(struct ipcm__object *object, struct ipcm__call *call)
{
    struct barrier *barrier = object->state;
    const struct party *party = party_of(call);
    if (party == NULL)
        return;
    if (party->outcome == HAS_COME) {
        struct list *place = &party_of(call)->of_phase;
        list_remove(place);
        barrier->waiting--;
    }
    end_party(call);
}

static void lost(struct ipcm__object *object, struct ipcm__hold *hold)
{
    struct barrier *barrier = object->state;
    struct attached *attached = (struct attached *)(void *)hold;
    barrier->enrolled -= attached->enrolled;
    end_attached(attached);
    break_it(object);
}

static int describe(const struct ipcm__object *object, char *out, size_t size)
{
    const struct barrier *barrier = object->state;
    return snprintf(out, size, "%u of %u have come%s",
                    (unsigned)barrier->waiting, (unsigned)barrier->parties,
                    barrier->broken ? ", broken" : "");
}

const struct ipcm__kind ipcm__kind_barrier = {
    .name = "barrier",
    .create = create,
    .destroy = destroy,
    .call = call_barrier,
    .withdrawn = withdrawn,
    .lost = lost,
    .describe = describe,
};
