"""TensorRT's execution contexts."""

from __future__ import annotations

from typing import Any


class TrtContexts:
    """See `runtime.backends.tensorrt.engine.session.Contexts`."""

    records = True

    def __init__(self, trt: Any, engine: Any) -> None:
        self._engine = engine
        self._strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED

    def create(self) -> Any:
        """A context."""
        return self._engine.create_execution_context(self._strategy)

    def first_run(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Let go of the engine."""
        del self._engine
