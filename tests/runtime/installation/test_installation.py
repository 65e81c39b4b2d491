"""The cure of a missing extra works however the package was installed."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from pem_edge.runtime import installation
from pem_edge.runtime.installation import how_to_install

ROOT = Path(__file__).parents[3]


def installed_from(recorded: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package be one that is installed, and whose source pip recorded so; None for an index."""
    info = tmp_path / "site" / "pem_edge-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pem-edge\nVersion: 0.1.0\n")
    if recorded is not None:
        content = recorded if isinstance(recorded, bytes) else json.dumps(recorded).encode()
        (info / "direct_url.json").write_bytes(content)
    monkeypatch.setattr(metadata, "distribution", lambda _: metadata.PathDistribution(info))
    monkeypatch.setattr(installation, "_checkout", lambda: None)


@pytest.mark.parametrize(
    ("recorded", "command"),
    [
        (None, "pip install 'pem-edge[ort]'"),
        ({"url": "file:///src/pem-edge", "dir_info": {}}, "pip install '/src/pem-edge[ort]'"),
        ({"url": "file:///my%20src", "dir_info": {"editable": True}}, "pip install -e '/my src[ort]'"),
        (
            {"url": "file:///dist/pem_edge-0.1.0-py3-none-any.whl", "archive_info": {"hash": "sha256=0"}},
            "pip install '/dist/pem_edge-0.1.0-py3-none-any.whl[ort]'",
        ),
        (
            {"url": "https://example.org/pem_edge-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pip install 'pem-edge[ort] @ https://example.org/pem_edge-0.1.0-py3-none-any.whl'",
        ),
        (
            {"url": "https://example.org/pem-edge.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}},
            "pip install 'pem-edge[ort] @ git+https://example.org/pem-edge.git@0a1b'",
        ),
        ("damaged", "pip install 'pem-edge[ort]'"),
        ({"url": "http://[damaged"}, "pip install 'pem-edge[ort]'"),
        ({"url": "", "dir_info": {}}, "pip install 'pem-edge[ort]'"),
        (b"\xff\xfe", "pip install 'pem-edge[ort]'"),
    ],
)
def test_the_command_names_what_was_installed(
    recorded: object, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_from(recorded, tmp_path, monkeypatch)
    assert how_to_install("ort") == command


def test_a_checkout_is_named_by_a_dot_in_it_and_by_its_path_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert how_to_install("export", "hub").endswith("'.[export,hub]'")
    monkeypatch.chdir(tmp_path)
    assert f"{ROOT}[ort]" in how_to_install("ort")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert f"{ROOT}[ort]" in how_to_install("ort"), "whatever happened to the current folder"
