"""The parser of a command's arguments: short errors that say what was meant, examples first in the help."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.suggestions import did_you_mean, no_such
from pem_edge.runtime.version import __version__

USAGE = 2
"""Exit code of wrong usage."""

_WIDTH = 100


def listed(text: str) -> tuple[str, ...]:
    """Return what is separated by commas, with or without spaces, each once; for use as an argument's type."""
    return tuple(dict.fromkeys(each.strip() for each in text.split(",")))


class SomeOf:
    """An argument's type: some of ``names``, separated by commas; or the word none, if ``none`` is set."""

    def __init__(self, names: Sequence[str], *, none: bool = False) -> None:
        self.names, self._none = names, none

    def __call__(self, text: str) -> tuple[str, ...]:
        """Return the names in ``text``. Raises ArgumentTypeError if one is none of `names`."""
        chosen = () if self._none and text.strip() == "none" else listed(text)
        for each in chosen:
            if each not in self.names:
                raise argparse.ArgumentTypeError(no_such(each, self.names))
        return chosen

    def complete(self, prefix: str, **_: object) -> list[str]:
        """Return what a shell may complete ``prefix`` to, also after a comma. argcomplete calls this."""
        done, comma, _last = prefix.rpartition(",")
        return [f"{done}{comma}{name}" for name in self.names if name not in done.split(",")]


class Parser(argparse.ArgumentParser):
    """A parser of command-line arguments that has the options ``--json``, ``--debug`` and ``--version``.

    Args:
        prog: The name of the command.
        usage: What follows the name in the usage, such as "MODEL SOURCE [options]".
        description: What the command does.
        examples: Command lines, one a line, shown before the options.
    """

    def __init__(self, prog: str, usage: str = "[options]", description: str = "", examples: str = "") -> None:
        shown = [textwrap.fill(each, _WIDTH) for each in description.split("\n\n")]
        if examples:
            shown.append("examples:\n" + textwrap.indent(examples.strip("\n"), "  "))
        super().__init__(
            prog,
            f"{prog} {usage}",
            "\n\n".join(shown),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # what is an abbreviation today is ambiguous when an option is added
        )
        self.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        self.add_argument("--debug", action="store_true", help="show tracebacks")
        self.add_argument("--version", action="version", version=f"{prog} {__version__}")

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Return the parsed arguments, or answer a shell that completes a line. Wrong usage exits with `USAGE`."""
        if "_ARGCOMPLETE" in os.environ:
            import argcomplete

            for action in self._actions:
                if isinstance(action.type, SomeOf):
                    action.completer = action.type.complete  # type: ignore[attr-defined]  # argcomplete's way
            argcomplete.autocomplete(self)
        given = sys.argv[1:] if arguments is None else list(arguments)
        ours = list(itertools.takewhile(lambda each: each != "--", given))
        self._refuse_unknown(ours)  # before argparse, which would rather name what is missing then
        self._refuse_lists_without_commas(ours)  # of which it takes all but the first for files
        options, extra = self.parse_known_args(given)
        if extra:
            self.error(f"unrecognized arguments: {' '.join(extra)}")
        return options

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and how the command is used, and exit with `USAGE`."""
        shown = printable(message.removeprefix("argument "))
        self.exit(USAGE, f"{self.prog}: {shown}\nusage: {self.usage}   (all options: {self.prog} --help)\n")

    def _refuse_unknown(self, given: Sequence[str]) -> None:
        known = {name: action for action in self._actions for name in action.option_strings}
        for before, argument in itertools.pairwise(["", *given]):
            name = argument.partition("=")[0]
            if name.startswith("--") and name not in known:
                self.error(f"there is no option {name}{did_you_mean(name, known)}")
            if _is_short_option(name) and name[:2] not in known:
                is_value = before in known and known[before].nargs != 0
                file = f"a file of that name, give ./{argument}"
                cure = f"a value of {before}, give {before}={argument}" if is_value else file
                self.error(f"there is no option {argument}{did_you_mean(name, known) or f': for {cure}'}")

    def _refuse_lists_without_commas(self, given: Sequence[str]) -> None:
        lists = {name: action.type for action in self._actions for name in action.option_strings}
        for option, value, following in zip(given, given[1:], given[2:], strict=False):
            kind = lists.get(option)
            if isinstance(kind, SomeOf) and following in kind.names and not os.path.lexists(following):
                several = f"{value.rstrip(',')},{following}"
                self.error(f"there is no file {following}: for several values of {option}, give {several}")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse a value that is none of an option's choices. argparse calls this; its own message lists them alone."""
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, no_such(str(value), names))


def _is_short_option(text: str) -> bool:
    """Return whether argparse takes an argument for an option of one letter: numbers and what has spaces are none."""
    return re.fullmatch(r"-[^-\s]\S*", text) is not None and re.fullmatch(r"-[\d.][\d.eE+-]*", text) is None
