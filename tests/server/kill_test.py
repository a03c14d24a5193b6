"""A server under load is killed with SIGKILL again and again: every acknowledged write is there afterwards.

Each writer owns its keys and writes ascending numbers, so that after a kill a key must hold at least the last
acknowledged number (a later one may have been written without its acknowledgement having arrived), or be absent if the
last acknowledged command was a DEL. Readers run beside them: a number that was ever shown may not vanish.
"""

import os
import random
import sys
import threading
import time

from harness import Client, Server, ServerError, forbid_io_uring, formatted_device, main

WRITERS, KEYS, PIPELINE = 4, 64, 16


class Writer(threading.Thread):
    def __init__(self, port, name, rng, acknowledged):
        super().__init__()
        self.port, self.prefix, self.rng, self.acknowledged, self.writes = port, name, rng, acknowledged, 0

    def run(self):
        try:
            client = Client(self.port)
            number = max(self.acknowledged.values(), default=0)
            while True:
                batch = []
                for _ in range(self.rng.randint(1, PIPELINE)):
                    number += 1
                    batch.append((f"{self.prefix}:{self.rng.randrange(KEYS)}", number))
                client.socket.sendall(b"".join(
                    Client.encode("SET", key, str(value).zfill(self.rng.randint(1, 2000))) for key, value in batch))
                for key, value in batch:
                    assert client.reply() == "OK"
                    self.acknowledged[key] = value
                    self.writes += 1
        except (ConnectionError, OSError):
            pass


class Reader(threading.Thread):
    def __init__(self, port, rng, shown):
        super().__init__()
        self.port, self.rng, self.shown, self.reads = port, rng, shown, 0

    def run(self):
        try:
            client = Client(self.port)
            while True:
                key = f"w{self.rng.randrange(WRITERS)}:{self.rng.randrange(KEYS)}"
                value = client("GET", key)
                self.reads += 1
                if value is not None:
                    self.shown[key] = max(self.shown.get(key, 0), int(value))
        except (ConnectionError, OSError):
            pass


def test(data, rounds, preexec):
    seed = int(os.environ.get("ASHLAR_SEED", random.randrange(1 << 32)))
    print(f"ASHLAR_SEED={seed}")
    rng = random.Random(seed)
    acknowledged = [{} for _ in range(WRITERS)]
    shown = {}
    total = 0
    for round_number in range(rounds):
        server = Server(data, shards=rng.choice([1, 2, 3]), preexec=preexec)
        with server:
            client = server.client()
            for writer in acknowledged:
                for key, value in writer.items():
                    found = client("GET", key)
                    assert found is not None, f"{key}: acknowledged {value}, found nothing"
                    assert int(found) >= value, f"{key}: acknowledged {value}, found {int(found)}"
                    assert int(found) >= shown.get(key, 0), f"{key}: {shown[key]} was shown, found {int(found)}"
                    writer[key] = int(found)
            client.close()
            threads = [Writer(server.port, f"w{i}", random.Random(rng.random()), acknowledged[i]) for i in range(WRITERS)]
            threads.append(Reader(server.port, random.Random(rng.random()), shown))
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.2, 1.2))
            server.kill()
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive()
            written = sum(t.writes for t in threads[:-1])
            total += written
            print(f"round {round_number}: {written} acknowledged writes, {threads[-1].reads} reads, killed", flush=True)
    assert total > rounds, "the load never got going"
    with Server(data, preexec=preexec) as server:
        client = server.client()
        assert client("DBSIZE") == sum(len(w) for w in acknowledged)
        client.close()
        if preexec:
            assert "epoll" in server.output(), "the server did not say that it fell back to epoll"
        server.stop()


if __name__ == "__main__":
    epoll = "--without-io-uring" in sys.argv
    device = "--on-device" in sys.argv

    def run(directory):
        data = formatted_device(directory, 1 << 30) if device else os.path.join(directory, "data")
        return test(data, int(os.environ.get("ASHLAR_KILLS", "8")), forbid_io_uring if epoll else None)

    main(run)
