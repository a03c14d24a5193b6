"""The server with a ring for each role, in each profile: it serves, flushes, merges, restarts, and says who carried what."""

from harness import Server, main

ROLES = {"ring_main", "ring_foreground", "ring_log", "ring_flush", "ring_compaction"}
SMALL = ["--kv-memtable-bytes", "1MiB", "--kv-cache-bytes", "1MiB"]


def rings(client):
    found = {}
    for line in client("INFO", "rings").decode().splitlines():
        name, _, figures = line.partition(":")
        if name.startswith("ring_"):
            found[name] = {key: float(value) for key, value in (pair.split("=") for pair in figures.split(","))}
    return found


def load(client, first, count):
    for begin in range(first, first + count, 50):
        for number in range(begin, begin + 50):
            client.send("SET", f"key:{number}", f"{number}:".encode() * 200)
        for _ in range(50):
            assert client.reply() == "OK"


def check(client, count):
    for number in range(0, count, 37):
        assert client("GET", f"key:{number}") == f"{number}:".encode() * 200, number


def test(directory):
    total = 0
    for polling in ("none", "sqpoll", "iopoll", "both"):
        arguments = SMALL + ["--runtime-rings", "split", "--runtime-ring-polling", polling]
        with Server(directory, shards=2, arguments=arguments) as server:
            client = server.client()
            check(client, total)
            load(client, total, 3000)
            total += 3000
            check(client, total)
            found = rings(client)
            if not found:
                return "io_uring is not to be had here"
            assert set(found) == ROLES, found
            carried = found["ring_log"]["completed"] + (found["ring_main"]["completed"] if polling in ("iopoll", "both") else 0)
            assert carried > 0, found
            assert found["ring_flush"]["completed"] + found["ring_compaction"]["completed"] > 0, found
            for figures in found.values():
                assert figures["in_flight_max"] >= (1 if figures["completed"] else 0), found
                assert figures["p50_us"] <= figures["max_us"] * 1.01, found
            client.close()
            server.stop()
    # On one ring again; what compaction does says that it can wait.
    arguments = SMALL + ["--runtime-background-priority", "idle", "--runtime-background-async"]
    with Server(directory, shards=2, arguments=arguments) as server:
        client = server.client()
        load(client, total, 3000)
        total += 3000
        check(client, total)
        assert set(rings(client)) == {"ring_main"}, rings(client)
        client.close()
        server.stop()
    return None


main(test)
