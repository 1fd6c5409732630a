"""CPython's semaphores, events, conditions or barriers, as $IPC_BENCH_SYNC
says: one round, as result lines on stdout."""

import os
import signal
import sys
import time
from itertools import repeat
from statistics import median

try:
    import ctypes
    import multiprocessing

    context = multiprocessing.get_context("fork")
    context.Lock()
except (ImportError, OSError, ValueError):
    sys.exit(77)  # a CPython without working semaphores: nothing to measure

LEAST_NS = 80_000_000
BATCH = 2_000
TURNS = 20
PR_SET_PDEATHSIG = 1

clock = time.perf_counter_ns


def report(peer, params, value, unit):
    print("sync", peer, params, f"{value:.9g}", unit, sep="\t", flush=True)


def die_with_parent(target, *args):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    target(*args)


def start(*target_and_args):
    process = context.Process(target=die_with_parent, args=target_and_args)
    process.start()
    return process


def join(process):
    process.join()
    if process.exitcode != 0:
        sys.exit(f"a child ended with {process.exitcode}")


def ns_per_pair(semaphore):
    acquire, release = semaphore.acquire, semaphore.release
    samples = []
    begin = end = clock()
    while end - begin < LEAST_NS:
        before = end
        for _ in repeat(None, BATCH):
            acquire()
            release()
        end = clock()
        samples.append((end - before) / BATCH)
    return median(samples)


def semaphore():
    report("mp-Semaphore", "semaphore,1proc",
           ns_per_pair(context.Semaphore(1)), "ns")
    report("mp-BoundedSemaphore", "semaphore,1proc",
           ns_per_pair(context.BoundedSemaphore(1)), "ns")


class Events:
    """Two players: an event for each."""

    def __init__(self):
        self.turn_of = [context.Event(), context.Event()]
        self.turn_of[0].set()

    def turn(self, me):
        mine = self.turn_of[me]
        mine.wait()
        mine.clear()
        self.turn_of[1 - me].set()


class Box:
    """Two players: a condition."""

    def __init__(self):
        self.passed = context.Condition()
        self.whose = context.RawValue("i", 0)

    def turn(self, me):
        with self.passed:
            while self.whose.value != me:
                self.passed.wait()
            self.whose.value = 1 - me
            self.passed.notify()


def follow(table, last):
    done = 0
    while last.value != done:
        table.turn(1)
        done += 1


def us_per_trip(table):
    last = context.RawValue("q", -1)
    other = start(follow, table, last)
    turn = table.turn
    samples = []
    for _ in repeat(None, TURNS):
        turn(0)
    begin = end = clock()
    while end - begin < LEAST_NS:
        before = end
        for _ in repeat(None, TURNS):
            turn(0)
        end = clock()
        samples.append((end - before) / TURNS / 1e3)
    last.value = TURNS * (len(samples) + 1) + 1
    turn(0)  # of that number: the other one cannot have had it before
    join(other)
    return median(samples)


def match(peer, subject, make):
    cpus = os.sched_getaffinity(0)
    if len(cpus) > 1:
        report(peer, f"{subject},2cpu", us_per_trip(make()), "us")
    os.sched_setaffinity(0, {max(cpus)})
    report(peer, f"{subject},1cpu", us_per_trip(make()), "us")


def rounds_until(barrier, last):
    done = 0
    while last.value != done:
        barrier.wait()
        done += 1


def rounds_per_second(parties):
    barrier = context.Barrier(parties)
    last = context.RawValue("q", -1)
    others = [start(rounds_until, barrier, last) for _ in range(parties - 1)]
    barrier.wait()
    done = 1
    begin = now = clock()
    while now - begin < LEAST_NS:
        barrier.wait()
        done += 1
        now = clock()
    last.value = done + 1  # the others cannot have come so often before
    barrier.wait()
    for other in others:
        join(other)
    return (done - 1) * 1e9 / (now - begin)


def barrier():
    for parties in 2, 4:
        report("mp-Barrier", f"barrier,{parties}proc",
               rounds_per_second(parties), "round/s")


subjects = {
    "semaphore": semaphore,
    "event": lambda: match("mp-Event", "event", Events),
    "condition": lambda: match("mp-Condition", "condition", Box),
    "barrier": barrier,
}
for subject in os.environ.get("IPC_BENCH_SYNC", " ".join(subjects)).split():
    subjects[subject]()
