"""python3-redis against the server: what an application does."""
import threading
import unittest

import redis

from server import Server


class Client(unittest.TestCase):
    shards = 1

    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=cls.shards)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def setUp(self):
        self.redis = redis.Redis(port=self.server.port)
        self.redis.flushall()

    def tearDown(self):
        self.redis.close()

    def test_strings(self):
        r = self.redis
        self.assertTrue(r.set("k", b"\x00\xff\r\n"))
        self.assertEqual(r.get("k"), b"\x00\xff\r\n")
        self.assertIsNone(r.set("k", "x", nx=True))
        self.assertEqual(r.set("k", "y", get=True), b"\x00\xff\r\n")
        self.assertEqual(r.append("k", "z"), 2)
        self.assertEqual(r.incrby("n", 5), 5)
        self.assertAlmostEqual(r.incrbyfloat("f", 0.5), 0.5)
        self.assertEqual(r.mget("k", "none", "n"), [b"yz", None, b"5"])
        self.assertEqual(r.getrange("k", 0, 0), b"y")
        with self.assertRaisesRegex(redis.ResponseError, "not an integer"):
            r.incr("k")
        self.assertEqual(r.delete("k", "n", "none"), 2)
        self.assertEqual(r.exists("k", "f", "f"), 2)

    def test_big_values(self):
        for size in (8191, 8192, 100_000, 1 << 20, 15 << 20):
            value = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
            self.redis.set("big", value[:size])
            self.assertEqual(self.redis.get("big"), value[:size])
            self.assertEqual(self.redis.strlen("big"), size)

    def test_expiry(self):
        r = self.redis
        r.set("k", "v", px=50)
        self.assertGreater(r.pttl("k"), 0)
        deadline = threading.Event()
        while r.get("k") is not None:
            deadline.wait(0.01)
        self.assertEqual(r.ttl("k"), -2)
        r.set("k", "v")
        self.assertTrue(r.expire("k", 100, nx=True))
        self.assertFalse(r.expire("k", 100, nx=True))
        self.assertTrue(r.persist("k"))

    def test_pipelines(self):
        with self.redis.pipeline(transaction=False) as pipe:
            for i in range(5000):
                pipe.set(f"key:{i}", i)
                pipe.get(f"key:{i // 2}")
            replies = pipe.execute()
        self.assertEqual(replies[::2], [True] * 5000)
        self.assertEqual(replies[1::2], [str(i // 2).encode() for i in range(5000)])
        self.assertEqual(self.redis.dbsize(), 5000)

    def test_transactions_do_not_lose_updates(self):
        def work():
            client = redis.Redis(port=self.server.port)
            for _ in range(50):
                client.transaction(
                    lambda pipe: (lambda old: (pipe.multi(), pipe.set("{t}n", old + 1)))(int(pipe.get("{t}n") or 0)),
                    "{t}n")
            client.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.redis.get("{t}n"), b"200")

    def test_scan(self):
        names = {f"name:{i}".encode() for i in range(2000)}
        self.redis.mset({name: 1 for name in names})
        self.assertEqual(set(self.redis.scan_iter()), names)
        self.assertEqual(set(self.redis.scan_iter(match="name:1?", count=7)), {b"name:%d" % i for i in range(10, 20)})
        self.assertEqual(set(self.redis.keys("name:*")), names)
        self.assertIn(self.redis.randomkey(), names)

    def test_about_the_server(self):
        r = self.redis
        r.client_setname("tester")
        self.assertEqual(r.client_getname(), "tester")
        self.assertIn("tester", [client["name"] for client in r.client_list()])
        self.assertEqual(r.info("server")["redis_mode"], "standalone")
        r.set("k", 1)
        self.assertEqual(r.info("keyspace")["db0"]["keys"], 1)
        self.assertEqual(r.config_get("appendonly"), {"appendonly": "yes"})
        self.assertGreater(r.command_count(), 50)
        self.assertIn("get", r.command())
        victim = redis.Redis(port=self.server.port, single_connection_client=True, retry=None)
        self.assertEqual(r.client_kill_filter(_id=str(victim.client_id())), 1)
        with self.assertRaises(redis.ConnectionError):
            victim.execute_command("PING")


class ClientOnTwoShards(Client):
    shards = 2


if __name__ == "__main__":
    unittest.main()
