"""Compile the C code of the assignment: when the package is built (hatch_build.py), or by hand, in place.

By hand: python -m pem_edge.runtime.inference.postprocess.native.build

This needs nothing but the standard library, so that a build without the dependencies can load it from its file.
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
"""What the code is compiled for, best first: processor.c knows the names."""

_FLAGS = ("-std=c11", "-O3", "-ffp-contract=fast", "-fPIC", "-fvisibility=hidden", "-Wno-psabi")
_COMPILERS = ("cc", "gcc", "clang")


class CompileError(Exception):
    """There is no compiler, or it fails."""


def instruction_sets() -> dict[str, tuple[str, ...]]:
    """Return the instruction sets the code is compiled for on this machine, and the compiler's options for them."""
    return X86_64 if platform.machine().lower() in ("x86_64", "amd64") else {"baseline": ()}


def library_path() -> Path:
    """Return where the compiled library lies; the name says from which sources, and for which platform, it was made."""
    digest = hashlib.sha256()
    for path in sorted([*SOURCES.glob("*.[ch]"), Path(__file__)]):
        digest.update(path.read_bytes())
    return SOURCES / "lib" / f"assignment-{digest.hexdigest()[:12]}-{sysconfig.get_platform()}.so"


def find_compiler() -> list[str]:
    """Return the command that compiles: CC, with options of its own if need be, or else the first of cc, gcc and clang.

    Raises CompileError if there is none.
    """
    chosen = os.environ.get("CC")
    for command in [chosen] if chosen else _COMPILERS:
        name, *options = shlex.split(command)
        found = shutil.which(name)
        if found:
            return [found, *options]
    raise CompileError(f"no C compiler found ({chosen or ', '.join(_COMPILERS)}): install one, or name it with CC")


def compile_library(target: Path, options: Sequence[str] = ()) -> None:
    """Compile the library; ``options`` are more of the compiler's.

    Raises CompileError if there is no compiler or it fails; nothing half-written is left.
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
    """Return the library where it is looked for, compiled if it is not there; libraries of older sources are removed.

    Raises:
        CompileError: If it cannot be compiled.
    """
    target = library_path()
    if not target.is_file():
        compile_library(target)
    for path in older_libraries():
        path.unlink(missing_ok=True)
    return target


def older_libraries() -> list[Path]:
    """Return the libraries for this platform that other sources were compiled into."""
    current = library_path()
    return [path for path in current.parent.glob(f"assignment-*-{sysconfig.get_platform()}.so") if path != current]


def main() -> int:
    """Run the command."""
    try:
        print(build_in_place())
    except CompileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _compile(command: list[str], source: str, target: Path) -> None:
    _run([*command, "-c", str(SOURCES / source), "-o", str(target)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise CompileError(f"{command[0]} does not compile the merge: {said[0] if said else 'it says nothing'}")


if __name__ == "__main__":
    sys.exit(main())
