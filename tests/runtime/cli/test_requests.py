"""Requests refuse options that contradict each other, whether they come from a command line or from code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.cli import bench, run
from pem_edge.runtime.cli.benchmarking.requests import BenchRequest, CompareRequest, ReportFiles
from pem_edge.runtime.cli.eval import EvalRequest
from pem_edge.runtime.cli.eval import main as eval_main
from pem_edge.runtime.cli.running.options import RunRequest, SourceRequest
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.errors import InputError

FILES = ReportFiles((), overwrite=False)


def make_run(**fields: Any) -> RunRequest:
    thresholds = ("score_threshold", "overlap_threshold")
    optional = ("task", "frames", "backend", "threads", *thresholds, "live_port", "live_host")
    source = SourceRequest(("-",), raw_size=(64, 96))
    flags = {"overwrite": False, "verify": False, "json": True, "jsonl": False, "bf16": False}
    defaults = {"model": "demo", "source": source, "output": None, "kinds": (), **flags}
    return RunRequest(**{**dict.fromkeys(optional), **defaults, **fields})


def make_eval(**fields: Any) -> EvalRequest:
    defaults = {
        "dataset": DatasetLocation("toy:1"),
        "backend": None,
        "threads": None,
        "bf16": False,
        "limit": None,
        "semantic": True,
        "json": True,
    }
    drawings = {"save_errors": None, "worst": None, "overwrite": False}
    return EvalRequest(**{"model": "demo", **defaults, **drawings, **fields})


def make_bench(**fields: Any) -> BenchRequest:
    return BenchRequest(("demo",), Options(**fields), FILES, json=True)


def make_comparison(**fields: Any) -> CompareRequest:
    defaults = {"before": Path("a.json"), "after": Path("b.json"), "stage": None, "fail_if_slower": None}
    return CompareRequest(**{**defaults, "outputs": FILES, "json": True, **fields})


@pytest.mark.parametrize(
    ("make", "lone", "companion", "message"),
    [
        (make_run, {"live_host": "0.0.0.0"}, {"live_port": 0}, "--live-host 0.0.0.0 was given without --live: add"),
        (lambda **fields: SourceRequest(("-",), **fields), {"raw_format": "bgr24"}, {"raw_size": (64, 96)},
         "--raw-format bgr24 was given without --raw-size HxW: add --raw-size HxW, or leave out --raw-format bgr24"),
        (make_eval, {"worst": 3}, {"save_errors": Path("out")}, "--worst 3 was given without --save-errors DIR: add"),
        (make_bench, {"dataset_limit": 2}, {"dataset": "toy:4"}, "--dataset-limit 2 was given without --dataset DIR"),
        (make_comparison, {"stage": "decode"}, {"fail_if_slower": 0.05}, "--stage decode was given without --fail-if"),
    ],
)  # fmt: skip
def test_an_option_needs_the_one_it_belongs_to(
    make: Callable[..., object], lone: dict[str, Any], companion: dict[str, Any], message: str
) -> None:
    make()
    make(**companion)
    make(**lone, **companion)
    with pytest.raises(InputError, match=re.escape(message)):
        make(**lone)


def test_a_folder_to_save_nothing_in_is_refused() -> None:
    with pytest.raises(InputError, match=r"^-o out was given with --save none, .*: leave one of them out$"):
        make_run(output=Path("out"))
    make_run(output=Path("out"), kinds=("overlay",))
    make_run(output=Path("out"), kinds=None)


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (run.main, ["demo", "-", "--raw-format", "rgb24"]),
        (run.main, ["demo", "-", "--raw-size", "64x96", "--live-host", "127.0.0.1"]),
        (eval_main, ["demo", "--dataset", "toy:1", "--worst", "10"]),
        (bench.main, ["demo", "--dataset-limit", "5"]),
        (bench.main, ["compare", "a.json", "b.json", "--stage", "total"]),
    ],
)
def test_commands_refuse_it_in_one_line_even_if_the_value_is_the_default(
    main: Callable[[list[str]], int], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"{arguments[-2]} {arguments[-1]} was given without --" in captured.err


@pytest.mark.parametrize("main", [run.main, eval_main, bench.main])
def test_help_is_plain_text(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "``" not in capsys.readouterr().out
