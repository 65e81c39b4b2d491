"""File names for OpenCV, which ends the process with a crash if a name is not UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.outside.printable import is_utf8


@contextmanager
def encodable(path: Path) -> Iterator[str]:
    """Yield a name of ``path`` for OpenCV: the path itself, or a temporary link if it is not UTF-8.

    The name is absolute, so that FFmpeg does not take it for an address.

    Raises:
        OSError: If the link cannot be made.
        OutputError: If there is no place for temporary files.
    """
    name = str(path.absolute())
    if is_utf8(name):
        yield name
        return
    with temporary_folder() as folder:
        link = folder / f"link{path.suffix if is_utf8(path.suffix) else ''}"
        link.symlink_to(name)
        yield str(link)
