"""The same model and images are calibrated once; another model's statistics are never used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pem_edge import calibration
from pem_edge.calibration.cached_statistics import digest
from pem_edge.runtime.errors import CalibrationError, OutputError
from tests.calibration.graphs import Noise, chain, residual


class Unread(Noise):
    """Images that must not be looked at again."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        raise AssertionError("calibrated again")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pem-edge" / "calibration"


def run(model: onnx.ModelProto, images: Any, cache: Path | None = None) -> calibration.Statistics:
    return calibration.statistics(model, images, cache)


def test_a_second_run_uses_what_the_first_one_found(own_cache: Path) -> None:
    remarks: list[str] = []
    first = run(chain(), Noise())
    second = calibration.statistics(chain(), Unread(), say=remarks.append)  # type: ignore[arg-type]
    assert list(second.tensors) == list(first.tensors)
    assert remarks == [f"statistics of 4 images are known already, from {next(own_cache.iterdir())}"]


def test_another_model_is_calibrated_by_itself() -> None:
    assert list(run(chain(), Noise()).tensors) != list(run(residual(), Noise()).tensors)


def test_other_images_are_calibrated_by_themselves() -> None:
    images = Noise(seed=1)
    images.digest = "others"
    assert run(chain(), Noise()).images != run(chain(), images).images


def test_metadata_make_no_other_model() -> None:
    described = chain()
    onnx.helper.set_model_props(described, {"pem-edge": "{}"})
    assert digest(described) == digest(chain()) != digest(residual())


def test_a_named_cache_is_written_and_used(tmp_path: Path) -> None:
    run(chain(), Noise(), tmp_path / "mine.npz")
    run(chain(), Unread(), tmp_path / "mine.npz")


def test_a_named_cache_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    run(chain(), Noise(), tmp_path / "mine.npz")
    with pytest.raises(
        CalibrationError, match=r"^.*mine\.npz has statistics of another checkpoint or size .*: name .*$"
    ):
        run(residual(), Noise(), tmp_path / "mine.npz")


def test_a_named_cache_of_other_images_is_refused(tmp_path: Path) -> None:
    run(chain(), Noise(), tmp_path / "mine.npz")
    images = Noise(seed=1)
    images.digest = "others"
    with pytest.raises(CalibrationError, match=r"mine\.npz has statistics of other images"):
        run(chain(), images, tmp_path / "mine.npz")


def test_a_damaged_cache_is_made_again_unless_it_is_named(own_cache: Path) -> None:
    run(chain(), Noise())
    path = next(own_cache.iterdir())
    path.write_bytes(b"damaged")
    assert run(chain(), Noise()).count == 4
    run(chain(), Unread())
    path.write_bytes(b"damaged")
    with pytest.raises(CalibrationError, match="damaged"):
        run(chain(), Noise(), path)


def test_a_cache_folder_that_takes_no_files_costs_only_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert run(chain(), Noise()).count == 4
    with pytest.raises(OutputError):
        run(chain(), Noise(), tmp_path / "file" / "mine.npz")
