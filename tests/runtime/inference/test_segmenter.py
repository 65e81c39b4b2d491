"""A loaded artifact turns pictures into results at their size, the same by every way in."""

from __future__ import annotations

import multiprocessing
import pickle
import re
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any  # whatever backends.create takes

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from pem_edge import runtime
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact, pairs
from pem_edge.runtime.artifacts.manifest import InputSpec, Range, Thresholds
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime
from pem_edge.runtime.errors import ArtifactError, BackendError, InputError

STAGES = ["preprocess", "inference", "postprocess"]
SIDES = Range(32, 64, 96)


def label_at(result: runtime.Result, row: int, column: int) -> str:
    """Return the name of the segment there, "" for void."""
    return {segment.id: segment.label for segment in result.segments}.get(int(result.panoptic[row, column]), "")


def test_a_flag_comes_apart_into_its_stripes(tiny: Path, flag: NDArray[np.uint8]) -> None:
    with runtime.load(tiny) as segmenter:
        result = segmenter(flag)
    assert [label_at(result, 32, column) for column in (10, 48, 86)] == ["red", "white", "blue"]
    assert [(segment.label, segment.isthing) for segment in result.segments] == [
        ("red", True),
        ("blue", False),
        ("white", False),
    ]
    assert (result.panoptic.shape, result.panoptic.dtype) == ((64, 96), np.dtype(np.int32))
    np.testing.assert_array_equal(result.semantic[32, [10, 48, 86]], [0, 3, 2])
    assert sum(segment.area for segment in result.segments) == (result.panoptic > 0).sum()
    assert result.image is flag or np.shares_memory(result.image, flag)
    assert list(result.milliseconds) == STAGES
    assert min(result.milliseconds.values()) > 0


@pytest.mark.parametrize("size", [(128, 192), (32, 48), (200, 96), (61, 300), (320, 96)])
def test_results_come_back_at_the_images_size_and_in_place(tiny: Path, size: tuple[int, int]) -> None:
    """Wherever the picture lands in the padded input, the border between two halves is where it was."""
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = (255, 0, 0), (0, 0, 255)
    result = runtime.load(tiny)(image)
    assert result.panoptic.shape == size
    tolerance = 6 / min(64 / height, 96 / width)  # a step and a half of the mask grid
    found = result.semantic[height // 2]
    assert abs((found == 0).sum() - width // 2) <= tolerance
    assert label_at(result, height // 2, 0) == "red"
    assert label_at(result, height // 2, 3 * width // 4) == "blue"


@pytest.mark.parametrize("size", [(1, 1), (3, 2)])
def test_tiny_images(tiny: Path, size: tuple[int, int]) -> None:
    result = runtime.load(tiny)(np.full((*size, 3), 255, np.uint8))
    assert (result.panoptic.shape, result.semantic.tolist()) == (size, np.full(size, 3).tolist())


@pytest.mark.parametrize("size", [(1, 500), (500, 1)])
def test_extreme_aspects_keep_a_pixel(tiny: Path, size: tuple[int, int]) -> None:
    result = runtime.load(tiny)(np.full((*size, 3), 255, np.uint8))
    assert result.panoptic.shape == result.semantic.shape == size
    assert 1 in result.geometry.image_size


def test_a_file_gives_what_its_pixels_give(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "flag.png"
    Image.fromarray(flag).save(path)
    segmenter = runtime.load(tiny)
    expected = segmenter(flag)
    for image in (path, str(path)):
        result = segmenter(image)
        np.testing.assert_array_equal(result.panoptic, expected.panoptic)
        assert (result.segments, result.name) == (expected.segments, str(path))
        assert list(result.milliseconds) == ["decode", *STAGES]


def test_gray_and_transparent_arrays(tiny: Path) -> None:
    segmenter = runtime.load(tiny)
    assert label_at(segmenter(np.full((64, 96), 255, np.uint8)), 5, 5) == "white"
    assert label_at(segmenter(np.full((64, 96, 4), (0, 255, 0, 0), np.uint8)), 5, 5) == "green"


def test_a_list_mixes_whatever_can_be_an_image(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "flag.png"
    Image.fromarray(flag).save(path)
    given = (
        path,
        str(path),
        Image.fromarray(flag),
        flag,
        flag[::-1][::-1],
        flag.data,
        flag.view(np.ma.MaskedArray),
        path.read_bytes(),
        bytearray(path.read_bytes()),
    )
    segmenter = runtime.load(tiny)
    expected = segmenter(flag)
    for results in (segmenter(given), segmenter(tuple(given)), list(segmenter.stream(given))):
        assert [result.name for result in results[:2]] == [str(path)] * 2
        for result in results:
            np.testing.assert_array_equal(result.panoptic, expected.panoptic)


def test_content_and_addresses_of_files(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "flag.png"
    Image.fromarray(flag).save(path)
    segmenter = runtime.load(tiny)
    expected = segmenter(flag)
    with path.open("rb") as file:
        results = segmenter([path.read_bytes(), BytesIO(path.read_bytes()), file, path.as_uri()])
    assert [result.name for result in results] == ["", "", str(path), str(path)]
    for result in results:
        np.testing.assert_array_equal(result.panoptic, expected.panoptic)
        assert list(result.milliseconds) == ["decode", *STAGES]


def test_a_pillow_image_is_segmented_upright(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    picture = Image.fromarray(flag)
    exif = picture.getexif()
    exif[0x0112] = 8  # stored turned clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    result = runtime.load(tiny)(Image.open(tmp_path / "turned.png"))
    assert result.panoptic.shape == (96, 64)
    assert [label_at(result, row, 32) for row in (10, 48, 86)] == ["blue", "white", "red"]


@pytest.mark.parametrize("image", [None, 7, {}, [[[255, 0, 0]]], iter([])])
def test_what_is_no_image_is_refused(tiny: Path, image: object) -> None:
    with pytest.raises(InputError, match=r"the image is (None|an? .*), expected a path, .*, a PIL image, or an array"):
        runtime.load(tiny)(image)  # type: ignore[call-overload]


def segment_in_worker(model: Path, pictures: list[NDArray[np.uint8]]) -> list[runtime.Result]:
    with runtime.load(model, "onnxruntime", threads=1) as segmenter:
        return segmenter(pictures)


def test_results_come_back_from_worker_processes(tiny: Path, flag: NDArray[np.uint8]) -> None:
    pictures = [flag, np.rot90(flag).copy()]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        came = pool.apply_async(segment_in_worker, (tiny, pictures)).get(timeout=120)
    for result, expected in zip(came, segment_in_worker(tiny, pictures), strict=True):
        for name in ("image", "panoptic", "semantic"):
            np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
        for name in ("segments", "labels", "geometry", "name", "time"):
            assert getattr(result, name) == getattr(expected, name)
        assert list(result.milliseconds) == STAGES
        for one, other in zip(result.outputs(), expected.outputs(), strict=True):
            np.testing.assert_array_equal(one, other)
        for found, wanted in zip(result.instances, expected.instances, strict=True):
            np.testing.assert_array_equal(found.mask, wanted.mask)
            assert (found.label, found.score) == (wanted.label, wanted.score)
        np.testing.assert_array_equal(result.draw(), expected.draw())


def test_a_model_that_is_replaced_while_it_is_loaded_is_loaded(
    tiny: Path, flag: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "street.onnx"
    old, new = artifact.read(artifact.DEMO), artifact.read(tiny)
    pairs.write(model, lambda path: path.write_bytes(old.model.read_bytes()), old.manifest)
    create = backends.create

    def create_later(*arguments: Any) -> Backend:
        monkeypatch.setattr(backends, "create", create)
        pairs.write(model, lambda path: path.write_bytes(new.model.read_bytes()), new.manifest)
        return create(*arguments)

    monkeypatch.setattr(backends, "create", create_later)
    np.testing.assert_array_equal(runtime.load(model)(flag).panoptic, runtime.load(tiny)(flag).panoptic)


def test_a_segmenter_goes_to_worker_processes(tiny: Path, flag: NDArray[np.uint8]) -> None:
    with runtime.load(tiny, "onnxruntime", threads=1, score_threshold=0.9999) as segmenter:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            result = pool.apply_async(segmenter, (flag,), {"overlap_threshold": 0.5}).get(timeout=120)
        again = pickle.loads(pickle.dumps(segmenter))
    np.testing.assert_array_equal(result.panoptic, np.zeros((64, 96)))  # the tiny model is sure to 0.9998
    assert (again.thresholds, again.backend.settings()["threads"]) == (segmenter.thresholds, 1)
    assert len(again(flag, score_threshold=0.5).segments) == 3
    with pytest.raises(BackendError, match="is closed"):
        pickle.dumps(segmenter)


def test_a_lone_onnx_works(build: Callable[..., Path], flag: NDArray[np.uint8]) -> None:
    assert len(runtime.load(build(lone=True))(flag).segments) == 3


def test_dynamic_artifact_takes_the_image_unscaled(build: Callable[..., Path]) -> None:
    spec = InputSpec(height=64, width=96, dynamic_height=Range(32, 64, 128), dynamic_width=Range(32, 96, 128))
    result = runtime.load(build(spec))(np.full((100, 70, 3), 255, np.uint8))
    assert result.geometry.padded_size == (128, 96)
    assert result.geometry.image_size == result.panoptic.shape == (100, 70)


@pytest.mark.parametrize("spec", [InputSpec(64, 96, batch=3), InputSpec(64, 96, dynamic_batch=Range(2, 2, 4))])
def test_an_artifact_that_takes_only_batches(
    build: Callable[..., Path], spec: InputSpec, flag: NDArray[np.uint8]
) -> None:
    assert len(runtime.load(build(spec))(flag).segments) == 3


def varied(count: int) -> list[NDArray[np.uint8]]:
    """Return images of three sizes and, in each, of stripes in another order."""
    colors = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)], np.uint8)
    rng = np.random.default_rng(0)
    return [
        np.broadcast_to(np.repeat(rng.permutation(colors), size // 5 + 1, axis=0)[:size], (size, size, 3)).copy()
        for size in rng.choice([40, 64, 96], count)
    ]


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(height=64, width=96),
        InputSpec(height=64, width=96, batch=3),
        InputSpec(height=64, width=96, dynamic_batch=Range(2, 2, 4)),
        InputSpec(height=64, width=96, dynamic_batch=Range(1, 2, 4), dynamic_height=SIDES, dynamic_width=SIDES),
    ],
    ids=["one", "batch", "dynamic batch", "all dynamic"],
)
@pytest.mark.parametrize("count", [0, 1, 11])
def test_a_list_gives_what_its_images_give_alone_in_their_order(
    build: Callable[..., Path], spec: InputSpec, count: int
) -> None:
    pictures = varied(count)
    with runtime.load(build(spec), "onnxruntime", threads=1) as segmenter:
        for picture, found in zip(pictures, segmenter(pictures), strict=True):
            expected = segmenter(picture)
            np.testing.assert_array_equal(found.panoptic, expected.panoptic)
            assert found.segments == expected.segments
            np.testing.assert_array_equal(found.semantic, expected.semantic)
            assert list(found.milliseconds) == list(expected.milliseconds)


@pytest.mark.parametrize(("gpu", "expected"), [(None, [2, 2, 2]), ("made up", [3, 2])])
def test_a_list_of_files_runs_in_the_largest_batches_on_a_gpu_and_the_smallest_on_a_cpu(
    build: Callable[..., Path],
    flag: NDArray[np.uint8],
    gpu: str | None,
    expected: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.fromarray(flag).save(path)
    sizes = []
    run = OnnxRuntime._run

    def counted(self: OnnxRuntime, batch: NDArray[np.uint8]) -> RawOutputs:
        sizes.append(len(batch))
        return run(self, batch)

    monkeypatch.setattr(OnnxRuntime, "_run", counted)
    monkeypatch.setattr(OnnxRuntime, "gpu", gpu)
    spec = InputSpec(height=64, width=96, dynamic_batch=Range(2, 2, 3))
    with runtime.load(build(spec), "onnxruntime", threads=1) as segmenter:
        results = segmenter(paths, score_threshold=0.5)
    assert [result.name for result in results] == [str(path) for path in paths]
    assert sizes == expected
    assert all(result.milliseconds["decode"] > 0 for result in results)


def test_thresholds_come_from_manifest_load_and_call_in_rising_order(
    build: Callable[..., Path], flag: NDArray[np.uint8]
) -> None:
    path = build(thresholds=Thresholds(score=0.9999))  # the tiny model is sure to 0.9998
    assert not runtime.load(path)(flag).segments
    segmenter = runtime.load(path, score_threshold=0.5)
    assert len(segmenter(flag).segments) == 3
    assert not segmenter(flag, score_threshold=1.0).segments
    assert len(segmenter(flag).segments) == 3


def test_overlap_threshold_is_passed_on(tiny: Path) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, 48:] = 51  # the query for dark gray wins this half only of its mask
    segmenter = runtime.load(tiny)
    assert label_at(segmenter(image, overlap_threshold=0.4), 32, 80) == "black"
    assert label_at(segmenter(image, overlap_threshold=0.6), 32, 80) == ""


@pytest.mark.parametrize("path", [5, None, b"out/pem.onnx", [], 1.5])
def test_a_model_is_named_by_its_path(path: object) -> None:
    with pytest.raises(ArtifactError, match=re.escape(f"the model is {path!r}, expected a path such as out/pem.onnx")):
        runtime.load(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "the path of the model is empty: give one such as out/pem.onnx"),
        (".", ". is a folder: give the path of the model file in it"),
        ("..", ".. is a folder: give the path of the model file in it"),
        ("a\0b", r"a\x00b does not exist: give the path of an exported model, such as out/pem.onnx"),
    ],
)
def test_what_no_model_can_be_called_is_one_line(path: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=f"^{re.escape(message)}$"):
        runtime.load(path)


def test_threads_are_passed_on(tiny: Path) -> None:
    assert runtime.load(tiny, threads=1).backend.settings()["threads"] == 1


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_thresholds_out_of_range(tiny: Path, value: float) -> None:
    with pytest.raises(InputError, match=r"score_threshold is .*, expected a number from 0 to 1"):
        runtime.load(tiny, score_threshold=value)
    with pytest.raises(InputError, match=r"overlap_threshold is .*, expected a number from 0 to 1"):
        runtime.load(tiny)(np.zeros((2, 2, 3), np.uint8), overlap_threshold=value)


def test_stream_keeps_order_and_names(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = tmp_path / "flags"
    folder.mkdir()
    for name, shift in (("b.png", 32), ("a.png", 0)):
        Image.fromarray(np.roll(flag, shift, axis=1)).save(folder / name)
    results = list(runtime.load(tiny).stream(folder))
    assert [Path(result.name).name for result in results] == ["a.png", "b.png"]
    assert [label_at(result, 5, 10) for result in results] == ["red", "blue"]
    assert list(results[0].milliseconds) == ["decode", *STAGES]


def test_stream_ends_at_a_bad_picture_or_leaves_it_out(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = tmp_path / "flags"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        Image.fromarray(flag).save(folder / name)
    (folder / "b.png").write_bytes(b"torn")
    segmenter = runtime.load(tiny)
    with pytest.raises(InputError, match=r"b\.png"):
        list(segmenter.stream(folder))
    left_out: list[InputError] = []
    names = [Path(result.name).name for result in segmenter.stream(folder, on_error=left_out.append)]
    assert names == ["a.png", "c.png"]
    assert len(left_out) == 1


def test_threads_share_a_segmenter(tiny: Path, flag: NDArray[np.uint8]) -> None:
    segmenter = runtime.load(tiny)
    pictures = [np.roll(flag, 32 * i, axis=1) for i in range(3)]
    expected = [segmenter(picture).panoptic for picture in pictures]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(10) if (segmenter(pictures[i]).panoptic != expected[i]).any())

    threads = [threading.Thread(target=work, args=(i % 3,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closed_by_the_with_block(tiny: Path, flag: NDArray[np.uint8]) -> None:
    with runtime.load(tiny) as segmenter:
        pass
    with pytest.raises(BackendError, match="is closed"):
        segmenter(flag)


def test_a_model_that_overflows_is_named(build: Callable[..., Path], flag: NDArray[np.uint8]) -> None:
    def overflow(path: Path) -> None:
        model = onnx.load(path)
        bias = next(tensor for tensor in model.graph.initializer if tensor.name == "mask_biases")
        bias.CopyFrom(numpy_helper.from_array(np.full(8, np.inf, np.float32), bias.name))
        onnx.save(model, path)

    with runtime.load(build(rewrite=overflow)) as segmenter, pytest.raises(BackendError, match=r"tiny.onnx.*NaN"):
        segmenter(flag)


@pytest.mark.parametrize(
    ("spec", "size"), [(InputSpec(64, 96), "64x96"), (InputSpec(64, 96, dynamic_width=SIDES), "64x32-96")]
)
def test_a_segmenter_in_one_line(build: Callable[..., Path], spec: InputSpec, size: str) -> None:
    path = build(spec)
    with runtime.load(path, "onnxruntime") as segmenter:
        assert repr(segmenter) == f"<Segmenter {str(path)!r}: tiny, onnxruntime, {size}, panoptic>"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_segmenter_that_is_closed_while_it_is_used(tiny: Path, flag: NDArray[np.uint8], backend: str) -> None:
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    for _ in range(5):
        segmenter = runtime.load(tiny, backend, threads=1)
        ends: list[str] = []

        def work(segmenter: runtime.Segmenter = segmenter, ends: list[str] = ends) -> None:
            try:
                while True:
                    segmenter([flag] * 3)
            except BackendError as error:
                ends.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        segmenter(flag)
        segmenter.close()
        for thread in threads:
            thread.join(60)
        assert ends == [f"the backend of {tiny} is closed: load the model again"] * 4
