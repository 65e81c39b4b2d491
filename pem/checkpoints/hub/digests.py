"""Holds files in the hub's cache against the hashes that the hub names them by.

huggingface_hub itself compares sizes only, and hashes nothing that comes over plain HTTP.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.files import sha256
from pem_edge.runtime.progress import Say


def require_digest(path: Path, digest: str | None, say: Say) -> None:
    """Require that a file of the cache has the hash that the hub names it by.

    Large files are named by their SHA-256, others by git's SHA-1 of a blob. The cache stores a file under that name and
    links to it, which serves where the hub did not say.

    Args:
        path: The file, in the folder of a commit.
        digest: The hash in hexadecimal digits, if the hub said it.
        say: Told if there is nothing to compare with.

    Raises:
        CheckpointError: If the file is another one.
    """
    digest = digest or (path.readlink().name if path.is_symlink() else "")
    if re.fullmatch("[0-9a-f]{64}|[0-9a-f]{40}", digest) is None:
        say(f"{path} is taken unchecked: its hash is not known")
        return
    found = sha256(path) if len(digest) == 64 else _blob_sha1(path)
    if found != digest:
        raise CheckpointError(
            f"{path} has the hash {found}, expected {digest} as on the Hugging Face hub: it is damaged or was changed; "
            f"delete {path.resolve()} and run this again"
        )


def _blob_sha1(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
