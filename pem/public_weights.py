"""The table of weights that others have published, with their licenses and published figures; needs no PyTorch."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.files import digest
from pem_edge.runtime.outside.reading import reading

TABLE = Path(__file__).with_name("public_weights.json")
"""Zoos of files, each a row of path, variant, data set, task and figure; and the hub's conversions of such files.

A zoo whose address is that of the hub has names there in place of paths. The names of conversions are those whose pages
were seen, named by the script of transformers that converted the files.
"""

HUB = "https://huggingface.co/"

Metric = Literal["PQ", "mIoU", "AP"]

METRICS: dict[Task, Metric] = {"panoptic": "PQ", "semantic": "mIoU", "instance": "AP"}
"""What is published for each task. AP is that of masks, and mIoU is measured at one scale, without flips."""

_LABEL_SETS: dict[tuple[str, Task], str] = {
    ("coco", "panoptic"): "coco_panoptic",
    ("coco", "instance"): "coco_instance",
    ("cityscapes", "instance"): "cityscapes_instance",
    ("ade20k", "instance"): "ade20k_instance",
}
"""The bundled label sets, where they are not called like the data set."""


@dataclass(frozen=True)
class License:
    """A license of weights.

    Attributes:
        spdx: The identifier of SPDX's list, or one of the form ``LicenseRef-NAME`` if that has none.
        name: The name for messages.
        url: The address of its text.
        commercial: Whether it permits commercial use.
    """

    spdx: str
    name: str
    url: str
    commercial: bool


LICENSES = {
    each.spdx: each
    for each in (
        License("Apache-2.0", "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0", commercial=True),
        License("CC-BY-NC-4.0", "CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/", commercial=False),
        License("MIT", "MIT", "https://opensource.org/license/mit", commercial=True),
        License(
            "LicenseRef-NECLA",
            "NEC Labs' terms",
            "https://github.com/abhishekaich27/proscale-pytorch/blob/main/LICENSE",
            commercial=False,
        ),
    )
}
"""Licenses of public weights, by SPDX identifier."""

_FAMILIES = {"facebook/mask2former-": "CC-BY-NC-4.0"}
"""Licenses of names on the hub that begin so, listed or not; those names are conversions of Mask2Former's zoo."""

_HASHES = ((re.compile(r"_([0-9a-f]{6})\.pkl$"), "md5"), (re.compile(r"-([0-9a-f]{8})\.pth$"), "sha256"))
"""How the names of zoos' files end, and the hash whose first digits are there: detectron2's way, and OpenMMLab's."""


@dataclass(frozen=True)
class PublicWeights:
    """Weights that others have published.

    Attributes:
        name: The name on the hub, such as "facebook/mask2former-swin-tiny-coco-panoptic", or that of a file.
        zoo: Who published the weights, such as "Mask2Former".
        url: The address of the file, or of the page or folder that has it.
        variant: The name of the variant, as in `pem_edge.pem.VARIANTS`.
        dataset: The data set that they were trained on, such as "coco".
        task: The task that they were trained for.
        figure: The figure published for exactly these weights, in percent, on the data set's validation split.
        source: The address of the page that has the figure.
        license: The SPDX identifier of the license, a key of `LICENSES`.
        converted_from: For names on the hub, the file of a zoo that they are a conversion of; None if there is none.
    """

    name: str
    zoo: str
    url: str
    variant: str
    dataset: str
    task: Task
    figure: float
    source: str
    license: str
    converted_from: str | None = None

    @property
    def on_hub(self) -> bool:
        """Tell whether ``name`` is one on the hub, by which weights are fetched."""
        return self.url.startswith(HUB)

    @property
    def metric(self) -> Metric:
        """What ``figure`` is."""
        return METRICS[self.task]

    @property
    def labels(self) -> str:
        """The name of the bundled label set with the classes, in the order of the weights."""
        return _LABEL_SETS.get((self.dataset, self.task), self.dataset)


class _File(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A row of a zoo."""

    path: str
    variant: str
    dataset: str
    task: Task
    figure: Annotated[float, msgspec.Meta(gt=0, lt=100)]


class _Zoo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files below one address, which ends in a slash, or on the one page that has them all."""

    title: str
    address: str
    source: str
    license: str
    files: tuple[_File, ...]

    def weights(self, file: _File) -> PublicWeights:
        """Return a file of this zoo as a row of the list."""
        return PublicWeights(
            name=file.path if self.address == HUB else PurePosixPath(file.path).name,
            zoo=self.title,
            url=self.address + file.path if self.address.endswith("/") else self.address,
            variant=file.variant,
            dataset=file.dataset,
            task=file.task,
            figure=file.figure,
            source=self.source,
            license=self.license,
        )


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table; ``conversions`` has the zoo's file that each name on the hub is a conversion of."""

    zoos: tuple[_Zoo, ...]
    conversions: dict[str, str]


@cache
def listed() -> tuple[PublicWeights, ...]:
    """Return all rows, those on the hub first, conversions before others, otherwise in the order of the table."""
    table = msgspec.json.decode(TABLE.read_bytes(), type=_Table)
    files = {row.name: row for zoo in table.zoos for row in map(zoo.weights, zoo.files)}
    converted = (
        replace(files[original], name=name, url=HUB + name, converted_from=original)
        for name, original in table.conversions.items()
    )
    return tuple(sorted((*converted, *files.values()), key=lambda row: not row.on_hub))


def find(name: str) -> PublicWeights | None:
    """Return the row of a name on the hub or of a zoo's file, in any case as on the hub; None if there is none."""
    return next((row for row in listed() if row.name.lower() == name.lower()), None)


def of_copy(folder: str) -> str:
    """Return the listed name on the hub that a folder called ``folder`` is a copy of by its name, else ``folder``."""
    names = (row.name for row in listed() if row.on_hub)
    return next((name for name in names if name.lower().endswith(f"/{folder.lower()}")), folder)


def suggestion(name: str) -> str:
    """Return advice on a name that does not exist: the listed one on the hub that it resembles, or how to list them."""
    if name.lower() in (row.name.lower() for row in listed() if row.on_hub):
        return "it is in the list of public weights, but not there: HF_ENDPOINT says which hub is asked"
    meant = resembled(name)
    return "pem-export --list shows names" if meant is None else f"did you mean {meant}?"


def resembled(name: str) -> str | None:
    """Return the listed name on the hub that another name resembles, as if mistyped; None if there is none."""
    names = {
        known.lower(): row.name for row in listed() if row.on_hub for known in (row.name, row.name.partition("/")[2])
    }
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.85)
    meant = names[close[0]] if close else name
    return None if meant.lower() == name.lower() else meant


def verify(path: Path) -> bool:
    """Return whether a file is the zoo's whose name it has, as far as the hash in that name tells.

    Names that have none, such as PRO-SCALE's, prove nothing. The whole file is read if its name is one of a zoo's.

    Raises:
        CheckpointError: If it cannot be read.
    """
    if find(path.name) is None or not path.is_file():
        return False
    for pattern, algorithm in _HASHES:
        if found := pattern.search(path.name.lower()):
            with reading(path, CheckpointError, expected="a checkpoint", cure="name another file"):
                return digest(path, algorithm).startswith(found[1])
    return False


def license_of(name: str) -> License | None:
    """Return the license of a name on the hub or of a zoo's file, listed or of a listed family; None if unknown."""
    if (row := find(name)) is not None:
        return LICENSES[row.license]
    family = next((spdx for start, spdx in _FAMILIES.items() if name.lower().startswith(start)), None)
    return LICENSES[family] if family is not None else None


def notice(name: str, spdx: str | None) -> str | None:
    """Return what to say when weights are used that are not free for commercial use, in one line; else None.

    Args:
        name: What the weights are called.
        spdx: The SPDX identifier of their license; None if it is unknown.
    """
    found = LICENSES.get(spdx or "")
    if found is None or found.commercial:
        return None
    return f"the weights of {name} are licensed under {found.name}: not for commercial use; {found.url}"
