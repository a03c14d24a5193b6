#!/usr/bin/env python3
"""fio drives Ashlar's devices: fio_engine_test.py ENGINE FIO-SOURCE. Without an engine that fits the fio here, it is skipped."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

engine, source = sys.argv[1:]


def skip(why):
    print("skipped:", why)
    sys.exit(77)


if not os.path.exists(engine):
    skip("libashlar-fio.so is not built: no ASHLAR_FIO_SOURCE, or a build with sanitizers")
if shutil.which("fio") is None:
    skip("no fio")
here = subprocess.run(["fio", "--version"], capture_output=True, text=True).stdout.strip()
with open(os.path.join(source, "FIO-VERSION-GEN")) as file:
    built_with = next((line.split("=")[1].strip() for line in file if line.startswith("DEF_VER=")), "")
if here != built_with:
    skip(f"built with {built_with}, but {here} is installed")


def fio(*arguments, works=True):
    run = subprocess.run(["fio", "--name=job", f"--ioengine=external:{engine}", "--output-format=json", "--eta=never",
                          "--unified_rw_reporting=1", "--verify_state_save=0", *arguments],
                         capture_output=True, text=True, timeout=120)
    assert (run.returncode == 0) == works, run.stdout + run.stderr
    if not works:
        return run.stdout + run.stderr
    jobs = json.loads(run.stdout[run.stdout.index("{"):])["jobs"]
    assert all(job["error"] == 0 for job in jobs), jobs
    return jobs


with tempfile.TemporaryDirectory() as scratch:
    path = os.path.join(scratch, "disk")
    with open(path, "wb") as file:
        file.truncate(16 << 20)
    disk = f"--spec=uring:{path}"

    # Reads, of nothing and through a layer.
    for spec in ("null:1GiB", "pass(null:1GiB)?coroutine"):
        jobs = fio(f"--spec={spec}", "--rw=randread", "--iodepth=32", "--number_ios=20000", "--size=1g")
        assert jobs[0]["mixed"]["total_ios"] == 20000, jobs[0]["mixed"]["total_ios"]

    # What is written reads back, with flushes in between, in the file as any other program sees it too.
    fio(disk, "--rw=randwrite", "--bs=4k", "--iodepth=16", "--fsync=50", "--verify=crc32c", "--do_verify=1")
    fio(disk, "--rw=read", "--bs=64k", "--iodepth=4", "--verify=crc32c", "--verify_interval=4k", "--verify_only")
    fio("--filename=" + path, "--rw=randwrite", "--bs=4k", "--iodepth=8", "--verify=crc32c", "--do_verify=1",
        "--size=4m")
    with open(path, "rb") as file:
        assert any(file.read(4 << 20)), "it reached the file"

    # Buffers that cross a region, several jobs as threads and as processes, mixed, trims.
    fio(disk + "?fixed-buffers", "--rw=randrw", "--bs=192k", "--iodepth=24", "--number_ios=400")
    for threads in ((), ("--thread",)):
        jobs = fio(disk, "--rw=randrw", "--bs=4k", "--iodepth=8", "--numjobs=3", "--number_ios=500", *threads)
        assert len(jobs) == 3 and all(job["mixed"]["total_ios"] == 500 for job in jobs)
    fio("--spec=ram:16MiB", "--rw=randtrim", "--bs=64k", "--iodepth=4", "--number_ios=100")
    fio("--spec=ram:16MiB", "--rw=randwrite", "--bs=4k", "--iodepth=8", "--verify=crc32c", "--do_verify=1")

    # Errors are fio's to report.
    assert "no kind of device" in fio("--spec=rom:1GiB", "--rw=read", works=False)
    assert "No such file" in fio(f"--spec=uring:{path}.gone", "--rw=read", works=False)
    assert "Input/output error" in fio("--spec=fault(ram:16MiB)?read-error=1/1", "--rw=read", works=False)
print("ok")
