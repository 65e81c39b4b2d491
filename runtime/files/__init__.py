"""Writing files so that a killed process, a full disk or a second process never leaves half of anything."""

from __future__ import annotations

from pem_edge.runtime.files.atomic import write_atomically
from pem_edge.runtime.files.folders import cache_folder, make_folder, refuse_existing, remove, require_space, sha256
from pem_edge.runtime.files.groups import settle, write_together
from pem_edge.runtime.files.locks import exclusively

__all__ = [
    "cache_folder",
    "exclusively",
    "make_folder",
    "refuse_existing",
    "remove",
    "require_space",
    "settle",
    "sha256",
    "write_atomically",
    "write_together",
]
