"""What a shard with four rings costs: at most 7 MB beyond an empty process, with a block cache of 1 MiB.

Of the release build, since sanitizers keep memory of their own. What counts is anonymous memory, shared memory and what the
kernel maps of the rings; code is shared by all processes of the program.
"""

import os
import re
import subprocess
import sys

import harness
from harness import Server, main

LIMIT = 7_000_000
RELEASE = sys.argv[1]
OPTIONS = ["--runtime-rings", "split", "--kv-cache-bytes", "1MiB"]


def resident_bytes(pid):
    """Anonymous and shared memory, and the mapped queues of io_urings."""
    with open(f"/proc/{pid}/status") as file:
        status = file.read()
    total = sum(int(re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE).group(1)) for name in ("RssAnon", "RssShmem"))
    ring = False
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
                ring = "io_uring" in line
            elif ring and line.startswith("Rss:"):
                total += int(line.split()[1])
    return total * 1024


def empty_process_bytes():
    process = subprocess.Popen(["sleep", "60"])
    try:
        return resident_bytes(process.pid)
    finally:
        process.kill()
        process.wait()


def rings(client):
    lines = client("INFO", "rings").decode().splitlines()
    return {line.split(":")[0] for line in lines if line.startswith("ring_")}


def test(directory):
    if not os.access(RELEASE, os.X_OK):
        return f"there is no release build at {RELEASE} (make build)"
    known = subprocess.run([RELEASE, "options"], capture_output=True, text=True, check=True).stdout
    if "--runtime-rings" not in known:
        return f"the release build at {RELEASE} is older than the rings (make build)"
    harness.ASHLAR = RELEASE
    with Server(directory, shards=1, arguments=OPTIONS) as server:
        client = server.client()
        for number in range(200):
            assert client("SET", f"key:{number}", b"x" * 1000) == "OK"
            assert client("GET", f"key:{number}") == b"x" * 1000
        if "ring_log" not in rings(client):
            return "io_uring is not to be had here"
        used = resident_bytes(server.process.pid) - empty_process_bytes()
        assert used <= LIMIT, f"{used} bytes beyond an empty process, of {LIMIT}"
        print(f"{used} bytes beyond an empty process")
        client.close()
        server.stop()
    return None


main(test)
