#!/usr/bin/env python3
"""`ashlar trace`: trace_command_test.py PROGRAM. The trace is written here, after docs/formats/trace.md alone."""
import fcntl
import os
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
NUMBER = 0x1122334455667788
READ, WRITE, FLUSH = 0, 1, 2


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value):
    coded = b""
    while value >= 0x80:
        coded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return coded + bytes([value])


def zigzag(value):
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


def checked(data):
    return struct.pack("<I", crc32c(data)) + data


def header(spec=b"ram:1MiB"):
    fields = struct.pack("<4sIIQQQI", b"ATrH", 1, 512, NUMBER, 1_700_000_000_000, 2048, len(spec))
    return checked((fields + b"\0" * 4 + spec).ljust(4092, b"\0"))


def chunk(entries, base=1_000_000):
    """Of (operation, flags, result, completed after base, latency, block, blocks)."""
    body, time, behind = b"", 0, 0
    for operation, flags, result, completed, latency, block, blocks in entries:
        body += bytes([operation | flags, result]) + zigzag(completed - time) + varint(latency)
        body += zigzag(block - behind) + varint(blocks)
        time, behind = completed, block + blocks
    return checked(struct.pack("<4sQIIQIIQ", b"ATr1", NUMBER, 3, 0, base, len(entries), len(body), 7) + body)


READS = [(READ, 0, 0, 50_000 + i * 100_000, 30_000, i * 16 % 2048, 8) for i in range(40)]
WRITES = [(WRITE, 8, 0, 5_000_000, 90_000, 5, 1), (FLUSH, 0, 1, 7_000_000, 1_000_000, 0, 0)]


def ashlar(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


class Trace(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, *chunks, head=None):
        path = os.path.join(self.folder.name, "t")
        with open(path, "wb") as file:
            file.write(head or header())
            for number, data in enumerate(chunks):
                file.seek(4096 + number * 65536)
                file.write(data)
        return path

    def line(self, run, name):
        return next(line for line in run.stdout.splitlines() if line.startswith(name))

    def test_show(self):
        run = ashlar("trace", "show", self.file(chunk(READS), b"\1" * 100, chunk(WRITES)), "--entries", "41")
        self.assertEqual(run.returncode, 0, run)
        self.assertIn("ram:1MiB", self.line(run, "device"))
        self.assertIn("2023-11-14 22:13:20 UTC", run.stdout)
        self.assertIn("42 in 2 chunks", self.line(run, "entries"))
        self.assertIn("14 requests", self.line(run, "missing"))
        self.assertIn("1 chunks", self.line(run, "damaged"))
        self.assertEqual(self.line(run, "read").split()[1:4], ["40", "160", "KiB"])
        self.assertEqual(self.line(run, "flush").split()[4], "1", "it failed")
        self.assertEqual(len([line for line in run.stdout.splitlines() if " 3 read " in line]), 40)
        self.assertIn("durable", run.stdout)

    def test_replay(self):
        path = self.file(chunk(READS), chunk(WRITES))
        for pace in (["--pace", "recorded", "--speed", "4"], ["--pace", "dependent"], ["--pace", "depth", "--depth", "4"]):
            run = ashlar("trace", "replay", path, "ram:1MiB", *pace)
            self.assertEqual(run.returncode, 0, run)
            self.assertEqual(self.line(run, "read").split()[1], "40")
            self.assertEqual(self.line(run, "write").split()[1], "1")

    def test_a_replay_can_be_recorded(self):
        again = os.path.join(self.folder.name, "again")
        run = ashlar("trace", "replay", self.file(chunk(READS)), f"trace(ram:1MiB)?file={again}", "--pace", "dependent")
        self.assertEqual(run.returncode, 0, run)
        run = ashlar("trace", "show", again)
        self.assertIn("40 in 1 chunks", self.line(run, "entries"))

    def test_writes_are_not_replayed_unasked(self):
        disk = os.path.join(self.folder.name, "disk")
        with open(disk, "wb") as file:
            file.write(b"\5" * (1 << 20))
        path = self.file(chunk(READS + WRITES))
        run = ashlar("trace", "replay", path, f"direct:{disk}", "--pace", "dependent")
        self.assertEqual(run.returncode, 1, run)
        self.assertIn("--writes carry-out", run.stderr)
        run = ashlar("trace", "replay", path, f"direct:{disk}", "--pace", "dependent", "--writes", "skip")
        self.assertEqual(run.returncode, 0, run)
        with open(disk, "rb") as file:
            self.assertTrue(file.read() == b"\5" * (1 << 20))
        run = ashlar("trace", "replay", path, f"direct:{disk}", "--pace", "dependent", "--writes", "carry-out")
        self.assertEqual(run.returncode, 0, run)
        with open(disk, "rb") as file:
            self.assertFalse(file.read() == b"\5" * (1 << 20))

    def test_what_somebody_uses_is_not_written_over(self):
        disk = os.path.join(self.folder.name, "disk")
        with open(disk, "wb") as file:
            file.write(b"\5" * (1 << 20))
        path = self.file(chunk(READS + WRITES))
        with open(disk, "rb") as user:
            fcntl.flock(user, fcntl.LOCK_EX)
            for kind in ("direct", "mmap", "uring"):
                run = ashlar("trace", "replay", path, f"{kind}:{disk}", "--pace", "dependent", "--writes", "carry-out")
                self.assertEqual(run.returncode, 1, run)
                self.assertIn("busy", run.stderr)
            with open(disk, "rb") as file:
                self.assertTrue(file.read() == b"\5" * (1 << 20))

    def test_what_cannot_be_done_is_said_in_a_line(self):
        path = self.file(chunk(READS))
        for arguments, word in ((["show", "/nowhere"], "ENOENT"), (["show", "/bin/true"], "not a trace"),
                                (["replay", path, "ram:64KiB"], "beyond the end"), (["replay", path, "rom:1"], "rom"),
                                (["show", self.folder.name], "EISDIR")):
            run = ashlar("trace", *arguments)
            self.assertEqual(run.returncode, 1, run)
            self.assertIn(word, run.stderr)
            self.assertEqual(run.stdout, "")
        for arguments in (["show"], ["replay", path], ["replay", path, "ram:1MiB", "--pace", "fast"],
                          ["replay", path, "ram:1MiB", "--speed", "0"], ["replay", path, "ram:1MiB", "--depth", "0"]):
            self.assertEqual(ashlar("trace", *arguments).returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
