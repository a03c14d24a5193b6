#!/usr/bin/env python3
"""Runs `ashlar-bench block` briefly: block_run_test.py ASHLAR-BENCH. How fast anything is, is no test's business."""
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

FIELDS = {"workload", "way", "engine", "iops", "mb_per_s", "p50_us", "p99_us", "p999_us", "cpu_us_per_io",
          "kernel_poll_cpu_us_per_io", "syscalls_per_io", "instructions_per_io", "allocations_per_io", "peer", "ratio",
          "iqr_low", "iqr_high", "cpu_ratio", "reference_iops", "reference_source", "error", "notes", "versions",
          "configuration", "configuration_hash"}


def run(*arguments):
    with tempfile.TemporaryDirectory() as scratch:
        path, chart, target = (os.path.join(scratch, name) for name in ("rows.json", "chart.svg", "target"))
        arguments = [each.replace("TARGET", target) for each in arguments]
        subprocess.run([sys.argv[1], "block", "--quick", "--seconds", "0.05", "--json", path, "--chart", chart,
                        *arguments], check=True, stdout=subprocess.DEVNULL, timeout=280)
        assert not os.path.exists(target), "a target that it made is removed"
        ElementTree.parse(chart)
        with open(path) as lines:
            rows = [json.loads(line) for line in lines]
    for row in rows:
        assert set(row) == FIELDS, set(row) ^ FIELDS
        assert (row["iops"] is None) == (row["error"] is not None), row
        assert row["iops"] is None or row["iops"] > 0, row
    return rows


# Without peers: every way of ours runs or says why not, and no ratio is invented.
rows = run("--target", "TARGET", "--peers", "none")
assert {row["engine"] for row in rows} == {"ashlar"}
for row in rows:
    assert row["ratio"] is None and row["cpu_ratio"] is None and row["peer"] is None, row
ways = {row["way"]: row for row in rows}
for must in ("uring", "uring, polled", "uring, buffered", "direct", "mmap", "null", "pass(null)", "pass(null), serving",
             "ram"):
    assert ways[must]["error"] is None, ways[must]
for bare in ("null", "pass(null)", "ram"):
    assert ways[bare]["allocations_per_io"] < 0.01, ways[bare]

# Ceilings need no target.
assert {row["way"] for row in run("--kinds", "null,ram", "--peers", "none")} == {"null", "null, coroutines", "ram"}

# What exists is not written to.
with tempfile.NamedTemporaryFile() as existing:
    existing.write(bytes(1 << 20))
    existing.flush()
    rows = run("--target", existing.name, "--kinds", "uring", "--peers", "fio")
    assert rows and not any("write" in row["workload"] for row in rows)
    assert open(existing.name, "rb").read() == bytes(1 << 20)
    with_ratio = [row for row in rows if row["ratio"] is not None]
    assert bool(with_ratio) == any(row["engine"] == "fio" and row["iops"] for row in rows), "a peer, a ratio"
print("ok")
