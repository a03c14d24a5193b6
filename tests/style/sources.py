"""The C++ sources that the style tests look at: what git tracks, or without git what lies in the source folders."""
import pathlib
import subprocess

FOLDERS = ("ashlar", "bench", "tests", "examples")


def sources(root: pathlib.Path):
    """(path relative to root, text) of each C++ file, sorted."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", *FOLDERS], capture_output=True, text=True)
    paths = listed.stdout.splitlines() or [
        str(path.relative_to(root)) for folder in FOLDERS for path in (root / folder).rglob("*")]
    for path in sorted(set(paths)):
        if path.endswith((".h", ".cc")) and (root / path).is_file():
            yield path, (root / path).read_text()
