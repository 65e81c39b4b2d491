"""Finds the files of a checkpoint: a file, a folder that transformers wrote, or a model on the Hugging Face hub."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pem_edge.pem import public_weights
from pem_edge.pem.checkpoints import hub, missing
from pem_edge.pem.checkpoints.formats import SUFFIXES
from pem_edge.pem.checkpoints.model_folder import CONFIG, INDEX, MERGE, WHOLE, is_whole, require_no_dangling, weights_in
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.images import addresses
from pem_edge.runtime.outside.printable import brief, is_utf8
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.plurals import first_few
from pem_edge.runtime.progress import Say

DEMO = "demo"
"""Name, in place of a path, of the weights that come with the package: ``pem-nano`` trained on toy streets."""

DEMO_FILE = Path(__file__).parents[1] / "weights" / "demo.safetensors"
DEMO_SIZE = (256, 512)
"""Size of the pictures that these weights were trained on, which their file does not say."""

_BESIDE = (CONFIG, *map(INDEX.format, WHOLE))
"""Files that hold no weights, in place of which their folder must be given."""

_METRICS = "metrics.csv"
"""File that a run of ``pem-train`` writes beside its weights."""

_CACHED = re.compile(r"/models--(?P<owner>[^/]+?)--(?P<name>[^/]+)/snapshots/[^/]+$")
"""Finds the name of a model in the path of its folder in the hub's cache."""

_PART = re.compile(r"(?:model|pytorch_model)-\d+-of-\d+\.(?:safetensors|bin)", re.IGNORECASE)
"""Matches the names that transformers gives files with a part of the weights."""


@dataclass(frozen=True)
class Place:
    """Where a checkpoint is.

    Attributes:
        name: What it is called: a path, or the name of a model on the hub.
        files: The files with the weights, one or several parts.
        folder: The folder with the model's ``config.json``; None if there is none.
        revision: For a model on the hub, the commit; else None.
    """

    name: str
    files: tuple[Path, ...]
    folder: Path | None = None
    revision: str | None = None

    @property
    def hub_name(self) -> str | None:
        """The name on the hub; None for files and folders that are not of the hub's cache."""
        if self.revision is not None:
            return self.name
        cached = None if self.folder is None else _CACHED.search(self.folder.resolve().as_posix())
        return f"{cached['owner']}/{cached['name']}" if cached else None

    @property
    def likely_name(self) -> str:
        """The name on the hub; of another folder, the listed one that it would have if it is a copy."""
        return self.hub_name or (
            self.name if self.folder is None else public_weights.of_copy(self.folder.resolve().name)
        )


def locate(
    source: str | Path, say: Say, revision: str | None = None, admit: Callable[[Path], object] = lambda _folder: None
) -> Place:
    """Return where a checkpoint is; a model on the hub is fetched.

    Args:
        source: The path of a file or folder, or "demo", or the name of a model on the hub. A path that exists comes
            before a model's name.
        say: Told what is fetched.
        revision: A branch, tag or commit of a model on the hub; None for the newest.
        admit: Given the folder of a model on the hub, raises CheckpointError if its weights need not be fetched.

    Raises:
        CheckpointError: If there is no such thing, or a folder is not one that transformers or ``pem-train`` wrote.
    """
    if not isinstance(source, (str, os.PathLike)) or source == "":  # which pathlib takes for the current folder
        raise CheckpointError(f"the checkpoint is {brief(source)}, expected a path: give it as a str or a Path")
    text, path = str(source), Path(source)
    if not is_utf8(text):
        raise CheckpointError(f"the name {brief(text)} is not UTF-8, as a manifest's names are: give the file another")
    if "://" in text:
        raise CheckpointError(
            f"{addresses.shown(text)} is an address, expected a path, or the name of a model on the Hugging Face hub, "
            "such as facebook/mask2former-swin-tiny-coco-panoptic: download it, and give the file"
        )
    with reading(path, CheckpointError, expected="a checkpoint", cure="give the path of a file or folder"):
        is_here = text == DEMO or path.exists()
    if not is_here and hub.is_name(text):
        fetched = hub.fetch(text, revision, say, admit)
        return Place(fetched.name, fetched.files, fetched.folder, fetched.revision)
    if revision is not None:
        raise CheckpointError(f"--revision is for models on the Hugging Face hub, {text} is none: leave it out")
    if text == DEMO:
        return Place(DEMO, (DEMO_FILE,))
    return _folder(path, say) if path.is_dir() else _file(path)


def _file(path: Path) -> Place:
    if not path.is_file():
        raise CheckpointError(missing.explain(path, [DEMO]))
    if path.name in _BESIDE or _PART.fullmatch(path.name):
        raise CheckpointError(f"{path} is one of several files of a model, expected its folder: give {path.parent}")
    is_transformers = is_whole(path.name) and (path.parent / CONFIG).is_file()
    return Place(str(path), (path,), path.parent if is_transformers else None)


def _folder(path: Path, say: Say) -> Place:
    with reading(path, CheckpointError, expected="a folder with a model", cure="name another folder"):
        trained = sorted(path.glob("*.safetensors")) if (path / _METRICS).is_file() else []
    if len(trained) == 1:  # of a run of pem-train
        return _file(trained[0])
    _require_model(path, say)
    return Place(str(path), weights_in(path), path)


def _require_model(folder: Path, say: Say) -> None:
    """Raise CheckpointError unless ``folder`` is one that transformers wrote."""
    with reading(folder, CheckpointError, expected="a folder with a model", cure="name another folder"):
        names = sorted(each.name for each in folder.iterdir())
        if (folder / CONFIG).is_file():
            if "adapter_config.json" in names:
                say(f"left out the adapter beside the weights in {folder}: {MERGE} to have it in them")
            return
        found = [name for name in names if Path(name).suffix.lower() in SUFFIXES and (folder / name).is_file()]
    require_no_dangling(folder / CONFIG)
    if any(name in (*WHOLE, *_BESIDE) or _PART.fullmatch(name) for name in names):
        raise CheckpointError(f"{folder} lacks {CONFIG}, which transformers writes beside the weights: copy it there")
    if "adapter_config.json" in names:
        raise CheckpointError(f"{folder} holds an adapter, expected a whole model: {MERGE}")
    if found:
        raise CheckpointError(
            f"{folder} is a folder, expected a checkpoint: give one of its files ({first_few(found)})"
        )
    if snapshots := sorted(folder.glob("snapshots/*/")):
        raise CheckpointError(f"{folder} is of the hub's cache, expected one model: give {snapshots[-1]}")
    raise CheckpointError(
        f"{folder} holds no checkpoint, expected {CONFIG} and weights, as save_pretrained writes them: give a folder "
        "that has both"
    )
