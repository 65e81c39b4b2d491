"""Fetching images from the web, within limits of time, size and redirects.

Servers are not trusted: neither a stated length nor its absence, nor the pace at which bytes come, nor where they send
the reader on.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from io import BufferedReader, BytesIO, RawIOBase
from time import monotonic
from urllib.error import URLError
from urllib.parse import urljoin
from urllib.request import AbstractHTTPHandler, OpenerDirector, ProxyHandler, Request, UnknownHandler

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import addresses
from pem_edge.runtime.images.addresses import WebAddress
from pem_edge.runtime.images.files import MAX_BYTES
from pem_edge.runtime.outside.printable import printable

SECONDS = 30.0
"""Default limit on the seconds that an image may take to come."""

MAX_REDIRECTS = 5
"""Most times that servers may refer to another address."""

_CONNECT_SECONDS = 10.0
"""Most of these seconds for each of a host's network addresses, of which others are tried then."""

_CHUNK = 1 << 16
_OK, _REDIRECTS = 200, (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": "pem-edge", "Accept": "image/*, */*;q=0.1"}

_OTHERS = ("text/html", "application/xhtml", "application/json", "application/pdf", "video/", "audio/", "multipart/")
"""Beginnings of types that are no image. Any other may be one, as many servers do not know the types of their files."""

_STATUSES = {
    401: "asks for a user and a password: give https://user:password@host/..., or download it, and give the file",
    403: "refuses access: check what the address needs, or download it with a browser, and give the file",
    404: "does not exist there: check the address",
    410: "is gone: check the address",
    429: "was asked for too often: try again later",
}
"""Wordings of answers, by their status, with the cure."""

_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "did not come in time, within {seconds:g} s: try again later, or download it, and give the file"),
    (
        ssl.SSLCertVerificationError,
        "comes from a server whose certificate is not trusted ({reason}): check the address, or name the file of its "
        "authority's certificate in SSL_CERT_FILE",
    ),
    (ssl.SSLError, "needs an encrypted connection that fails ({reason}): check whether it is http:// or https://"),
    (socket.gaierror, "is on a host that is not found: check its name, and the network"),
    (ConnectionRefusedError, "is on a host that refuses connections: check the port, and that the server runs"),
    (IncompleteRead, "was cut off: try again"),
    (ConnectionError, "was cut off by the server: try again"),
    (HTTPException, "is on a server that does not speak HTTP ({reason}): check the address"),
    (OSError, "cannot be reached ({reason}): check the network"),
)
"""Wordings of what went wrong, by the type of the exception; the first that fits is taken."""


def fetch(address: str, *, seconds: float = SECONDS, max_bytes: int = MAX_BYTES) -> bytes:
    """Return what a server has at an address, which should be an image; its bytes are not looked at.

    Proxies are those of the environment (``https_proxy``, ``no_proxy``). A user and a password in the address go to
    its server alone, and not to one it refers to. Neither they nor queries are in messages.

    Args:
        address: The address, http:// or https://.
        seconds: The maximum time for all of it.
        max_bytes: The maximum size.

    Raises:
        InputError: If the address is malformed, nothing comes from it in time, it is larger, or it is not an image by
            what the server says.
    """
    name = addresses.shown(address)
    with _answered(address, seconds) as response:
        return _content(response, name, max_bytes)


def media_type(address: str, *, seconds: float = SECONDS) -> str:
    """Return what a server says it has at an address, such as "image/jpeg", without fetching it. See `fetch`."""
    name = addresses.shown(address)
    with _answered(address, seconds) as response:
        _require_ok(response, name)
        return response.headers.get_content_type()


@contextmanager
def _answered(address: str, seconds: float) -> Iterator[HTTPResponse]:
    """Yield the response of the last server that the address leads to."""
    name, asked = addresses.shown(address), addresses.parse(address)
    deadline = _Deadline(seconds)
    opener = _opener(deadline)
    target = asked
    with _explaining(name, seconds):
        for _ in range(MAX_REDIRECTS + 1):
            waiting = min(deadline.left(), _CONNECT_SECONDS)
            with closing(opener.open(_request(target, asked), timeout=waiting)) as response:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or location is None:
                    yield response
                    return
                target = _follow(target, location, name)
    raise InputError(
        f"{name} was redirected more than {MAX_REDIRECTS} times: open it in a browser, and give its address"
    )


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left. Raises TimeoutError if there are none."""
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Timed(RawIOBase):
    """What a socket receives until a deadline. The socket's own timeout begins anew with every byte."""

    def __init__(self, received: RawIOBase, connection: socket.socket, deadline: _Deadline) -> None:
        self._received, self._connection, self._deadline = received, connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]  # typeshed's type has no name
        self._connection.settimeout(self._deadline.left())
        return self._received.readinto(buffer)

    def close(self) -> None:
        self._received.close()
        super().close()


class _Response(HTTPResponse):
    """A response whose head, too, has to come until a deadline."""

    def __init__(self, deadline: _Deadline, connection: socket.socket, method: str | None = None) -> None:
        super().__init__(connection, method=method)
        self.fp = BufferedReader(_Timed(self.fp.detach(), connection, deadline))


class _Handler(AbstractHTTPHandler):
    """Opens addresses with responses that have a deadline."""

    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(partial(self._connect, HTTPConnection), request)

    def https_open(self, request: Request) -> HTTPResponse:
        return self.do_open(partial(self._connect, HTTPSConnection), request)

    http_request = https_request = AbstractHTTPHandler.do_request_

    def _connect(self, kind: type[HTTPConnection], host: str, *, timeout: float) -> HTTPConnection:
        connection = kind(host, timeout=timeout)
        connection.response_class = partial(_Response, self._deadline)  # type: ignore[assignment]  # it is only called
        return connection


def _opener(deadline: _Deadline) -> OpenerDirector:
    """Return what opens web addresses and nothing else: no files, no FTP, and no redirects of its own."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), UnknownHandler(), _Handler(deadline)):
        opener.add_handler(handler)
    return opener


def _request(target: WebAddress, asked: WebAddress) -> Request:
    request = Request(target.url, headers=_HEADERS)
    if asked.authorization is not None and target.origin == asked.origin:
        request.add_unredirected_header("Authorization", asked.authorization)
    return request


def _follow(target: WebAddress, location: str, name: str) -> WebAddress:
    """Return the address that a server refers to. Raises InputError if it is malformed or not on the web."""
    try:
        return addresses.parse(urljoin(target.url, location))
    except (InputError, ValueError) as error:
        raise InputError(
            f"{name} refers to an address that is malformed or not on the web: open it in a browser, and give the "
            "address of the image itself"
        ) from error


def _content(response: HTTPResponse, name: str, limit: int) -> bytes:
    _require_ok(response, name)
    kind = response.headers.get_content_type()
    if kind.startswith(_OTHERS):
        raise InputError(f"{name} is {printable(kind)}, expected an image: give the address of the image itself")
    content = BytesIO()
    while content.tell() <= limit:
        chunk = response.read1(_CHUNK)
        if not chunk:
            break
        content.write(chunk)
    else:
        raise InputError(f"{name} has more than {limit} bytes, the limit of an image: scale it down, and give the file")
    if response.length:  # what was promised beyond what came
        raise IncompleteRead(b"", response.length)
    return content.getvalue()


def _require_ok(response: HTTPResponse, name: str) -> None:
    if response.status != _OK:
        raise InputError(f"{name} {_STATUSES.get(response.status, _unusual(response.status))}")


def _unusual(status: int) -> str:
    cause = "the server failed" if status >= 500 else "expected 200 and an image"
    return f"is answered by HTTP status {status}, {cause}: check the address, or try again later"


@contextmanager
def _explaining(name: str, seconds: float) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
        wording = next((text for kind, text in _CAUSES if isinstance(cause, kind)), _CAUSES[-1][1])
        reason = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None) or str(cause)
        raise InputError(f"{name} {wording.format(seconds=seconds, reason=printable(str(reason)[:100]))}") from error
