from __future__ import annotations

import ctypes

import pytest

from tests.runtime.backends.tensorrt.plugins.host_library import compile_for_host, load


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the plugin's kernels and logic, compiled for the host."""
    return load(compile_for_host(tmp_path_factory.mktemp("plugin")))
