"""TensorRT's execution contexts."""

from __future__ import annotations

from pem_edge.runtime.backends.tensorrt.interface import ICudaEngine, IExecutionContext, TensorRt


class TrtContexts:
    """See `runtime.backends.tensorrt.engine.session.Contexts`."""

    records = True

    def __init__(self, trt: TensorRt, engine: ICudaEngine) -> None:
        self._engine = engine
        self._strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED

    def create(self) -> IExecutionContext | None:
        """Return a context, or None if there is no memory for it."""
        return self._engine.create_execution_context(self._strategy)

    def first_run(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Let go of the engine."""
        del self._engine
