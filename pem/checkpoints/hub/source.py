"""A model at one commit: what files it has, and how each comes into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pem_edge.pem.checkpoints.hub.digests import require_digest
from pem_edge.pem.checkpoints.hub.failures import explain, is_final
from pem_edge.pem.checkpoints.model_folder import CONFIG
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say

_SHOWN = 8


@dataclass(frozen=True)
class File:
    """A file of a model.

    Attributes:
        size: Its size in bytes; None if the hub does not say.
        digest: The hash that the hub names it by; None if the hub was not asked, or does not say.
    """

    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Source:
    """A model at one commit, on the hub or, where that cannot be asked, in its cache.

    Attributes:
        name: The model's name.
        commit: The commit, 40 hexadecimal digits.
        files: The files that it has, or that the cache has of it, by name.
        reachable: Whether the hub can be asked.
        say: Told what is fetched, and what could not be checked.
    """

    name: str
    commit: str
    files: dict[str, File]
    reachable: bool
    say: Say

    def bring(self, file: str) -> Path:
        """Return the path of a file, which is then in the cache and has the right hash. Raises whatever it meets."""
        path = self._download(file)
        require_digest(path, self.files[file].digest, self.say)
        return path

    def bring_if_there(self, file: str) -> None:
        """Do what `bring` does, if there is such a file; without the hub it must be known whether there is one."""
        from huggingface_hub import _CACHED_NO_EXIST, errors, try_to_load_from_cache

        if file in self.files:
            self.bring(file)
        elif try_to_load_from_cache(self.name, file, revision=self.commit) is not _CACHED_NO_EXIST:
            if not self.reachable:
                raise CheckpointError(
                    f"the cache of the Hugging Face hub does not say whether {self.name} has a {file}: run this once "
                    "with the hub in reach"
                )
            with suppress(errors.EntryNotFoundError):  # asked all the same: the cache remembers that there is none
                self._download(file)

    def announce(self, files: Sequence[str]) -> None:
        """Say which of ``files``, and how much, is about to be fetched, if anything."""
        from huggingface_hub import constants, try_to_load_from_cache

        missing = [
            file for file in files if not isinstance(try_to_load_from_cache(self.name, file, revision=self.commit), str)
        ]
        if missing and self.reachable:
            sizes = [self.files[file].size for file in missing]
            known = f", {sum(filter(None, sizes)) / 1e6:.1f} MB" if all(sizes) else ""
            what = missing[0] if len(missing) == 1 else plural(len(missing), "file")
            self.say(f"fetching {self.name} at {self.commit[:12]} from {constants.ENDPOINT}: {what}{known}")

    def listed(self) -> str:
        """Return the names of its first files, for a message."""
        names = sorted(self.files)
        return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")

    def _download(self, file: str) -> Path:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(self.name, file, revision=self.commit, local_files_only=not self.reachable))


def open_source(name: str, revision: str, say: Say) -> Source:
    """Return ``name`` at the commit that ``revision`` is now or, if the hub cannot be asked, was when it was fetched.

    Raises:
        CheckpointError: If it has no ``config.json``.
        Exception: Whatever huggingface_hub raises if the hub cannot be asked and the cache does not have it.
    """
    from huggingface_hub import constants

    try:
        return _on_the_hub(name, revision, say)
    except Exception as error:
        found = None if is_final(error) else _in_the_cache(name, revision, say)
        if found is None:
            raise
        if not constants.HF_HUB_OFFLINE:
            say(f"{explain(error, name, revision)}; taken from the cache for now: {name} at {found.commit[:12]}")
        return found


def _on_the_hub(name: str, revision: str, say: Say) -> Source:
    from huggingface_hub import hf_hub_download

    source = _listing(name, revision, say)
    if CONFIG not in source.files:
        raise CheckpointError(
            f"{name} has no {CONFIG}, expected a model as transformers' save_pretrained writes it; it has "
            f"{source.listed() or 'no files'}: choose another model, or download its checkpoint and give the path"
        )
    # Asked for by the revision's name: thus the cache learns which commit that is, for times without a network.
    commit = Path(hf_hub_download(name, CONFIG, revision=revision)).parent.name
    return source if commit == source.commit else _listing(name, commit, say)


def _listing(name: str, revision: str, say: Say) -> Source:
    from huggingface_hub import HfApi, constants

    info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    files = {
        each.rfilename: File(each.size, each.lfs.sha256 if each.lfs else each.blob_id) for each in info.siblings or ()
    }
    if info.sha is None:
        raise CheckpointError(f"{constants.ENDPOINT} names no commit of {name}, expected the hub: check HF_ENDPOINT")
    return Source(name, info.sha, files, reachable=True, say=say)


def _in_the_cache(name: str, revision: str, say: Say) -> Source | None:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, CONFIG, revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    files = {each.name: File(each.stat().st_size) for each in folder.iterdir() if each.is_file()}
    return Source(name, folder.name, files, reachable=False, say=say)
