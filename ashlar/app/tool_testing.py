"""For the tests of commands on data sets: X_test.py PROGRAM. A server makes what they work on."""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ["ASHLAR"] = sys.argv.pop(1)
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "server"))

from harness import Server  # noqa: E402

DAMAGED = 3  # exit status
SMALL = ["--kv-memtable-bytes", "256KiB"]  # so that there are tables


def run(*arguments, text=True, timeout=120):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ASHLAR_")}
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=text, stdin=subprocess.DEVNULL,
                          env=clean | {"ASHLAR_LOG_LEVEL": "off"}, timeout=timeout)


def value_of(number, mark=""):
    return (f"{mark}{number}-" * 200)[:400]


def json_line(key, value, **more):
    """Keys and values are bytes."""
    def member(name, data):
        try:
            return {name: data.decode()}
        except UnicodeDecodeError:
            return {name + "_base64": base64.b64encode(data).decode()}
    return json.dumps(member("key", key) | member("value", value) | more)


class DataTest(unittest.TestCase):
    """With a folder that goes with the test. `self.at("x")` names a data set in it, `self.path("x")` its directory."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def at(self, name):
        return "dir:" + self.path(name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def exported(self, name, *more):
        done = run("kv", "export", self.at(name), *more, text=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        return done.stdout

    def fill(self, where, numbers, mark="", partitions=2):
        """SETs key:N for each number, over what is there. `where`: a directory, or blob(DEVICE)."""
        with Server(where, shards=1, arguments=[*SMALL, "--kv-partitions", str(partitions)]) as server:
            client = server.client()
            numbers = list(numbers)
            for begin in range(0, len(numbers), 100):
                batch = numbers[begin:begin + 100]
                client.socket.sendall(b"".join(client.encode("SET", f"key:{n}", value_of(n, mark)) for n in batch))
                for _ in batch:
                    self.assertEqual(client.reply(), "OK")
            client.close()
            server.stop()
        server.log.close()

    def ok(self, *arguments):
        done = run(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def json(self, *arguments, status=0):
        done = run(*arguments, "--json")
        self.assertEqual((done.returncode, done.stderr), (status, ""), done)
        return json.loads(done.stdout)

    def fails(self, *arguments, words=(), status=1):
        """With one line, and nothing else."""
        done = run(*arguments)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        return done

    def content(self, where):
        return sorted(self.ok("kv", "scan", "--data", where).splitlines())

    def files(self, name, ending):
        return sorted(os.path.join(at, file) for at, _, files in os.walk(self.path(name)) for file in files
                      if file.endswith(ending))


def flip_bit(path, offset, bit=3):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def main():
    unittest.main()
