"""TensorRT's execution contexts."""

from __future__ import annotations

from pem_edge.runtime.backends.tensorrt.interface import ICudaEngine, IExecutionContext, TensorRt


class TrtContexts:
    """TensorRT's `Contexts`, whose runs `Plan` records as CUDA graphs."""

    records = True

    def __init__(self, trt: TensorRt, engine: ICudaEngine) -> None:
        self._engine = engine
        self._strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED

    def create(self) -> IExecutionContext | None:
        """See `Contexts.create`."""
        return self._engine.create_execution_context(self._strategy)

    def handle_first_run(self) -> None:
        """Do nothing, because there is nothing to save."""

    def close(self) -> None:
        """See `Contexts.close`."""
        del self._engine
