#!/usr/bin/env python3
"""Checks that clang-format would change nothing: format.py ROOT [CLANG-FORMAT]."""
import pathlib
import subprocess
import sys

from sources import sources

root = pathlib.Path(sys.argv[1]).resolve()
formatter = sys.argv[2] if len(sys.argv) > 2 else "clang-format-19"
run = subprocess.run([formatter, "--dry-run", *(path for path, _ in sources(root))], cwd=root, capture_output=True, text=True)
unformatted = sorted({line.split(":")[0] for line in run.stderr.splitlines() if "-Wclang-format-violations" in line})
print("\n".join(f"{path}: run `make format`" for path in unformatted) or "formatted")
sys.exit(bool(unformatted) or run.returncode)
