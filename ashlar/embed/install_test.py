#!/usr/bin/env python3
"""An installed copy serves programs that know nothing of the source tree.

Installs the library into a scratch directory, then: the headers there are those that the public ones include and
no more, and each compiles by itself, without leaving a macro behind; examples/embed builds and runs by
find_package(Ashlar), and by pkg-config, shared and static; Python's ctypes uses the C API. Then it adds the component
for coroutines: the same for its headers, which define TRY and CO_TRY, and for examples/coroutines. Exit status 77: a
tool is missing.
"""
import argparse
import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
MACROS_OF_COROUTINES = {"TRY", "CO_TRY", "ASHLAR_TRY_NAMED", "ASHLAR_CONCAT", "ASHLAR_CONCAT_TOKENS"}


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_headers(prefix, cxx, cc, roots, allowed_macros):
    """Each header is reached from those that programs include, and these need nothing else of Ashlar's."""
    include = prefix / "include"
    there = {str(path.relative_to(include)) for path in include.rglob("*.h")}
    reached = set()
    for header in roots:
        kind, compiler = (("-std=c11", "-x", "c"), cc) if header.endswith("_c.h") else (("-std=c++23", "-x", "c++"), cxx)
        name = f"#include <ashlar/embed/{header}>\n"
        made = run(compiler, *kind, f"-I{include}", "-M", "-", input=name)
        assert "liburing" not in made and "fmt/" not in made, f"{header} needs headers of other libraries"
        reached |= {part.removeprefix(f"{include}/") for part in made.split() if part.startswith(str(include))}
    assert there == reached, f"installed but not needed, or the reverse: {sorted(there ^ reached)}"
    own = ("ASHLAR_", "TRY", "CO_TRY")
    for header in sorted(there):  # each by itself, and without macros for programs that are not C
        for_c = header.startswith("ashlar/embed/ashlar_c")
        compiler, kind = (cc, ("-std=c11", "-x", "c")) if for_c else (cxx, ("-std=c++23", "-x", "c++"))
        source = f"#include <{header}>\n"
        run(compiler, *kind, "-Wall", "-Wextra", "-Werror", f"-I{include}", "-fsyntax-only", "-", input=source)
        macros = run(compiler, *kind, f"-I{include}", "-E", "-dM", "-", input=source).splitlines()
        names = {line.split()[1].partition("(")[0] for line in macros if line.split()[1].startswith(own)}
        assert for_c or names <= allowed_macros, f"{header} defines {names - allowed_macros}"


def check_example(program, folder, name, scratch, env):
    data = scratch / "data"
    shutil.rmtree(data, ignore_errors=True)
    printed = run(program, data, env=env)
    assert printed == (EXAMPLES / folder / f"{name}.out").read_text(), f"{name} printed:\n{printed}"


def configure(prefix, folder, build, options):
    return (options.cmake, "-S", EXAMPLES / folder, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_C_COMPILER={options.cc}", f"-DCMAKE_CXX_COMPILER={options.cxx}",
            f"-DASHLAR_SANITIZE={options.sanitize}")


def check_cmake(prefix, folder, names, scratch, options):
    build = scratch / f"{folder}-by-cmake"
    run(*configure(prefix, folder, build, options))
    run(options.cmake, "--build", build)
    for name in names:
        check_example(build / name, folder, name, scratch, os.environ)


def check_pkg_config(prefix, scratch, options):
    library = next(prefix.glob("lib*/**/pkgconfig")).parent
    env = os.environ | {"PKG_CONFIG_PATH": str(library / "pkgconfig"), "LD_LIBRARY_PATH": str(library)}
    sanitize = [f"-fsanitize={options.sanitize}"] if options.sanitize else []
    for source, compiler, standard in (("quick_start.cc", options.cxx, "-std=c++23"),
                                       ("from_c.c", options.cc, "-std=c11")):
        name = source.split(".")[0]
        cflags = run("pkg-config", "--cflags", "ashlar", env=env).split()
        shared = run("pkg-config", "--libs", "ashlar", env=env).split()
        run(compiler, standard, "-c", EXAMPLES / "embed" / source, "-o", scratch / "object.o", *cflags, *sanitize)
        linker = options.cxx if sanitize else compiler  # C programs lack what the library wants of the sanitizer
        run(linker, scratch / "object.o", "-o", scratch / name, *shared, *sanitize)
        check_example(scratch / name, "embed", name, scratch, env)
    static = [part if part != "-lashlar" else str(library / "libashlar.a")
              for part in run("pkg-config", "--static", "--libs", "ashlar", env=env).split()]
    run(options.cxx, "-std=c++23", EXAMPLES / "embed" / "quick_start.cc", "-o", scratch / "static", *cflags, *static,
        *sanitize)
    check_example(scratch / "static", "embed", "quick_start", scratch, os.environ)
    return library / "libashlar.so"


def check_coroutines(prefix, library, scratch, options):
    """A component of its own, which find_package() misses before it is installed."""
    lacking = subprocess.run([str(part) for part in configure(prefix, "coroutines", scratch / "lacking", options)],
                             capture_output=True, text=True)
    assert lacking.returncode != 0 and "without its component coroutines" in lacking.stderr, lacking.stderr
    run(options.cmake, "--install", options.build, "--prefix", prefix, "--component", "coroutines")
    check_headers(prefix, options.cxx, options.cc, ("ashlar.h", "ashlar_c.h", "coroutines.h"), MACROS_OF_COROUTINES)
    check_cmake(prefix, "coroutines", ("bank",), scratch, options)
    env = os.environ | {"PKG_CONFIG_PATH": str(library.parent / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "ashlar-coroutines", env=env).split()
    sanitize = [f"-fsanitize={options.sanitize}"] if options.sanitize else []
    run(options.cxx, "-std=c++23", EXAMPLES / "coroutines" / "bank.cc", "-o", scratch / "bank", *flags, *sanitize)
    check_example(scratch / "bank", "coroutines", "bank", scratch, os.environ)


def check_exports(library):
    """Nothing but the public classes and the C API is visible."""
    for line in run("nm", "-D", "--defined-only", "-C", library).splitlines():
        name = line.split(maxsplit=2)[2]
        assert not name.startswith(("fmt::", "spdlog::", "ashlar::lsm", "ashlar::kv", "ashlar::embed")), name


def check_ctypes(library, scratch):
    class Error(ctypes.Structure):
        _fields_ = [("code", ctypes.c_int), ("native", ctypes.c_int), ("message", ctypes.c_char * 504)]

    ashlar = ctypes.CDLL(str(library))
    ashlar.ashlar_open.restype = ctypes.c_void_p
    ashlar.ashlar_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(Error)]
    error = Error()
    assert ashlar.ashlar_open(b"/nonexistent/path/to", None, ctypes.byref(error)) is None
    assert error.code == 5 and b"/nonexistent/path/to" in error.message, error.message
    db = ctypes.c_void_p(ashlar.ashlar_open(str(scratch / "python").encode(), None, ctypes.byref(error)))
    assert db, error.message
    size = ctypes.c_size_t
    key, value = b"key", b"\x00binary\xff"
    assert ashlar.ashlar_put(db, key, size(len(key)), value, size(len(value)), 0, ctypes.byref(error)) == 0
    found, found_bytes = ctypes.c_void_p(), size()
    assert ashlar.ashlar_get(db, key, size(3), ctypes.byref(found), ctypes.byref(found_bytes),
                             ctypes.byref(error)) == 0
    assert ctypes.string_at(found, found_bytes.value) == value
    ashlar.ashlar_free(found)
    assert ashlar.ashlar_close(db, ctypes.byref(error)) == 0, error.message


def main():
    parser = argparse.ArgumentParser()
    for option in ("build", "cmake", "cc", "cxx", "sanitize"):
        parser.add_argument(f"--{option}", default="")
    parser.add_argument("--ctypes", nargs=2)
    options = parser.parse_args()
    if options.ctypes:
        return check_ctypes(pathlib.Path(options.ctypes[0]), pathlib.Path(options.ctypes[1]))
    for tool in ("pkg-config", "nm"):
        if shutil.which(tool) is None:
            print(f"skipped: no {tool}")
            return 77
    with tempfile.TemporaryDirectory(prefix="ashlar-install-") as directory:
        scratch = pathlib.Path(directory)
        prefix = scratch / "prefix"
        run(options.cmake, "--install", options.build, "--prefix", prefix, "--component", "library")
        check_headers(prefix, options.cxx, options.cc, ("ashlar.h", "ashlar_c.h"), set())
        check_cmake(prefix, "embed", ("quick_start", "iterate", "transaction", "counters", "event_loop", "from_c"),
                    scratch, options)
        library = check_pkg_config(prefix, scratch, options)
        check_exports(library)
        check_coroutines(prefix, library, scratch, options)
        env = dict(os.environ)
        if options.sanitize:  # the library's sanitizers must be there before Python is
            name = "tsan" if options.sanitize == "thread" else "asan"
            env |= {"ASAN_OPTIONS": "detect_leaks=0",
                    "LD_PRELOAD": run(options.cc, f"-print-file-name=libclang_rt.{name}-x86_64.so").strip()}
        run(sys.executable, __file__, "--ctypes", library, scratch, env=env)
    return 0


if __name__ == "__main__":
    sys.exit(main())
