"""redis-cli, redis-benchmark and, where it was built, a program on hiredis."""
import os
import shutil
import subprocess
import unittest

from server import Server


@unittest.skipUnless(shutil.which("redis-cli"), "redis-tools is not installed")
class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=2)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def setUp(self):
        self.cli("flushall")

    def run_tool(self, *command, text=None):
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def cli(self, *words, text=None):
        return self.run_tool("redis-cli", "-p", str(self.server.port), *words, text=text)

    def test_redis_cli(self):
        self.assertEqual(self.cli("set", "k", "v"), "OK\n")
        self.assertEqual(self.cli("-3", "get", "k"), "v\n")
        self.assertEqual(self.cli("-3", "--json", "mget", "k", "none"), '["v",null]\n')
        self.assertEqual(self.cli(text='set s "a b"\nget s\nmulti\nincr {x}\nexec\n'),
                         "OK\na b\nOK\nQUEUED\n1\n")
        self.assertEqual(sorted(self.cli("--scan").split()), ["k", "s", "{x}"])
        self.assertIn("redis_version", self.cli("info", "server"))
        self.assertIn("Biggest string", self.cli("--bigkeys"))
        self.assertEqual(self.cli("-x", "set", "file", text="contents"), "OK\n")

    def test_mass_insertion(self):
        requests = "".join(f"*3\r\n$3\r\nSET\r\n${len(str(i)) + 4}\r\nkey:{i}\r\n$1\r\nv\r\n" for i in range(20_000))
        self.assertIn("errors: 0, replies: 20000", self.cli("--pipe", text=requests))
        self.assertEqual(self.cli("dbsize"), "20000\n")

    def test_redis_benchmark(self):
        report = self.run_tool("redis-benchmark", "-p", str(self.server.port), "-n", "4000", "-r", "1000", "-P", "16",
                               "-c", "20", "-t", "ping,set,get,incr,mset", "--csv")
        self.assertEqual(len(report.strip().splitlines()), 7, report)

    @unittest.skipUnless(os.environ.get("ASHLAR_HIREDIS_CLIENT"), "libhiredis-dev is not installed")
    def test_hiredis(self):
        self.run_tool(os.environ["ASHLAR_HIREDIS_CLIENT"], str(self.server.port))


if __name__ == "__main__":
    unittest.main()
