#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a build directory, in parallel, skipping what passed before.

Tests are left out: expanded test macros take most of the time and find nothing. A source passed if its stamp is newer than the source, everything it includes (as ninja recorded) and .clang-tidy.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def recorded_dependencies(build):
    """Object file -> the files it was made of."""
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    dependencies, current = {}, None
    for line in text.splitlines():
        if line.startswith("    "):
            dependencies[current].append(line.strip())
        elif ": #deps" in line:
            current = line.split(": #deps")[0]
            dependencies[current] = []
    return dependencies


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    parser.add_argument("-j", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    build = (ROOT / arguments.build).resolve()
    dependencies = recorded_dependencies(build)
    config_time = (ROOT / ".clang-tidy").stat().st_mtime

    todo = {}
    for command in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(command["file"])
        if source.suffix != ".cc" or source.stem.endswith("_test"):
            continue
        stamp = build / "tidy" / (str(source.relative_to(ROOT)).replace("/", "_") + ".passed")
        passed = stamp.stat().st_mtime if stamp.exists() else 0
        inputs = [source, *map(pathlib.Path, dependencies.get(command.get("output", ""), []))]
        newest = max((path.stat().st_mtime for path in inputs if path.is_relative_to(ROOT) and path.exists()), default=0)
        if passed < max(newest, source.stat().st_mtime, config_time):
            todo[source] = stamp

    def tidy(item):
        source, stamp = item
        run = subprocess.run(["clang-tidy-19", "-p", str(build), "--quiet", "--warnings-as-errors=*", str(source)],
                             capture_output=True, text=True)
        if run.returncode == 0:
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
        return source, run

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.j) as pool:
        for number, (source, run) in enumerate(pool.map(tidy, todo.items()), 1):
            print(f"[{number}/{len(todo)}] {source.relative_to(ROOT)}", flush=True)
            if run.returncode != 0:
                failed += 1
                print(run.stdout, flush=True)
    print(f"clang-tidy: {len(todo)} checked, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
