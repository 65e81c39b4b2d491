"""TensorRT and TensorRT-RTX, which have one interface and are two modules. A process drives one of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, cast

from pem_edge.export.engine.tensorrt.interface import TensorRt
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.installation import how_to_add_tensorrt, how_to_install

_SWITCH = "POLYGRAPHY_USE_TENSORRT_RTX"
"""Polygraphy reads it once, when it is imported."""


@dataclass(frozen=True)
class Target:
    """A kind of TensorRT.

    Attributes:
        name: The name on the command line and in manifests, which is that of the extra that brings the rest, too.
        title: The name for people.
        module: The module of its Python interface.
    """

    name: Literal["trt", "trt-rtx"]
    title: str
    module: str

    @property
    def cure(self) -> str:
        """The cure where it is missing."""
        if self.name == "trt-rtx":
            return how_to_install(self.name)
        return f"run this where the engine will run, on a machine with TensorRT ({how_to_add_tensorrt()})"

    @property
    def repair(self) -> str:
        """The cure where it is installed, but cannot be imported."""
        again = f"install it again, with pip install --force-reinstall {self.module.replace('_', '-')}"
        return again if self.name == "trt-rtx" else f"{again}, or on a Jetson with JetPack"


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (Target("trt", "TensorRT", "tensorrt"), Target("trt-rtx", "TensorRT-RTX", "tensorrt_rtx"))
}


def load(target: Target, instead: str = "") -> TensorRt:
    """Return the module of ``target``, with Polygraphy told to use it; ``instead`` ends the message if it is missing.

    Raises ExportError if one of them is not installed, or this process has loaded the other target.
    """
    if find_spec(target.module) is None:
        raise ExportError(f"{target.module} is not installed, which --to {target.name} needs: {target.cure}{instead}")
    if find_spec("polygraphy") is None:
        cure = how_to_install(target.name)
        raise ExportError(f"polygraphy is not installed, which --to {target.name} needs: {cure}")
    _switch_polygraphy(target)
    try:
        return cast("TensorRt", import_module(target.module))
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"{target.title} is installed but cannot be imported ({reason}): {target.repair}") from error


def _switch_polygraphy(target: Target) -> None:
    rtx = target.name == "trt-rtx"
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "1" if rtx else "0"
    try:
        polygraphy = import_module("polygraphy.config")
    finally:
        os.environ.pop(_SWITCH)
        if before is not None:
            os.environ[_SWITCH] = before
    if rtx != polygraphy.USE_TENSORRT_RTX:
        other = TARGETS["trt" if rtx else "trt-rtx"].title
        raise ExportError(f"this process has built for {other}: build for {target.title} in another process")
