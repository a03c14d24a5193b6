#!/usr/bin/env python3
"""`ashlar kv dump`: dump_command_test.py PROGRAM."""
import json
import os

from tool_testing import DAMAGED, DataTest, flip_bit, main, run, value_of


class Dump(DataTest):
    def setUp(self):
        super().setUp()
        self.fill(self.path("data"), range(2000), partitions=1)

    def lines(self, *arguments):
        return [json.loads(line) for line in self.ok("kv", "dump", self.at("data"), *arguments, "--json").splitlines()]

    def test_every_key_is_in_a_table_or_in_the_log(self):
        [root] = self.lines("root")
        self.assertEqual((root["engine"], root["partitions"], root["scheme"]), ("lsm", 1, "hash"))
        [manifest] = self.lines("manifest")
        self.assertGreater(len(manifest["tables"]), 0)
        found = {}
        for table in manifest["tables"]:
            entries = self.lines("table", table["number"])
            self.assertEqual(len(entries), table["entries"])
            self.assertTrue(all(entry["kind"] == "put" for entry in entries))
            found |= {entry["key"]: entry["value"] for entry in entries}
        flushed = manifest["flushed"]
        for record in self.lines("log"):
            if record["sequence"] > flushed:
                found |= {operation["key"]: operation["value"] for operation in record["operations"]}
        self.assertEqual(found, {f"key:{n}": value_of(n) for n in range(2000)})

    def test_for_people(self):
        self.assertIn("engine", self.ok("kv", "dump", self.at("data"), "root"))
        self.assertIn("flushed", self.ok("kv", "dump", self.at("data"), "manifest"))
        number = self.lines("manifest")[0]["tables"][0]["number"]
        shown = self.ok("kv", "dump", self.at("data"), "table", number, "--limit", 3).splitlines()
        self.assertEqual(len(shown), 3)
        self.assertTrue(shown[0].startswith("put\t"))
        self.assertEqual(len([line for line in self.ok("kv", "dump", self.at("data"), "log", "--limit", 2).splitlines()
                              if line.startswith("{")]), 2)

    def test_what_is_damaged_is_said(self):
        table = self.files("data", ".table")[0]
        flip_bit(table, os.path.getsize(table) // 2)
        number = int(os.path.basename(table).split(".")[0])
        done = run("kv", "dump", self.at("data"), "table", number)
        self.assertEqual(done.returncode, DAMAGED, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("corrupt", done.stderr)
        self.assertIn("put\t", done.stdout, "what is before it can be read")

    def test_arguments(self):
        self.fails("kv", "dump", self.at("data"), status=2)
        self.fails("kv", "dump", self.at("data"), "everything", status=2, words=["everything"])
        self.fails("kv", "dump", self.at("data"), "manifest", "--partition", 7, words=["partition", "7"])
        self.fails("kv", "dump", self.at("data"), "table", 999999, words=["not found", "999999"])


if __name__ == "__main__":
    main()
