"""The parts of a simulated TensorRT that its engines and its module share: the machine, errors and lifetimes."""

from __future__ import annotations

import weakref

from reference.cuda_simulation.machine import Handle, Machine


class ILogger:
    """See TensorRT."""

    INTERNAL_ERROR, ERROR, WARNING = 0, 1, 2

    def log(self, severity: int, msg: str) -> None:
        """Raise NotImplementedError; subclasses override this."""
        raise NotImplementedError


class Installation:
    """A TensorRT on a simulated machine.

    Attributes:
        machine: The simulated machine.
        logger: The logger that was passed to TensorRT, from the first `Runtime` on.
    """

    logger: ILogger

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def error(self, message: str) -> None:
        """Log an error."""
        self.logger.log(ILogger.ERROR, f"Error Code 1: {message}\n")

    def track(self, thing: object) -> None:
        """Count ``thing`` as a leak until it is destroyed, and record a fault if another context is current then."""
        name, token, context = type(thing).__name__, self.machine.add_handle(Handle()), self.machine.current()
        if context is None:
            self.machine.fault(f"{name} is made without a CUDA context")

        def forget() -> None:
            if self.machine.current() is not context:
                self.machine.fault(f"{name} dies in another context")
            self.machine.remove_handle(token)

        weakref.finalize(thing, forget).atexit = False
