"""Entry point of the ``pem-data`` command, which has commands of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from pem_edge.runtime.cli import console
from pem_edge.runtime.cli.data import check
from pem_edge.runtime.cli.parser import Parser

_PROGRAM = "pem-data"
DESCRIPTION = "Look after the pictures and labels of a dataset; pem-data check --help shows more."


class Commands(Parser):
    """A parser whose first argument chooses the parser of all others.

    Args:
        prog: The name of the program.
        description: What it does.
        examples: Command lines, one a line.
        commands: The parser of each command, by its name.
    """

    def __init__(self, prog: str, description: str, examples: str, commands: Mapping[str, Parser]) -> None:
        super().__init__(prog, f"{'|'.join(commands)} [options]", description, examples)
        self.add_argument("command", metavar="COMMAND", choices=list(commands), help=", ".join(commands))
        self._commands = commands

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Return the parsed arguments of the chosen command; else end as `Parser.read` does, with help or an error."""
        given = sys.argv[1:] if arguments is None else list(arguments)
        completed = os.environ.get("COMP_LINE", "").split() if "_ARGCOMPLETE" in os.environ else []
        if completed[1:2] and completed[1] in self._commands:
            os.environ["_ARGCOMPLETE"] = str(int(os.environ["_ARGCOMPLETE"]) + 1)  # the words to skip, and one
            return self._commands[completed[1]].read([])
        if given and given[0] in self._commands:
            return self._commands[given[0]].read(given[1:])
        return super().read(given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` defaults to ``sys.argv[1:]``."""
    parser = Commands(_PROGRAM, DESCRIPTION, check.EXAMPLES, {"check": check.parser()})
    return console.run(parser, check.read, check.run, arguments)
