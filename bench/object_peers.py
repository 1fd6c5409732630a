"""CPython's shared list and dict, which a server process holds: one case of
ipc-bench-object, as $IPC_BENCH_OBJECT says; result lines on stdout."""

import gc
import mmap
import os
import signal
import sys
import time

try:
    import ctypes
    import multiprocessing
    from multiprocessing.managers import SyncManager

    context = multiprocessing.get_context("fork")
    context.Lock()
except (ImportError, OSError, ValueError):
    sys.exit(77)  # a CPython without working semaphores: nothing to measure

WARM_UP_NS = 30_000_000
WINDOW_NS = 120_000_000
LIMIT_NS = 20_000_000_000
LOOK_S = 0.001
PR_SET_PDEATHSIG = 1
LINE = 8  # words of a cache line
STEP = 16

clock = time.perf_counter_ns

workload, peer, params, kind, *numbers = os.environ["IPC_BENCH_OBJECT"].split()
members, length = map(int, numbers)

# Whether to stop; then, in a line of each process, how much it has done.
words = memoryview(mmap.mmap(-1, 8 * LINE * (members + 1))).cast("Q")


def die_with(parent):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def make_items(member):
    """Every number once, in an order of the member's own."""
    numbers = (i * (2 * member + 617) % length for i in range(length))
    return [(number, f"key{number}") for number in numbers]


def check(value, wanted):
    if value != wanted:
        sys.exit(f"{peer} {params}: wrong values")


def append(shared, items):
    for number, _ in items:
        shared.append(number)


def index(shared, items):
    for number, _ in items:
        check(shared[number], number)


def put(shared, items):
    for number, key in items:
        shared[key] = number


def get(shared, items):
    for number, key in items:
        check(shared[key], number)


run = {"append": append, "index": index, "set": put, "get": get}[kind]


def make_shared(manager):
    if kind == "append":
        return manager.list()
    if kind == "index":
        return manager.list(range(length))
    return manager.dict({f"key{i}": i for i in range(length)})


def member_main(parent, shared, member):
    die_with(parent)
    gc.disable()
    items = make_items(member)
    line = LINE * (member + 1)
    at = 0
    while not words[0]:
        run(shared, items[at:at + STEP])
        words[line] += STEP
        at = (at + STEP) % length


def done():
    return sum(words[LINE * (i + 1)] for i in range(members))


def wait_until_warm(processes):
    deadline = clock() + LIMIT_NS
    while not all(words[LINE * (i + 1)] for i in range(members)):
        if any(process.exitcode is not None for process in processes):
            sys.exit(f"{peer} {params}: a process ended early")
        if clock() > deadline:
            sys.exit(f"{peer} {params}: hung")
        time.sleep(LOOK_S)
    time.sleep(WARM_UP_NS / 1e9)


def measure(shared):
    processes = [context.Process(target=member_main,
                                 args=(os.getpid(), shared, i))
                 for i in range(members)]
    for process in processes:
        process.start()
    wait_until_warm(processes)
    begin, before = clock(), done()
    time.sleep(WINDOW_NS / 1e9)
    ns, count = clock() - begin, done() - before
    words[0] = 1
    for process in processes:
        process.join()
        if process.exitcode != 0:
            sys.exit(f"{peer} {params}: a process failed")
    check(len(shared), done() if kind == "append" else length)
    print(workload, peer, params, f"{count * 1e9 / ns:.9g}", "op/s", sep="\t",
          flush=True)


manager = SyncManager(ctx=context)
manager.start(die_with, (os.getpid(),))
with manager:
    measure(make_shared(manager))
