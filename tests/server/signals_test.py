"""Signals that would end the server are errors of the call that met them: a file at its size limit (SIGXFSZ), a client that
has gone (SIGPIPE)."""

import os
import resource

from harness import Server, ServerError, main

MIB = 1 << 20
FILE_BYTES_MAX = 40 * MIB  # more than a log segment, less than the table of a full memtable
OPTIONS = ["--kv-partitions", "1", "--kv-memtable-bytes", "64MiB"]
VALUE = b"v" * 10_000
BATCH = 100


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))


def flush_status(client):
    lines = client("INFO", "persistence").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)["flush_status"]


def test(directory):
    with Server(os.path.join(directory, "data"), shards=1, arguments=OPTIONS, preexec=limit_files) as server:
        client = server.client()
        assert client("SET", "first", VALUE) == "OK"
        refused = 0
        for begin in range(0, 10_000, BATCH):  # 100 MB: a flush is due after two thirds
            batch = range(begin, begin + BATCH)
            client.socket.sendall(b"".join(client.encode("SET", f"key:{number}", VALUE) for number in batch))
            for _ in batch:
                try:
                    assert client.reply() == "OK"
                except ServerError:
                    refused += 1
            if flush_status(client) != "ok":
                break
        else:
            raise AssertionError("no flush met the limit")
        assert server.process.poll() is None
        assert client("GET", "first") == VALUE

        leaver = server.client()
        leaver.socket.sendall(leaver.encode("GET", "first") * 5000)
        leaver.close()  # without reading 50 MB of replies
        assert client("PING") == "PONG"
        assert server.process.poll() is None
        print(f"refused {refused}; flush: {flush_status(client)}")
        client.close()
        server.kill()


if __name__ == "__main__":
    main(test)
