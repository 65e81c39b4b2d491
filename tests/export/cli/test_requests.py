"""Requests built in Python are held to the same rules as those that come from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pem_edge.export.cli import options, parser
from pem_edge.export.cli.input_sizes import InputRequest
from pem_edge.export.cli.requests import EngineRequest, GraphRequest
from pem_edge.export.engine.settings import Settings
from pem_edge.export.int8.settings import Calibration
from pem_edge.runtime.artifacts.manifest import Range
from pem_edge.runtime.errors import ExportError


def graph_request(*arguments: str) -> GraphRequest:
    request = options.read(parser.parser().parse_args(["--weights", "street.pth", *arguments]))
    assert isinstance(request, GraphRequest)
    return request


CPU = Calibration("images", "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "x.onnx"}, "is an ONNX artifact already"),
        ({"weights": "x.engine"}, "is an engine already"),
        ({"output": Path("x.engine")}, "names an engine"),
        ({"settings": Settings(workspace=1)}, "--workspace is for engines"),
        ({"score_threshold": 1.5}, "--score-threshold is 1.5, expected a number between 0 and 1"),
        ({"overlap_threshold": float("nan")}, "--overlap-threshold is nan"),
        ({"precision": "int8"}, "--precision int8 needs images to calibrate on"),
        ({"calibration": CPU}, "calibration is for INT8"),
        ({"remainder": "fp16"}, "--remainder is for INT8"),
        ({"outputs": "float16"}, "--outputs float16 would round"),
        ({"to": "trt-rtx", "deform_conv": "plugin"}, "trt-rtx has no plugins"),
        ({"precision": "int8", "calibration": CPU, "remainder": "fp16"}, "--remainder fp16 is for TensorRT"),
        ({"precision": "int8", "calibration": CPU, "to": "trt"}, "--placement cpu quantizes for CPUs"),
    ],
)
def test_a_contradiction_cannot_be_constructed(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        replace(graph_request(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (100, 160)}, "expected multiples of 32: try 96x160"),
        ({"batch": 0}, "--batch is 0, expected 1 to 1024"),
        ({"batch": 1025}, "--batch is 1025, expected 1 to 1024"),
        ({"dynamic": True, "size": (64, 96), "max_batch": 1025}, "--max-batch is 1025, expected"),
        ({"size": (32, 3_200_000)}, "--size is 32x3200000, more than 100000000 pixels, the limit"),
        ({"dynamic": True, "size": (64, 96), "max_size": (100, 128)}, "--max-size is 100x128"),
        ({"dynamic": True, "max_size": (100, 128)}, "--max-size is 100x128"),
        ({"dynamic": True, "min_size": (128, 100)}, "--min-size is 128x100"),
        ({"dynamic": True, "size": (160, 160), "batch": 5}, "that contains the default"),
    ],
)
def test_sizes_that_no_model_takes_cannot_be_asked_for(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        InputRequest(**changes)


def test_the_size_is_the_given_one_else_that_of_the_weights_else_the_default() -> None:
    given, open_ = InputRequest(size=(64, 96)), InputRequest(dynamic=True)
    sizes = [(spec.height, spec.width) for spec in (given.spec((800, 1344)), open_.spec((800, 1344)), open_.spec(None))]
    assert sizes == [(64, 96), (800, 1344), (512, 1024)]
    assert open_.spec((800, 1344)).dynamic_width == Range(128, 1344, 2688)
    assert InputRequest(dynamic=True, size=(64, 256)).spec(None).dynamic_height == Range(64, 64, 128)
    with pytest.raises(ExportError, match="the height may vary from 128 to 512, default 800: expected a range"):
        InputRequest(dynamic=True, max_size=(512, 1344)).spec((800, 1344))


@pytest.mark.parametrize(
    ("arguments", "floating"),
    [
        ((), "fp32"),
        (("--precision", "fp16"), "fp16"),
        (("--precision", "int8", "--calib", "images"), "fp32"),
        (("--precision", "int8", "--calib", "images", "--placement", "tensorrt"), "fp16"),
        (("--precision", "int8", "--calib", "images", "--to", "trt"), "fp16"),
        (("--precision", "int8", "--calib", "images", "--to", "trt", "--remainder", "fp32"), "fp32"),
    ],
)
def test_what_is_not_in_int8_has_the_precision_that_suits_the_kernels(
    arguments: tuple[str, ...], floating: str
) -> None:
    assert graph_request(*arguments).floating == floating


@pytest.mark.parametrize(
    ("source", "to", "message"), [("x.pth", "trt", "is not an .onnx artifact"), ("x.onnx", "onnx", "choose --to trt")]
)
def test_an_engine_is_built_from_onnx(source: str, to: str, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        EngineRequest(Path(source), to, None, overwrite=False, settings=Settings(), json=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--list", "--size", "64x96"], "--size has no meaning for --list"),
        (["--list", "--to", "trt"], "--to has no meaning for --list"),
        (["--list", "--overwrite"], "--overwrite has no meaning for --list"),
        (["--list", "--cuda-arch", "87"], "--cuda-arch has no meaning for --list"),
        (["--build-plugin", "--precision", "fp16"], "--precision has no meaning for --build-plugin"),
        (["--build-plugin", "-o", "out"], "--output has no meaning for --build-plugin"),
        (["--weights", "demo", "--cuda-arch", "87"], "add --build-plugin"),
        (["--weights", "a{b}.onnx", "--to", "trt", "--size", "64x96"], r"--size is fixed in a\{b\}.onnx"),
        (["--weights", "demo", "--calib-images", "8"], "--calib-images is for INT8"),
    ],
)
def test_an_option_without_its_partner_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        options.read(parser.parser().parse_args(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--batch", "0"],
        ["--batch", "1025"],
        ["--batch", f"{10**25}"],
        ["--max-batch", "1025"],
        ["--calib-images", f"{10**25}"],
        ["--workspace", "1024T"],
        ["--workspace", f"{10**25}"],
        ["--optimization-level", f"{10**25}"],
    ],
)
def test_numbers_beyond_all_use_are_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parser().parse_args(["--weights", "demo", *arguments])
    assert arguments[0] in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize(
    ("option", "given", "meant"),
    [
        ("--to", "tensorrt", "trt"),
        ("--to", "engine", "trt"),
        ("--to", "tensorrt-rtx", "trt-rtx"),
        ("--to", "onnxruntime", "onnx"),
        ("--precision", "half", "fp16"),
        ("--precision", "float32", "fp32"),
        ("--outputs", "fp16", "float16"),
    ],
)
def test_other_names_of_a_value_are_understood(
    option: str, given: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parser().parse_args(["--weights", "demo", option, given])
    assert f"{option}: there is no {given!r}: did you mean {meant}?" in capsys.readouterr().err


def test_the_largest_numbers_are_taken() -> None:
    assert graph_request("--dynamic", "--batch", "1024", "--max-batch", "1024").input.batch == 1024
    assert parser.parser().parse_args(["--list", "--workspace", "1023T"]).workspace == 1023 << 40


@pytest.mark.parametrize("most", ["nan", "inf", "-1", "100.5"])
def test_a_maximum_loss_is_in_percentage_points(most: str) -> None:
    with pytest.raises(ExportError, match=r"--max-pq-drop is .*, expected 0 to 100, percentage points"):
        graph_request("--precision", "int8", "--calib", "images", f"--max-pq-drop={most}")


def test_a_size_beyond_the_limit_of_pixels_says_the_limit() -> None:
    with pytest.raises(
        ExportError, match="--size is 999999x999999, more than 100000000 pixels, the limit: choose a sma"
    ):
        graph_request("--size", "999999x999999")
    with pytest.raises(ExportError, match="--size is 100x999999, expected multiples of 32: try 96x999968"):
        graph_request("--size", "100x999999")


@pytest.mark.parametrize("option", ["--weights", "--labels", "--calib"])
def test_an_empty_name_is_wrong_usage(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parser().parse_args(["--weights", "street.pth", option, ""])
    assert f"{option}: '' must be a name or a path" in capsys.readouterr().err
