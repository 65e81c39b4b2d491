"""Building the plugin: one library or one line, and never half a library."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pem_edge.export.engine import plugin_build
from pem_edge.runtime.backends.tensorrt import plugins
from pem_edge.runtime.backends.tensorrt.plugins import library
from pem_edge.runtime.errors import ExportError

VERSION_10_3 = "#define NV_TENSORRT_MAJOR 10 //!< major\n#define NV_TENSORRT_MINOR 3 //!< minor\n"
VERSION_11_1 = """
#define TRT_MAJOR_ENTERPRISE 11
#define TRT_MINOR_ENTERPRISE 1
#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE //!< major
#define NV_TENSORRT_MINOR TRT_MINOR_ENTERPRISE //!< minor
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(library.OVERRIDE, raising=False)
    return tmp_path / "cache"


def headers(folder: Path, version: str = VERSION_10_3) -> Path:
    folder.mkdir()
    (folder / "NvInfer.h").touch()
    (folder / "NvInferVersion.h").write_text(version)
    return folder


def real_headers() -> list[Path]:
    return [Path(folder) for folder in os.environ.get(plugin_build.HEADERS, "").split(":") if folder]


@pytest.mark.parametrize(("text", "version"), [(VERSION_10_3, "10.3"), (VERSION_11_1, "11.1")])
def test_the_headers_tell_their_version(tmp_path: Path, text: str, version: str) -> None:
    assert plugin_build.headers_version(headers(tmp_path / "include", text)) == version


def test_headers_without_a_version_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"NvInferVersion\.h holds no version: name headers of TensorRT"):
        plugin_build.headers_version(headers(tmp_path / "include", "nothing"))


def test_headers_come_from_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = headers(tmp_path / "first"), headers(tmp_path / "second")
    monkeypatch.setenv(plugin_build.HEADERS, f"{tmp_path}:{first}:{second}")
    assert plugin_build.find_headers(None) == first
    assert plugin_build.find_headers(second) == second


def test_no_headers_is_one_line_that_says_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^no NvInfer\.h in .*: name the folder .* with --tensorrt-include \("):
        plugin_build.build(tmp_path, None, print)


@pytest.mark.parametrize(
    ("missing", "cure"), [("cmake", "pip install cmake"), ("nvcc", "install CUDA's toolkit, or set CUDACXX")]
)
def test_a_missing_tool_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, missing: str, cure: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == missing else f"/bin/{name}")
    monkeypatch.delenv("CUDACXX", raising=False)
    with pytest.raises(ExportError, match=f"^no {missing} found, which builds the plugin: {cure}"):
        plugin_build.build(headers(tmp_path / "include"), None, print)
    assert not cache.exists()


def skip_without_tools() -> None:
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} to build the plugin")
    if shutil.which("nvcc") is None and not Path("/usr/local/cuda/bin/nvcc").exists():
        pytest.skip("no nvcc to build the plugin")


def test_a_failing_compilation_is_the_first_error_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    """These headers declare nothing, so the first use of TensorRT fails."""
    skip_without_tools()
    with pytest.raises(ExportError, match=r"^the plugin does not compile: .*error: .*") as error:
        plugin_build.build(headers(tmp_path / "include"), "90", print)
    assert "\n" not in str(error.value)
    assert not cache.exists()


def test_wrong_architectures_are_one_line(tmp_path: Path) -> None:
    skip_without_tools()
    with pytest.raises(ExportError, match=r"^the plugin does not compile: nvcc fatal .*compute_7") as error:
        plugin_build.build(headers(tmp_path / "include"), "7", print)
    assert "\n" not in str(error.value)


def test_a_build_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    skip_without_tools()
    if not real_headers():
        pytest.skip(f"no TensorRT headers: set {plugin_build.HEADERS} to the folder of NvInfer.h")
    path = plugin_build.build(None, "90", print)
    version = plugin_build.headers_version(real_headers()[0])
    assert plugins.find(f"{version}.0.1") == path
    assert capsys.readouterr().out.splitlines() == [
        f"building the plugin for TensorRT {version}; this takes a minute or a few",
        f"built {path}",
    ]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
