"""The first bytes of a file tell what stands in its place, in a time that grows with their number alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.outside import stand_ins

TEXT = st.text("<!->- \nx", max_size=8).filter(lambda text: "-->" not in text).map(str.encode)
COMMENTS = st.lists(TEXT.map(b"<!--%b-->".__mod__), max_size=5).map(b"\n ".join)


def test_many_comments_do_not_hang() -> None:
    """A process of its own can be stopped, which a regular expression that never ends cannot."""
    code = "from pem_edge.runtime.outside import stand_ins; print(stand_ins.recognize(b'<!---->' * 73, 'an image'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "None\n"


@given(COMMENTS)
def test_comments_may_stand_before_a_web_page(comments: bytes) -> None:
    assert "is a web page" in (stand_ins.recognize(comments + b" <html>", "an image") or "")
    assert stand_ins.recognize(comments + b" <svg>", "an image") is None


@given(COMMENTS)
def test_xhtml_is_a_web_page_and_other_xml_is_none(comments: bytes) -> None:
    xml = b'<?xml version="1.0" encoding="UTF-8"?>\n' + comments
    assert "is a web page" in (stand_ins.recognize(xml + b"<!DOCTYPE html PUBLIC", "an image") or "")
    assert "is a web page" in (stand_ins.recognize(xml + b"<html xmlns=", "an image") or "")
    assert stand_ins.recognize(xml + b"<svg>", "an image") is None


@pytest.mark.parametrize("head", [b"<!-- <html>", b"<!--> <html>", b"<!-- a -- > <html>", b"<htmlx>", b"a <html>"])
def test_what_is_no_web_page_is_not_called_one(head: bytes) -> None:
    assert stand_ins.recognize(head, "an image") is None
