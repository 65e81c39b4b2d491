"""Measures each artifact on its own, after the rounds and scenarios in which all take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TypeVar

import msgspec
import numpy as np

from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.measures import cold_start, fresh_process, layers, memory, rates
from pem_edge.runtime.benchmark.measures.limits import node_work, roofline
from pem_edge.runtime.benchmark.measures.limits.roofline import MachineLimits
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.benchmark.rounds import Subject
from pem_edge.runtime.benchmark.schema import Accuracy, ArtifactReport, ColdStart, Profile, Rate, Scenarios
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.tasks import for_model
from pem_edge.runtime.errors import BackendError, PemError
from pem_edge.runtime.evaluation.evaluate import evaluate
from pem_edge.runtime.files import sha256
from pem_edge.runtime.images import read as read_picture
from pem_edge.runtime.inference import batches, preprocess
from pem_edge.runtime.inference.profiled_nodes import Nodes
from pem_edge.runtime.progress import Say

_NOT_ASKED = "not asked for"
_INTERRUPTED = "interrupted before"
_AGAIN = 3
"""Number of times that limits are measured again as long as a node is faster than they allow."""

Found = TypeVar("Found")


def report(
    found: ArtifactReport,
    subject: Subject,
    stages: Mapping[str, Sequence[float]],
    options: Options,
    dataset: Dataset | None,
    say: Say,
) -> ArtifactReport:
    """Return all about one artifact: ``found`` in turns with the others, ``stages`` being its milliseconds in rounds.

    What cannot be measured here, but is no reason to stop, is missing with its reason. Raises InputError, BackendError.
    """
    one = _One(subject, stages, options, dataset, say)
    return msgspec.structs.replace(
        found,
        cold_start=one.attempt("cold_start", options.cold_starts > 0, one.cold_start),
        memory=one.attempt("memory", options.memory, lambda: memory.measure(one.task(memory.RUNS))),
        profile=one.attempt("profile", options.profile, one.profile),
        rate=one.attempt("rate", options.rates, one.rate),
        accuracy=one.attempt("accuracy", dataset is not None, one.accuracy),
        missing=one.missing,
    )


def of_rounds(subject: Subject, stages: Mapping[str, Sequence[float]], options: Options) -> ArtifactReport:
    """Return what the rounds alone tell of an artifact; the rest is missing."""
    manifest, backend = subject.segmenter.manifest, subject.segmenter.backend
    model = backend.artifact.model
    times = {stage: statistics.times(values, options.noise) for stage, values in stages.items()}
    return ArtifactReport(
        model=subject.model,
        name=subject.name,
        variant=manifest.variant,
        precision=manifest.precision,
        backend=backend.name,
        deform_conv=manifest.deform_conv,
        height=manifest.input.height,
        width=manifest.input.width,
        sha256=sha256(model),
        file_bytes=model.stat().st_size,
        settings=dict(backend.settings()),
        stages=times,
        scenarios=Scenarios(single_stream=times["total"]),
        missing=dict.fromkeys(("cold_start", "memory", "profile", "rate", "accuracy"), _INTERRUPTED),
    )


class _One:
    """An artifact, and why something of it is ``missing``."""

    def __init__(
        self,
        subject: Subject,
        stages: Mapping[str, Sequence[float]],
        options: Options,
        dataset: Dataset | None,
        say: Say,
    ) -> None:
        self._subject, self._stages, self._options, self._say = subject, stages, options, say
        self._dataset = dataset
        self._segmenter = subject.segmenter
        self._backend = subject.segmenter.backend
        self._nodes: Nodes = []
        self.missing: dict[str, str] = {}

    def attempt(self, what: str, asked: bool, measure: Callable[[], Found]) -> Found | None:
        """Return what ``measure`` returns, or None after noting the reason."""
        if not asked:
            self.missing[what] = _NOT_ASKED
            return None
        self._say(f"{self._subject.name}: {what.replace('_', ' ')}")
        try:
            return measure()
        except PemError as error:
            self.missing[what] = str(error)
            return None

    def task(self, runs: int = 1) -> fresh_process.Task:
        """Return a task for a process of its own."""
        return fresh_process.Task(
            model=self._subject.model,
            backend=self._backend.name,
            threads=self._options.threads,
            bf16=self._options.bf16,
            picture=str(self._subject.pictures[0]),
            runs=runs,
        )

    def cold_start(self) -> ColdStart:
        starts = [cold_start.measure(self.task()) for _ in range(self._options.cold_starts)]
        return ColdStart(
            **{
                part: statistics.times([getattr(start, part) for start in starts], self._options.noise)
                for part in ("imports", "load", "first", "total")
            }
        )

    def profile(self) -> Profile:
        spec = self._segmenter.manifest.input
        fitted, _ = preprocess.prepare(read_picture(self._subject.pictures[0]), spec)
        self._nodes = layers.nodes(self._backend, np.ascontiguousarray(batches.stack([fitted], spec)))
        limits = None
        if self._options.rates and self._backend.device == "cpu":
            with suppress(BackendError):  # is the reason why the rate is missing
                limits = self._limits
        return layers.summary(self._nodes, limits)

    @cached_property
    def _limits(self) -> MachineLimits:
        """The limits of the machine, measured again while a node is faster than they allow."""
        precisions = {self._segmenter.manifest.precision, *(work.precision for work in node_work.known(self._nodes))}
        limits = roofline.measure(self._backend, precisions)
        for _ in range(_AGAIN):
            if not any(layer.doubt for layer in layers.summary(self._nodes, limits).layers):
                break
            limits = roofline.measure(self._backend, precisions, anew=True)
        return limits

    def rate(self) -> Rate:
        manifest = self._segmenter.manifest
        if manifest.work is None:
            raise BackendError(f"{self._subject.model} has no account of its work: export it again")
        if manifest.input.dynamic and self._options.images is not None:
            raise BackendError("the work of a dynamic artifact depends on the pictures' sizes: leave --images out")
        typical = statistics.typical(self._stages["inference"])
        if self._backend.device == "gpu":
            return rates.on_gpu(manifest.work, typical)
        return rates.on_cpu(manifest, manifest.work, typical, node_work.known(self._nodes), self._limits)

    def accuracy(self) -> Accuracy:
        assert self._dataset is not None
        manifest = self._segmenter.manifest
        panoptic = manifest.task != "semantic"
        images = for_model(self._dataset, manifest.classes, manifest.task)
        indices = range(len(images))[: self._options.dataset_limit]
        found = evaluate(self._segmenter, images, indices, panoptic=panoptic)
        return Accuracy(
            dataset=str(self._options.dataset),
            images=found.images,
            pq=found.quality["all"]["pq"],
            pq_things=found.quality["things"]["pq"],
            pq_stuff=found.quality["stuff"]["pq"],
            miou=None if found.iou is None else found.iou["miou"],
        )
