"""Compiles the pixel assignment: in place by a command, or into a wheel by hatch_build.py.

The command is: python -m pem_edge.runtime.inference.postprocess.native.build

This module uses only the standard library, because hatch_build.py loads it where no dependency is installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent
X86_64 = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "baseline": (),
}
"""Compiler options of each instruction set, best first. processor.c returns one of these names."""

_FLAGS = ("-std=c11", "-O3", "-ffp-contract=fast", "-fPIC", "-fvisibility=hidden", "-Wno-psabi")
_COMPILERS = ("cc", "gcc", "clang")


class CompileError(Exception):
    """The library cannot be compiled: there is no compiler, it fails, or the file cannot be written."""


def instruction_sets() -> dict[str, tuple[str, ...]]:
    """Return the compiler options of each instruction set that the library supports on this machine."""
    return X86_64 if platform.machine().lower() in ("x86_64", "amd64") else {"baseline": ()}


def library_path() -> Path:
    """Return the path of the library. Its name contains a hash of the sources and the platform."""
    digest = hashlib.sha256()
    for path in sorted([*SOURCES.glob("*.[ch]"), Path(__file__)]):
        digest.update(path.read_bytes())
    return SOURCES / "lib" / f"assignment-{digest.hexdigest()[:12]}-{sysconfig.get_platform()}.so"


def find_compiler() -> list[str]:
    """Return the command that compiles C: the environment variable CC, or else the first of cc, gcc and clang.

    CC may include options.

    Raises:
        CompileError: If there is no such command.
    """
    chosen = os.environ.get("CC")
    for command in [chosen] if chosen else _COMPILERS:
        name, *options = shlex.split(command)
        found = shutil.which(name)
        if found:
            return [found, *options]
    raise CompileError(f"no C compiler found ({chosen or ', '.join(_COMPILERS)}): install one, or name it with CC")


def compile_library(target: Path, options: Sequence[str] = ()) -> None:
    """Compile the library for all instruction sets. An incomplete file is never left behind.

    Args:
        target: The file to write.
        options: Additional compiler options.

    Raises:
        CompileError: If there is no compiler, it fails, or the file cannot be written.
    """
    command = [*find_compiler(), *_FLAGS, *options]
    try:
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".assignment-", dir=target.parent) as scratch:
            _compile(command, "processor.c", Path(scratch, "processor.o"))
            for name, flags in instruction_sets().items():
                _compile([*command, *flags, f"-DSUFFIX=_{name}"], "assignment.c", Path(scratch, f"{name}.o"))
            _run([*command, "-shared", *map(str, Path(scratch).glob("*.o")), "-o", f"{scratch}/library"])
            Path(scratch, "library").replace(target)
    except OSError as error:
        raise CompileError(f"cannot write {error.filename}: {error.strerror}") from error


def build_in_place() -> Path:
    """Compile the library in place unless it is up to date, and remove the libraries of other sources.

    Returns:
        The path of the library.

    Raises:
        CompileError: If the library cannot be compiled.
    """
    target = library_path()
    if not target.is_file():
        compile_library(target)
    for path in older_libraries():
        path.unlink(missing_ok=True)
    return target


def older_libraries() -> list[Path]:
    """Return the libraries for this platform that were compiled from other sources."""
    current = library_path()
    return [path for path in current.parent.glob(f"assignment-*-{sysconfig.get_platform()}.so") if path != current]


def main() -> int:
    """Compile the library in place and print its path. Return the exit code."""
    try:
        print(build_in_place())
    except CompileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _compile(command: list[str], source: str, target: Path) -> None:
    _run([*command, "-c", str(SOURCES / source), "-o", str(target)])


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode != 0:
        lines = result.stderr.splitlines()
        reason = next((line for line in lines if "error" in line), lines[0] if lines else "it printed no message")
        raise CompileError(f"{command[0]} does not compile the merge: {reason}")


if __name__ == "__main__":
    sys.exit(main())
