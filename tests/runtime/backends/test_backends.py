"""All backends compute the same, keep concurrent calls separate, and report in one line what they cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.contract import Contract
from pem_edge.runtime.errors import ArtifactError, BackendError, InputError
from pem_edge.runtime.machine import threads

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


@pytest.fixture(params=["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of each backend."""
    return str(request.param)


def load(engine: str, path: Path) -> Backend:
    return backends.create(engine, artifact.read(path))


def expected_masks(image: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the tiny model's first mask logits: 40 (r - g - b - 0.5) on the average of each 4x4 pixels."""
    height, width = image.shape[0] // 4, image.shape[1] // 4
    red, green, blue = np.moveaxis(image.reshape(height, 4, width, 4, 3).mean(axis=(1, 3)) / 255, -1, 0)
    return np.asarray(40 * (red - green - blue - 0.5))


def noise(seed: int, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_outputs_are_what_the_model_says(engine: str, tiny: Path) -> None:
    image = noise(0)
    logits, masks = load(engine, tiny)(image[None])
    assert (logits.shape, masks.shape) == ((1, 8, 6), (1, 8, 16, 24))
    assert {logits.dtype, masks.dtype} == {np.dtype(np.float32)}
    np.testing.assert_allclose(masks[0, 0], expected_masks(image), atol=1e-3)  # bf16 would be off by 0.1
    np.testing.assert_array_equal(logits[0].argmax(axis=1), [0, 1, 2, 3, 4, 4, 5, 5])


def test_a_later_call_leaves_earlier_results_alone(engine: str, tiny: Path) -> None:
    backend = load(engine, tiny)
    _, first = backend(noise(0)[None])
    kept = first.copy()
    backend(noise(1)[None])
    np.testing.assert_array_equal(first, kept)


def test_the_input_is_only_read(engine: str, tiny: Path) -> None:
    image = noise(0)[None]
    image.flags.writeable = False
    before = image.copy()
    load(engine, tiny)(image)
    np.testing.assert_array_equal(image, before)


def test_threads_sharing_a_backend_and_backends_side_by_side(engine: str, tiny: Path) -> None:
    shared = [load(engine, tiny), load(engine, tiny)]
    wrong: list[int] = []

    def work(seed: int) -> None:
        image = noise(seed)
        for _ in range(20):
            _, masks = shared[seed % 2](image[None])
            if np.abs(masks[0, 0] - expected_masks(image)).max() > 1e-3:
                wrong.append(seed)

    callers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not wrong


def test_dynamic_sizes_and_batches(engine: str, build: Callable[..., Path]) -> None:
    spec = InputSpec(
        height=64,
        width=96,
        dynamic_batch=Range(1, 1, 4),
        dynamic_height=Range(32, 64, 128),
        dynamic_width=Range(32, 96, 128),
    )
    backend = load(engine, build(spec))
    for height, width in [(64, 96), (128, 32), (32, 128)]:
        batch = np.stack([noise(seed, height, width) for seed in range(3)])
        _, masks = backend(batch)
        np.testing.assert_allclose(masks[2, 0], expected_masks(batch[2]), atol=1e-3)


def test_a_signal_after_the_last_of_several_was_closed_does_no_harm(engine: str, tiny: Path) -> None:
    code = """
import signal, sys
from pathlib import Path
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact

first, second = (backends.create(sys.argv[1], artifact.read(Path(sys.argv[2]))) for _ in range(2))
first.close()
second.close()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("alive")
"""
    command = [sys.executable, "-c", code, engine, str(tiny)]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout == "alive\n"


def test_wrong_shape_is_one_line_and_the_backend_lives_on(engine: str, tiny: Path) -> None:
    backend = load(engine, tiny)
    with pytest.raises(BackendError, match=f"{engine} cannot run") as caught:
        backend(noise(0, 32, 32)[None])
    assert "\n" not in str(caught.value)
    backend(noise(0)[None])


def test_closed(engine: str, tiny: Path) -> None:
    backend = load(engine, tiny)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="is closed"):
        backend(noise(0)[None])


@pytest.mark.parametrize("fields", [{"queries": 9}, {"classes": (Label(0, "one", True, (0, 0, 0)),)}])
def test_outputs_that_differ_from_the_manifest(engine: str, build: Callable[..., Path], fields: dict[str, int]) -> None:
    backend = load(engine, build(**fields))
    with pytest.raises(BackendError, match="its manifest says"):
        backend(noise(0)[None])


def test_names_that_differ_from_the_manifest(engine: str, build: Callable[..., Path]) -> None:
    spec = InputSpec(height=64, width=96, name="picture")
    with pytest.raises(BackendError, match=r"\['image', 'logits', 'masks'\]"):
        load(engine, build(spec))


def test_a_model_replaced_after_its_manifest_was_read_is_not_run(engine: str, build: Callable[..., Path]) -> None:
    found = artifact.read(build())
    build(InputSpec(height=96, width=64), name="other").replace(found.model)
    with pytest.raises(ArtifactError, match="has changed since its manifest was read: load it again"):
        backends.create(engine, found)


def test_a_damaged_model_is_one_line(engine: str, build: Callable[..., Path]) -> None:
    def damage(path: Path) -> None:
        model = onnx.load(path)
        model.graph.node[0].op_type = "Nonsense"
        onnx.save(model, path)

    path = build(rewrite=damage)
    with pytest.raises(BackendError, match=f"{engine} cannot load") as caught:
        load(engine, path)
    assert "\n" not in str(caught.value)


def test_standard_error_stays_clean(engine: str, tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(engine, tiny)(noise(0)[None])
    assert capfd.readouterr() == ("", "")


def test_threads_are_what_was_asked_for_or_what_suits_the_machine(engine: str, tiny: Path) -> None:
    found = artifact.read(tiny)
    assert backends.create(engine, found).settings()["threads"] == threads.choose().count
    backend = backends.create(engine, found, Settings(threads=1))
    assert backend.settings()["threads"] == 1
    backend.close()
    with pytest.raises(BackendError, match="is closed"):
        backend.settings()


def test_onnxruntimes_arena_can_be_turned_off(tiny: Path) -> None:
    found = artifact.read(tiny)
    assert backends.create("onnxruntime", found).settings()["arena"] is True
    backend = backends.create("onnxruntime", found, Settings(arena=False))
    assert backend.settings()["arena"] is False
    np.testing.assert_allclose(backend(noise(0)[None])[1][0, 0], expected_masks(noise(0)), atol=1e-3)


@pytest.mark.parametrize("count", [0, 1025, 10**25])
def test_threads_that_cannot_be_started_are_an_error(count: int) -> None:
    with pytest.raises(InputError, match=f"^threads is {count}, expected a whole number from 1 to 1024"):
        Settings(threads=count)


def test_available_names_what_is_installed_and_imports_nothing() -> None:
    code = "import sys; from pem_edge.runtime import backends; print(*backends.available(), sys.modules.keys() & {*%r})"
    heavy = ["onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "torch"]
    printed = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True).stdout
    modules = {name: name.replace("-", "_") for name in ("tensorrt", "tensorrt-rtx", "openvino", "onnxruntime")}
    installed = [name for name, module in modules.items() if find_spec(module)]
    assert printed.split() == [*installed, "set()"]


def test_without_a_name_the_fastest_that_can_run_it_is_taken(tiny: Path) -> None:
    found = artifact.read(tiny)
    assert backends.create(None, found).name == backends.available_for(found)[0]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_native_deformable_convolution_runs_in_backends_for_cpus(build: Callable[..., Path], name: str) -> None:
    """A DeformConv without offsets is a convolution."""
    pytest.importorskip(name, reason=f"{name} is not installed")
    native = artifact.read(build(deform_conv="native", rewrite=with_deform_conv))
    if not backends.can_run(name, native.manifest):
        pytest.skip("this release has no DeformConv")
    backend = backends.create(name, native)
    np.testing.assert_allclose(backend(noise(0)[None])[1][0, 0], expected_masks(noise(0)), atol=1e-3)
    operators = {node.type for node in backend.profile(noise(0)[None], 1)}
    assert operators & {"DeformConv", "DeformableConvolution"}


def with_deform_conv(path: Path) -> None:
    """Let the masks of a tiny model pass through a DeformConv that leaves them as they are."""
    model = onnx.load(path)
    model.opset_import[0].version = 19  # the first that has it
    (last,) = [node for node in model.graph.node if "masks" in node.output]
    last.output[0] = "before"
    queries, height, width = 8, 16, 24
    weight = np.eye(queries, dtype=np.float32)[..., None, None]
    offset = np.zeros((1, 2, height, width), np.float32)
    model.graph.initializer.extend(
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(offset, "offset")]
    )
    model.graph.node.append(onnx.helper.make_node("DeformConv", ["before", "weight", "offset"], ["masks"]))
    onnx.save(model, path)


def chosen(folder: Path) -> subprocess.CompletedProcess[str]:
    """Load the demo in a process that looks for modules in ``folder`` first; prints the backend."""
    return subprocess.run(
        [sys.executable, "-c", "import pem_edge; print(pem_edge.load('demo').backend.name)"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
    )


@needs_openvino
def test_a_backend_that_cannot_be_imported_is_said_and_the_next_is_taken(tmp_path: Path) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise ImportError('libopenvino.so: cannot open')")
    done = chosen(tmp_path)
    assert done.stdout == "onnxruntime\n"
    assert done.stderr == (
        "backend openvino is installed but cannot be imported (libopenvino.so: cannot open): install it again, with "
        "pip install --force-reinstall openvino; the next backend is tried\n"
    )


def test_a_folder_with_the_name_of_a_backend_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("openvino", "tensorrt"):
        (tmp_path / module).mkdir()
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not {"openvino", "tensorrt"} & set(backends.available())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc"),
        RuntimeError("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 1572864" + " " * 400),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_too_little_memory_is_no_fault_of_the_model(tiny: Path, error: Exception) -> None:
    with (
        pytest.raises(BackendError, match=r"there is not enough memory; close other programs, or export it with a"),
        Contract(artifact.read(tiny), "onnxruntime").wrap_errors("run"),
    ):
        raise error
    with (
        pytest.raises(BackendError, match=r"onnxruntime cannot run .* \(KeyError\): export it again"),
        Contract(artifact.read(tiny), "onnxruntime").wrap_errors("run"),
    ):
        raise KeyError
