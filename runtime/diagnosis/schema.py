"""The types of a report."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

SCHEMA_VERSION = 1

Status = Literal["ok", "info", "warning", "broken"]
"""The standing of a fact: it is as it should be; it is neither good nor bad; it may hurt; it must be repaired."""

Device = Literal["cpu", "gpu"]
"""The kind of processor that a model runs on."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A fact.

    Attributes:
        name: What it is about, such as "Python".
        value: What was found, such as "3.12.1".
        status: How it is to be taken.
        cure: What helps, often a command; None if nothing needs to be done.
    """

    name: str
    value: str
    status: Status = "info"
    cure: str | None = None


Findings: TypeAlias = dict[str, Finding]
"""Facts by their keys, which stay the same between versions."""


class BackendFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a backend.

    Attributes:
        status: How it is to be taken.
        value: What was found, in words.
        cure: What helps; None if nothing needs to be done.
        installed: Whether its library is installed.
        version: The version of the library; None if it cannot be imported.
        works: Whether it ran the demo model rightly; None if it was not tried.
        device: What the demo model ran on.
        milliseconds: The median time per image, from the image to its panoptic map.
        correct: The fraction of the pixels whose class is that of the truth, 0 to 1.
        agreement: The fraction of the pixels whose class is that of the first backend that ran, 0 to 1.
    """

    status: Status
    value: str
    cure: str | None = None
    installed: bool = False
    version: str | None = None
    works: bool | None = None
    device: Device | None = None
    milliseconds: float | None = None
    correct: float | None = None
    agreement: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``pem-doctor`` found out.

    Attributes:
        schema_version: The version of this schema.
        version: The version of pem-edge.
        sections: The facts, by section and key.
        backends: The backends, by name.
        ready: Whether at least one backend works and nothing is broken.
        verdict: The same in words.
        errors: What must be repaired, one line each; empty if ``ready``.
    """

    schema_version: int = SCHEMA_VERSION
    version: str
    sections: dict[str, Findings]
    backends: dict[str, BackendFinding]
    ready: bool
    verdict: str
    errors: tuple[str, ...]
