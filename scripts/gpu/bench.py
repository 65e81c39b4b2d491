"""What the sections share: the device, the compiled kernels, the time left, and a folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from scripts.gpu.devices.cuda import CudaDevice
from scripts.gpu.devices.device import Device
from scripts.gpu.devices.host import HostDevice
from scripts.gpu.tasks import Deadline, OutOfTime


@dataclass
class Bench:
    """What the sections share.

    Attributes:
        device: Where they run.
        folder: Where they may leave files.
        deadline: When they end.
        headers: The folder of TensorRT's headers, if any.
    """

    device: Device
    folder: Path
    deadline: Deadline
    headers: Path | None

    @property
    def harness(self) -> Path:
        """The plugin's kernels, compiled on first use; what does not compile is not tried again."""
        result = self._compiled
        if isinstance(result, Exception):
            raise result
        return result

    @cached_property
    def _compiled(self) -> Path | Exception:
        if not self.deadline.allows(self.device.compile_seconds):
            raise OutOfTime
        folder = self.folder / "harness"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return self.device.compile_harness(self.headers, folder)
        except Exception as error:  # told to everyone who asks for the library
            return error


@cache
def open_bench(folder: Path, headers: Path | None, dry: bool, deadline: Deadline) -> Bench:
    """Return the bench, the same one for all sections."""
    return Bench(HostDevice(folder / "cache") if dry else CudaDevice(), folder, deadline, headers)
