"""Fetches the folder of a model from the Hugging Face hub, by the model's name, into the hub's own cache."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pem_edge.pem.checkpoints.hub.failures import explained
from pem_edge.pem.checkpoints.hub.library import import_library
from pem_edge.pem.checkpoints.hub.source import open_source
from pem_edge.pem.checkpoints.hub.weight_files import choose
from pem_edge.pem.checkpoints.model_folder import CONFIG, PREPROCESSOR
from pem_edge.pem.checkpoints.names import foreign
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.progress import Say

_PART = r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REVISION = r"\w(?:[\w./+-]{0,253}[\w.+-])?"
_NAME = re.compile(
    rf"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/)?(?P<name>{_PART}/{_PART})(?:(?<=\w)/tree/(?P<revision>{_REVISION}))?/?",
    re.ASCII,
)
_OF_FILES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".pkl", ".safetensors", ".onnx", ".engine", ".json", ".git")
"""Ends of what is the path of a file, rather than a model's name; the last one the hub does not allow."""


@dataclass(frozen=True)
class Snapshot:
    """A model's folder in the hub's cache.

    Attributes:
        folder: The folder with ``config.json``, the weights and, if the model has one, ``preprocessor_config.json``.
            Other programs may have put more files there.
        files: The files with the weights, one or several parts.
        name: The model's name, ``OWNER/NAME``.
        revision: The commit, 40 hexadecimal digits.
    """

    folder: Path
    files: tuple[Path, ...]
    name: str
    revision: str


def is_name(text: str) -> bool:
    """Return whether ``text`` can name a model on the hub: ``OWNER/NAME``, or the address of its page.

    Only the text is looked at. A relative path of two parts without a known suffix looks the same: ask for the file
    first.
    """
    return _taken_apart(text) is not None


def parse(text: str) -> tuple[str, str | None]:
    """Return the name in ``text``, and the revision if it is the address of a page that shows one.

    Raises:
        CheckpointError: If ``text`` is not the name of a model, see `is_name`.
    """
    parts = _taken_apart(text)
    if parts is None:
        raise CheckpointError(
            f"{brief(text)} is not the name of a model on the Hugging Face hub: give it as OWNER/NAME, such as "
            "facebook/mask2former-swin-tiny-coco-panoptic"
        )
    return parts


def fetch(
    name: str, revision: str | None, say: Say, admit: Callable[[Path], object] = lambda _folder: None
) -> Snapshot:
    """Bring a model's folder into the hub's cache, as far as it is not there, and check what it holds.

    Of the weights, ``model.safetensors`` is taken if there is one, else its parts, else ``pytorch_model.bin``, else the
    parts of that. All files are of one commit. Without a network, or while the hub is in trouble, a model that the
    cache holds is taken from there. Cache, token, address and offline mode are those of huggingface_hub (``HF_HOME``,
    ``HF_TOKEN``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``).

    Args:
        name: The model, as `is_name` describes it.
        revision: A branch, a tag or a commit; None for the one in the address, or the branch "main".
        say: Told what is fetched, and what could not be checked.
        admit: Given the folder with ``config.json``, raises CheckpointError if the weights need not be fetched.

    Returns:
        The folder, whose files have the hashes that the hub names them by.

    Raises:
        CheckpointError: If huggingface_hub is missing, or the hub does not give the model, or it lacks a
            ``config.json`` or weights, or a file does not have its hash, or the model is known not to load.
    """
    name, shown = parse(name)
    revision = revision or shown or "main"
    if re.fullmatch(_REVISION, revision, re.ASCII) is None or ".." in revision:
        raise CheckpointError(f"{brief(revision)} is not a revision of {name}: give a branch, a tag or a commit")
    if model := foreign.name_of_hub_model(name):
        raise CheckpointError(foreign.refusal(f"{name} is", model))
    import_library(name)
    with explained(name, revision):
        source = open_source(name, revision, say)
        config = source.bring(CONFIG)
        source.bring_if_there(PREPROCESSOR)
        admit(config.parent)
        weights = choose(source)
        source.announce(weights)
        files = tuple(source.bring(file) for file in weights)
    return Snapshot(config.parent, files, name, source.commit)


def _taken_apart(text: str) -> tuple[str, str | None] | None:
    match = _NAME.fullmatch(text)
    if match is None or "--" in match["name"] or ".." in match["name"] or match["name"].lower().endswith(_OF_FILES):
        return None
    return match["name"], match["revision"]
