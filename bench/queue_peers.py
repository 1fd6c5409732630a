"""CPython's queues and pipes between processes: one case of ipc-bench-queue or
ipc-bench-rtt, as $IPC_BENCH_QUEUE says; result lines on stdout.

The messages of a producer are a few objects that are put in turn.  The first
word of each says which one of whose it is."""

import gc
import mmap
import os
import signal
import struct
import sys
import time

try:
    import ctypes
    import multiprocessing

    context = multiprocessing.get_context("fork")
    context.Lock()
except (ImportError, OSError, ValueError):
    sys.exit(77)  # a CPython without working semaphores: nothing to measure

WINDOW_NS = 60_000_000
WINDOW_MAX_NS = 240_000_000
LEAST = 100
WARM_UP_NS = 10_000_000
LIMIT_NS = 20_000_000_000
LOOK_S = 0.001
TRIPS = 1 << 16
PR_SET_PDEATHSIG = 1
LINE = 8  # words of a cache line

clock = time.perf_counter_ns
word_of = struct.Struct("=Q").unpack_from

workload, peer, params, *numbers = os.environ["IPC_BENCH_QUEUE"].split()
size, producers, consumers, depth, one_cpu = map(int, numbers)


def shared_words(count):
    return memoryview(mmap.mmap(-1, 8 * count)).cast("Q")


# A line of each process: what it has counted, the sum of the words, and
# whether it is done.
lines = shared_words(LINE * (producers + consumers))
stop = shared_words(1)
trips = shared_words(TRIPS)


def make_queue():
    """Return the functions put and get."""
    if peer == "mp-Queue":
        queue = context.Queue(depth)
        return queue.put, queue.get
    if peer == "mp-SimpleQueue":
        queue = context.SimpleQueue()
        return queue.put, queue.get
    reader, writer = context.Pipe(duplex=False)
    if peer == "mp-Pipe":
        return writer.send, reader.recv
    return writer.send_bytes, reader.recv_bytes


def make_messages(producer):
    count = min(64, max(1, (8 << 20) // size))
    words = [producer << 56 | number for number in range(1, count + 1)]
    return [(word, struct.pack("=Q", word) + bytes(size - 8))
            for word in words]


def produce(put, line, producer):
    messages = make_messages(producer)
    count = total = 0
    while not stop[0]:
        for word, message in messages:
            put(message)
            count += 1
            total += word
            lines[line] = count
            if stop[0]:
                break
    lines[line + 1] = total & 0xffff_ffff_ffff_ffff


def consume(get, line):
    count = total = 0
    while True:
        message = get()
        if len(message) != size:
            sys.exit(f"{peer}: a message of {len(message)} bytes")
        count += 1
        total = (total + word_of(message)[0]) & 0xffff_ffff_ffff_ffff
        lines[line + 1] = total
        lines[line] = count


def ask(put, get, line):
    messages = make_messages(0)
    count = 0
    now = clock()
    while not stop[0]:
        for word, message in messages:
            before = now
            put(message)
            answer = get()
            if len(answer) != size or word_of(answer)[0] != word:
                sys.exit(f"{peer}: a wrong message was got")
            now = clock()
            trips[count % TRIPS] = now - before
            count += 1
            lines[line] = count
            if stop[0]:
                break


def answer_all(put, get, line):
    while True:
        put(get())
        lines[line] += 1


def member(parent, line, work, args):
    """Never returns: what it still has in a buffer may be needed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    gc.disable()
    work(*args)
    lines[line + 2] = 1
    while True:
        signal.pause()


def start_all():
    parent = os.getpid()
    processes = []

    def start(work, *args):
        line = LINE * len(processes)
        args = [line if arg is None else arg for arg in args]
        processes.append(context.Process(target=member, daemon=True,
                                         args=(parent, line, work, args)))
        processes[-1].start()

    put, get = make_queue()
    if workload == "rtt":
        put_back, get_back = make_queue()
        start(answer_all, put_back, get, None)
        start(ask, put, get_back, None)
    else:
        for _ in range(consumers):
            start(consume, get, None)
        for producer in range(producers):
            start(produce, put, None, producer)
    return processes


def got():
    return sum(lines[LINE * i] for i in range(consumers))


def asked():
    return lines[LINE]


def balance(word):
    """What was put less what was got, of the counts or of the sums."""
    values = [lines[LINE * i + word] for i in range(producers + consumers)]
    return (sum(values[consumers:]) - sum(values[:consumers])) % (1 << 64)


def cpu_ns(processes):
    # The clock of a process, by its number, as Linux has it.
    return sum(time.clock_gettime_ns((~process.pid << 3) | 2)
               for process in processes)


def wait_for(reached, processes):
    deadline = clock() + LIMIT_NS
    while not reached():
        for process in processes:
            if process.exitcode is not None:
                sys.exit(f"{peer} {params}: a process ended early")
        if clock() > deadline:
            sys.exit(f"{peer} {params}: hung: {balance(0)} messages are lost")
        time.sleep(LOOK_S)


def are_warm():
    return all(lines[LINE * i] for i in range(producers + consumers))


def are_done():
    return all(lines[LINE * i + 2]
               for i in range(consumers, producers + consumers))


def report(suffix, value, unit):
    print(workload, peer, params + suffix, f"{value:.9g}", unit, sep="\t",
          flush=True)


def measure(processes):
    progress = asked if workload == "rtt" else got
    wait_for(are_warm, processes)
    time.sleep(WARM_UP_NS / 1e9)
    begin, used, before = clock(), cpu_ns(processes), progress()
    while True:
        time.sleep(WINDOW_NS / 1e9)
        ns, count = clock() - begin, progress() - before
        if count >= LEAST or ns > WINDOW_MAX_NS:
            break
    used = cpu_ns(processes) - used
    samples = sorted(trips[i % TRIPS] for i in range(before, before + count))
    stop[0] = 1
    wait_for(are_done, processes)
    wait_for(lambda: balance(0) == 0, processes)
    if workload == "queue" and balance(1) != 0:
        sys.exit(f"{peer} {params}: what was got is not what was put")
    if workload == "rtt":
        report("", samples[count // 2] / 1e3, "us")
        report(",p99", samples[count - 1 - count // 100] / 1e3, "us")
    else:
        report("", count * 1e9 / ns, "msg/s")
    report(",cpus", used / ns, "cores")


if one_cpu:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
team = start_all()
try:
    measure(team)
finally:
    for process in team:
        process.kill()
    for process in team:
        process.join()
