#!/usr/bin/env python3
"""Each block of a page that names a file is that file: page_test.py PAGE ROOT."""
import pathlib
import re
import sys


def main():
    page, root = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    blocks = re.findall(r"^```cpp (examples/\S+)\n(.*?)^```$", page.read_text(), re.M | re.S)
    problems = [f"{page.name}: the block differs from {path}" for path, text in blocks
                if not (root / path).is_file() or (root / path).read_text() != text]
    if len(blocks) != 2:
        problems.append(f"{page.name}: {len(blocks)} blocks name a file, not 2")
    print("\n".join(problems) or f"{len(blocks)} blocks are as they are compiled")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
