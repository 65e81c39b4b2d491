"""docs/benchmark.md names every field of what ``--json`` prints, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from pem_edge.runtime.benchmark import schema
from pem_edge.runtime.benchmark.comparison import changes
from pem_edge.runtime.benchmark.options import SCENARIOS
from pem_edge.runtime.cli import bench

PAGE = (Path(__file__).parents[4] / "docs" / "benchmark.md").read_text("utf-8")
STRUCTS = {
    name: struct
    for module in (schema, changes)
    for name, struct in vars(module).items()
    if isinstance(struct, type) and issubclass(struct, msgspec.Struct) and not name.startswith("_")
}


def documented(name: str) -> set[str]:
    """Return the names in the first column of the table under that heading."""
    section = re.split(r"^##+ ", PAGE.split(f"### `{name}`\n")[1], maxsplit=1, flags=re.M)[0]
    return {field for row in re.findall(r"^\| (`.*?) \|", section, re.M) for field in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("name", STRUCTS)
def test_every_field_is_documented(name: str) -> None:
    assert documented(name) == set(STRUCTS[name].__struct_encode_fields__)


def test_nothing_else_is() -> None:
    assert set(re.findall(r"^### `(\w+)`$", PAGE, re.M)) == set(STRUCTS)
    assert f"Schema version {schema.SCHEMA_VERSION}." in PAGE


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        bench.main(["--schema"])
    printed = json.loads(capsys.readouterr().out)
    assert caught.value.code == 0
    for name, struct in printed["$defs"].items():
        assert set(struct["properties"]) == documented(name)
    assert "Report" in printed["$ref"]


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["compare", "--help"]):
        with pytest.raises(SystemExit):
            bench.main(arguments)
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", capsys.readouterr().out)) - {"--help", "--debug", "--version"}
    shown = {re.sub("^--no-", "--", option) for option in options}
    assert shown <= {re.sub("^--no-", "--", option) for option in re.findall(r"(?<![\w-])--[a-z-]+", PAGE)}
    assert ",".join(SCENARIOS) in PAGE
