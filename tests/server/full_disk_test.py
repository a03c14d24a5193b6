"""A full disk: writes fail clearly, reads go on, deletes and flushes still work from the reserve, freed space resumes.

Needs root and a loop device for a small file system of its own.
"""

import os
import subprocess
import time

from harness import Server, ServerError, main

DISK_BYTES = 192 << 20
VALUE = os.urandom(50_000)


def fill(client, start):
    """Writes until one fails; returns the keys that were acknowledged and the error."""
    written = []
    for number in range(start, start + 20_000):
        try:
            client("SET", f"fill:{number}", VALUE)
        except ServerError as error:
            return written, str(error)
        written.append(number)
    raise AssertionError("the disk never filled")


def run(mount):
    data = os.path.join(mount, "data")
    with Server(data, shards=1) as server:
        client = server.client()
        client("SET", "before", "kept")
        written, error = fill(client, 0)
        print(f"{len(written)} values before: {error}")
        assert len(written) > 100
        assert "space" in error.lower(), error
        # Reads go on.
        assert client("GET", "before") == b"kept"
        for number in written[:: max(1, len(written) // 50)]:
            assert client("GET", f"fill:{number}") == VALUE
        # Deletes work from the reserve.
        assert client("DEL", *[f"fill:{n}" for n in written[:50]]) == 50
        assert client("EXISTS", f"fill:{written[0]}") == 0
        # A restart on the full disk opens and has everything.
        client.close()
        server.stop()
    with Server(data, shards=1) as server:
        client = server.client()
        assert client("GET", "before") == b"kept"
        assert client("EXISTS", f"fill:{written[0]}") == 0
        for number in written[50:: max(1, len(written) // 50)]:
            assert client("GET", f"fill:{number}") == VALUE
        # Freed space makes writes work again, without a restart.
        rest = [f"fill:{n}" for n in written[50:]]
        for begin in range(0, len(rest), 100):
            client("DEL", *rest[begin: begin + 100])
        deadline = time.monotonic() + 60
        while True:
            try:
                client("SET", "after", VALUE)
                break
            except ServerError as refused:
                assert "space" in str(refused).lower(), refused
                assert time.monotonic() < deadline, f"writes do not resume: {refused}\n{server.output()}"
                time.sleep(0.1)
        assert client("GET", "after") == VALUE
        client.close()
        server.stop()
    return None


def unmount(mount):
    """A killed process's ring goes in the background and keeps its files open until it has."""
    for _ in range(100):
        if subprocess.run(["umount", mount], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "--lazy", mount], check=True)


def test(directory):
    if os.geteuid() != 0:
        return "needs root to mount a loop device"
    image, mount = os.path.join(directory, "image"), os.path.join(directory, "mount")
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    os.mkdir(mount)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, mount], check=False).returncode != 0:
        return "this machine cannot mount a loop device"
    try:
        return run(mount)
    finally:
        unmount(mount)


if __name__ == "__main__":
    main(test)
