"""Starts the real server for a test, talks to it, and stops it by pid."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

ASHLAR = os.environ["ASHLAR"]  # the program under test


class ServerError(Exception):
    """An error reply: the text after the dash."""


class Client:
    """A RESP2 client on a plain socket: commands go out as given, replies come back as Python values."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def encode(*words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            if not isinstance(word, bytes):
                word = str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        return b"".join(parts)

    def send(self, *words):
        self.socket.sendall(self.encode(*words))

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ServerError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            data = self.file.read(size + 2)
            if len(data) != size + 2:
                raise ConnectionError("the server closed the connection")
            return data[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        raise AssertionError(f"unknown reply {line!r}")

    def __call__(self, *words):
        self.send(*words)
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def forbid_io_uring():
    """A seccomp filter that refuses io_uring_setup with EPERM, as container runtimes do. Runs in the child before exec."""
    load, jump_equal, ret = 0x20, 0x15, 0x06
    number_of_io_uring_setup, allow, refuse = 425, 0x7FFF0000, 0x00050001
    filters = b"".join(
        struct.pack("=HBBI", *f)
        for f in ((load, 0, 0, 0), (jump_equal, 0, 1, number_of_io_uring_setup), (ret, 0, 0, refuse), (ret, 0, 0, allow))
    )
    buffer = ctypes.create_string_buffer(filters, len(filters))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    program = Program(4, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, mode_filter, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "prctl")


class Server:
    """`ashlar serve` on a data directory, or on blob(DEVICE); a context manager that leaves no process behind."""

    def __init__(self, data, shards=2, arguments=(), preexec=None):
        self.data, self.shards, self.arguments, self.preexec = data, shards, list(arguments), preexec
        self.port = free_port()
        self.process = None
        self.log = tempfile.TemporaryFile()

    def start(self, wait_s=60):
        self.process = subprocess.Popen(
            [ASHLAR, "serve", "--data", self.data if self.data.startswith("blob(") else f"dir:{self.data}", "--resp", f"127.0.0.1:{self.port}", "--shards",
             str(self.shards), *self.arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=self.preexec)
        deadline = time.monotonic() + wait_s
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output()}")
            try:
                client = Client(self.port)
                assert client("PING") == "PONG"
                client.close()
                return self
            except (ConnectionError, OSError):
                if time.monotonic() > deadline:
                    raise AssertionError(f"the server does not answer:\n{self.output()}") from None
                time.sleep(0.02)

    def client(self):
        return Client(self.port)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        """SIGTERM; the exit status must be 0."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.output()}"

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


def formatted_device(directory, size):
    """blob(…) on a sparse file that `ashlar format` has made ready."""
    path = os.path.join(directory, "device")
    with open(path, "wb") as file:
        file.truncate(size)
    subprocess.run([ASHLAR, "format", f"uring:{path}"], check=True, stdin=subprocess.DEVNULL)
    return f"blob(uring:{path})"


def main(test):
    """Runs a test function with a fresh directory. Exit status 77 means skipped, with the reason printed."""
    with tempfile.TemporaryDirectory(prefix="ashlar-test-") as directory:
        reason = test(directory)
    if reason:
        print(f"skipped: {reason}")
        raise SystemExit(77)
    print("ok")
