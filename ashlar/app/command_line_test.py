#!/usr/bin/env python3
"""What the program says to right and wrong command lines: command_line_test.py PROGRAM."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)


def ashlar(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ASHLAR_")}
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env=clean | environment, timeout=60)


class CommandLine(unittest.TestCase):
    def assert_usage_error(self, run, *words):
        self.assertEqual(run.returncode, 2, run)
        self.assertEqual(run.stdout, "")
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        for word in words:
            self.assertIn(word, run.stderr)

    def test_version(self):
        for arguments in (["version"], ["--version"]):
            run = ashlar(*arguments)
            self.assertEqual(run.returncode, 0)
            self.assertTrue(run.stdout.startswith("ashlar 0."), run.stdout)

    def test_help_is_on_stdout(self):
        for arguments in (["--help"], ["serve", "--help"], ["kv", "--help"], ["kv", "scan", "--help"]):
            run = ashlar(*arguments)
            self.assertEqual(run.returncode, 0, run)
            self.assertIn("--help", run.stdout)
            self.assertEqual(run.stderr, "")

    def test_wrong_command_lines(self):
        self.assert_usage_error(ashlar())
        self.assert_usage_error(ashlar("fly"))
        self.assert_usage_error(ashlar("doctor", "--dada", "x"), "unknown option --dada", "did you mean --data?")
        self.assert_usage_error(ashlar("doctor", "--for", "fun"), "fun", "latency")
        self.assert_usage_error(ashlar("version", "extra"), "extra")
        self.assert_usage_error(ashlar("serve", "--log-level"), "--log-level")
        self.assert_usage_error(ashlar("kv", "put", "--data", "dir:x", "key"))
        self.assert_usage_error(ashlar("doctor", "--data", "/tmp"), "dir:PATH nor blob(DEVICE)")

    def test_wrong_values(self):
        self.assert_usage_error(ashlar("doctor", "--log-level", "loud"), "log-level", "trace|debug")
        self.assert_usage_error(ashlar("doctor", "--log-timestamps=maybe"), "log-timestamps")
        self.assert_usage_error(ashlar("doctor", ASHLAR_LOG_LEVEL="loud"), "ASHLAR_LOG_LEVEL")

    def test_configuration_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.toml")
            with open(path, "w") as file:
                file.write("[runtime]\nslice = '1ms'\nslcie = 1\n")
            self.assert_usage_error(ashlar("doctor", "--config", path), f"{path}:3", "runtime.slice")
            with open(path, "w") as file:
                file.write("data = 'nowhere'\n")
            # The flag wins over the environment, which wins over the file.
            self.assert_usage_error(ashlar("doctor", "--config", path), "'nowhere'")
            self.assert_usage_error(ashlar("doctor", "--config", path, ASHLAR_DATA="there"), "'there'")
            self.assert_usage_error(ashlar("doctor", ASHLAR_CONFIG=path), "'nowhere'")
            run = ashlar("doctor", "--config", path, "--data", "dir:" + folder, ASHLAR_DATA="there")
            self.assertEqual(run.returncode, 0, run)
        self.assert_usage_error(ashlar("doctor", "--config", "/nonexistent.toml"), "/nonexistent.toml")

    def test_doctor_says_one_line_each_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            run = ashlar("doctor", "--data", f"dir:{folder}/not/yet/there")
            self.assertEqual(run.returncode, 0, run)
            lines = run.stdout.splitlines()
            for subject in ("kernel", "locked memory", "open files", "processors", "huge pages", "io_uring",
                            "data directory"):
                self.assertEqual(sum(line[11:].startswith(subject + "  ") for line in lines), 1, run.stdout)
            self.assertEqual(os.listdir(folder), [])

    def test_doctor_fails_where_something_asked_for_cannot_work(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file")
            for target in (path, f"uring:{path}", f"auto:{path}", "rom:1GiB", "ram:1GiB?blok=1"):
                run = ashlar("doctor", target)
                self.assertEqual(run.returncode, 1, run)
                self.assertIn("PROBLEM", run.stdout)
            for target in (f"uring:{path}?create=1MiB", "pass(ram:1MiB)", folder):
                run = ashlar("doctor", target)
                self.assertEqual(run.returncode, 0, run)
            self.assertEqual(os.listdir(folder), [])

    def test_kv_round_trip(self):
        with tempfile.TemporaryDirectory() as folder:
            data = os.path.join(folder, "data")

            def kv(*arguments):
                return ashlar("kv", arguments[0], "--data", "dir:" + data, *arguments[1:])

            missing = kv("get", "a")
            self.assertEqual((missing.returncode, missing.stdout), (1, ""), missing)
            self.assertIn(data, missing.stderr)
            self.serve_briefly(data)
            self.assertEqual(kv("get", "a").returncode, 1)
            for key in ("a", "b", "c"):
                self.assertEqual(kv("put", key, "value\tof " + key).returncode, 0)
            self.assertEqual(kv("get", "b").stdout, "value\tof b\n")
            self.assertEqual(sorted(kv("scan", "a", "c").stdout.splitlines()),
                             ["a\tvalue\\x09of a", "b\tvalue\\x09of b"])
            forward, backward = kv("scan").stdout.splitlines(), kv("scan", "--reverse").stdout.splitlines()
            self.assertEqual(len(forward), 3)
            self.assertEqual(forward, backward[::-1])
            self.assertEqual(kv("scan", "--limit", "2").stdout.splitlines(), forward[:2])
            self.assertEqual(kv("del", "a", "nothing").stdout, "1 deleted\n")
            self.assertEqual(kv("get", "a").returncode, 1)
            self.assertIn("2 partitions by hash", kv("stats").stdout)
            figures = json.loads(kv("stats", "--json").stdout)
            self.assertEqual((figures["engine"], figures["scheme"], len(figures["partitions"])), ("lsm", "hash", 2))
            self.assertGreaterEqual(sum(part["memtable_entries"] for part in figures["partitions"]), 3)

    def serve_briefly(self, data):
        """Makes the data directory; the second server and the tool are refused meanwhile."""
        command = [PROGRAM, "serve", "--data", "dir:" + data, "--resp", "127.0.0.1:0", "--shards", "2"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as server:
            try:
                for line in server.stderr:
                    if "serving on" in line:
                        break
                for run in (ashlar(*command[1:]), ashlar("kv", "get", "--data", "dir:" + data, "a")):
                    self.assertEqual(run.returncode, 1, run)
                    self.assertIn("holds it" if "serve" in run.args else "does a server hold it", run.stderr)
            finally:
                server.terminate()
            self.assertEqual(server.wait(30), 0, server.stderr.read())

    def test_serve_refuses_a_malformed_address(self):
        self.assert_usage_error(ashlar("serve", "--resp", "nowhere"), "resp")


if __name__ == "__main__":
    unittest.main()
