"""Starts a server for a test, in a directory of its own and on a free loopback port, and ends it by its pid."""
import os
import signal
import subprocess
import tempfile

PROGRAM = os.environ["ASHLAR_TEST_SERVER"]


class Server:
    """`with Server(shards=2) as server:`; restart() opens the same directory again."""

    def __init__(self, shards=1, password=None, directory=None, partitions=None):
        self.shards, self.password, self.partitions = shards, password, partitions
        self.own = None if directory else tempfile.TemporaryDirectory(prefix="ashlar-clients-")
        self.directory = directory or os.path.join(self.own.name, "data")
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        if self.process is not None:
            if kind is None:
                self.stop()
            else:
                self.kill()
        if self.own is not None:
            self.own.cleanup()

    def start(self):
        command = [PROGRAM, self.directory, str(self.shards)] + ([self.password] if self.password else [])
        environment = dict(os.environ)
        if self.partitions:
            environment["ASHLAR_TEST_PARTITIONS"] = str(self.partitions)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        assert line.strip(), f"the server did not start: status {self.process.wait()}"
        self.port = int(line)

    def stop(self):
        """SIGTERM; the server must drain, close and report success."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.process = None
        assert status == 0, f"the server ended with status {status}"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def memory_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
