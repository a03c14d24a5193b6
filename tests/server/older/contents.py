"""What a data directory of an older version holds, by rule, so that a later version can say what must be there.

As a program: contents.py ASHLAR PATH fills the directory PATH by that version's server and kills it, so that some of it is
in tables of two levels and some in the log only. Packed: tar --sort=name --owner=0 --group=0 --mtime=@0 -c PATH | xz -9e
"""

import hashlib
import os
import sys

OPTIONS = ("--kv-memtable-bytes", "64KiB", "--kv-level0-tables", "2", "--kv-level1-bytes", "1MiB", "--kv-table-bytes", "64KiB",
           "--kv-block-bytes", "4KiB", "--kv-compression", "lz4", "--log-segment-bytes", "1MiB", "--kv-cache-bytes", "4MiB")
IN_2100_MS = 4102444800000


def value(number, round_):
    seed = hashlib.sha256(f"{round_}/{number}".encode()).hexdigest().encode()
    return (seed * (number % 12 + 1))[: 37 + (number * 53) % 700]


def commands():
    for round_ in range(3):
        for number in range(round_, 600, round_ + 1):
            yield "SET", f"key:{number:04}", value(number, round_)
    for number in range(0, 600, 11):
        yield "DEL", f"key:{number:04}"
    yield "SET", "large", b"".join(hashlib.sha256(str(part).encode()).digest() for part in range(1000))
    yield "SET", "later", "expires", "PXAT", IN_2100_MS
    yield "SET", "gone", "expired", "PX", 1
    for number in range(1000, 1040):
        yield "SET", f"key:{number:04}", value(number, 9)


def expected():
    found = {}
    for command, key, *rest in commands():
        if command == "DEL":
            found.pop(key, None)
        elif key != "gone":
            found[key] = rest[0] if isinstance(rest[0], bytes) else rest[0].encode()
    return found


def fill(ashlar, path):
    os.environ["ASHLAR"] = ashlar
    from harness import Server

    server = Server(path, shards=2, arguments=OPTIONS).start()
    client = server.client()
    for command in commands():
        client(*command)
    server.kill()


if __name__ == "__main__":
    fill(*sys.argv[1:3])
