"""CPython's pools: one case of ipc-bench-pool, as $IPC_BENCH_POOL says; result
lines on stdout."""

import os
import signal
import struct
import sys
import time
from statistics import mean, median

try:
    import ctypes
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    context = multiprocessing.get_context("fork")
    context.Lock()
except (ImportError, OSError, ValueError):
    sys.exit(77)  # a CPython without working semaphores: nothing to measure

WORKERS = 2
BATCH = 10_000
BATCH_LEAST = 500
BATCH_NS = 200_000_000
TRIPS_NS = 150_000_000
WARM_UP = 50
PR_SET_PDEATHSIG = 1

clock = time.perf_counter_ns
head = struct.Struct("=Q")

workload, peer, params, kind, *numbers = os.environ["IPC_BENCH_POOL"].split()
words, one_cpu = map(int, numbers)


def die_with(parent):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def add_one(number):
    return number + 1


def add_one_to_head(data):
    return head.pack(head.unpack_from(data)[0] + 1) + data[head.size:]


def make_args(first, count):
    numbers = range(first, first + count)
    if words == 1:
        return list(numbers)
    return [head.pack(number) + bytes(8 * (words - 1)) for number in numbers]


task = add_one if words == 1 else add_one_to_head


name, _, call = peer.rpartition("-")
method = call.rstrip("0123456789")
chunk = int(call[len(method):] or 1)


def make_pool():
    if name == "mp-Pool":
        return context.Pool(WORKERS, die_with, (os.getpid(),))
    if name == "ProcessPoolExecutor":
        return ProcessPoolExecutor(WORKERS, context, die_with, (os.getpid(),))
    return ThreadPoolExecutor(WORKERS)


def batch_runner(pool):
    """Return the function that takes arguments and returns the results."""

    def submit(args):
        futures = [pool.submit(task, arg) for arg in args]
        return [future.result() for future in futures]

    def apply(args):
        return [pool.apply(task, (arg,)) for arg in args]

    def apply_async(args):
        results = [pool.apply_async(task, (arg,)) for arg in args]
        return [result.get() for result in results]

    def run_map(args):
        if name == "mp-Pool":
            return pool.map(task, args, chunk)
        return list(pool.map(task, args, chunksize=chunk))

    def imap(args):
        return list(pool.imap(task, args, chunk))

    return {"submit": submit, "apply": apply, "imap": imap,
            "apply_async": apply_async, "map": run_map}[method]


def timed(run, first, count):
    args = make_args(first, count)
    wanted = [task(arg) for arg in args]
    start = clock()
    results = run(args)
    end = clock()
    if results != wanted:
        sys.exit(f"{peer} {params}: wrong results")
    return end - start


def report(suffix, value, unit):
    print(workload, peer, params + suffix, f"{value:.9g}", unit, sep="\t",
          flush=True)


def measure_batches(run):
    ns = timed(run, 0, BATCH_LEAST)
    # The slow ones need no large batch, for it takes them seconds.
    size = min(BATCH, max(BATCH_LEAST, BATCH_LEAST * BATCH_NS // ns))
    batches = ns = 0
    while ns < BATCH_NS:
        batches += 1
        ns += timed(run, batches, size)
    report("", batches * size * 1e9 / ns,
           "items/s" if kind == "map" else "tasks/s")


def measure_one(run):
    for i in range(WARM_UP):
        timed(run, i, 1)
    trips = []
    end = clock() + TRIPS_NS
    while clock() < end:
        trips.append(timed(run, len(trips), 1) / 1e3)
    report("", median(trips), "us")
    report(",mean", mean(trips), "us")


if one_cpu:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
with make_pool() as pool:
    (measure_one if kind == "one" else measure_batches)(batch_runner(pool))
