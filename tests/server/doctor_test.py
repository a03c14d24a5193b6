#!/usr/bin/env python3
"""`ashlar doctor` is right about this machine and about one where io_uring is forbidden: each claim is compared with what
the kernel says itself."""
import json
import os
import resource
import subprocess
import tempfile
import unittest

from harness import ASHLAR, forbid_io_uring

MIB = 1 << 20


def doctor(*arguments, preexec=None):
    """The parsed JSON and the exit status."""
    run = subprocess.run([ASHLAR, "doctor", "--json", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=60, preexec_fn=preexec)
    return json.loads(run.stdout), run.returncode


def line(path):
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return None


def content(path):
    with open(path, "rb") as file:
        return file.read()


def finding(findings, subject):
    found = [one for one in findings if one["subject"] == subject]
    assert len(found) == 1, (subject, findings)
    return found[0]


def rung(ladder, name):
    return next(one for one in ladder["rungs"] if one["name"] == name)


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "file")
        with open(self.path, "wb") as file:
            file.write(os.urandom(MIB))

    def tearDown(self):
        self.folder.cleanup()

    def test_the_machine_is_as_the_kernel_says(self):
        report, status = doctor(self.path)
        machine = report["machine"]
        self.assertEqual(status, 0, report)
        self.assertIn(os.uname().release, finding(machine, "kernel")["detail"])
        self.assertIn(f"{len(os.sched_getaffinity(0))} usable", finding(machine, "processors")["detail"])
        self.assertEqual(finding(machine, "swap")["state"], "better" if content("/proc/swaps").count(b"\n") > 1 else "ok")
        clock = line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        if clock:
            self.assertEqual(finding(machine, "clock source")["detail"], clock)
        groups = len(os.listdir("/sys/kernel/iommu_groups")) if os.path.isdir("/sys/kernel/iommu_groups") else 0
        self.assertEqual(finding(machine, "IOMMU")["detail"].split()[0], str(groups) if groups else "none,")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.assertEqual(finding(machine, "open files")["state"], "ok" if hard >= 65536 else "better")
        huge = int(line("/proc/sys/vm/nr_hugepages") or 0)
        detail = finding(machine, "huge pages")["detail"]
        self.assertTrue(detail.startswith(f"{huge} of" if huge else "none"), detail)

    def test_the_disk_is_as_sysfs_says(self):
        number = os.stat(self.path).st_dev
        disk = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        if not os.path.isdir(os.path.join(disk, "queue")):
            self.skipTest("the temporary directory is on no whole disk")
        name = os.path.basename(disk)
        target = doctor(self.path)[0]["targets"][0]
        scheduler = line(os.path.join(disk, "queue/scheduler"))
        chosen = scheduler[scheduler.index("[") + 1:scheduler.index("]")] if "[" in scheduler else scheduler
        self.assertEqual(finding(target["findings"], f"{name} scheduler")["detail"], chosen)
        cache = finding(target["findings"], f"{name} write cache")["detail"]
        self.assertEqual(cache.startswith("volatile"), line(os.path.join(disk, "queue/write_cache")) == "write back")
        about = finding(target["findings"], name)["detail"]
        self.assertEqual("polls" in about, line(os.path.join(disk, "queue/io_poll")) == "1")
        self.assertIn(f"{line(os.path.join(disk, 'queue/nr_requests'))} requests", about)

    def test_what_is_chosen_works_and_nothing_is_written(self):
        before = os.stat(self.path)
        written = content(self.path)
        for goal in ("latency", "throughput", "persistent", "portable", "remote", "control"):
            report, status = doctor("--for", goal, self.path)
            ladder = report["targets"][0]["ladder"]
            if goal != "persistent":  # the temporary directory may lie in memory
                self.assertEqual(status, 0, report)
                chosen = next(one for one in ladder["rungs"] if one["spec"] == ladder["chosen"])
                self.assertEqual(chosen["state"], "works")
            for one in ladder["rungs"]:
                self.assertTrue(one["state"] != "would work" or one["needs"], one)
                # Whether a file takes direct I/O is known from Linux 6.1 on, and before that by trying.
                self.assertTrue(one["state"] != "failed" or "direct" in one["reason"], one)
        after = os.stat(self.path)
        self.assertEqual((before.st_mtime_ns, before.st_ctime_ns), (after.st_mtime_ns, after.st_ctime_ns))
        self.assertEqual(content(self.path), written)
        self.assertEqual(os.listdir(self.folder.name), ["file"])

    def test_where_io_uring_is_forbidden_threads_do_the_work(self):
        report, status = doctor(self.path, preexec=forbid_io_uring)
        self.assertEqual(status, 0, report)
        self.assertEqual(len(report["io_uring"]), 1)
        uring = finding(report["io_uring"], "io_uring")
        self.assertEqual(uring["state"], "better")
        self.assertEqual(uring["detail"], "a seccomp filter refuses io_uring_setup")
        self.assertIn("io_uring_enter", uring["command"])
        ladder = report["targets"][0]["ladder"]
        for name in ("io_uring, O_DIRECT", "io_uring, buffered"):
            step = rung(ladder, name)
            if step["state"] != "never":
                self.assertEqual(step["state"], "would work")
                self.assertIn("seccomp", step["needs"][0]["lacks"])
        self.assertIn(ladder["chosen"].split(":")[0], ("direct", "mmap"))
        self.assertEqual(rung(ladder, "threads, buffered")["state"], "works")

    def test_the_backend_that_was_chosen_counts(self):
        report, _ = doctor("--runtime-backend", "epoll", self.path)
        step = rung(report["targets"][0]["ladder"], "io_uring, buffered")
        self.assertEqual(step["state"], "would work")
        self.assertIn("epoll", step["reason"] if step["needs"] == [] else step["needs"][0]["lacks"])

    def test_a_low_limit_of_locked_memory(self):
        def lower():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
            if os.getuid() == 0:  # without the capability that exempts root
                os.setgid(65534)
                os.setuid(65534)

        os.chmod(self.folder.name, 0o755)
        os.chmod(self.path, 0o644)
        if subprocess.run(["/bin/ls", ASHLAR, self.path], preexec_fn=lower, capture_output=True).returncode != 0:
            self.skipTest("the program cannot be reached by another user")
        report, _ = doctor(self.path, preexec=lower)
        memory = finding(report["machine"], "locked memory")
        self.assertEqual(memory["state"], "better")
        self.assertEqual(memory["detail"], "64KiB, room for 0 registered buffers of 2MiB")
        self.assertIn("memlock", memory["command"])
        step = rung(report["targets"][0]["ladder"], "io_uring, registered buffers")
        if step["state"] == "would work":
            self.assertTrue(any("64KiB" in need["lacks"] for need in step["needs"]), step)


if __name__ == "__main__":
    unittest.main()
