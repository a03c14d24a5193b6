"""What outlives the process: acknowledged writes after SIGKILL, expiry times, a SCAN begun before."""
import signal
import threading
import unittest

import redis

from server import Server


class Restart(unittest.TestCase):
    def test_acknowledged_writes_survive_sigkill(self):
        with Server(shards=2) as server:
            for generation in range(3):
                acknowledged = self.write_until_killed(server, generation)
                server.start()
                client = redis.Redis(port=server.port)
                for worker, last in enumerate(acknowledged):
                    value = int(client.get(f"worker:{worker}") or -1)
                    self.assertGreaterEqual(value, last, "an acknowledged write is gone")
                    self.assertLessEqual(value, last + 1, "a write nobody asked for")
                client.close()

    def write_until_killed(self, server, generation):
        acknowledged = [-1] * 4
        enough = threading.Event()

        def work(worker):
            client = redis.Redis(port=server.port, retry=None)
            try:
                for i in range(generation * 1_000_000, (generation + 1) * 1_000_000):
                    client.set(f"worker:{worker}", i)
                    acknowledged[worker] = i
                    if i - generation * 1_000_000 == 300:
                        enough.set()
            except redis.ConnectionError:
                pass

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        self.assertTrue(enough.wait(60))
        server.kill()
        for thread in threads:
            thread.join()
        return acknowledged

    def test_a_scan_goes_on(self):
        names = {f"name:{i}".encode() for i in range(3000)}
        seen = set()
        with Server(shards=2) as server:
            client = redis.Redis(port=server.port)
            client.mset({name: 1 for name in names})
            cursor, page = client.scan(0, count=500)
            seen.update(page)
            client.set("gone", 1, px=1)
            client.set("stays", 1, ex=1000)
            client.close()
            server.stop()
            server.shards = 1
            server.start()
            client = redis.Redis(port=server.port)
            while cursor:
                cursor, page = client.scan(cursor, count=500)
                seen.update(page)
            self.assertGreaterEqual(seen, names)
            self.assertIsNone(client.get("gone"))
            self.assertGreater(client.ttl("stays"), 900)
            client.close()

    def test_a_second_server_is_refused(self):
        with Server() as server:
            second = Server(directory=server.directory)
            with self.assertRaises(AssertionError):
                second.start()
            self.assertTrue(redis.Redis(port=server.port).ping())

    def test_sigterm_sends_what_was_acknowledged(self):
        with Server() as server:
            client = redis.Redis(port=server.port)
            pipe = client.pipeline(transaction=False)
            for i in range(2000):
                pipe.set(f"k{i}", i)
            thread = threading.Timer(0.005, lambda: server.process.send_signal(signal.SIGTERM))
            thread.start()
            try:
                written = len(pipe.execute())
            except redis.ConnectionError:
                written = None  # cut between two batches: nothing is known of the rest
            thread.join()
            self.assertEqual(server.process.wait(timeout=60), 0)
            server.process.stdout.close()
            server.start()
            if written:
                self.assertEqual(redis.Redis(port=server.port).dbsize(), 2000)


if __name__ == "__main__":
    unittest.main()
