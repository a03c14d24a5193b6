#!/usr/bin/env python3
"""`ashlar check` and `ashlar inspect`: device_command_test.py PROGRAM."""
from tool_testing import DAMAGED, DataTest, flip_bit, main, run


class Device(DataTest):
    def setUp(self):
        super().setUp()
        self.disk = self.path("disk")
        self.spec = f"direct:{self.disk}"
        self.ok("format", self.spec + "?create=512MiB", "--chunk", "1MiB")
        self.fill(f"blob({self.spec})", range(2000))

    def test_a_whole_device(self):
        for target in (self.spec, f"blob({self.spec})"):
            report = self.json("check", target)
            self.assertTrue(report["works"])
            self.assertEqual((report["volumes"], report["damages"]), (3, []))
            self.assertTrue(report["data_set"]["whole"])
            self.assertGreater(report["data_set"]["entries"], 1000)
        self.assertEqual(self.ok("check", self.spec).count("whole"), 2)
        self.assertNotIn("data_set", self.json("check", self.spec, "--metadata"))

    def test_layout(self):
        layout = self.json("inspect", self.spec, "--blobs")
        self.assertEqual(layout["device_bytes"], 512 << 20)
        self.assertEqual((layout["superblock"]["a"], layout["superblock"]["b"]), ("valid", "valid"))
        chunk, chunks = layout["superblock"]["chunk_bytes"], layout["superblock"]["chunks"]
        self.assertEqual(chunk, 1 << 20)
        self.assertEqual(layout["free_chunks"] + sum(volume["chunks"] for volume in layout["volumes"]), chunks)
        self.assertEqual([volume["role"] for volume in layout["volumes"]], ["root", "partition", "partition"])
        taken = []
        for volume in layout["volumes"]:
            extents = [extent for blob in volume["blobs"] for extent in blob["extents"]]
            self.assertEqual(sum(extent["bytes"] for extent in extents), volume["used_bytes"])
            taken += [(extent["offset"], extent["offset"] + extent["bytes"]) for extent in extents]
        taken.sort()
        self.assertTrue(all(a[1] <= b[0] for a, b in zip(taken, taken[1:])), "no two blobs share a byte")
        self.assertGreaterEqual(taken[0][0], layout["superblock"]["first_chunk_at"])
        self.assertIn("superblock", self.ok("inspect", self.spec))
        self.assertIn("table", self.ok("inspect", f"blob({self.spec})", "--blobs"))

    def test_flipped_bits_are_found(self):
        flip_bit(self.disk, (1 << 20) + 20)
        report = self.json("check", self.spec, "--metadata", status=DAMAGED)
        self.assertTrue(report["works"])
        [damage] = report["damages"]
        self.assertEqual((damage["part"], damage["offset"], damage["mended_at_open"]), ("superblock", 1 << 20, True))
        self.ok("kv", "verify", f"blob({self.spec})")  # an open mends it
        self.ok("check", self.spec)

        layout = self.json("inspect", self.spec, "--blobs")
        table = next(blob for blob in layout["volumes"][1]["blobs"] if blob["name"].startswith("table"))
        at = table["extents"][0]["offset"] + 5000
        flip_bit(self.disk, at)
        report = self.json("check", self.spec, status=DAMAGED)
        self.assertEqual(report["damages"], [], "the layout is whole")
        [damage] = report["data_set"]["damages"]
        self.assertEqual((damage["part"], f"table {damage['object']}"), ("table", table["name"]))
        flip_bit(self.disk, at)

        root = next(blob for blob in layout["volumes"][0]["blobs"] if blob["name"] == "root 0")
        flip_bit(self.disk, root["extents"][0]["offset"] + 3)
        report = self.json("check", self.spec, status=DAMAGED)
        self.assertFalse(report["works"])
        self.assertEqual([(damage["part"], damage["volume"]) for damage in report["damages"]], [("root", 1)])

    def test_a_directory(self):
        self.fill(self.path("data"), range(2000))
        self.assertTrue(self.json("check", self.at("data"))["data_set"]["whole"])
        stores = self.json("inspect", self.at("data"), "--blobs")["stores"]
        self.assertEqual([store["name"] for store in stores], ["root", "partition 0", "partition 1"])
        self.assertEqual(sum(store["tables"] for store in stores), len(self.files("data", ".table")))
        self.assertIn("partition 1", self.ok("inspect", self.at("data")))
        flip_bit(self.files("data", ".table")[0], 5000)
        self.json("check", self.at("data"), status=DAMAGED)

    def test_what_cannot_be_looked_at(self):
        for command in ("check", "inspect"):
            self.fails(command, status=2)
            self.fails(command, "ram:64MiB", words=["not formatted"])
            self.fails(command, "ram:1KiB", words=["cannot hold blobs"])
            self.fails(command, self.at("no"), words=[self.path("no")])
            self.assertEqual(run(command, f"direct:{self.path('no')}").returncode, 1)


if __name__ == "__main__":
    main()
