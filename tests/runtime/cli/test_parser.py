"""Wrong usage is explained in two lines, help shows examples first, and shells complete options and values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pem_edge.runtime import backends
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.cli.parser import Parser, SomeOf
from pem_edge.runtime.suggestions import no_such
from pem_edge.runtime.version import __version__

COMMANDS = ("pem-bench", "pem-data", "pem-doctor", "pem-eval", "pem-export", "pem-run", "pem-train")


def parser() -> Parser:
    made = Parser("pem-try", "MODEL [options]", "Try it.", "pem-try demo\n")
    made.add_argument("model", metavar="MODEL")
    shared_options.add_backend(made)
    made.add_argument("--save", type=SomeOf(("overlay", "panoptic"), none=True))
    made.add_argument("-o", "--output", type=shared_options.path)
    return made


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parser().read(arguments)
    assert caught.value.code == 2
    message, usage = capsys.readouterr().err.splitlines()
    assert usage == "usage: pem-try MODEL [options]   (all options: pem-try --help)"
    return message.removeprefix("pem-try: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bakend", "openvino"], "there is no option --bakend: did you mean --backend?"),
        (["demo", "--bakend=openvino"], "there is no option --bakend: did you mean --backend?"),
        (["demo", "--xyz"], "there is no option --xyz"),
        (["demo", "--back", "openvino"], "there is no option --back: did you mean --backend?"),
        (["demo", "--backend", "openvno"], "--backend: there is no 'openvno': did you mean openvino?"),
        (["demo", "--backend", "OpenVINO"], "--backend: there is no 'OpenVINO': did you mean openvino?"),
        (["demo", "--backend", "x"], f"--backend: there is no 'x': choose from {', '.join(backends.available())}"),
        (["demo", "--backend", "ort"], "--backend: there is no 'ort': did you mean onnxruntime?"),
        (["demo", "--backend", "TRT"], "--backend: there is no 'TRT': did you mean tensorrt?"),
        (["demo", "--backend", "onnx"], "--backend: there is no 'onnx': did you mean onnxruntime?"),
        (["demo", "--save", "overlay,panoptik"], "--save: there is no 'panoptik': did you mean panoptic?"),
        (["demo", "--save", "x"], "--save: there is no 'x': choose from overlay, panoptic"),
        (["demo", "--save", ""], "--save: there is no '': choose from overlay, panoptic"),
        ([], "the following arguments are required: MODEL"),
        (["demo", "more"], "unrecognized arguments: more"),
        (
            ["demo", "--save", "overlay", "panoptic", "more"],
            "there is no file panoptic: for several values of --save, give overlay,panoptic",
        ),
        (
            ["--save", "overlay,", "panoptic", "demo"],
            "there is no file panoptic: for several values of --save, give overlay,panoptic",
        ),
        (["--save", "overlay", "demo", "panoptic"], "unrecognized arguments: panoptic"),
        (["demo", "--save", "-1,2"], "there is no option -1,2: for a value of --save, give --save=-1,2"),
        (["demo", "-o", "-inf"], "there is no option -inf: for a value of -o, give -o=-inf"),
        (["demo", "--save", "-backend"], "there is no option -backend: did you mean --backend?"),
        (["--json", "-1.jpg"], "there is no option -1.jpg: for a file of that name, give ./-1.jpg"),
        (["-dash.jpg"], "there is no option -dash.jpg: for a file of that name, give ./-dash.jpg"),
        (["demo", "-1.jpg"], "there is no option -1.jpg: for a file of that name, give ./-1.jpg"),
        (["demo", "-backend", "openvino"], "there is no option -backend: did you mean --backend?"),
        (["demo", "-o", ""], "-o/--output: '' must be a path: name one, such as . for the current folder"),
        (["demo", "--\x1b[31mred"], "there is no option --\\x1b[31mred"),
    ],
)
def test_wrong_usage_says_what_was_meant(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *arguments) == message


def test_what_follows_two_dashes_is_no_option() -> None:
    assert parser().read(["--", "--odd-name"]).model == "--odd-name"


def test_some_of_several_names() -> None:
    assert parser().read(["demo", "--save", "panoptic,overlay,panoptic"]).save == ("panoptic", "overlay")
    assert parser().read(["demo", "--save", " overlay , panoptic"]).save == ("overlay", "panoptic")
    assert parser().read(["demo", "--save", "none"]).save == ()


def test_a_file_may_be_called_as_a_value_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("panoptic").touch()
    assert parser().read(["--save", "overlay", "panoptic"]).model == "panoptic"


def test_a_value_may_begin_with_a_dash_behind_an_equals_sign() -> None:
    read = parser().read(["demo", "--backend=onnxruntime", "-o=-inf"])
    assert (read.backend, str(read.output)) == ("onnxruntime", "-inf")


@pytest.mark.parametrize("text", ["-1", "-.5", "- spaced.jpg", "-"])
def test_what_only_looks_like_an_option_is_an_argument(text: str) -> None:
    assert parser().read([text]).model == text


@pytest.mark.parametrize("text", ["512x1024", "512X1024"])
def test_a_size_is_height_and_width(text: str) -> None:
    assert shared_options.size(text) == (512, 1024)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_before_options_and_the_version_is_known(command: str) -> None:
    script = Path(sys.executable).with_name(command)
    shown = subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout
    usage, examples, options = shown.index(f"usage: {command} "), shown.index("examples:"), shown.index("options:")
    assert usage < examples < options
    version = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert version == f"{command} {__version__}\n"


def completions(command: str, line: str, tmp_path: Path) -> list[str]:
    """Return what a shell is told that asks for the completions of a line, as argcomplete's shell code asks."""
    answer = tmp_path / "answer"
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        "_ARGCOMPLETE_IFS": "\n",
    }
    subprocess.run([Path(sys.executable).with_name(command)], env=environment, check=False, timeout=60)
    return [each.strip() for each in answer.read_text().split("\n")]


@pytest.mark.parametrize("command", COMMANDS)
def test_shells_complete_options(command: str, tmp_path: Path) -> None:
    assert completions(command, f"{command} --debu", tmp_path) == ["--debug"]


def test_shells_complete_values(tmp_path: Path) -> None:
    assert completions("pem-run", "pem-run demo demo:street --backend openv", tmp_path) == ["openvino"]
    assert completions("pem-export", "pem-export --weights demo --to trt-", tmp_path) == ["trt-rtx"]
    assert completions("pem-run", "pem-run demo demo:street --save sem", tmp_path) == ["semantic"]
    assert completions("pem-run", "pem-run demo demo:street --save semantic,ov", tmp_path) == ["semantic,overlay"]
    assert completions("pem-bench", "pem-bench demo --scenarios off", tmp_path) == ["offline"]


def test_a_misspelled_name_is_proposed_only_if_it_is_at_hand() -> None:
    """Another word for a name is no misspelling."""
    names, installed = ["tensorrt", "openvino", "onnxruntime"], ["openvino", "onnxruntime"]
    assert no_such("tensorflow", names, installed) == "there is no 'tensorflow': choose from openvino, onnxruntime"
    assert no_such("tensorflow", names) == "there is no 'tensorflow': did you mean tensorrt?"
    assert no_such("openvno", names, installed) == "there is no 'openvno': did you mean openvino?"
    assert no_such("TRT", names, installed) == "there is no 'TRT': did you mean tensorrt?"
