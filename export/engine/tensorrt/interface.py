"""TensorRT's Python interface as far as building engines needs it, see `runtime.backends.tensorrt.interface`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from pem_edge.runtime.backends.tensorrt import interface
from pem_edge.runtime.backends.tensorrt.interface import ILogger, Member


class ITensor(Protocol):
    """A tensor of a network."""

    @property
    def name(self) -> str:
        """The tensor's name."""

    @property
    def dtype(self) -> Member:
        """The tensor's type."""


class ILayer(Protocol):
    """A layer of a network."""

    @property
    def name(self) -> str:
        """The layer's name."""

    @property
    def type(self) -> Member:
        """The kind of layer."""

    def get_input(self, index: int) -> ITensor:
        """Return an input."""

    def get_output(self, index: int) -> ITensor:
        """Return an output."""


class INetworkDefinition(Protocol):
    """A network to build an engine from."""

    @property
    def num_layers(self) -> int:
        """The number of layers."""

    def get_layer(self, index: int) -> ILayer:
        """Return a layer."""


class ParserError(Protocol):
    """Why a file cannot be parsed."""

    def desc(self) -> str:
        """Describe the error."""

    def node_name(self) -> str:
        """Return the name of the node where it is."""

    def node_operator(self) -> str:
        """Return the operator of that node; "" if it is at no node."""


class OnnxParser(Protocol):
    """Fills a network from an ONNX file."""

    @property
    def num_errors(self) -> int:
        """The number of errors."""

    def parse(self, model: bytes) -> bool:
        """Parse a file; return whether that succeeded."""

    def get_error(self, index: int) -> ParserError:
        """Return an error."""


class ITimingCache(Protocol):
    """Times of kernels measured before."""

    def serialize(self) -> memoryview:
        """Return the cache as bytes."""


class IBuilderConfig(Protocol):
    """Says how to build."""

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        """Return the cache, or None if it is another release's."""

    def get_timing_cache(self) -> ITimingCache:
        """Return the cache of a build."""


class Builder(Protocol):
    """Makes networks and configurations."""

    def create_network(self, flags: int) -> INetworkDefinition:
        """Return an empty network."""

    def create_builder_config(self) -> IBuilderConfig:
        """Return a configuration with default values."""


class IProgressMonitor(Protocol):
    """Is told of a build's progress: of phases, which may have parents, and of their steps."""

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """Take note that a phase begins."""

    def step_complete(self, phase_name: str, step: int) -> bool:
        """Take note that a step is done; return whether to go on with the build."""

    def phase_finish(self, phase_name: str) -> None:
        """Take note that a phase has ended."""


class MemoryPoolType(Protocol):
    """Kinds of memory that a build may limit."""

    WORKSPACE: Member


class ProfilingVerbosity(Protocol):
    """The detail in which an engine describes its layers."""

    DETAILED: Member


_Monitor: TypeAlias = IProgressMonitor
_Builder: TypeAlias = Builder
_Parser: TypeAlias = OnnxParser
_Pool: TypeAlias = MemoryPoolType
_Verbosity: TypeAlias = ProfilingVerbosity


class TensorRt(interface.TensorRt, Protocol):
    """The module ``tensorrt`` or ``tensorrt_rtx``.

    Enumerations whose members differ between releases are looked up by name where they are used.
    """

    NetworkDefinitionCreationFlag: Iterable[Member]
    HardwareCompatibilityLevel: type

    @property
    def IProgressMonitor(self) -> type[_Monitor]:  # noqa: N802
        """The base class of what a build reports to."""

    @property
    def Builder(self) -> Callable[[ILogger], _Builder]:  # noqa: N802
        """The class that makes networks."""

    @property
    def OnnxParser(self) -> Callable[[object, ILogger], _Parser]:  # noqa: N802
        """The class that parses ONNX files."""

    @property
    def MemoryPoolType(self) -> type[_Pool]:  # noqa: N802
        """The enumeration of that name."""

    @property
    def ProfilingVerbosity(self) -> type[_Verbosity]:  # noqa: N802
        """The enumeration of that name."""
