"""``pem-export`` as its tests call it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from export import cli

Refusal = Callable[..., str]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """What the command refuses something with: one line, after remarks on progress."""

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert cli.main([str(argument) for argument in arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        line = captured.err.splitlines()[-1]
        assert line.startswith("pem-export: ")
        assert "unexpected" not in line
        return line

    return run
