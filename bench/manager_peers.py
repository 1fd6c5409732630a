"""CPython's manager: connecting to it, as $IPC_BENCH_MANAGER says; result lines
on stdout."""

import ctypes
import os
import signal
import sys
import tempfile
import time
from statistics import median

try:
    import multiprocessing
    from multiprocessing.managers import SyncManager

    context = multiprocessing.get_context("fork")
    context.Lock()
except (ImportError, OSError, ValueError):
    sys.exit(77)  # a CPython without working semaphores: nothing to measure

LEAST_NS = 100_000_000
CALLS = 500
PR_SET_PDEATHSIG = 1

clock = time.perf_counter_ns

workload, peer, params = os.environ["IPC_BENCH_MANAGER"].split()


def die_with(parent):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def connect(address):
    client = SyncManager(address=address, authkey=b"key", ctx=context)
    begin = clock()
    client.connect()
    return (clock() - begin) / 1000


with tempfile.TemporaryDirectory(prefix="ipc-bench-") as folder:
    address = os.path.join(folder, "socket")
    manager = SyncManager(address=address, authkey=b"key", ctx=context)
    manager.start(die_with, (os.getpid(),))
    with manager:
        connect(address)
        end = clock() + LEAST_NS
        samples = []
        while clock() < end and len(samples) < CALLS:
            samples.append(connect(address))
    print(workload, peer, params, f"{median(samples):.9g}", "us", sep="\t",
          flush=True)
