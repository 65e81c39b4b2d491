"""Tells requests to this machine's page from those that a foreign page made point here."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

_ANYWHERE = frozenset({"0.0.0.0", "::", ""})
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_ours(header: str, host: str) -> bool:
    """Return whether a request's ``Host`` header names the server that listens on ``host``.

    A foreign page can have a host name that resolves to this machine (DNS rebinding), and would read everything. Its
    name is refused; an address cannot be rebound.
    """
    try:
        asked = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if asked in _LOCAL_NAMES:
        return host in _ANYWHERE or host in _LOCAL_NAMES
    if host not in _ANYWHERE:
        return asked == host.lower()
    return _is_address(asked) or asked in _names_of_this_machine()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _names_of_this_machine() -> set[str]:
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return {name, short, f"{short}.local"}
