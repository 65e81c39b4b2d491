"""Measure artifacts, all of them in turns, and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timezone
from functools import partial

import msgspec

from pem_edge.runtime import loading
from pem_edge.runtime.benchmark import artifact_report, estimate, machine, pictures, rounds, statistics
from pem_edge.runtime.benchmark.measures import scenarios
from pem_edge.runtime.benchmark.options import NoiseLimits, Options
from pem_edge.runtime.benchmark.rounds import Rounds, Subject
from pem_edge.runtime.benchmark.schema import ArtifactReport, Comparison, Report
from pem_edge.runtime.datasets import opening
from pem_edge.runtime.datasets.dataset import Dataset, notes_of
from pem_edge.runtime.datasets.tasks import for_model
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say

__all__ = ["Interrupted", "NoiseLimits", "Options", "comparisons", "run"]

_LEAST_SHARE = 0.01
"""Share of the total: stages that take less are not compared, because no difference would be noticed."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; ``report`` has what was measured before."""

    def __init__(self, report: Report) -> None:
        super().__init__(f"interrupted; what was measured in {plural(report.rounds, 'round')} is reported")
        self.report = report


def run(models: Sequence[str], options: Options, say: Say) -> Report:
    """Measure artifacts, of which the first is the one that the others are compared with.

    Artifacts that cannot be loaded or run are found out before anything is measured.

    Args:
        models: Paths, or "demo".
        options: What to measure.
        say: Takes remarks on progress.

    Returns:
        The report.

    Raises:
        PemError: If an artifact or a picture cannot be used.
        Interrupted: At Ctrl-C, once there are rounds to report.
    """
    dataset = None if options.dataset is None else opening.open_dataset(options.dataset)
    before = machine.describe()
    with (
        pictures.provide_images(options.images, options.seed, say) as found,
        _loaded(models, found, options, say) as subjects,
    ):
        if dataset is not None:
            _require_classes(dataset, subjects)
            for note in notes_of(dataset):
                say(note)
        say(
            estimate.sentence(
                [subject.turn(0)["total"] / 1000 for subject in subjects], options, _scored(dataset, options)
            )
        )
        taken = rounds.measure(subjects, options, say)
        artifacts, interrupted = _artifacts(subjects, taken, options, dataset, say)
        report = Report(
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=options.command,
            images=found.what,
            rounds=len(taken.reference_work),
            interrupted=interrupted,
            machine=msgspec.structs.replace(before, after=machine.state()),
            artifacts=artifacts,
            comparisons=tuple(comparisons(subjects, taken, options)),
            reference_work=statistics.times(taken.reference_work, options.noise),
        )
    if interrupted:
        raise Interrupted(report)
    return report


def _artifacts(
    subjects: Sequence[Subject],
    taken: Rounds,
    options: Options,
    dataset: Dataset | None,
    say: Say,
) -> tuple[tuple[ArtifactReport, ...], bool]:
    """Return a report each, and whether Ctrl-C came before all were whole."""
    pairs = list(zip(subjects, taken.stages, strict=True))
    found = [artifact_report.of_rounds(subject, stages, options) for subject, stages in pairs]
    if taken.interrupted:
        return tuple(found), True
    try:
        measured = scenarios.measure(subjects, options, say)
        found = [msgspec.structs.replace(each, scenarios=its) for each, its in zip(found, measured, strict=True)]
        for index, (subject, stages) in enumerate(pairs):
            found[index] = artifact_report.report(found[index], subject, stages, options, dataset, say)
    except KeyboardInterrupt:
        return tuple(found), True
    return tuple(found), False


@contextmanager
def _loaded(
    models: Sequence[str], found: pictures.BenchmarkImages, options: Options, say: Say
) -> Iterator[Sequence[Subject]]:
    """Load all artifacts, each run on its first picture, and close them at the end of the block."""
    with ExitStack() as stack:
        subjects = []
        for model, name in zip(models, _names(models), strict=True):
            say(f"loading {name}")
            load = partial(loading.load, model, options.backend, threads=options.threads, bf16=options.bf16)
            subject = stack.enter_context(closing(Subject(name, model, load, found.files_for)))
            subject.turn(0)
            subjects.append(subject)
        yield subjects


def _scored(dataset: Dataset | None, options: Options) -> int:
    return 0 if dataset is None else len(range(len(dataset))[: options.dataset_limit])


def _require_classes(dataset: Dataset, subjects: Sequence[Subject]) -> None:
    for subject in subjects:
        manifest = subject.segmenter.manifest
        for_model(dataset, manifest.classes, manifest.task)


def _names(models: Sequence[str]) -> list[str]:
    """Return the paths, those that come more than once with a number."""
    totals, seen = Counter(models), Counter[str]()
    names = []
    for model in models:
        seen[model] += 1
        names.append(model if totals[model] == 1 else f"{model} #{seen[model]}")
    return names


def comparisons(subjects: Sequence[Subject], taken: Rounds, options: Options) -> Iterator[Comparison]:
    """Yield the comparison with the first subject of each stage that matters, for all other subjects."""
    baseline, *others = zip(subjects, taken.stages, strict=True)
    for subject, stages in others:
        for stage in _compared(stages, baseline[1]):
            ratio = statistics.ratio_in_rounds(stages[stage], baseline[1][stage], options.noise, options.seed)
            yield Comparison(
                model=subject.name,
                baseline=baseline[0].name,
                stage=stage,
                ratio=ratio,
                verdict=statistics.verdict(ratio, options.noise.floor),
                floor=options.noise.floor,
            )


def _compared(*artifacts: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the stages that matter and that all subjects had in every round, never in no time."""

    def comparable(times: Sequence[float], stages: Mapping[str, Sequence[float]]) -> bool:
        return len(times) == len(stages["total"]) and min(times) > 0

    shared = [
        stage
        for stage in artifacts[0]
        if all(stage in stages and comparable(stages[stage], stages) for stages in artifacts)
    ]
    return [
        stage
        for stage in shared
        if any(sum(stages[stage]) >= _LEAST_SHARE * sum(stages["total"]) for stages in artifacts)
    ]
