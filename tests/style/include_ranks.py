#!/usr/bin/env python3
"""Checks every #include: a folder includes lower ranks only, and each foreign header has one home.

The ranks are those of ARCHITECTURE.md, "Folders and ranks"; this table is their only other copy.
"""
import pathlib
import re
import sys

from sources import sources

RANKS = {
    "base": 0,
    "runtime": 1, "nvme": 1, "spdk": 1,
    "block": 2, "net": 2,
    "transport": 3, "layer": 3,
    "device": 4, "blob": 4,
    "log": 5,
    "kv": 6,
    "object": 7, "file": 7, "series": 7,
    "tiered": 8, "work": 8, "cluster": 8,
    "server": 9, "embed": 9,
    "app": 10,
}
# Folders whose subfolders are siblings, which never include each other. What lies in the folder itself is shared.
SPLIT = {"transport", "layer", "server"}

# Foreign headers and the only place under ashlar/ that may include them: a folder, or one file. Benchmarks and tests
# also measure the bare kernel and the peers.
HOMES = {
    r"liburing(\.h|/.*)": "ashlar/runtime/",
    r"spdlog/.*": "ashlar/base/log.cc",
    r"xxhash\.h": "ashlar/base/checksum.cc",
    r"hwloc.*\.h": "ashlar/runtime/topology/",
    r"CLI/.*": "ashlar/app/",
    r"toml\+\+/.*|toml\.hpp": "ashlar/app/",
    r"libnvme\.h|linux/nvme.*": "ashlar/nvme/",
    r"spdk/.*": "ashlar/spdk/",
    r"rocksdb/.*|leveldb/.*|lmdb\.h|wiredtiger\.h|valgrind/.*|hiredis/.*|benchmark/.*": "bench/",
}
# Heavy: beyond the home above, one file each, and never a header.
SINGLE = r"spdlog/|CLI/|toml\+\+/|toml\.hpp|nlohmann/|hwloc|xxhash|lz4|zstd"
# Not in libstdc++ 12, or slow to start and to compile.
FORBIDDEN = {"format", "print", "generator", "flat_map", "flat_set", "iostream", "regex"}

INCLUDE = re.compile(r'^\s*#\s*include\s+(<([^>]+)>|"([^"]+)")', re.M)


def module_of(path):
    parts = path.split("/")
    return "/".join(parts[1:3]) if parts[1] in SPLIT and len(parts) > 3 else parts[1]


def check_rank(path, included):
    source, target = module_of(path), module_of(included)
    for module in (source, target):
        if module.split("/")[0] not in RANKS:
            return f"folder '{module}' has no rank"
    source_rank, target_rank = RANKS[source.split("/")[0]], RANKS[target.split("/")[0]]
    if source == target or target_rank < source_rank or (target in SPLIT and source.startswith(target + "/")):
        return None
    return f"{source} (rank {source_rank}) must not include {target} (rank {target_rank})"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    problems, single_users = [], {}
    files = dict(sources(root))
    for path, text in files.items():
        is_test = re.search(r"_(test|fuzz|bench)\.cc$", path) or path.startswith(("tests/", "bench/"))
        for match in INCLUDE.finditer(text):
            place = f"{path}:{text.count(chr(10), 0, match.start(1)) + 1}"
            foreign, own = match.group(2), match.group(3)
            if own is not None:
                if not own.startswith(("ashlar/", "bench/", "examples/", "tests/")):
                    problems.append(f'{place}: write the path from the root: "{own}"')
                elif not (root / own).is_file():
                    problems.append(f'{place}: no such file: "{own}"')
                elif own.startswith("ashlar/") and path.startswith("ashlar/"):
                    if problem := check_rank(path, own):
                        problems.append(f"{place}: {problem}")
                continue
            if foreign in FORBIDDEN:
                problems.append(f"{place}: <{foreign}> is not used in this project")
            if foreign.startswith("fmt/") and foreign != "fmt/core.h" and path.endswith(".h"):
                problems.append(f"{place}: a header may include <fmt/core.h> only")
            for pattern, home in HOMES.items():
                if re.fullmatch(pattern, foreign) and not path.startswith(home) and not is_test:
                    problems.append(f"{place}: <{foreign}> belongs to {home}")
            if heavy := re.match(SINGLE, foreign):
                if path.endswith(".h"):
                    problems.append(f"{place}: <{foreign}> is heavy: include it in one source, not in a header")
                elif not is_test:
                    single_users.setdefault((heavy.group(), path.split("/")[0]), set()).add(path)
    for (header, _), users in single_users.items():
        if len(users) > 1:
            problems.append(f"{header} is included in {len(users)} sources: {', '.join(sorted(users))}")
    print("\n".join(problems) or f"{len(files)} files: every include goes down")
    return bool(problems) or not files


if __name__ == "__main__":
    sys.exit(main())
