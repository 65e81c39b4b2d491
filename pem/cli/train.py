"""Entry point of the ``pem-train`` command."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pem_edge.pem.cli import train_parser, train_request
from pem_edge.pem.cli.train_export import export, export_options
from pem_edge.pem.cli.train_request import TrainRequest
from pem_edge.pem.training.settings import REPORT, SNAPSHOT
from pem_edge.runtime import files
from pem_edge.runtime.cli import console, signals
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import OutputError, TrainingError
from pem_edge.runtime.files.output_folder import for_outputs
from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say
from pem_edge.runtime.suggestions import no_such
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from pem_edge.pem.training.trainer import Trainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``pem-train`` and return its exit code; ``arguments`` defaults to ``sys.argv[1:]``."""
    if os.environ.get("RANK", "0") != "0":  # of several processes that torchrun started, one prints the object
        arguments = [each for each in (sys.argv[1:] if arguments is None else arguments) if each != "--json"]
    return console.run(train_parser.parser(), train_request.read, _train, arguments)


def _train(request: TrainRequest) -> JsonObject:
    if find_spec("torch") is None:
        raise TrainingError(f"training needs PyTorch, which is not installed: {how_to_install('train')}")
    _say("reading the dataset and loading PyTorch")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin take the cores of those that prepare images
    dataset = request.dataset.open()
    with for_outputs(request.out) as folder:
        return _train_in(folder, request, dataset)


def _train_in(folder: Path, request: TrainRequest, dataset: Dataset) -> JsonObject:
    with signals.held():  # an exception that passes through torch's C++ modules, half imported, aborts the process
        from pem_edge.pem.cli.train_setup import set_up
        from pem_edge.pem.training.processes import join_processes
        from pem_edge.pem.variants import VARIANTS

    if request.variant is not None and request.variant not in VARIANTS:
        raise console.WrongUsage(f"--variant: {no_such(request.variant, VARIANTS)}")
    checkpoint = folder / SNAPSHOT
    _refuse_to_replace(checkpoint, request)
    with join_processes(request.device) as processes, files.claim(checkpoint) if processes.is_main else nullcontext():
        _refuse_to_replace(checkpoint, request)  # which may have been written while torch was imported
        say = _say if processes.is_main else _say_nothing
        trainer = set_up(request, dataset, folder, processes, say)
        with _reported(trainer):
            trainer.run()
        return _finish(trainer, request, say) if processes.is_main else {}


@contextmanager
def _reported(trainer: Trainer) -> Iterator[None]:
    """Let a run that is stopped in the ``with`` block end with what there is of it."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        if not interruption.args:
            raise
        raise console.Interrupted({**_outputs(trainer), "step": trainer.step}, str(interruption)) from interruption


def _outputs(trainer: Trainer) -> JsonObject:
    """Return what there is of a run: its files, and the scores of its best weights."""
    files = {"weights": trainer.weights, "metrics": trainer.progress.path, "report": trainer.folder / REPORT}
    found: JsonObject = {name: str(path) for name, path in files.items() if path.exists()}
    best = None if trainer.validation is None else trainer.validation.best.scores
    return found if best is None else {**found, "validation": {"step": best.step, **best.record}}


def _finish(trainer: Trainer, request: TrainRequest, say: Say) -> JsonObject:
    """Write the weights and the ONNX model of them, and say what can be done with both."""
    weights = trainer.save()
    report = _outputs(trainer)
    others = f"; {report['report']} shows curves and pictures" if "report" in report else ""
    say(f"{weights} has the weights{_praise(trainer)}{others}")
    exported = _export(weights, report, say) if request.export else None
    if exported is None:
        say(f"next: {shlex.join(['pem-export', *export_options(weights)])}")
        return report
    model = str(exported["model"])
    say(f"to see it: {shlex.join(['pem-run', model, 'PICTURES', '-o', 'results'])}")
    say(f"to time it: {shlex.join(['pem-bench', model])}")
    int8 = ["--to", "onnx", "--precision", "int8", "--calib", _pictures(request), "-o", str(weights.parent / "int8")]
    say(f"in INT8: {shlex.join(['pem-export', '--weights', str(weights), *int8])}; for a GPU: --to trt")
    return {**report, "model": model, "parity": exported["parity"]}


def _pictures(request: TrainRequest) -> str:
    """Return the dataset as ``--calib`` takes it."""
    text, split = request.dataset.text, request.dataset.split
    return f"{text}:{split}" if text and split and ":" in text else text or "PICTURES"


def _export(weights: Path, report: JsonObject, say: Say) -> JsonObject | None:
    """Return what `export` returns; if it is stopped, end with what there is of the run."""
    try:
        return export(weights, say)
    except KeyboardInterrupt as interruption:
        again = shlex.join(["pem-export", *export_options(weights)])
        said = f"stopped while exporting; the weights are complete: {again}"
        raise console.Interrupted(report, said) from interruption


def _praise(trainer: Trainer) -> str:
    """Return how good the weights are, if that is known."""
    best = None if trainer.validation is None else trainer.validation.best
    if best is None or best.scores is None:
        return ""
    measured, images = best.scores.measured(best.task), plural(best.scores.record["images"], "image")
    return f" of step {best.scores.step}, with {measured} on {images} the best"


def _refuse_to_replace(checkpoint: Path, request: TrainRequest) -> None:
    """Raise OutputError if there is a run, and this one is neither to continue it nor to delete it."""
    folder = checkpoint.parent
    if request.resume or request.overwrite:
        return
    if checkpoint.exists():
        raise OutputError(f"{folder} contains a run: add --resume to continue it, or --overwrite to delete it")
    if any(folder.glob("*.safetensors")):
        raise OutputError(f"{folder} contains weights: choose another -o, or add --overwrite to replace them")


def _say(text: str) -> None:
    console.say("pem-train", text)


def _say_nothing(_text: str) -> None:
    """Leave it to the main process to say it."""


if __name__ == "__main__":
    sys.exit(main())
