from __future__ import annotations

import pytest

from reference.host_cuda.kernels import HostKernels, host_kernels
from tests.helpers.host_compiler import require_host_compiler


@pytest.fixture(scope="session")
def kernels() -> HostKernels:
    """Return the pipeline's kernels, compiled for the host."""
    require_host_compiler()
    return host_kernels()
