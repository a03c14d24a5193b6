#!/usr/bin/env python3
"""`ashlar kv` ingest and compact: ingest_command_test.py PROGRAM."""
import errno
import json
import os
import random
import signal
import subprocess
import time

from tool_testing import PROGRAM, DataTest, Server, json_line, main, run, value_of

LARGE = 20_000  # bytes of a value that stands in a value table


def in_order(number):
    """All in one slot, so that the order of storage is that of the keys, however many partitions there are."""
    return b"{t}%06d" % number


def value(number, mark, size=400):
    """Text that does not compress away."""
    return random.Random(f"{mark}{number}").randbytes(size // 2).hex().encode()


class Ingest(DataTest):
    def count(self, name):
        return len(self.exported(name).splitlines())

    def state(self, name):
        """What `kv verify` counts, of a data set that is whole."""
        report = self.json("kv", "verify", self.at(name))
        self.assertTrue(report["whole"], report)
        return report

    def bulk(self, name, numbers, mark, *more, size=400):
        """Ingests keys in their order."""
        lines = [json_line(in_order(n), value(n, mark, size)) for n in numbers]
        return self.ok("kv", "ingest", self.at(name), self.write("bulk.jsonl", "\n".join(lines)), *more)

    def test_ingest_of_sorted_csv(self):
        rows = "".join(f"{in_order(n).decode()},{value(n, 'c').decode()}\n" for n in range(3000))
        file = self.write("in.csv", "key,value\n" + rows)
        said = self.ok("kv", "ingest", self.at("data"), file, "--create")
        self.assertIn(f"{file}: 3000 records in ", said)
        self.assertEqual(self.count("data"), 3000)
        found = self.state("data")
        self.assertEqual((found["entries"], found["unreferenced_tables"]), (3000, 0))
        records = map(json.loads, self.exported("data").splitlines())
        self.assertEqual([(record["key"], record["value"]) for record in records],
                         [(in_order(n).decode(), value(n, "c").decode()) for n in range(3000)])

    def test_ingest_refuses_what_is_not_in_order_and_adds_nothing(self):
        self.bulk("data", range(1000), "a", "--create")
        content, before = self.exported("data"), self.state("data")
        good = [json_line(in_order(n), b"new") for n in (5, 7, 9)]
        cases = {"back.jsonl": (["line 4", "{t}000006", "{t}000009", "--sort"],
                                [*good, json_line(in_order(6), b"new")]),
                 "twice.jsonl": (["line 4", "{t}000009", "a second time"], [*good, good[2]]),
                 "bad.jsonl": (["line 4, column "], [*good, '{"key":"{t}000010","valeu":"x"}']),
                 "family.jsonl": (["line 4", "'none'", "--create-families"],
                                  [*good, json_line(b"{t}1", b"x", family="none")])}
        for name, (words, lines) in cases.items():
            file = self.write(name, "\n".join(lines) + "\n")
            with self.subTest(name):
                self.fails("kv", "ingest", self.at("data"), file, words=[file, *words, "nothing was ingested"])
                self.assertEqual(self.exported("data"), content)
                after = self.state("data")
                self.assertEqual([after[of] for of in ("tables", "entries", "unreferenced_tables")],
                                 [before["tables"], before["entries"], 0])
        rows = "key,value\n" + "".join(f"{in_order(n).decode()},x\n" for n in (1, 3, 2))
        self.fails("kv", "ingest", self.at("data"), self.write("back.csv", rows),
                   words=["line 4", "nothing was ingested"])
        self.assertEqual(self.exported("data"), content)
        self.ok("kv", "ingest", self.at("data"), self.path("back.jsonl"), "--sort")
        self.assertEqual(self.count("data"), 1000)

    def test_ingest_hides_what_was_there_and_is_hidden_by_what_comes(self):
        self.fill(self.path("data"), range(2000), "old", partitions=2)
        lines = [json_line(b"key:%d" % n, b"ingested %d" % n) for n in range(1000, 3000)]
        shuffled = self.write("in.jsonl", "\n".join(lines))
        before = self.exported("data")
        twice = self.write("twice.jsonl", "\n".join([lines[0], lines[0]]))
        self.fails("kv", "ingest", self.at("data"), twice, "--sort", words=["'key:1000'", "a second time"])
        self.assertEqual(self.exported("data"), before)
        self.ok("kv", "ingest", self.at("data"), shuffled, "--sort")
        self.state("data")
        self.fill(self.path("data"), range(2500, 2600), "new", partitions=2)

        def expected(number):
            if number < 1000:
                return value_of(number, "old")
            return value_of(number, "new") if 2500 <= number < 2600 else f"ingested {number}"
        found = {record["key"]: record["value"] for record in map(json.loads, self.exported("data").splitlines())}
        self.assertEqual(found, {f"key:{n}": expected(n) for n in range(3000)})

    def test_ingest_beside_a_server_changes_nothing(self):
        self.fill(self.path("data"), range(500))
        content = self.exported("data")
        file = self.write("in.jsonl", json_line(in_order(1), b"ingested"))
        with Server(self.path("data"), shards=1) as server:
            self.addCleanup(server.log.close)
            for command in (["ingest", self.at("data"), file], ["compact", self.at("data")]):
                self.fails("kv", *command, words=[self.path("data"), "does a server hold it?"])
            client = server.client()
            self.assertEqual((client("DBSIZE"), client("GET", in_order(1))), (500, None))
            self.assertEqual(client("SET", "later", "x"), "OK")
            client.close()
            server.stop()
        self.assertEqual(self.count("data"), 501)
        self.assertEqual([line for line in self.exported("data").splitlines() if b'"later"' not in line],
                         content.splitlines())
        self.state("data")

    def test_compact_gives_back_what_was_overwritten(self):
        for mark in "abc":
            self.bulk("data", range(2000), mark, "--create")
        content, before = self.exported("data"), self.state("data")
        self.assertGreater(before["entries"], 2000)
        said = self.ok("kv", "compact", self.at("data"))
        self.assertIn(" became 2000 in ", said)
        after = self.state("data")
        self.assertEqual((after["entries"], after["unreferenced_tables"]), (2000, 0))
        self.assertLess(after["table_bytes"], before["table_bytes"] / 2)
        self.assertEqual(self.exported("data"), content)
        self.assertIn(" 2000 entries in ", self.ok("kv", "compact", self.at("data")))  # once more changes nothing
        self.assertEqual(self.exported("data"), content)

    def test_compact_says_what_became_of_each_partition(self):
        for mark in "abc":
            self.fill(self.path("data"), range(2000), mark, partitions=2)
        before = self.exported("data")
        said = self.ok("kv", "compact", self.at("data"))
        self.assertEqual(len(said.splitlines()), 2, said)
        entries = [int(line.split(" became ")[1].split()[0]) for line in said.splitlines()]
        self.assertEqual(sum(entries), 2000, said)
        self.assertEqual(self.exported("data"), before)

    def test_large_values_are_ingested_and_compacted(self):
        self.bulk("data", range(200), "a", "--create", size=LARGE)
        self.bulk("data", range(0, 200, 3), "b", size=LARGE)
        self.state("data")
        figures = self.json("kv", "stats", self.at("data"))["partitions"]
        self.assertGreater(sum(part["value_tables"] for part in figures), 0, "they stand in value tables at once")
        self.assertLess(sum(part["table_bytes"] for part in figures), 50 * LARGE)
        content = self.exported("data")
        self.ok("kv", "compact", self.at("data"))
        self.state("data")
        self.assertEqual(self.exported("data"), content)
        figures = self.json("kv", "stats", self.at("data"))["partitions"]
        there, alive = (sum(part[of] for part in figures) for of in ("value_table_bytes", "live_value_bytes"))
        self.assertGreaterEqual(alive, 200 * LARGE)
        self.assertLess(there, alive * 1.05)

    def opened(self, fifo, reader):
        """For writing, once `reader` has it open. It must not be waited for in vain."""
        deadline = time.monotonic() + 60
        while True:
            try:
                descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENXIO)  # nobody reads it yet
                self.assertIsNone(reader.poll())
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
                continue
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "wb", buffering=0)

    def test_a_killed_ingest_costs_a_repair_nothing(self):
        """What only the log has is newer than no table, also where tables were written that nobody names."""
        self.fill(self.path("data"), range(50), partitions=1)  # stays in the log
        fifo = self.path("in.jsonl")
        os.mkfifo(fifo)
        there = len(self.files("data", ".table"))
        ingest = subprocess.Popen([PROGRAM, "kv", "ingest", self.at("data"), fifo, "--kv-table-bytes", "256KiB"],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            with self.opened(fifo, ingest) as into:
                for begin in range(0, 8000, 1000):
                    lines = [json_line(in_order(n), value(n, "k")) for n in range(begin, begin + 1000)]
                    into.write("".join(line + "\n" for line in lines).encode())
                deadline = time.monotonic() + 60
                while len(self.files("data", ".table")) < there + 4 and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.assertIsNone(ingest.poll())
                self.assertGreaterEqual(len(self.files("data", ".table")), there + 4)
                ingest.send_signal(signal.SIGKILL)
                ingest.wait(30)
        finally:
            if ingest.poll() is None:
                ingest.kill()
                ingest.wait(30)
        run("kv", "repair", self.at("data"), "--force")  # the table that was cut short is set aside: status 3
        found = {line.split("\t")[0] for line in self.content(self.at("data"))}
        self.assertEqual({f"key:{number}" for number in range(50)} - found, set())


if __name__ == "__main__":
    main()
