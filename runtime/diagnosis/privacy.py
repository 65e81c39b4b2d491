"""Removes what must not be pasted in public from a report: home folders, names of users and hosts, secrets."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from pem_edge.runtime.outside.printable import printable

_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASS|AUTH|CRED|COOKIE|SIGNATURE|WEBHOOK|DSN", re.IGNORECASE)
"""Names of environment variables whose values are removed wherever they turn up."""

_SHORTEST_SECRET, _SHORTEST_NAME = 6, 3
_SYSTEM_USERS = {"root", "nobody", "user", "ubuntu", "runner", "nvidia", "jetson", "app", "src", "usr", "opt", "home"}
_PUBLIC_HOST = re.compile(r"(.+\.)?(github|gitlab|nvidia|pytorch|huggingface|pypi|pythonhosted|readthedocs)\.\w+")

Content = TypeVar("Content", bound=msgspec.Struct)


def is_secret(variable: str) -> bool:
    """Return whether an environment variable of that name may hold a secret."""
    return _SECRET.search(variable) is not None


def scrub(report: Content) -> Content:
    """Return a copy of a report whose texts can be published."""
    replace = _replacements()
    return msgspec.convert(_scrubbed(msgspec.to_builtins(report), replace), type(report))


def _scrubbed(value: object, replace: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return printable(replace(value))
    if isinstance(value, dict):
        return {key: _scrubbed(each, replace) for key, each in value.items()}
    return [_scrubbed(each, replace) for each in value] if isinstance(value, list | tuple) else value


def _replacements() -> Callable[[str], str]:
    """Return a function that replaces everything that is private."""
    literal = dict.fromkeys(_secrets(), "(hidden)")
    literal |= {f"'{home}/": "~/'" for home in _homes()}  # a shell knows ~ only outside of quotes
    homes = [re.compile(rf"{re.escape(home)}(?![\w-])") for home in _homes()]
    names = [(re.compile(rf"(?<=/){re.escape(name)}(?![\w.-])"), "USER") for name in _users()]
    names += [(re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-])"), "HOST") for host in _hosts()]

    def replace(text: str) -> str:
        for private, public in literal.items():
            text = text.replace(private, public)
        for home in homes:
            text = home.sub("~", text)
        text = re.sub(r"/(home|Users)/[^/\s'\":;,)]+", r"/\1/USER", text)
        text = re.sub(r"(?<=://)([^/\s@'\"]*@)?([^/\s:'\"]*)", lambda found: _host(found[2]), text)
        text = re.sub(r"(://[^\s?#'\"]*)[?#][^\s'\"]*", r"\1?...", text)
        for pattern, public in names:
            text = pattern.sub(public, text)
        return text

    return replace


def _host(name: str) -> str:
    return name if not name or _PUBLIC_HOST.fullmatch(name) else "HOST"


def _secrets() -> Iterator[str]:
    """Yield the values of variables that may be secret, the longest first, as one may be a part of another."""
    found = {value for name, value in os.environ.items() if is_secret(name) and len(value) >= _SHORTEST_SECRET}
    paths = {value for value in found if value.startswith("/")}  # such as SSH_AUTH_SOCK, which may be a part of others
    yield from sorted(found - paths, key=len, reverse=True)


def _homes() -> list[str]:
    """Return the user's home folder, as it is called and where it really is; not the root of all folders."""
    with suppress(RuntimeError, OSError):
        homes = {str(Path.home()), str(Path.home().resolve())}
        return sorted((home for home in homes if home.count("/") and home != "/"), key=len, reverse=True)
    return []


def _users() -> list[str]:
    names = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")}
    with suppress(Exception):  # a container's user may have no name
        names.add(getpass.getuser())
    return [name for name in names if len(name) >= _SHORTEST_NAME and name not in _SYSTEM_USERS]


def _hosts() -> list[str]:
    host = socket.gethostname()
    names = {host, host.partition(".")[0], os.environ.get("HOSTNAME", "")}
    private = (name for name in names if len(name) >= _SHORTEST_NAME and name not in ("localhost", *_SYSTEM_USERS))
    return sorted(private, key=len, reverse=True)  # the full name before the first part of it
