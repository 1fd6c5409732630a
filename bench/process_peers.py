"""CPython's processes: one round, as result lines on stdout."""

import mmap
import sys
import time
from statistics import median

try:
    import multiprocessing

    multiprocessing.get_context("fork")
except (ImportError, ValueError):
    sys.exit(77)  # a CPython without processes: nothing to measure

SAMPLE_NS = 300_000_000
SAMPLES_MIN = 15
MIB = 1024
PAGE = 4096
METHODS = ("fork", "forkserver", "spawn")


def end_at_once():
    pass


def start_and_join(context):
    process = context.Process(target=end_at_once)
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit(f"a child ended with {process.exitcode}")
    process.close()


def sample_us(context):
    clock = time.perf_counter_ns
    samples = []
    start_and_join(context)
    begin = end = clock()
    while len(samples) < SAMPLES_MIN or end - begin < SAMPLE_NS:
        start = clock()
        start_and_join(context)
        end = clock()
        samples.append((end - start) / 1e3)
    return median(samples)


def report(params):
    for method in METHODS:
        context = multiprocessing.get_context(method)
        print("process", f"mp-{method}", params, f"{sample_us(context):.9g}",
              "us", sep="\t", flush=True)


def has_memory(mib):
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        for line in meminfo:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024 >= 2 * mib
    return False


def main():
    report("0MiB")
    if not has_memory(MIB):
        return
    memory = mmap.mmap(-1, MIB << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    except (AttributeError, OSError):
        pass  # a kernel or a CPython without huge pages
    for offset in range(0, len(memory), PAGE):
        memory[offset] = 1
    report(f"{MIB}MiB")


if __name__ == "__main__":
    main()
