"""Every command ends in the documented way: exit code, one line of error, JSON alone on standard output."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from contextlib import suppress
from typing import Any

import pytest

from pem_edge.runtime.cli import console, shared_options
from pem_edge.runtime.cli.parser import Parser
from pem_edge.runtime.errors import InputError


def run(
    capsys: pytest.CaptureFixture[str], outcome: dict[str, Any] | BaseException, *arguments: str
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command whose action has that outcome."""

    def action(_: dict[str, Any]) -> dict[str, Any]:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    code = console.run(Parser(prog="pem-try"), vars, action, arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, {"images": 1}) == (0, "", "")
    code, out, err = run(capsys, {"images": 1}, "--json")
    assert (code, json.loads(out), err) == (0, {"images": 1}, "")


def test_our_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, InputError("a.jpg\nis torn"), "--json") == (1, "", "pem-try: a.jpg is torn\n")


def test_other_errors_say_how_to_report_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, ZeroDivisionError("division by zero"))
    assert (code, out) == (1, "")
    assert err == "pem-try: unexpected ZeroDivisionError: division by zero; run again with --debug and report it\n"


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, InputError("torn"), "--debug")
    assert err.startswith("Traceback")
    assert err.endswith("pem-try: torn\n")


def test_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, KeyboardInterrupt()) == (130, "", "pem-try: interrupted\n")


def test_errors_of_a_part_are_listed_and_the_rest_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    report = {"images": [1], "errors": ["a.jpg is torn", "b.jpg is empty"]}
    code, out, err = run(capsys, report, "--json")
    assert (code, json.loads(out)) == (1, report)
    assert err == "pem-try: a.jpg is torn\npem-try: b.jpg is empty\n"
    assert run(capsys, {"images": [1], "errors": []}) == (0, "", "")


def test_options_that_contradict_each_other_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    def read(_: argparse.Namespace) -> None:
        raise InputError("--worst 5 was given without --save-errors DIR")

    assert console.run(Parser("pem-try"), read, lambda _: {}, []) == 2
    assert capsys.readouterr().err == "pem-try: --worst 5 was given without --save-errors DIR\n"


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(capsys, {}, "--nonsense")
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("text", "expected"), [("512x1024", (512, 1024)), ("1x1", (1, 1))])
def test_sizes(text: str, expected: tuple[int, int]) -> None:
    assert shared_options.size(text) == expected


@pytest.mark.parametrize("text", ["", "512", "512x", "-1x5", "1.5x2", "1234567x1", "5x5x5", " 5x5", "0x5"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be a height and a width in pixels"):
        shared_options.size(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "two", "1000000001", "9" * 5000])
def test_what_is_no_count(text: str) -> None:
    assert shared_options.positive("12") == 12
    assert shared_options.positive("1000000000") == 10**9
    with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number from 1 to 1000000000"):
        shared_options.positive(text)


@pytest.mark.parametrize("text", ["-1", "6", "1e0", "0x1", "٣"])
def test_a_whole_number_has_its_limits(text: str) -> None:
    assert [shared_options.whole(0, 5)(each) for each in ("0", "05", "5")] == [0, 5, 5]
    with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number from 0 to 5"):
        shared_options.whole(0, 5)(text)


def test_an_interrupt_that_a_library_swallowed_counts_at_the_next_remark(capsys: pytest.CaptureFixture[str]) -> None:
    def swallowing(_options: dict[str, Any]) -> dict[str, Any]:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        console.say("pem-try", "going on")
        return {}

    before = signal.getsignal(signal.SIGINT)
    assert console.run(Parser(prog="pem-try"), vars, swallowing, []) == 130
    assert capsys.readouterr().err == "pem-try: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before
    assert console.run(Parser(prog="pem-try"), vars, lambda _: {}, []) == 0, "the next run starts afresh"


def test_commands_may_run_outside_the_main_thread() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(console.run(Parser(prog="pem-try"), vars, lambda _: {}, [])))
    thread.start()
    thread.join()
    assert codes == [0]
