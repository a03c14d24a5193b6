#!/usr/bin/env python3
"""`ashlar kv` export and import: transfer_command_test.py PROGRAM."""
import base64
import csv
import io
import json
import time

from tool_testing import DataTest, json_line, main

LATER = int(time.time() * 1000) + 3_600_000
EVERY_BYTE = bytes(range(256))


RECORDS = [(b"plain", b"text"), (b"a,b", b'say "x"\r\nand go on'), (EVERY_BYTE, EVERY_BYTE * 3), (b"empty", b""),
           ("grün".encode(), "😀".encode()), (b"\xff", b"\xed\xa0\x80")] + [(b"n%d" % n, b"%d" % n) for n in range(5000)]


class Transfer(DataTest):
    def make(self, name="data"):
        lines = [json_line(key, value) for key, value in RECORDS]
        lines.append(json_line(b"expires", b"x", expires_ms=LATER))
        lines.append(json_line(b"of a family", b"y", family="sessions", expires_ms=LATER))
        self.ok("kv", "import", self.at(name), self.write("in.jsonl", "\n".join(lines)), "--create", "--create-families")

    def test_round_trips(self):
        self.make()
        lines = self.exported("data")
        self.assertEqual(len(lines.splitlines()), len(RECORDS) + 2)
        found = {}
        for line in map(json.loads, lines.splitlines()):
            key = line["key"].encode() if "key" in line else base64.b64decode(line["key_base64"])
            value = line["value"].encode() if "value" in line else base64.b64decode(line["value_base64"])
            found[line.get("family"), key] = value, line.get("expires_ms")
        self.assertEqual({key: value for (family, key), (value, expires) in found.items() if expires is None},
                         dict(RECORDS))
        self.assertEqual(found[None, b"expires"], (b"x", LATER))
        self.assertEqual(found["sessions", b"of a family"], (b"y", LATER))
        for ending in ("csv", "jsonl"):
            file = self.path("out." + ending)
            self.assertIn(f"{len(RECORDS) + 2} records", self.ok("kv", "export", self.at("data"), file))
            self.fails("kv", "export", self.at("data"), file, words=[file, "exists"])
            self.ok("kv", "import", self.at("by-" + ending), file, "--create", "--create-families")
            self.assertEqual(self.exported("by-" + ending), lines)

    def test_csv_is_what_others_read(self):
        self.make()
        text = self.exported("data", "--format", "csv").decode("latin-1")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual({row["key"].encode("latin-1"): row["value"].encode("latin-1") for row in rows
                          if not row["expires_ms"]}, dict(RECORDS))

    def test_bounds(self):
        self.make()
        def keys(*more):
            return sorted(json.loads(line)["key"] for line in self.exported("data", *more).splitlines())
        self.assertEqual(keys("--prefix", "n499"), sorted(["n499"] + [f"n499{n}" for n in range(10)]))
        self.assertEqual(keys("--from", "n1", "--to", "n1001"), ["n1", "n10", "n100", "n1000"])
        self.assertEqual(keys("--family", "sessions"), ["of a family"])
        self.fails("kv", "export", self.at("data"), "--family", "none", words=["no column family 'none'"])

    def test_a_bad_line_has_its_place(self):
        self.make()
        bad = self.write("bad.csv", "key,value\n" + "".join(f"bad{n},{n}\n" for n in range(10)) + 'bad10,"1"0\nbad11,11\n')
        self.fails("kv", "import", self.at("data"), bad,
                   words=[bad, "line 12, column 10", "10 records were imported"])
        self.assertEqual(len(self.exported("data", "--prefix", "bad").splitlines()), 10)
        bad = self.write("bad.jsonl", '{"key":"x","value":"y"}\n{"key":"x","valeu":"y"}\n')
        self.fails("kv", "import", self.at("data"), bad, words=["line 2, column 18", "1 records were imported"])
        bad = self.write("family.jsonl", '{"key":"x"}\n{"key":"x","family":"other"}\n')
        self.fails("kv", "import", self.at("data"), bad, words=["line 2", "'other'", "--create-families"])

    def test_ingest_takes_what_export_gave(self):
        self.make()
        lines = self.exported("data")
        file = self.write("sorted.jsonl", lines)
        said = self.ok("kv", "ingest", self.at("copy"), file, "--create", "--create-families")
        self.assertIn(f"{len(RECORDS) + 2} records", said)
        self.assertIn("on level 6", said)  # nothing is above or below
        self.assertEqual(self.exported("copy"), lines)
        self.ok("kv", "verify", self.at("copy"))

    def test_arguments(self):
        self.fails("kv", "export", status=2)
        self.fails("kv", "import", self.at("data"), status=2)
        self.fails("kv", "import", self.at("data"), "file.txt", status=2, words=["file.txt", "--format"])
        self.fails("kv", "export", self.at("data"), "--format", "xml", status=2, words=["xml", "csv"])
        self.fails("kv", "import", self.at("data"), "no.csv", words=[self.path("data"), "nothing is stored there"])
        self.make()
        self.fails("kv", "import", self.at("data"), self.path("no.csv"), words=["no.csv", "ENOENT"])


if __name__ == "__main__":
    main()
