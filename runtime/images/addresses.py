"""Addresses of images: which texts are addresses, what messages show of them, and what they name."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import printable

_SCHEMES = ("http", "https")
_EXPECTED = "http:// or https://, a host and a path"

_KEPT = "!#$%&'()*+,/:;=?@[]~"
"""Characters of a path or query that stay as they are: those that separate, and "%" as it escapes."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class WebAddress:
    """An address on the web, taken apart.

    Attributes:
        url: The address, escaped as HTTP needs it, without user, password and fragment.
        origin: Its scheme, host and port.
        authorization: The header that says user and password to the server; None if there are none.
    """

    url: str
    origin: tuple[str, str, int | None]
    authorization: str | None


def is_web(text: str) -> bool:
    """Return whether a text is an address on the web, which starts with http:// or https://."""
    return text[:8].lower().startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def is_file(text: str) -> bool:
    """Return whether a text is the address of a file, which starts with file://."""
    return text[:7].lower() == "file://"


def parse(address: str) -> WebAddress:
    """Take an address on the web apart.

    Raises:
        InputError: If it is malformed, or has another scheme than http and https.
    """
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except ValueError as error:  # UnicodeError is one
        raise InputError(_malformed(address)) from error
    if parts.scheme not in _SCHEMES:
        raise InputError(f"{shown(address)} is not on the web, expected {_EXPECTED}: download it, and give the file")
    if not host or not host.isprintable() or " " in host:
        raise InputError(_malformed(address))
    netloc = (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")
    path, query = quote(parts.path or "/", _KEPT), quote(parts.query, _KEPT)
    url = SplitResult(parts.scheme, netloc, path, query, "").geturl()
    return WebAddress(url, (parts.scheme, host, port), _authorization(parts))


def to_path(text: str) -> str:
    """Return the path that a text is, or that it names as a file:// URL.

    Raises:
        InputError: If it is empty, another URL, a file's on another machine, or too long for a path.
    """
    if not text:
        raise InputError("the path is empty, expected a path or an address: name the file of an image")
    if text[:5].lower() == "data:" and ";base64," in text[:_LONGEST_PATH]:
        raise InputError(
            "a data: URL has the content of an image, expected a path or an address: give its bytes, "
            "base64.b64decode(url.partition(',')[2])"
        )
    if len(text) > _LONGEST_PATH:
        raise InputError(
            f"the path has {len(text)} characters, expected a path or an address: give the content of a file as bytes, "
            "from text with base64.b64decode"
        )
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return text
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file" or host not in ("", "localhost") or not slash:
        raise InputError(
            f"{shown(text)} is not the address of an image, expected a path, http://, https:// or file:///: download "
            "it and give the file, or segment a stream with Segmenter.stream"
        )
    return unquote(f"/{path}", errors="surrogateescape")


def shown(address: str) -> str:
    """Return an address as messages show it: without user, password, query and fragment, which may be secrets."""
    scheme = address.partition("://")[0]
    try:
        parts = urlsplit(address)
        host, port, path = parts.netloc.rpartition("@")[2], parts.port, parts.path
    except ValueError:  # the port may be the beginning of a password that was not escaped
        return printable(f"{scheme}://...")
    if "@" in parts.path + parts.query + parts.fragment:  # and this its end
        host, path = host if port is None else "...", "/..."
    return printable(f"{scheme}://{host}{path}")


def _malformed(address: str) -> str:
    return (
        f"the address {shown(address)} is malformed, expected {_EXPECTED}: check it, and write special characters of "
        "a password as %2F and the like"
    )


def _authorization(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    user, password = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
    return f"Basic {b64encode(user + b':' + password).decode()}"
