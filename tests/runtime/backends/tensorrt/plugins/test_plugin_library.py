"""The whole plugin, compiled with TensorRT's headers, works through its interfaces without TensorRT or a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime.backends.tensorrt.plugins.library import SOURCES, source_hash
from reference.deform_conv_cases import make, reference
from reference.host_cuda.plugin.host_library import (
    Layout,
    compile_for_host,
    device_arrays,
    load,
    result_of,
)
from scripts.gpu.harness import Attributes, Buffer, Plugin

HEADERS = [folder for folder in os.environ.get("TENSORRT_INCLUDE_DIR", "").split(":") if folder]
CUDA_INCLUDE = "/usr/local/cuda/include"

CONVERSATION = """\
1 creator: PemDeformConv 2 "", PLUGIN CREATOR_V3ONE
field kernel_shape
field strides
field pads
field dilations
field group
field offset_group
field relu
serialized kernel_shape=3,3 strides=2,1 pads=1,0,2,1 dilations=1,2 group=2 offset_group=1 relu=1
serialized kernel_shape=3,3 strides=2,1 pads=1,0,2,1 dilations=1,2 group=2 offset_group=1 relu=1
timing cache: kernel_shape=3,3 strides=2,1 pads=1,0,2,1 dilations=1,2 group=2 offset_group=1 relu=1 sources=SOURCES
plugin PemDeformConv 2 "" with 1 output
output type: 0 1
output shape: 0 7 6 5 13
  logged 1: PemDeformConv: X, raw and B have 3, 4 and 1 axes, expected 4, 4 and 1: export the model again
output shape: 1
supports type 0, X in format 0, raw and Y in 0
supports type 1, X in format 0, raw and Y in 0
supports type 1, X in format 2, raw and Y in 2
configure with 4 channels: 0
change to 4 channels: 0
  logged 1: PemDeformConv: X has 5 channels, expected a multiple of group 2: export the model again
configure with 5 channels: 1
  logged 1: PemDeformConv: X has 5 channels, expected a multiple of group 2: export the model again
change to 5 channels: 1
  logged 1: PemDeformConv: 3 inputs and 1 outputs came, expected X, W, raw, B and Y: export the model again
configure with 3 inputs: 1
workspace 0
enqueue of batch 0 with 4 channels: 0
  logged 1: PemDeformConv: X has 5 channels, expected a multiple of group 2: export the model again
enqueue of batch 1 with 5 channels: 1
  logged 1: PemDeformConv: node node_1: pads holds -1, expected 4 integers from 0 to 32768: export the model again
bad fields: refused
  logged 1: PemDeformConv: node node_1: kernel_shape is not of type int32 or int64, expected 2 integers from 1 to \
32768: export the model again
bad fields: refused
  logged 1: PemDeformConv: node node_1: kernel_shape is missing, expected 2 integers from 1 to 32768: export the \
model again
bad fields: refused
  logged 1: PemDeformConv: kernel_shape is missing, expected 2 integers from 1 to 32768: export the model again
no fields: refused
"""


@pytest.fixture(scope="module", params=HEADERS or [""])
def headers(request: pytest.FixtureRequest) -> str:
    """Return the folder of NvInfer.h, for each folder that TENSORRT_INCLUDE_DIR names."""
    if not request.param:
        pytest.skip("no TensorRT headers: set TENSORRT_INCLUDE_DIR to the folder of NvInfer.h, or several with ':'")
    missing = [tool for tool in ("cmake", "nvcc", "g++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {missing[0]} to build the plugin")
    if not Path(CUDA_INCLUDE).is_dir():
        pytest.skip(f"no {CUDA_INCLUDE}, CUDA's headers")
    return str(request.param)


@pytest.fixture(scope="module")
def built(headers: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    options = [f"-DTENSORRT_INCLUDE_DIR={headers}", "-DCMAKE_CUDA_ARCHITECTURES=90", "-DPEM_EDGE_HARNESS=ON"]
    call("cmake", "-S", str(SOURCES), "-B", str(folder), *options)
    output = call("cmake", "--build", str(folder), "--parallel", "2")
    assert "warning" not in output
    return folder


def call(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_plugin_answers_tensorrt(built: Path, headers: str, tmp_path: Path) -> None:
    """Create, clone, save and load plugins, and negotiate types, formats and shapes."""
    driver = tmp_path / "driver"
    source = Path(__file__).parent / "plugin_driver.cpp"
    includes = ["-isystem", headers, "-isystem", CUDA_INCLUDE]
    call("g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", *includes, str(source), "-o", str(driver), "-ldl")
    assert call(str(driver), str(built / "libdeform_conv.so")) == CONVERSATION.replace("SOURCES", source_hash())


def test_the_harness_speaks_to_the_plugin(built: Path) -> None:
    """Call the harness with an empty batch, which needs no GPU."""
    library = built / "libenqueue_harness.so"
    empty = [Buffer(0, shape) for shape in ((0, 8, 5, 6), (9, 128, 64), (0, 27, 5, 6), (8,), (0, 8, 5, 6))]
    with Plugin(library, Attributes()) as plugin:
        plugin.enqueue(empty, 0, half=True, hwc8=True)
        with pytest.raises(RuntimeError, match="refused the call"):
            plugin.enqueue([*empty[:2], empty[0], *empty[3:]], 0, half=True, hwc8=True)
        with pytest.raises(ValueError, match="expected X, W, raw, B and Y"):
            plugin.enqueue(empty[:4], 0, half=True, hwc8=True)
    with pytest.raises(RuntimeError, match="refused the attributes"):
        Plugin(library, Attributes(strides=(0, 1)))


@pytest.fixture(scope="module")
def on_host(headers: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_for_host(tmp_path_factory.mktemp("host"), headers=headers)


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize(
    ("dtype", "layout", "limit"),
    [(np.float32, Layout.LINEAR, 1e-5), (np.float16, Layout.LINEAR, 2e-3), (np.float16, Layout.HWC8, 2e-3)],
)
def test_enqueue_computes_whatever_the_shape(
    on_host: Path, dtype: type[np.floating], layout: Layout, limit: float, group: int
) -> None:
    """Run one plugin object on several shapes, with the kernels on the host."""
    library = load(on_host)
    form = {"half": dtype is np.float16, "hwc8": layout is Layout.HWC8}
    settings = [{"batch": n, "size": size, "channels": 12, "group": group} for n, size in ((1, (5, 6)), (3, (9, 4)))]
    cases = [make(np.random.default_rng(0), **setting).astype(dtype) for setting in settings]  # type: ignore[arg-type]
    with Plugin(on_host, Attributes(group=group)) as plugin:
        for case in cases:
            with device_arrays(library, case, layout) as tensors:
                shapes = [*(array.shape for array in case.plugin_inputs), case.output_shape]
                buffers = [Buffer(array.ctypes.data, shape) for array, shape in zip(tensors, shapes, strict=True)]
                plugin.enqueue(buffers, 0, **form)
                actual = result_of(tensors[-1], case, layout)
            expected = reference(case)
            np.testing.assert_allclose(actual, expected, rtol=0, atol=limit * float(np.abs(expected).max()))
