"""Clients that break the rules: they get Redis' errors, and neither exhaust memory nor hold up others."""
import os
import random
import socket
import time
import unittest

import redis

from server import Server

SEED = int(os.environ.get("ASHLAR_SEED", random.SystemRandom().randrange(1 << 32)))


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.start()
        cls.redis = redis.Redis(port=cls.server.port)

    @classmethod
    def tearDownClass(cls):
        cls.redis.close()
        cls.server.__exit__(None, None, None)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.server.port))
        connection.settimeout(30)
        self.addCleanup(connection.close)
        return connection

    def answer_to(self, request):
        connection = self.connect()
        connection.sendall(request)
        received = b""
        while True:
            try:
                more = connection.recv(65536)
            except ConnectionResetError:
                return received
            if not more:
                return received
            received += more

    def test_protocol_errors_end_the_connection(self):
        for request, error in {
            b"*x\r\n": b"invalid multibulk length",
            b"*1\r\n:1\r\n": b"expected '$', got ':'",
            b"*2\r\n$-5\r\n": b"invalid bulk length",
            b"*1\r\n$99999999999\r\n": b"invalid bulk length",
            b"*99999999999999\r\n": b"invalid multibulk length",
            b'get "x\r\n': b"unbalanced quotes in request",
            b"a" * 70_000: b"too big inline request",
        }.items():
            self.assertEqual(self.answer_to(b"PING\r\n" + request), b"+PONG\r\n-ERR Protocol error: " + error + b"\r\n")

    def test_noise(self):
        print(f"ASHLAR_SEED={SEED}")
        generator = random.Random(SEED)
        for _ in range(50):
            connection = self.connect()
            try:
                connection.sendall(generator.randbytes(generator.randrange(1, 5000)))
            except (ConnectionResetError, BrokenPipeError):
                pass
            connection.close()
        self.assertTrue(self.redis.ping())

    def test_an_announced_megabyte_costs_nothing_until_it_comes(self):
        before = self.server.memory_bytes()
        connections = [self.connect() for _ in range(200)]
        for connection in connections:
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16000000\r\n" + b"x" * 40_000)
        self.redis.ping()
        time.sleep(0.2)
        self.assertLess(self.server.memory_bytes() - before, 200 << 20)

    def test_who_does_not_read_is_not_read_from(self):
        self.redis.set("big", b"v" * (4 << 20))
        before = self.server.memory_bytes()
        greedy = self.connect()
        greedy.setblocking(False)
        try:
            while True:
                greedy.send(b"GET big\r\n" * 1000)
        except BlockingIOError:
            pass
        started = time.monotonic()
        for _ in range(100):
            self.assertTrue(self.redis.ping())
        self.assertLess(time.monotonic() - started, 20)
        self.assertLess(self.server.memory_bytes() - before, 128 << 20)

    def test_a_request_byte_by_byte(self):
        connection = self.connect()
        for byte in b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n":
            connection.sendall(bytes([byte]))
        self.assertEqual(connection.recv(100), b"$2\r\nhi\r\n")

    def test_too_many_clients(self):
        self.redis.config_set("maxclients", 5)
        try:
            self.assertIn(b"max number of clients reached", b"".join(self.first_bytes() for _ in range(10)))
        finally:
            self.doCleanups()
            time.sleep(0.2)
            self.redis.config_set("maxclients", 10_000)

    def first_bytes(self):
        connection = self.connect()
        connection.settimeout(0.5)
        try:
            return connection.recv(100)
        except TimeoutError:
            return b""


class Guarded(unittest.TestCase):
    def test_the_password(self):
        with Server(password="secret") as server:
            stranger = redis.Redis(port=server.port)
            with self.assertRaises(redis.AuthenticationError):
                stranger.ping()
            stranger.close()
            with self.assertRaisesRegex(redis.RedisError, "WRONGPASS"):
                redis.Redis(port=server.port, password="wrong").ping()
            self.assertTrue(redis.Redis(port=server.port, password="secret").ping())
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(b"*2\r\n$20000\r\n")
            self.assertEqual(connection.recv(200), b"-ERR Protocol error: unauthenticated bulk length\r\n")
            connection.close()


if __name__ == "__main__":
    unittest.main()
