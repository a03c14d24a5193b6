"""Data directories that older versions wrote open, with everything that was in them, and go on as any other.

One for each version whose formats differ (tests/server/older): the first that had a log, tables and a manifest. Its server
was killed, so that opening it means recovery too.
"""

import os
import subprocess
import sys
import tarfile

from harness import ASHLAR, Server, main

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "older")
sys.path.insert(0, FOLDER)
import contents  # noqa: E402

VERSIONS = ("0.1.0-spine",)
FLUSHED_SOON = ("--kv-memtable-bytes", "64KiB")


def verify(path):
    done = subprocess.run([ASHLAR, "kv", "verify", f"dir:{path}"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whole" in done.stdout, done.stdout


def look(client, wanted):
    assert client("DBSIZE") == len(wanted), (client("DBSIZE"), len(wanted))
    for key, value in wanted.items():
        assert client("GET", key) == value, key


def test_version(version, directory):
    with tarfile.open(os.path.join(FOLDER, version + ".tar.xz")) as archive:
        archive.extractall(directory)
    path = os.path.join(directory, "data")
    verify(path)
    wanted = contents.expected()
    with Server(path, shards=1, arguments=FLUSHED_SOON) as server:
        client = server.client()
        look(client, wanted)
        assert client("GET", "gone") is None
        assert client("PEXPIRETIME", "later") == contents.IN_2100_MS
        for number in range(0, 600, 3):  # old tables and new ones are merged
            key = f"key:{number:04}"
            wanted[key] = contents.value(number, 100) * 2
            assert client("SET", key, wanted[key]) == "OK"
        look(client, wanted)
        client.close()
        server.stop()
    verify(path)
    with Server(path, shards=2) as server:
        client = server.client()
        look(client, wanted)
        client.close()
        server.stop()


def test(directory):
    for version in VERSIONS:
        test_version(version, directory)
        print(f"{version}: opened, read, written and opened again")
    return None


main(test)
