"""Writing several files that belong together, such as a model and its manifest.

No file system replaces two files at once. A journal says which temporary files become which, so that whoever comes
after a process that was killed in between can do the rest: readers see all of the old files or all of the new ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pem_edge.runtime.files.atomic import finish, sync, temporary_for, write_atomically
from pem_edge.runtime.files.folders import unwritable

_LONGEST_NAME = 255  # bytes, on every common file system


@contextmanager
def write_together(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield a temporary file for each of ``paths``; at the end of the ``with`` block, they replace all of them.

    If the block raises, or the process is killed at any moment, all are as before or all are new, as `settle` shows.

    Args:
        paths: The files, in one folder and with one stem.

    Raises:
        OutputError: If a file cannot be written.
    """
    settle(paths[0])
    with ExitStack() as stack:
        temporaries = [stack.enter_context(temporary_for(path)) for path in paths]
        yield temporaries
        try:
            for temporary in temporaries:
                finish(temporary, durable=True)
            with write_atomically(journal := _journal(paths[0])) as file:
                names = {temporary.name: path.name for temporary, path in zip(temporaries, paths, strict=True)}
                file.write_text(json.dumps(names))
            _replace(journal, names)
        except OSError as error:
            raise unwritable(paths[0], error) from error


def settle(path: Path) -> None:
    """Finish what a killed process began to write to ``path`` and the files that belong to it.

    Raises:
        OSError: If that cannot be done, as in a folder that is read-only.
    """
    journal = _journal(path)
    if not journal.exists():
        return
    with suppress(FileNotFoundError):  # another process was faster
        _replace(journal, _read(journal))


def _journal(path: Path) -> Path:
    return path.with_name(f".{path.stem[:64]}.commit")


def _replace(journal: Path, names: dict[str, str]) -> None:
    for temporary, name in names.items():
        with suppress(FileNotFoundError):  # done before
            journal.with_name(temporary).replace(journal.with_name(name))
    sync(journal.parent)
    journal.unlink(missing_ok=True)


def _read(journal: Path) -> dict[str, str]:
    """Return the names in a journal; none if it is damaged or names files elsewhere."""
    try:
        names = json.loads(journal.read_bytes())
    except (ValueError, RecursionError):
        return {}
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return {}
    return names if all(_is_name(name) for pair in names.items() for name in pair) else {}


def _is_name(text: str) -> bool:
    return (
        text not in ("", ".", "..")
        and not {os.sep, "\0"} & set(text)
        and len(text.encode(errors="surrogatepass")) <= _LONGEST_NAME
    )
