"""The page on limits is written whichever backends are installed, and whatever is not known."""

from __future__ import annotations

from importlib import metadata

import msgspec
import pytest

from pem_edge.runtime.benchmark.schema import ArtifactReport, Profile, Rate
from scripts.bench.networks import limits
from tests.runtime.benchmark.report import made_up


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def found(package: str) -> str:
        if package == "openvino":
            raise metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(metadata, "version", found)
    monkeypatch.setattr("pem_edge.runtime.benchmark.machine.version", found)


def lines(found: ArtifactReport) -> list[str]:
    return limits.page([found]).splitlines()


@pytest.mark.usefixtures("without_openvino")
def test_the_page_names_the_versions_of_what_was_measured() -> None:
    (found,) = made_up.report(1).artifacts
    page = limits.page([found])
    assert f"onnxruntime {metadata.version('onnxruntime')}" in page
    assert f"numpy {metadata.version('numpy')}" in page
    assert "openvino" not in page
    assert "| pem-stdc0-512x1024 | onnxruntime | 50% | 30% | 20% | 0% | 0.60 |" in page


@pytest.mark.parametrize("rate", [None, Rate(macs=1, reached=1.0, bandwidth=1e12)], ids=["none", "of a GPU"])
@pytest.mark.parametrize("profile", [None, Profile(layers=(), by_type={}, total=0.0)], ids=["none", "empty"])
def test_what_is_not_known_is_a_dash(rate: Rate | None, profile: Profile | None) -> None:
    (found,) = made_up.report(1).artifacts
    found = msgspec.structs.replace(found, rate=rate, profile=profile)
    inference = limits.row(found)[2]
    page = lines(found)
    assert f"| pem-stdc0-512x1024 | onnxruntime | {inference} | - | - | - | -, - |" in page
    assert "| pem-stdc0-512x1024 | onnxruntime | - | - | - | - | - |" in page
