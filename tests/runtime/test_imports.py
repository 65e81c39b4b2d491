"""The runtime needs NumPy, OpenCV, Pillow, msgspec and tqdm, and nothing else before a backend is used."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

_BLOCK = """
import sys
for name in {blocked}:
    sys.modules[name] = None  # importing it now fails
"""
_FORBIDDEN = (
    "torch",
    "onnx",
    "onnxscript",
    "safetensors",
    *(f"pem_edge.{room}" for room in ("pem", "export", "calibration")),
)
_ENGINES = ("onnxruntime", "openvino", "tensorrt")
_BACKENDS = (*_ENGINES, "ort_sessions")
"""The modules of backends that import an engine."""

_IMPORT_ALL = """
import importlib, pkgutil
from pem_edge import runtime
names = [module.name for module in pkgutil.walk_packages(runtime.__path__, "pem_edge.runtime.")]
engines = {engines}
names = [name for name in names if name not in {{f"pem_edge.runtime.backends.{{engine}}" for engine in engines}}]
for name in names:
    importlib.import_module(name)
for name in runtime.__all__:
    getattr(runtime, name)
print(*names)
"""


def python(code: str) -> str:
    """Return what a fresh interpreter prints for ``code``, which must not fail."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_imports_without_training_frameworks_and_backends() -> None:
    printed = python(_BLOCK.format(blocked=_FORBIDDEN + _ENGINES) + _IMPORT_ALL.format(engines=_BACKENDS))
    assert {
        "pem_edge.runtime.inference.segmenter",
        "pem_edge.runtime.cli.run",
        "pem_edge.runtime.backends.base",
    } <= set(printed.split())


def test_importing_runtime_loads_nothing_heavy() -> None:
    heavy = (*_FORBIDDEN, *_ENGINES, "numpy", "cv2", "PIL", "msgspec", "tqdm")
    assert python(f"import sys, pem_edge.runtime; print(*(sys.modules.keys() & {{*{heavy}}}))").split() == []


def test_public_names_work_after_importing_the_runtime_alone() -> None:
    code = (
        "from pem_edge import runtime; "
        "print(runtime.load.__name__, runtime.postprocess.panoptic.__name__, runtime.drawing.__name__)"
    )
    assert python(code).split() == ["load", "panoptic", "pem_edge.runtime.results.drawing"]


def test_the_package_offers_the_same_names_and_its_rooms() -> None:
    code = "import pem_edge; print(pem_edge.load is pem_edge.runtime.load, pem_edge.Segmenter.__name__)"
    assert python(code).split() == ["True", "Segmenter"]


def test_unknown_names_are_attribute_errors() -> None:
    assert python("import pem_edge; print(hasattr(pem_edge, 'segment'))").split() == ["False"]
    assert python("from pem_edge import runtime; print(hasattr(runtime, 'segment'))").split() == ["False"]


def test_shells_complete_public_names_which_are_not_imported_for_that() -> None:
    code = (
        "import sys, pem_edge; from pem_edge import calibration, pem, runtime; "
        "rooms = pem_edge, runtime, pem, calibration; "
        "print(*(set(room.__all__) - set(dir(room)) for room in rooms), 'annotations' in dir(pem_edge)); "
        "print('numpy' in sys.modules, 'torch' in sys.modules)"
    )
    assert python(code).split() == ["set()"] * 4 + ["False"] * 3


@pytest.mark.parametrize(
    ("room", "name", "library"), [("pem", "load", "torch"), ("calibration", "quantize", "onnx_ir")]
)
def test_a_room_whose_library_is_missing_says_how_to_install_it(room: str, name: str, library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
try:
    from pem_edge.{room} import {name}
except ImportError as error:
    print(error)
"""
    assert re.fullmatch(
        rf"pem_edge\.{room} needs {library}[\w.]*, which is not installed: pip install .*\[export\].*\n", python(code)
    )
