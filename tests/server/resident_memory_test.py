"""The resident set under load: what the kernel says the process has stays within the cap, 3 % and a stated base.

Each cap is met with more than fits it: writers that overwrite, delete and expire, readers of single keys and of many, scans,
flushes and compaction all the while. It is memory that is measured, from /proc, not time. Under a sanitizer, whose shadow is
larger than the cap, it is skipped.
"""

import os
import random
import sys
import threading
import time

from harness import ASHLAR, Client, Server, ServerError, main

MIB = 1 << 20
SHARDS = 2
WRITERS = 3
WRITTEN_BYTES = 2  # times the cap
PIPELINE = 100
VALUE = 2000
# The program itself, and what decision 18 of ARCHITECTURE.md lets each shard have beyond the cap.
BASE = 24 * MIB + SHARDS * 16 * MIB + 64 * 64 * 1024


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Load:
    def __init__(self, port, cap, seed):
        self.port, self.cap, self.seed = port, cap, seed
        self.keys = cap * WRITTEN_BYTES // VALUE
        self.stop = threading.Event()
        self.errors = []
        self.written = self.refused = self.read = self.scanned = 0

    def run(self, work, number):
        def guarded():
            client = Client(self.port)
            try:
                work(client, random.Random(self.seed + number), number)
            except Exception as error:  # noqa: BLE001: shown by the test
                self.errors.append(error)
            client.close()
        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def pipeline(self, client, requests):
        client.socket.sendall(b"".join(client.encode(*request) for request in requests))
        for _ in requests:
            try:
                yield client.reply()
            except ServerError as error:
                assert "memory" in str(error) or "OOM" in str(error), error
                self.refused += 1
                time.sleep(0.001)
                yield None

    def write(self, client, rng, number):
        for begin in range(number * PIPELINE, self.keys, WRITERS * PIPELINE):
            requests = [("SET", f"key:{n}", rng.randbytes(VALUE)) for n in range(begin, begin + PIPELINE - 10)]
            requests += [("DEL", f"key:{rng.randrange(begin + 1)}") for _ in range(5)]
            requests += [("SET", f"key:{rng.randrange(begin + 1)}", "short", "PX", "500") for _ in range(5)]
            answered = sum(reply is not None for reply in self.pipeline(client, requests))
            self.written += answered

    def get(self, client, rng, _):
        while not self.stop.is_set():
            requests = [("GET", f"key:{rng.randrange(self.keys)}") for _ in range(20)]
            requests += [("MGET", *(f"key:{rng.randrange(self.keys)}" for _ in range(20)))]
            answered = sum(reply is not None for reply in self.pipeline(client, requests))
            self.read += answered
            time.sleep(0.001)

    def scan(self, client, _, __):
        cursor = "0"
        while not self.stop.is_set():
            cursor, keys = client("SCAN", cursor, "COUNT", "500")
            self.scanned += len(keys)
            time.sleep(0.001)


def run(directory, cap, seed):
    options = ["--memory-cap", str(cap), "--kv-cache-bytes", "4GiB", "--kv-memtable-bytes", "8MiB"]
    with Server(os.path.join(directory, f"data-{cap}"), shards=SHARDS, arguments=options) as server:
        pid = server.process.pid
        empty = resident(pid)
        load = Load(server.port, cap, seed)
        writers = [load.run(load.write, i) for i in range(WRITERS)]
        others = [load.run(load.get, 10), load.run(load.get, 11), load.run(load.scan, 12)]
        most = 0
        while any(thread.is_alive() for thread in writers) and not load.errors:
            most = max(most, resident(pid))
            time.sleep(0.02)
        for _ in range(50):  # compaction goes on, and readers fill what room there is
            most = max(most, resident(pid))
            time.sleep(0.02)
        load.stop.set()
        for thread in writers + others:
            thread.join()
        assert not load.errors, load.errors
        server.stop()
    allowed = cap + cap * 3 // 100 + BASE
    print(f"cap {cap / MIB:.0f} MiB: resident {most / MIB:.1f} MiB at most of {allowed / MIB:.1f} allowed, {empty / MIB:.1f} "
          f"when empty; {load.written} written, {load.refused} refused, {load.read} read, {load.scanned} scanned")
    assert load.written > load.keys // 2 and load.read > 0 and load.scanned > 0
    assert most > cap * 3 // 4, "the load did not come near the cap"
    assert most <= allowed, (most, allowed)


def sanitized():
    with open(ASHLAR, "rb") as program:
        return b"__asan_init" in (image := program.read()) or b"__tsan_init" in image


def test(directory):
    if sanitized():
        print("skipped: the program is built with a sanitizer, whose memory would be measured")
        sys.exit(77)
    seed = int(os.environ.get("ASHLAR_SEED", random.randrange(1 << 32)))
    print(f"ASHLAR_SEED={seed}")
    for cap in (256 * MIB, 384 * MIB):
        run(directory, cap, seed)


if __name__ == "__main__":
    main(test)
