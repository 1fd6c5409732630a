/* What the sweeps of pools have in common: a pool without a supervisor's
 * thread, whose workers are roles and whose supervisor is the case itself, so
 * that all happens when the case says so.
 *
 * Tasks have numbers: 0, 1, ... of those that are in line before the victim
 * comes, VICTIM, and LAST, by a fresh process that looks whether all goes on.
 * A task notes that it was begun, and its result tells its number. */
#ifndef CRASH_POOL_SCENE_H
#define CRASH_POOL_SCENE_H

#include "crash/look_once.h"
#include "harness/role.h"
#include "harness/scale.h"
#include "harness/sweep.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/pool.h>
#include <ipc/shared.h>

#include "memory/shared.h"
#include "pool/future.h"
#include "pool/maker.h"
#include "pool/table_parts.h"
#include "pool/worker.h"

enum {
    NUMBERS = 48,
    VICTIM = 40,
    LAST = 41, /* and LAST_LONG */
    LAST_LONG = 42,
    INNER = 43, /* of a task that submits another one */
    CREW = 3,
    LINE = 32, /* entries of the line */
    LIMIT_MS = 10000,
    WEDGE_MS = 2000
};

/* Sizes of arguments and results: in the record's first line, in the third,
 * and in memory of their own. */
enum {
    NEAR = 16,
    FAR = 64,
    SPILLED = 200
};

struct scene {
    /* Given. */
    uint32_t workers;    /* of them the victim is the first if it works */
    bool victim_works;   /* it is worker 0 */
    uint32_t before;     /* tasks in line */
    size_t arg_bytes;    /* of tasks */
    size_t result_bytes; /* promised */
    size_t kept_bytes;   /* by free records; 0: none */
    uint32_t retries;
    uint32_t max_pending;
    uint32_t max_tasks;
    uint32_t start;       /* where the line is */
    bool fresh;           /* no record was ever used */
    bool short_of_memory; /* the next one has no memory yet */
    bool abandoned;       /* nobody asks */
    bool bury_first;      /* the dead are buried before anything goes on */
    bool reserves;        /* tasks give results of another size */
    bool asked;           /* to end, while the victim runs them */
    int wedge_ms;         /* 0: WEDGE_MS */

    ipc_pool *pool;
    uint64_t count; /* of allocations, before */

    /* In the course of it. */
    uint32_t runs[NUMBERS];
    uint32_t torn;
    uint32_t returned;
    int32_t waiter_rc;
    const char *problem;

    /* Figures over all points. */
    long ran;  /* the victim's task was run */
    long died; /* a task was being run by the victim */
};

static struct scene *scene;
static ipc_future *futures[NUMBERS];
static struct role crew[CREW];
static bool victim_is_dead;
static struct ipc__maker boss;
static struct ipc__hand boss_hands[CREW];
static ipc_pool at_first; /* how the pool began */

static inline void no_recheck(void)
{
    ipc__recheck_ns = INT64_MAX;
}

/* ---- tasks; what is stepped calls no assert ---- */

static inline void fill_bytes(void *to, size_t bytes, unsigned number)
{
    unsigned char *b = to;
    memset(b, (int)number, bytes);
    memcpy(b, &number, sizeof number < bytes ? sizeof number : bytes);
}

/* The first word and the ends. */
static inline bool are_bytes(const void *from, size_t bytes, unsigned number)
{
    const unsigned char *b = from;
    unsigned found;
    if (bytes == 0)
        return true;
    memcpy(&found, b, sizeof found);
    return found == number &&
           (bytes == sizeof found ||
            (b[sizeof found] == number && b[bytes / 2] == number &&
             b[bytes - 1] == number));
}

static inline void note_torn(void)
{
    __atomic_store_n(&scene->torn, 1, __ATOMIC_SEQ_CST);
}

static int note_run(const void *arg, void *result, ipc_task *task)
{
    unsigned number = NUMBERS;
    const size_t bytes = ipc_task_arg_bytes(task);
    size_t room = ipc_task_result_bytes(task);
    memcpy(&number, arg, sizeof number);
    if (number >= NUMBERS || !are_bytes(arg, bytes, number) ||
        (room != 0 && (result == NULL || *(char *)result != 0))) {
        note_torn();
        return -EIO;
    }
    __atomic_fetch_add(&scene->runs[number], 1, __ATOMIC_SEQ_CST);
    if (scene->reserves && number < scene->before) {
        if (room != scene->result_bytes)
            note_torn();
        room = SPILLED;
        if (ipc_task_reserve(task, room, &result) != 0)
            return -ENOMEM;
    }
    if (scene->asked && !victim_is_dead && number < scene->before) {
        (void)ipc__future_set_flag(futures[number], IPC__TERMINATE);
        return -ECANCELED;
    }
    fill_bytes(result, room, number);
    return 0;
}

static inline int submit_number(unsigned number, size_t bytes, size_t room,
                                ipc_future **out)
{
    unsigned char arg[SPILLED];
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    fill_bytes(arg, bytes, number);
    options.retries = scene->retries;
    if (scene->retries != 0)
        return ipc_pool_submit_with(scene->pool, &options, note_run, arg, bytes,
                                    room, out);
    return ipc_pool_submit(scene->pool, note_run, arg, bytes, room, out);
}

static inline void must(bool yes)
{
    if (!yes)
        test_fail("the scene cannot be set: %s", ipc_error_detail());
}

/* ---- the crew, as pool/crew.c has it of processes ---- */

static uint32_t own_number;

static inline void work_as(void *arg)
{
    look_once();
    role_exit(ipc__worker_run(scene->pool, *(uint32_t *)arg));
}

static inline int test_crew_start(struct ipc__maker *m, uint32_t i)
{
    must(i < CREW && m->hands[i].started == false);
    memset(&m->hands[i], 0, sizeof m->hands[i]);
    ipc__table_enter(scene->pool, i);
    own_number = i;
    role_start(&crew[i], work_as, &own_number);
    m->hands[i].started = true;
    return 0;
}

static inline bool test_crew_join(const struct ipc__maker *m, uint32_t i,
                                  ipc_deadline until)
{
    int status;
    (void)until;
    if (crew[i].pid != 0)
        return role_dead_within(&crew[i], 0, &status);
    return m->hands[i].started && (i != 0 || victim_is_dead);
}

static inline void test_crew_signal(const struct ipc__maker *m, uint32_t i,
                                    int signal_number)
{
    (void)m;
    if (crew[i].pid > 0)
        (void)kill(crew[i].pid, signal_number);
}

static inline void test_crew_describe(const struct ipc__maker *m, uint32_t i,
                                      struct ipc_future *future)
{
    (void)m;
    future->pid = scene->pool->workers[i].pid;
    future->signal = SIGKILL;
}

static inline void test_crew_close(struct ipc__maker *m, uint32_t i)
{
    m->hands[i].started = false;
}

/* The supervisor with this crew. */
#define ipc__supervise                test_supervise
#define ipc__supervisor_ask           test_supervisor_ask
#define ipc__supervisor_look_at_life  test_supervisor_look_at_life
#define ipc__supervisor_look_at_times test_supervisor_look_at_times
#define ipc__supervisor_end_unwanted  test_supervisor_end_unwanted
#define ipc__supervisor_terminate     test_supervisor_terminate
#define ipc__supervisor_fit           test_supervisor_fit
#define ipc__crew_start               test_crew_start
#define ipc__crew_join                test_crew_join
#define ipc__crew_signal              test_crew_signal
#define ipc__crew_describe            test_crew_describe
#define ipc__crew_close               test_crew_close
void test_supervisor_ask(struct ipc__maker *maker,
                         enum ipc__pool_request request);
int test_supervise(void *arg);
/* NOLINTBEGIN(bugprone-suspicious-include): that is what this is for */
#include "pool/supervisor.c"
#include "pool/supervisor_deaths.c"
#include "pool/supervisor_size.c"
#include "pool/supervisor_times.c"
/* NOLINTEND(bugprone-suspicious-include) */

static inline void supervise(void)
{
    struct ipc__round r = {.maker = &boss,
                           .pool = scene->pool,
                           .now = ipc_now(),
                           .next = IPC_TIME_FOREVER,
                           .count = 1};
    boss.clients_at = 0;
    boss.spawn_at = 0;
    look(&r, true, true);
}

/* ---- the scene ---- */

static inline uint64_t allocations(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    must(ipc_shared_query(&info) == 0);
    return info.count;
}

/* As it was when it was new, whatever was killed in it. */
static inline void begin_anew(void)
{
    ipc_pool *pool = scene->pool;
    for (uint32_t i = 0; i < NUMBERS; i++) {
        (void)ipc__shared_free_in(&pool->records[i].arg);
        (void)ipc__shared_free_in(&pool->records[i].result);
    }
    memset(pool->records, 0, NUMBERS * sizeof *pool->records);
    memset(pool->workers, 0, CREW * sizeof *pool->workers);
    memset(pool->line, 0, LINE * sizeof *pool->line);
    *pool = at_first;
    memset(scene->runs, 0, sizeof scene->runs);
    scene->torn = scene->returned = 0;
    scene->waiter_rc = 1;
    scene->problem = NULL;
    memset(futures, 0, sizeof futures);
    memset(boss_hands, 0, sizeof boss_hands);
    boss = (struct ipc__maker){.pool = pool, .hands = boss_hands};
    victim_is_dead = false;
}

static inline uint64_t cells_of(const struct ipc_future *record)
{
    return (record->arg != 0 ? 1u : 0u) + (record->result != 0 ? 1u : 0u);
}

/* The free records have kept memory of this size. */
static inline void keep_memory(size_t bytes)
{
    ipc_pool *pool = scene->pool;
    for (uint32_t i = 0; i < pool->made; i++) {
        struct ipc_future *record = &pool->records[i];
        must(ipc__table_have(&record->arg, &record->arg_room, bytes) == 0 &&
             ipc__table_have(&record->result, &record->result_room, bytes) ==
                 0);
        memset((void *)(uintptr_t)record->result, 0x55, bytes);
        pool->kept += ipc__table_kept(record);
    }
}

/* Some records that were used before. */
static inline void use_some(void)
{
    ipc_future *some[3];
    for (unsigned i = 0; i < 3; i++)
        must(submit_number(i, NEAR, NEAR, &some[i]) == 0);
    for (unsigned i = 0; i < 3; i++) {
        must(ipc_future_cancel(some[i]) == 0);
        must(ipc_future_free(some[i]) == 0);
    }
    must(ipc__table_skip_stale(scene->pool));
}

static inline void hire(uint32_t i)
{
    must(test_crew_start(&boss, i) == 0);
}

static inline void hire_and_wait(uint32_t i)
{
    hire(i);
    wait_until_sleeping(crew[i].pid, LIMIT_MS);
    while (__atomic_load_n(&scene->pool->workers[i].phase, __ATOMIC_ACQUIRE) !=
           IPC__WORKER_ASLEEP)
        poll_pause();
}

static inline void put_before(void)
{
    for (unsigned i = 0; i < scene->before; i++)
        must(submit_number(i, scene->arg_bytes, scene->result_bytes,
                           scene->abandoned && scene->victim_works
                               ? NULL
                               : &futures[i]) == 0);
}

/* The line begins at this count. */
static inline void move_line(uint32_t count)
{
    ipc_pool *pool = scene->pool;
    const uint32_t word = (count & 0x3fffffffu) * IPC__LINE_STEP;
    pool->head = pool->tail = word;
    pool->head_seen = pool->tail_seen = word / IPC__LINE_STEP;
}

static inline void set_table(void)
{
    begin_anew();
    move_line(scene->start);
    if (!scene->fresh)
        use_some();
    if (scene->short_of_memory) {
        scene->pool->free_head = 0;
        for (uint32_t i = 0; i < scene->pool->made; i++)
            scene->pool->records[i].state = IPC__DONE; /* somebody's */
        scene->pool->records_present = scene->pool->made;
    }
    scene->pool->max_pending = scene->max_pending;
    scene->count = allocations();
    if (scene->kept_bytes != 0)
        keep_memory(scene->kept_bytes);
}

static inline void make_scene(const struct scene *given)
{
    static uint64_t serial;
    void *memory = NULL;
    void *workers = NULL;
    scene = test_shared(sizeof *scene);
    *scene = *given;
    if (scene->wedge_ms == 0)
        scene->wedge_ms = WEDGE_MS;
    must(ipc__shared_alloc(sizeof *scene->pool, &memory) == 0);
    must(ipc__shared_alloc(sizeof(struct ipc__worker) * CREW, &workers) == 0);
    ipc_pool *pool = memory;
    scene->pool = pool;
    pool->workers = workers;
    must(ipc__table_init(pool) == 0);
    pool->workers_max = CREW;
    pool->line_mask = LINE - 1;
    pool->line_present = LINE;
    pool->kind = IPC_POOL_PROCESSES;
    pool->start_method = IPC_START_FORK;
    pool->max_tasks = scene->max_tasks;
    pool->wanted = scene->workers > 0 ? scene->workers : 1;
    pool->max_deaths = IPC__DEATHS;
    pool->deaths_ns = 1;
    pool->maker = &boss;
    pool->maker_pid = getpid();
    pool->looks_at = IPC_TIME_FOREVER;
    pool->magic = IPC__POOL_MAGIC;
    pool->serial = ++serial;
    (void)snprintf(pool->name, sizeof pool->name, "Pool");
    must(ipc__table_client(pool) == 0);
    at_first = *pool;
}

static inline void end_scene(void)
{
    ipc_pool *pool = scene->pool;
    begin_anew();
    pool->made = NUMBERS;
    ipc__table_fini(pool);
    (void)ipc_shared_free(pool->workers);
    (void)ipc_shared_free(pool);
    test_report("ran", scene->ran);
    test_report("died", scene->died);
}

/* In the victim: it is known where the pool lies, and it does not spin. */
static inline void warm_up(void *ctx)
{
    (void)ctx;
    look_once();
    if (ipc__self_register(scene->pool) != 0 ||
        ipc__table_client(scene->pool) == IPC__NO_CLIENT)
        abort();
}

#endif
