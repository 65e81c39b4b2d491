"""Runs a command of pem-edge, in which a signal comes just before a chosen rename or removal.

usage: python -m scripts.campaign.kills.victim COMMAND FOLDER EVENT SIGNAL GRAPHS [ARGUMENTS ...]

Renames and removals count if they are below FOLDER; at the end, their number is written to FOLDER/events. EVENT 0 is
none. Graphs that were traced before are taken from the folder GRAPHS, as tracing is slow and writes nothing.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from pem_edge.runtime import files

MODULES = {
    "pem-bench": "pem_edge.runtime.cli.bench",
    "pem-export": "pem_edge.export.cli.export",
    "pem-run": "pem_edge.runtime.cli.run",
    "pem-train": "pem_edge.pem.cli.train",
}
COUNT_FILE = "events"


class Events:
    """Counts renames and removals below ``folder``, and before number ``fatal`` sends this process a signal."""

    def __init__(self, folder: Path, fatal: int, number: int) -> None:
        self.count = 0
        self._folder, self._fatal, self._number = folder, fatal, number
        for name in ("replace", "rename", "unlink", "rmdir"):
            setattr(Path, name, self._counting(getattr(Path, name)))

    def _counting(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *arguments: Any, **options: Any) -> Any:
            if self._folder in path.absolute().parents:
                self.count += 1
                if self.count == self._fatal:
                    os.kill(os.getpid(), self._number)
            return act(path, *arguments, **options)

        return call


def _trace_once(graphs: Path) -> None:
    """Make exports take graphs from ``graphs``, where they are kept once they have been traced."""
    import onnx

    from pem_edge.export import artifact

    trace = artifact._trace

    def take(model: Any, forms: Any, spec: Any) -> onnx.ModelProto:
        wanted = repr((model.variant, forms, msgspec.json.encode(spec)))
        path = graphs / f"{hashlib.sha256(wanted.encode()).hexdigest()[:16]}.onnx"
        if not path.exists():
            with files.write_atomically(path) as temporary:
                onnx.save(trace(model, forms, spec), temporary)
        return onnx.load(path)

    artifact._trace = take


def main() -> int:
    """Run the command and return its exit code."""
    command, folder, fatal, number, graphs, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a campaign in the background may have to ignore them
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if command == "pem-export" and "trt-rtx" not in arguments:
        _trace_once(Path(graphs))
    events = Events(Path(folder), int(fatal), int(number))
    code: int = import_module(MODULES[command]).main(arguments)
    (Path(folder) / COUNT_FILE).write_text(str(events.count))
    return code


if __name__ == "__main__":
    sys.exit(main())
