from __future__ import annotations

import pytest

from tests.helpers.host_kernels import HostKernels, host_kernels


@pytest.fixture(scope="session")
def kernels() -> HostKernels:
    """Return the pipeline's kernels, compiled for the host."""
    return host_kernels()
