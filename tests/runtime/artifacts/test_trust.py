"""A list of files to trust is understood as the tools of any system write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pem_edge.runtime.artifacts.trust import VARIABLE, require_trusted
from pem_edge.runtime.errors import ArtifactError

HASH, OTHER = "ab" * 32, "cd" * 32
LISTS = {
    "sha256sum": f"{OTHER}  a.onnx\n{HASH}  b.onnx\n",
    "sha256sum --binary": f"{HASH} *b.onnx\n",
    "a name with a backslash": f"\\{HASH}  b\\\\c.onnx\n",
    "hashes alone": f"\n  {HASH}",
    "a byte order mark": f"\ufeff{HASH}  b.onnx\n",
    "line ends of Windows": f"{OTHER}\r\n{HASH}\r\n",
    "a comment": f"# of the line in hall 3\n{HASH}  b.onnx\n",
    "all of it": f"\ufeff\\{HASH.upper()}  b\\\\c.onnx\r\n",
}


@pytest.mark.parametrize("kind", LISTS)
def test_whatever_writes_the_list(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trusted").write_bytes(LISTS[kind].encode())
    monkeypatch.setenv(VARIABLE, str(tmp_path / "trusted"))
    require_trusted(Path("b.onnx"), HASH, ArtifactError)
    with pytest.raises(ArtifactError, match=r"c\.onnx .* is not in .*trusted"):
        require_trusted(Path("c.onnx"), "ef" * 32, ArtifactError)


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_name_of_a_file_adds_nothing_to_the_list(
    separator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted").write_bytes(f"{HASH}  good{separator}{OTHER} x.so\n".encode())
    monkeypatch.setenv(VARIABLE, str(tmp_path / "trusted"))
    require_trusted(Path("good"), HASH, ArtifactError)
    with pytest.raises(ArtifactError, match="is not in"):
        require_trusted(Path("evil.engine"), OTHER, ArtifactError)


@pytest.mark.parametrize("content", ["garbage\n", f"{HASH[:-1]}  b.onnx\n", f"{HASH}  b.onnx\nand c.onnx\n"])
def test_a_list_of_anything_else_is_said(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trusted").write_text(content)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "trusted"))
    with pytest.raises(ArtifactError, match=r"trusted has a line that does not begin with a SHA-256: write it with"):
        require_trusted(Path("b.onnx"), HASH, ArtifactError)
