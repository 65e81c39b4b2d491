"""The requests that ``pem-bench`` carries out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.cli import shared_options

DEFAULT_STAGE = "total"
"""Stage that ``--fail-if-slower`` limits by default."""


@dataclass(frozen=True)
class ReportFiles:
    """The files to write a report to.

    Attributes:
        paths: The files, each of the format that its suffix names.
        overwrite: Whether to replace existing files.
    """

    paths: tuple[Path, ...]
    overwrite: bool


@dataclass(frozen=True)
class BenchRequest:
    """A request to ``pem-bench``.

    Attributes:
        models: The paths of exported models, or "demo". The others are compared with the first.
        options: What to measure, and for how long.
        outputs: The files to write the report to.
        json: Whether to print JSON instead of text.

    Raises:
        InputError: If the number of labeled images is limited, but there is no dataset.
    """

    models: tuple[str, ...]
    options: Options
    outputs: ReportFiles
    json: bool

    def __post_init__(self) -> None:
        if self.options.dataset_limit is not None and self.options.dataset is None:
            raise shared_options.missing_companion(f"--dataset-limit {self.options.dataset_limit}", "--dataset DIR")


@dataclass(frozen=True)
class CompareRequest:
    """A request to ``pem-bench compare``.

    Attributes:
        before: The file of the earlier report.
        after: The file of the later report.
        stage: The stage that ``fail_if_slower`` limits; None for `DEFAULT_STAGE`.
        fail_if_slower: The fraction of its time by which the stage may become slower, such as 0.05; None for no limit.
        outputs: The files to write the comparison to.
        json: Whether to print JSON instead of a table.

    Raises:
        InputError: If there is a stage, but no limit.
    """

    before: Path
    after: Path
    stage: str | None
    fail_if_slower: float | None
    outputs: ReportFiles
    json: bool

    def __post_init__(self) -> None:
        if self.stage is not None and self.fail_if_slower is None:
            raise shared_options.missing_companion(f"--stage {self.stage}", "--fail-if-slower P")
