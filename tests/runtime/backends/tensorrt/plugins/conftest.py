from __future__ import annotations

import ctypes

import pytest

from reference.host_cuda.plugin.host_library import compile_for_host, load
from tests.helpers.host_compiler import require_host_compiler


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the plugin's kernels and logic, compiled for the host."""
    require_host_compiler()
    return load(compile_for_host(tmp_path_factory.mktemp("plugin")))
