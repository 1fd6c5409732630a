/* The simulator: fibers, of which one runs at a time, and what the kernel and
 * the core of the library would be to them.  All that happens follows from the
 * seed. */
#ifndef QUEUE_SIMULATOR_WORLD_H
#define QUEUE_SIMULATOR_WORLD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SIM_FIBERS = 10
};

/* What is broken on purpose. */
enum sim_fault {
    SIM_SOUND,
    SIM_CAS_IN_TWO_STEPS,
    SIM_NO_RECOVERY,      /* a guard of a dead one is just taken */
    SIM_NO_WAKE,          /* a change that is to wake wakes nobody */
    SIM_LIVING_SEEM_DEAD, /* now and then */
    SIM_DEAD_SEEM_ALIVE,
};

struct sim_plan {
    uint64_t seed;
    enum sim_fault fault;
    int kills;       /* so many at most */
    int kill_odds;   /* one in so many points, */
    int switch_odds; /* and the same for going on with another one */
    void (*died)(int fiber);
    void (*look)(void); /* at each switch: is all as it may be? */
};

/* How it went. */
struct sim_result {
    long points, switches, kills;
    long idle; /* times when all slept, and only a re-check went on */
    const char *wrong;
};

void sim_begin(const struct sim_plan *plan);

/* A fiber that calls run(arg), from now on.  Returns its number. */
int sim_start(void (*run)(void *arg), void *arg, bool may_die);

/* Until none is left that is alive. */
void sim_run(struct sim_result *result);

/* In a fiber. */
int sim_number(void);
void sim_wait_for(bool (*what)(void)); /* until it is true */

/* Something is not as it has to be: the run ends. */
void sim_wrong(const char *what);

bool sim_is_there(int fiber); /* neither dead nor over */
long sim_random(long low, long high);
int64_t sim_now(void);

#endif
