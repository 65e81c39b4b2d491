"""The wheel is one package, the same from a checkout and from a source distribution, and a good neighbor."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("hatchling", reason="hatchling builds the package")

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "pem", "calibration", "export")
FILES = ("pyproject.toml", "hatch_build.py", ".gitignore", "README.md", "LICENSE")

NEIGHBOR = """
import pem
assert "pem_edge" not in pem.__file__, pem.__file__
print(len(pem.parse(b"-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----")))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what packages are built from."""
    folder = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("lib", "__pycache__"))
    shutil.copytree(ROOT / "pem_edge", folder / "pem_edge", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return built(checkout, "wheel")


def built(folder: Path, target: str) -> Path:
    """Build a wheel or a source distribution."""
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", f"dist-{target}", folder=folder)
    (path,) = (folder / f"dist-{target}").iterdir()
    return path


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def test_its_top_level_is_the_package_and_its_metadata_alone(wheel: Path) -> None:
    (metadata,) = {name.split("/")[0] for name in names(wheel)} - {"pem_edge"}
    assert metadata.endswith(".dist-info")


def test_every_file_of_the_rooms_is_in_it(wheel: Path) -> None:
    listed = run("git", "ls-files", *ROOMS, folder=ROOT) if (ROOT / ".git").exists() else pytest.skip("no checkout")
    assert {f"pem_edge/{name}" for name in listed.split()} <= set(names(wheel))


def test_a_source_distribution_gives_the_same_wheel(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(built(checkout, "sdist"), tmp_path)
    (unpacked,) = tmp_path.iterdir()
    assert names(built(unpacked, "wheel")) == names(wheel)


@pytest.mark.exhaustive  # a fresh environment takes a minute
def test_beside_the_other_package_called_pem_both_work(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "fresh", with_pip=True)
    tools = tmp_path / "fresh" / ("Scripts" if sys.platform == "win32" else "bin")
    for packages in (["pem"], [f"pem-edge[ort] @ {wheel.as_uri()}"]):
        run(tools / "python", "-m", "pip", "install", "--quiet", *packages, folder=tmp_path)
    assert run(tools / "python", "-c", NEIGHBOR, folder=tmp_path) == "1\n"
    cv2.imwrite(str(tmp_path / "street.png"), np.zeros((64, 128, 3), np.uint8))
    run(tools / "pem-run", "demo", "street.png", folder=tmp_path)
    assert (tmp_path / "runs" / "1").is_dir()
    run(tools / "python", "-m", "pip", "uninstall", "--quiet", "--yes", "pem-edge", folder=tmp_path)
    assert run(tools / "python", "-c", NEIGHBOR, folder=tmp_path) == "1\n"
