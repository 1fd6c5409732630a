"""CPython's locks: one round, as result lines on stdout."""

import sys
import time
from itertools import repeat
from statistics import median

try:
    import multiprocessing

    locks = {
        "mp-Lock": multiprocessing.Lock(),
        "mp-RLock": multiprocessing.RLock(),
    }
except (ImportError, OSError):
    sys.exit(77)  # a CPython without working semaphores: nothing to measure

LEAST_NS = 200_000_000
BATCH = 2_000


def ns_per_pair(lock):
    acquire, release = lock.acquire, lock.release
    clock = time.perf_counter_ns
    samples = []
    begin = end = clock()
    while end - begin < LEAST_NS:
        start = end
        for _ in repeat(None, BATCH):
            acquire()
            release()
        end = clock()
        samples.append((end - start) / BATCH)
    return median(samples)


for name, lock in locks.items():
    print("lock", name, "1proc", f"{ns_per_pair(lock):.9g}", "ns", sep="\t")
