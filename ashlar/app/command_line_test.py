#!/usr/bin/env python3
"""What the program says to right and wrong command lines: command_line_test.py PROGRAM."""
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
        self.assert_usage_error(ashlar("doctor", "extra"), "extra")
        self.assert_usage_error(ashlar("serve", "--logging-level"), "--logging-level")
        self.assert_usage_error(ashlar("kv", "put", "--data", "dir:x", "key"))
        self.assert_usage_error(ashlar("doctor", "--data", "/tmp"), "dir:PATH")

    def test_wrong_values(self):
        self.assert_usage_error(ashlar("doctor", "--logging-level", "loud"), "logging.level", "trace|debug")
        self.assert_usage_error(ashlar("doctor", "--logging-timestamps=maybe"), "logging.timestamps")
        self.assert_usage_error(ashlar("doctor", ASHLAR_LOGGING_LEVEL="loud"), "ASHLAR_LOGGING_LEVEL")

    def test_configuration_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.toml")
            with open(path, "w") as file:
                file.write("[logging]\nlevel = 'debug'\nlevle = 1\n")
            self.assert_usage_error(ashlar("doctor", "--config", path), f"{path}:3", "logging.level")
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
            for subject in ("kernel", "locked memory", "open files", "processors", "huge pages", "data directory"):
                self.assertEqual(sum(line.startswith(subject) for line in run.stdout.splitlines()), 1, run.stdout)
            self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    unittest.main()
