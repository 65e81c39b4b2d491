"""A bar for the builder's progress, which TensorRT reports as steps of phases within phases."""

from __future__ import annotations

import threading

from tqdm import tqdm

from pem_edge.export.engine.tensorrt.interface import TensorRt


class Steps:
    """The progress of nested phases; a phase fills the current step of its parent."""

    def __init__(self) -> None:
        self._phases: dict[str, tuple[str | None, int, int]] = {}
        self._reached = 0.0

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """Begin a phase of so many steps."""
        self._phases[phase] = (parent, steps, 0)

    def complete(self, phase: str, step: int) -> None:
        """Note that a step of a phase is done."""
        if phase in self._phases:
            parent, steps, _ = self._phases[phase]
            self._phases[phase] = (parent, steps, step + 1)

    def finish(self, phase: str) -> None:
        """End a phase."""
        parent, _, _ = self._phases.pop(phase, ("", 0, 0))
        if parent is None:
            self._reached = 1.0

    def share(self) -> float:
        """Return the share of the whole that is done, 0 to 1; it never falls."""
        roots = [phase for phase, (parent, _, _) in self._phases.items() if parent is None]
        self._reached = max([self._reached, *(self._share(phase) for phase in roots)])
        return self._reached

    def _share(self, phase: str) -> float:
        _, steps, done = self._phases[phase]
        inner = [self._share(name) for name, (parent, _, _) in self._phases.items() if parent == phase]
        return min(1.0, (done + max(inner, default=0.0)) / max(steps, 1))


class Progress:
    """A bar on standard error, and a way to end the build."""

    def __init__(self) -> None:
        self._steps = Steps()
        self._bar = tqdm(total=1.0, miniters=0, disable=None, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}")
        self._lock = threading.Lock()
        self._canceled = threading.Event()

    def cancel(self) -> None:
        """Have the builder end at its next step."""
        self._canceled.set()

    def close(self) -> None:
        """Close the bar."""
        self._bar.close()

    def monitor(self, trt: TensorRt) -> object:
        """Return an `IProgressMonitor` that reports to this bar; threads of the builder call it."""

        class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
            def __init__(self, progress: Progress) -> None:
                super().__init__()
                self._progress = progress

            def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
                self._progress.start(phase, parent, steps)

            def step_complete(self, phase: str, step: int) -> bool:
                return self._progress.complete(phase, step)

            def phase_finish(self, phase: str) -> None:
                self._progress.finish(phase)

        return Monitor(self)

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """Begin a phase of so many steps."""
        with self._lock:
            self._steps.start(phase, parent, steps)
            self._bar.set_description_str(phase, refresh=False)
            self._show()

    def complete(self, phase: str, step: int) -> bool:
        """Note that a step, counted from 0, is done; return whether to go on."""
        with self._lock:
            self._steps.complete(phase, step)
            self._show()
        return not self._canceled.is_set()

    def finish(self, phase: str) -> None:
        """End a phase, whether or not all its steps are done."""
        with self._lock:
            self._steps.finish(phase)
            self._show()

    def _show(self) -> None:
        self._bar.update(self._steps.share() - self._bar.n)
