/* Members are watched by the counts they publish. */
#include "queue_team.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS    INT64_C(1000000)
#define LIMIT_NS   INT64_C(10000000000)
#define WARM_UP_NS INT64_C(10000000)

/* Who has not had his first message by then is kept out by the others. */
#define JOIN_NS INT64_C(200000000)

/* Small messages stay in the cache beside the loop; large ones are more than
 * it has room for, as they would be in a program. */
#define BUFFER_COUNT   64
#define LARGE_SIZE     ((size_t)64 << 10)
#define LARGE_TOGETHER ((size_t)8 << 20)

void queue_relax(unsigned *tries)
{
    if (++*tries < QUEUE_SPINS) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    } else {
        sched_yield();
    }
}

bool queue_wrong(const struct queue_end *end, size_t size, uint64_t word)
{
    if (size != end->shape->size)
        warnx("a message of %zu bytes was got, not of %zu", size,
              end->shape->size);
    else
        warnx("a wrong message was got: %016" PRIx64, word);
    return false;
}

void queue_next_buffers(struct queue_end *end, struct iovec *messages,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        messages[i].iov_base = queue_next_buffer(end, end->shape->size);
        messages[i].iov_len = end->shape->size;
    }
}

/* ---- the members ---- */

static uint64_t load(const uint64_t *from)
{
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static void set(uint64_t *to)
{
    __atomic_store_n(to, 1, __ATOMIC_RELEASE);
}

static bool is_round_trip(const struct queue_team *team)
{
    return team->queues[1] != NULL;
}

static size_t count_members(const struct queue_team *team)
{
    return team->shape->consumers + team->shape->producers;
}

/* Left to the kernel, the members begin on different CPUs: or it would be
 * chance how a short run goes. */
static void place(const struct queue_team *team, size_t index)
{
    cpu_set_t all;
    cpu_set_t one;
    size_t nth;

    if (team->shape->one_cpu)
        return;
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        err(EXIT_FAILURE, "sched_getaffinity");
    nth = index % (size_t)CPU_COUNT(&all);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && nth-- == 0) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    if (sched_setaffinity(0, sizeof one, &one) != 0 ||
        sched_setaffinity(0, sizeof all, &all) != 0)
        err(EXIT_FAILURE, "sched_setaffinity");
}

/* The last of the CPUs that may be used, for this process and its children. */
static void use_one_cpu(void)
{
    cpu_set_t set;
    size_t cpu = CPU_SETSIZE;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        err(EXIT_FAILURE, "sched_getaffinity");
    while (cpu-- > 0 && !CPU_ISSET(cpu, &set))
        ;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        err(EXIT_FAILURE, "sched_setaffinity");
}

static void make_buffers(struct queue_end *end)
{
    size_t size = end->shape->size;
    size_t bytes;

    end->buffer_count =
        size < LARGE_SIZE ? BUFFER_COUNT : LARGE_TOGETHER / size;
    bytes = end->buffer_count * size;
    end->buffers = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (end->buffers == NULL)
        errx(EXIT_FAILURE, "no memory for %zu bytes of messages", bytes);
    memset(end->buffers, 'm', bytes);
}

static void *join(const struct queue_team *team, size_t which, bool producer,
                  size_t index)
{
    const struct queue_peer *peer = team->peer;
    void *queue = team->queues[which];

    if (!producer && peer->join_consumer != NULL)
        return peer->join_consumer(queue, team->shape, index);
    if (producer && peer->join_producer != NULL)
        return peer->join_producer(queue, team->shape, index);
    return queue;
}

/* Until all who get, from either queue, have joined in. */
static void await_consumers(const struct queue_team *team)
{
    size_t count =
        is_round_trip(team) ? count_members(team) : team->shape->consumers;

    for (size_t i = 0; i < count; i++) {
        while (!load(&team->board->members[i].joined))
            bench_sleep_until(bench_now() + LOOK_NS);
    }
}

/* What is still in a buffer of the process would be lost with it: it stays
 * until all has been got. */
static void end_member(const struct queue_team *team, struct queue_end *end,
                       bool good)
{
    if (!good && errno != 0)
        err(EXIT_FAILURE, "%s stopped working", team->peer->name);
    if (!good)
        errx(EXIT_FAILURE, "%s stopped working", team->peer->name);
    set(&end->member->done);
    for (;;)
        pause();
}

/* One who only gets, or only puts. */
static bool work_one_way(const struct queue_team *team, struct queue_end *end,
                         size_t index)
{
    const struct queue_loops *loops = team->peer->loops;
    size_t consumers = team->shape->consumers;
    void *queue;

    if (index < consumers) {
        queue = join(team, 0, false, index);
        set(&end->member->joined);
        return loops->consume(queue, end);
    }
    end->producer = index - consumers;
    end->last[end->producer] = (uint64_t)end->producer << 56;
    await_consumers(team);
    queue = join(team, 0, true, end->producer);
    return loops->produce(queue, end);
}

static bool work_round_trips(const struct queue_team *team,
                             struct queue_end *end, size_t index)
{
    const struct queue_loops *loops = team->peer->loops;
    bool answers = index == 0;
    void *queues[2];

    queues[answers ? 0 : 1] = join(team, answers ? 0 : 1, false, 0);
    set(&end->member->joined);
    await_consumers(team);
    queues[answers ? 1 : 0] = join(team, answers ? 1 : 0, true, 0);
    if (answers)
        return loops->answer(queues[0], queues[1], end);
    memset(end->trips, 0, sizeof team->board->trips);
    return loops->ask(queues[0], queues[1], end);
}

static void member(void *arg, size_t index)
{
    const struct queue_team *team = arg;
    struct queue_end end = {
        .shape = team->shape,
        .member = &team->board->members[index],
        .stop = &team->board->stop,
        .trips = team->board->trips,
    };

    place(team, index);
    make_buffers(&end);
    errno = 0;
    end_member(team, &end,
               is_round_trip(team) ? work_round_trips(team, &end, index)
                                   : work_one_way(team, &end, index));
}

/* ---- the end ---- */

static void drop(struct queue_team *team)
{
    for (size_t i = 0; i < team->processes.count; i++) {
        pid_t pid = team->processes.pids[i];

        if (pid > 0) {
            kill(pid, SIGKILL);
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
    }
    for (size_t i = 0; i < 2 && team->queues[i] != NULL; i++) {
        if (team->peer->drop != NULL)
            team->peer->drop(team->queues[i]);
    }
    munmap(team->board, sizeof *team->board);
}

/* End the team and the case. */
__attribute__((noreturn, format(printf, 2, 3))) static void
fail(struct queue_team *team, const char *format, ...)
{
    char text[128];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    drop(team);
    errx(EXIT_FAILURE, "%s %s: %s", team->peer->name, team->shape->params,
         text);
}

/* Members end only when killed, or when they failed. */
static void check_alive(struct queue_team *team)
{
    for (size_t i = 0; i < team->processes.count; i++) {
        pid_t pid = team->processes.pids[i];

        if (waitpid(pid, NULL, WNOHANG) == pid) {
            team->processes.pids[i] = 0;
            fail(team, "a process ended early");
        }
    }
}

static bool await(struct queue_team *team, int64_t limit_ns,
                  bool (*reached)(const struct queue_team *team))
{
    int64_t until = bench_now() + limit_ns;

    while (!reached(team)) {
        int64_t now = bench_now();

        if (now > until)
            return false;
        check_alive(team);
        bench_sleep_until(now + LOOK_NS);
    }
    return true;
}

/* ---- the start ---- */

/* All have joined in, and all of the queue's memory was used once. */
static bool are_warm(const struct queue_team *team)
{
    for (size_t i = 0; i < count_members(team); i++) {
        if (load(&team->board->members[i].count) == 0)
            return false;
    }
    return is_round_trip(team) || queue_team_got(team) > team->shape->depth;
}

static bool some_got(const struct queue_team *team)
{
    return queue_team_got(team) > 0;
}

void queue_team_start(struct queue_team *team, const struct bench_case *c,
                      bool trips)
{
    const struct queue_shape *shape = c->how;

    *team = (struct queue_team){.peer = c->what, .shape = shape};
    if (shape->one_cpu)
        use_one_cpu();
    team->board = bench_shared(sizeof *team->board);
    for (size_t i = 0; i < (trips ? 2 : 1); i++)
        team->queues[i] = team->peer->make(shape);
    bench_team_start(&team->processes, count_members(team), member, team);
    if (!await(team, LIMIT_NS, some_got))
        fail(team, "hung at the start");
    (void)await(team, JOIN_NS, are_warm);
    bench_sleep_until(bench_now() + WARM_UP_NS);
}

/* ---- in between ---- */

uint64_t queue_team_got(const struct queue_team *team)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < team->shape->consumers; i++)
        sum += load(&team->board->members[i].count);
    return sum;
}

uint64_t queue_team_put(const struct queue_team *team)
{
    uint64_t sum = 0;

    for (size_t i = team->shape->consumers; i < count_members(team); i++)
        sum += load(&team->board->members[i].count);
    return sum;
}

int64_t queue_team_cpu_time(const struct queue_team *team)
{
    int64_t sum = 0;

    for (size_t i = 0; i < team->processes.count; i++) {
        struct timespec used;
        clockid_t clock;

        if (clock_getcpuclockid(team->processes.pids[i], &clock) == 0 &&
            clock_gettime(clock, &used) == 0)
            sum += used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
    }
    return sum;
}

/* ---- the end, when all goes well ---- */

static bool are_producers_done(const struct queue_team *team)
{
    for (size_t i = team->shape->consumers; i < count_members(team); i++) {
        if (!load(&team->board->members[i].done))
            return false;
    }
    return true;
}

static bool is_all_got(const struct queue_team *team)
{
    return queue_team_got(team) >= queue_team_put(team);
}

/* The words that were put and not got, as a sum. */
static uint64_t balance(const struct queue_team *team)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count_members(team); i++) {
        uint64_t words = team->board->members[i].sum;

        sum += i < team->shape->consumers ? -words : words;
    }
    return sum;
}

void queue_team_stop(struct queue_team *team)
{
    uint64_t put;
    uint64_t got;

    set(&team->board->stop);
    if (!await(team, LIMIT_NS, are_producers_done))
        fail(team, "hung");
    (void)await(team, LIMIT_NS, is_all_got);
    put = queue_team_put(team);
    got = queue_team_got(team);
    if (put != got)
        fail(team, "%" PRIu64 " messages were put, but %" PRIu64 " got", put,
             got);
    if (balance(team) != 0)
        fail(team, "what was got is not what was put");
    drop(team);
}
