#!/usr/bin/env python3
"""`ashlar kv` verify, repair, checkpoint, backup, backups and restore: copies_command_test.py PROGRAM."""
import os
import shutil

from tool_testing import DAMAGED, DataTest, flip_bit, main


class Copies(DataTest):
    def setUp(self):
        super().setUp()
        self.fill(self.path("data"), range(3000))

    def test_verify_finds_a_flipped_bit(self):
        whole = self.json("kv", "verify", self.at("data"))
        self.assertTrue(whole["whole"])
        self.assertEqual((whole["partitions"], whole["damages"]), (2, []))
        self.assertGreater(whole["tables"], 0)
        self.assertGreater(whole["entries"], 2000)
        self.assertGreater(whole["log_records"], 0)
        self.assertIn("whole", self.ok("kv", "verify", self.at("data")))

        table = self.files("data", ".table")[0]
        flip_bit(table, 5000)
        damaged = self.json("kv", "verify", self.at("data"), status=DAMAGED)
        self.assertFalse(damaged["whole"])
        [damage] = damaged["damages"]
        self.assertEqual((damage["part"], damage["code"]), ("table", "corrupt"))
        self.assertEqual(damage["object"], int(os.path.basename(table).split(".")[0]))
        flip_bit(table, 5000)
        self.ok("kv", "verify", self.at("data"))

    def test_verify_misses_a_table(self):
        os.remove(self.files("data", ".table")[0])
        [damage] = self.json("kv", "verify", self.at("data"), status=DAMAGED)["damages"]
        self.assertEqual(damage["part"], "table")
        self.assertIn("missing", damage["message"])

    def test_repair_after_the_manifest_is_gone(self):
        content = self.content(self.at("data"))
        self.assertTrue(all(part["healthy"] for part in self.json("kv", "repair", self.at("data"))["partitions"]))
        for path in self.files("data/partition-0000", ".log"):
            if os.path.basename(path).startswith("1."):
                os.remove(path)
        [damage] = self.json("kv", "verify", self.at("data"), status=DAMAGED)["damages"]
        self.assertEqual((damage["part"], damage["partition"]), ("manifest", 0))
        self.fails("kv", "checkpoint", self.at("data"), self.at("copy"),
                   words=["corrupt", "kv repair"])
        repaired = self.json("kv", "repair", self.at("data"))["partitions"]
        self.assertEqual([part["manifest_rebuilt"] for part in repaired], [True, False])
        self.ok("kv", "verify", self.at("data"))
        self.assertEqual(self.content(self.at("data")), content)

    def test_repair_says_what_is_lost(self):
        table = self.files("data", ".table")[0]
        flip_bit(table, 5000)
        report = self.json("kv", "repair", self.at("data"), status=DAMAGED)
        self.assertTrue(report["lost_something"])
        [lost] = [table for part in report["partitions"] for table in part["lost"]]
        self.assertEqual(lost["number"], int(os.path.basename(table).split(".")[0]))
        self.assertGreater(lost["entries"], 0)
        self.assertTrue(lost["smallest_key"].startswith("key:"))
        self.assertEqual(self.json("kv", "verify", self.at("data"))["quarantined_blobs"], 1)
        self.assertLess(len(self.content(self.at("data"))), 3000)

    def test_checkpoint_is_a_data_set_of_its_own(self):
        content = self.content(self.at("data"))
        self.assertIn("shared with the data set", self.ok("kv", "checkpoint", self.at("data"), self.at("copy")))
        table = self.files("copy", ".table")[0]
        self.assertGreater(os.stat(table).st_nlink, 1)
        self.fill(self.path("data"), range(500), mark="new")
        self.assertEqual(self.content(self.at("copy")), content)
        self.assertNotEqual(self.content(self.at("data")), content)
        self.ok("kv", "verify", self.at("copy"))
        self.fails("kv", "checkpoint", self.at("data"), self.at("copy"), words=["copy", "already"])

    def test_backups_are_incremental_and_come_back(self):
        first = self.content(self.at("data"))
        [one] = self.json("kv", "backup", self.at("data"), self.at("backup"))["generations"]
        self.assertGreater(one["added_bytes"], 500_000)
        self.fill(self.path("data"), range(20), mark="new")
        second = self.content(self.at("data"))
        [two] = self.json("kv", "backup", self.at("data"), self.at("backup"))["generations"]
        self.assertEqual((one["id"], two["id"]), (1, 2))
        self.assertLess(two["added_bytes"], one["added_bytes"] / 2)

        listed = self.json("kv", "backups", self.at("backup"))["generations"]
        self.assertEqual(listed, [one, two])
        self.assertEqual(len(self.ok("kv", "backups", self.at("backup"), "--check").splitlines()), 3)
        shutil.rmtree(self.path("data"))
        self.assertIn("backup 2", self.ok("kv", "restore", self.at("backup"), self.at("data")))
        self.ok("kv", "restore", self.at("backup"), "1", self.at("old"))
        self.assertEqual(self.content(self.at("data")), second)
        self.assertEqual(self.content(self.at("old")), first)

        self.fails("kv", "restore", self.at("backup"), "1", self.at("old"), words=["old", "where nothing is"])
        self.fails("kv", "restore", self.at("backup"), "7", self.at("x"), words=["no backup 7", "kv backups"])
        self.assertFalse(os.path.exists(self.path("x")))
        out = self.ok("kv", "backup", self.at("old"), self.at("backup"), "--keep", "1")
        self.assertIn("2 older backups were removed", out)
        self.assertEqual([one["id"] for one in self.json("kv", "backups", self.at("backup"))["generations"]], [3])

    def test_a_damaged_backup_is_found(self):
        self.ok("kv", "backup", self.at("data"), self.at("backup"))
        flip_bit(max(self.files("backup", ".table"), key=os.path.getsize), 5000)
        self.ok("kv", "backups", self.at("backup"))
        report = self.json("kv", "backups", self.at("backup"), "--check", status=DAMAGED)
        self.assertEqual([damage["code"] for damage in report["damages"]], ["corrupt"])
        self.fails("kv", "restore", self.at("backup"), self.at("copy"), words=["corrupt"])

    def test_on_a_device(self):
        device = f"direct:{self.path('disk')}"
        where = f"blob({device})"
        self.ok("format", device + "?create=256MiB", "--chunk", "1MiB")
        self.ok("kv", "backup", self.at("data"), self.at("backup"))
        self.ok("kv", "restore", self.at("backup"), where)
        self.assertEqual(self.content(where), self.content(self.at("data")))
        self.assertTrue(self.json("kv", "verify", where)["whole"])
        self.ok("kv", "checkpoint", where, self.at("copy"))
        self.assertEqual(self.content(self.at("copy")), self.content(self.at("data")))


class Wrong(DataTest):
    def test_arguments(self):
        for command in ("verify", "repair", "checkpoint", "backup", "backups", "restore"):
            self.fails("kv", command, status=2)
        for command in (["verify", "x"], ["repair", "x"], ["checkpoint", "x", "dir:y"], ["backup", "x", "dir:y"],
                        ["backups", "x"], ["restore", "x", "dir:y"]):
            self.fails("kv", *command, status=2, words=["'x' is neither dir:PATH nor blob(DEVICE)"])
        self.fails("kv", "restore", self.at("backup"), "first", self.at("x"), status=2, words=["'first'"])
        self.fails("kv", "restore", self.at("backup"), "1", self.at("x"), self.at("y"), status=2)
        self.fails("kv", "verify", self.at("data"), "--jsno", status=2, words=["--jsno"])

    def test_nothing_there(self):
        for command in (["verify", self.at("no")], ["repair", self.at("no")], ["checkpoint", self.at("no"), self.at("to")],
                        ["backup", self.at("no"), self.at("to")], ["backups", self.at("no")],
                        ["restore", self.at("no"), self.at("to")]):
            self.fails("kv", *command, words=[self.path("no")])
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    main()
