"""A model's repository as the hub knows it: commits, branches, and files named by their hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

LARGE = (".safetensors", ".bin", ".pth", ".onnx")
"""Ends of the files that are in Git LFS, which the hub names by their SHA-256."""


@dataclass
class Repository:
    """A repository, and how the server treats who asks for it.

    Attributes:
        commits: The folder of each commit; what is in it must not change.
        branches: The commit of each branch and tag.
        token: The token that it takes to see it; None for everyone.
        gated: Whether its files are given to nobody.
        altered: Files of which the server sends other bytes than their hashes and sizes say.
        cut: After how many bytes, for some files, the next response ends before its time; each is cut once.
        hanging: Files of which the server sends the first half, and then waits.
    """

    commits: dict[str, Path] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False
    altered: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)

    def commit(self, folder: Path, branch: str = "main") -> str:
        """Make ``folder`` the newest commit of a branch, and return the commit's hash."""
        names = [f"{path.relative_to(folder)} {digest(path)}\n" for path in files(folder)]
        revision = hashlib.sha1("".join(names).encode()).hexdigest()
        self.commits[revision] = folder
        self.branches[branch] = revision
        return revision

    def resolve(self, revision: str) -> str | None:
        """Return the commit of a branch, a tag or a commit; None if there is none."""
        return revision if revision in self.commits else self.branches.get(revision)

    def description(self, name: str, commit: str) -> dict[str, object]:
        """Return what the hub says of a model at a commit, with sizes and hashes of its files."""
        folder = self.commits[commit]
        siblings = [
            {
                "rfilename": path.relative_to(folder).as_posix(),
                "size": path.stat().st_size,
                "blobId": blob_sha1(path),
                **lfs(path),
            }
            for path in files(folder)
        ]
        return {
            "_id": "0",
            "id": name,
            "modelId": name,
            "sha": commit,
            "siblings": siblings,
            "tags": [],
            "downloads": 0,
        }


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def is_large(path: Path) -> bool:
    return path.suffix in LARGE


def digest(path: Path) -> str:
    """Return the hash that the hub names a file by."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if is_large(path) else blob_sha1(path)


def blob_sha1(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs(path: Path) -> dict[str, object]:
    if not is_large(path):
        return {}
    return {"lfs": {"sha256": digest(path), "size": path.stat().st_size, "pointerSize": 134}}
