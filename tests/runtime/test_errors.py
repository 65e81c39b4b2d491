"""Messages of errors can be printed, whatever names are in them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pem_edge
from pem_edge.runtime.errors import PemError

NAMES = st.text(st.characters(exclude_categories=()), max_size=20)


@given(NAMES)
def test_messages_are_printable_lines_of_utf8(name: str) -> None:
    text = str(PemError(f"{name} does not exist"))
    assert text.isprintable()
    text.encode()
    assert str(PemError(text)) == text  # a message within another is escaped once


@pytest.mark.parametrize(("name", "shown"), [("\udce9", "\\udce9"), ("\x1b[2J", "\\x1b[2J"), ("a\0b", "a\\x00b")])
def test_names_that_no_terminal_shows_are_escaped(name: str, shown: str) -> None:
    with pytest.raises(PemError) as caught:
        pem_edge.load(f"{name}.onnx")
    assert str(caught.value).startswith(f"{shown}.onnx does not exist")


def test_an_error_can_be_printed_to_utf8() -> None:
    program = "import pem_edge\ntry: pem_edge.load('\\udce9.onnx')\nexcept pem_edge.PemError as error: print(error)"
    printed = subprocess.run([sys.executable, "-X", "utf8", "-c", program], capture_output=True, check=True, timeout=60)
    assert printed.stdout.startswith(b"\\udce9.onnx does not exist")
