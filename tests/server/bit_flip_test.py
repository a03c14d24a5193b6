"""One flipped bit in any file of a data directory: it opens with the same content, or says `corrupt` with file and offset.

Never a wrong value, never a crash. In a log's last group a flipped bit looks like a write that power loss tore, which was
not acknowledged: there, and only there, the newest writes may be missing.
"""

import os
import random
import re
import shutil
import subprocess

from harness import ASHLAR, Server, main

VALUES = 4000
FLIPS_PER_KIND = 12
OPTIONS = ["--kv-partitions", "1", "--kv-memtable-bytes", "512KiB"]


def value_of(number):
    return (f"{number}-" * 200)[:300]


def make_store(data):
    with Server(data, shards=1, arguments=OPTIONS) as server:
        client = server.client()
        for begin in range(0, VALUES, 200):
            batch = range(begin, begin + 200)
            client.socket.sendall(b"".join(client.encode("SET", f"key:{n}", value_of(n)) for n in batch))
            for _ in batch:
                assert client.reply() == "OK"
        client.close()
        server.stop()


def scan(data):
    return subprocess.run([ASHLAR, "kv", "scan", "--data", f"dir:{data}", "--log-level", "error"], capture_output=True,
                          text=True, timeout=120, stdin=subprocess.DEVNULL)


def files_by_kind(data):
    kinds = {}
    for directory, _, names in os.walk(data):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.getsize(path) > 0 and name not in ("reserve", "lock"):
                kind = os.path.splitext(name)[1].lstrip(".") or name
                kinds.setdefault(kind, []).append(path)
    return kinds


def used_offset(path, rng):
    """A byte that is part of something: not one of the long runs of zeroes behind what was written."""
    content = open(path, "rb").read()
    used = len(content.rstrip(b"\0"))
    return rng.randrange(max(used, 1))


def is_prefix(lines):
    """Whether exactly the values 0 … n - 1 are there, for some n."""
    numbers = sorted(int(line.split("\t")[0][4:]) for line in lines)
    return numbers == list(range(len(numbers))) and all(
        line.split("\t")[1] == value_of(int(line.split("\t")[0][4:])) for line in lines)


def test(directory):
    seed = int(os.environ.get("ASHLAR_SEED", random.randrange(1 << 32)))
    print(f"ASHLAR_SEED={seed}")
    rng = random.Random(seed)
    data, damaged = os.path.join(directory, "data"), os.path.join(directory, "damaged")
    make_store(data)
    whole = scan(data)
    assert whole.returncode == 0, whole.stderr
    lines = whole.stdout.splitlines()
    assert len(lines) == VALUES and is_prefix(lines)

    kinds = files_by_kind(data)
    print({kind: len(paths) for kind, paths in kinds.items()})
    assert {"table", "log", "root"} <= kinds.keys(), kinds.keys()
    for kind, paths in sorted(kinds.items()):
        detected = 0
        for _ in range(FLIPS_PER_KIND):
            path = rng.choice(paths)
            offset, bit = used_offset(path, rng), rng.randrange(8)
            shutil.rmtree(damaged, ignore_errors=True)
            shutil.copytree(data, damaged)
            copy = os.path.join(damaged, os.path.relpath(path, data))
            with open(copy, "r+b") as file:
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ (1 << bit)]))
            after = scan(damaged)
            what = f"bit {bit} of byte {offset} of {os.path.relpath(path, data)}: status {after.returncode}, {after.stderr}"
            if after.returncode == 0:
                found = after.stdout.splitlines()
                assert found == lines or (kind == "log" and is_prefix(found)), f"{what}: the content differs"
            else:
                assert after.returncode == 1, what
                assert "corrupt" in after.stderr and re.search(r"\d+ at \d+", after.stderr), what
                detected += 1
        print(f"{kind}: {detected} of {FLIPS_PER_KIND} found corrupt, the others harmless")
        assert detected > 0, f"no flipped bit in a {kind} file was ever noticed"


if __name__ == "__main__":
    main(test)
