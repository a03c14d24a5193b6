#!/usr/bin/env python3
"""What a machine can check of CONTRIBUTING.md, "Style". A limit here only ever gets stricter."""
import pathlib
import re
import sys

from sources import sources

HEADER_LINES_MAX = 300
SOURCE_LINES_MAX = 600
LINE_WIDTH_MAX = 120  # the formatter breaks at 110 whatever it can break

BANNER = re.compile(r"^\s*(//|/\*)\s*[-=*#/~_]{4,}", re.M)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# Clock, randomness and threads come through the runtime's seams, so that a simulation can replay them. The programs in
# examples/embed are no part of it: their threads are their own.
SEAM = re.compile(r"_clock::now\(|\bclock_gettime\(|\bgettimeofday\(|\bgetrandom\(|std::random_device|std::j?thread\b"
                  r"|\bpthread_create\(|\bstd::this_thread::sleep|\bu?sleep\(")
SEAM_FREE = re.compile(r"^(ashlar/(runtime|app)/|bench/|tests/|examples/embed/)|(^|/)test_\w+\.(h|cc)$|_(test|bench)\.(h|cc)$")
THROW = re.compile(r"^\s*throw\b", re.M)
COMMENT = re.compile(r'//[^\n]*|"(?:\\.|[^"\\\n])*"')


def problems_of(path, text):
    lines = text.splitlines()
    limit = HEADER_LINES_MAX if path.endswith(".h") else SOURCE_LINES_MAX
    if len(lines) >= limit:
        yield 1, f"{len(lines)} lines: a file of more than {limit} has two subjects"
    if path.endswith(".h") and not text.startswith("#pragma once"):
        yield 1, "a header opens with #pragma once"
    if not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_WIDTH_MAX:
            yield number, f"{len(line)} columns"
        if "\t" in line or line != line.rstrip():
            yield number, "tab or trailing space"
    # Comments and strings out, line numbers kept.
    code = COMMENT.sub(lambda match: " " * len(match.group()), text)
    checks = [(BANNER, text, "a banner"), (UNFINISHED, text, "unfinished work is no comment: do it or open an issue"),
              (THROW, code, "errors are values")]
    if path.endswith(".h"):
        checks.append((re.compile(r"^using namespace", re.M), code, "using namespace in a header"))
    if not SEAM_FREE.search(path):
        checks.append((SEAM, code, "clock, randomness and threads come through the runtime"))
    for pattern, where, message in checks:
        for match in pattern.finditer(where):
            yield where.count("\n", 0, match.start()) + 1, message


def main():
    found = [f"{path}:{line}: {message}"
             for path, text in sources(pathlib.Path(sys.argv[1]).resolve()) for line, message in problems_of(path, text)]
    print("\n".join(found) or "nothing to say")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
