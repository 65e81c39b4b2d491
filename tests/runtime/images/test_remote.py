"""Images come from the web within limits of time, size and redirects; all else that servers do is a one-line error."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import addresses, remote
from tests.runtime.helpers.image_server import Answer, response, serving

Send = Callable[[bytes], None]


def encoded() -> bytes:
    file = BytesIO()
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


PNG = encoded()


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def always(data: bytes) -> Answer:
    return lambda _request, send: send(data)


def forever(head: bytes, each: bytes, pause: float = 0) -> Answer:
    def answer(_request: str, send: Send) -> None:
        send(head)
        for part in repeat(each):
            send(part)
            time.sleep(pause)

    return answer


def redirected(location: str, status: str = "302 Found") -> bytes:
    return response(b"", "text/html", status, f"Location: {location}")


def test_an_image_comes_as_its_bytes() -> None:
    with serving(always(response(PNG))) as server:
        assert remote.fetch(f"{server}/street.png") == PNG


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain", "image/webp; charset=binary"])
def test_servers_that_do_not_know_the_type_of_their_file_are_believed(kind: str) -> None:
    with serving(always(response(PNG, kind))) as server:
        assert remote.fetch(server) == PNG


def test_chunks_and_bodies_without_a_length_come_whole() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (len(PNG), PNG)
    for answer in (chunked, b"HTTP/1.0 200 OK\r\n\r\n" + PNG):
        with serving(always(answer)) as server:
            assert remote.fetch(server) == PNG


def test_redirects_are_followed_and_user_and_password_stay_with_the_first_server() -> None:
    heads: list[str] = []

    def last(request: str, send: Send) -> None:
        heads.append(request)
        send(response(PNG))

    def first(request: str, send: Send) -> None:
        heads.append(request)
        send(redirected("/there") if "GET /here" in request else redirected(f"{other}/last.png", "307 Temporary"))

    with serving(last) as other, serving(first) as server:
        assert remote.fetch(server.replace("//", "//user:p%40ss@") + "/here") == PNG
    secret = f"Authorization: Basic {b64encode(b'user:p@ss').decode()}"
    assert [secret in head for head in heads] == [True, True, False]
    assert [head.split()[1] for head in heads] == ["/here", "/there", "/last.png"]


def test_what_an_address_has_besides_ascii_is_escaped() -> None:
    heads: list[str] = []

    def answer(request: str, send: Send) -> None:
        heads.append(request)
        send(response(PNG))

    with serving(answer) as server:
        remote.fetch(f"{server}/an image/Straße%20.png?größe=1 &b=%2F#part")
    assert heads[0].startswith("GET /an%20image/Stra%C3%9Fe%20.png?gr%C3%B6%C3%9Fe=1%20&b=%2F HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response(b"<p>", "text/html", "404 Not Found"), "does not exist there: check the address"),
        (response(b"", "text/html", "401 Unauthorized"), "asks for a user and a password"),
        (response(b"", "text/html", "403 Forbidden"), "refuses access"),
        (response(b"", "text/html", "503 Service Unavailable"), "HTTP status 503, the server failed"),
        (response(b"", "image/png", "204 No Content"), "HTTP status 204, expected 200 and an image"),
        (
            response(b"<p>", "text/html; charset=utf-8"),
            "is text/html, expected an image: give the address of the image",
        ),
        (response(b"--x", "multipart/x-mixed-replace; boundary=x"), "is multipart/x-mixed-replace, expected an image"),
        (response(PNG).replace(b"Length: ", b"Length: 9"), "was cut off: try again"),
        (b"", "was cut off by the server"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n", "was cut off"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000, "does not speak HTTP"),
        (redirected("file:///etc/passwd"), "refers to an address that is malformed or not on the web"),
        (redirected("data:image/png;base64," + "A" * 9000), "refers to an address that is malformed or not on the web"),
        (redirected("http://:99999/"), "refers to an address that is malformed"),
        (redirected("http://[bad"), "refers to an address that is malformed"),
        (response(b"", "text/html", "302 Found"), "is answered by HTTP status 302"),
        (redirected("/again"), "was redirected more than 5 times"),
    ],
)
def test_other_answers_are_errors_that_say_what_helps(answer: bytes, message: str) -> None:
    with serving(always(answer)) as server, pytest.raises(InputError) as error:
        remote.fetch(f"{server}/street.png?token=secret")
    assert message in str(error.value)
    assert "secret" not in str(error.value)


def test_lengths_are_not_believed_and_bodies_end_at_the_limit() -> None:
    ok = b"HTTP/1.1 200 OK\r\n"
    for head in (ok + b"\r\n", ok + b"Content-Length: -1\r\n\r\n", ok + b"Content-Length: 99999999999999\r\n\r\n"):
        with (
            serving(forever(head, bytes(1 << 16))) as server,
            pytest.raises(InputError, match="more than 1000000 bytes"),
        ):
            remote.fetch(server, max_bytes=1_000_000)
    with serving(always(response(PNG))) as server:
        assert remote.fetch(server, max_bytes=len(PNG)) == PNG


def test_compressed_bodies_are_not_expanded() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    with serving(always(response(bomb, "image/png", "200 OK", "Content-Encoding: gzip"))) as server:
        assert remote.fetch(server, max_bytes=len(bomb)) == bomb


@pytest.mark.parametrize(
    "answer",
    [
        forever(b"", b"", 0.1),
        forever(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.1),
        forever(b"HTTP/1.1 200 OK\r\nsl", b"o", 0.1),
        forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["nothing", "a body byte by byte", "a head byte by byte", "announcements without end"],
)
def test_servers_cannot_hold_the_reader(answer: Answer) -> None:
    with serving(answer) as server, pytest.raises(InputError, match=r"did not come in time, within 0\.5 s"):
        remote.fetch(server, seconds=0.5)


def test_a_server_that_never_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        with pytest.raises(InputError, match="did not come in time"):
            remote.fetch(f"http://127.0.0.1:{address[1]}/", seconds=0.5)
        for each in waiting:
            each.close()


def test_hosts_that_refuse_or_do_not_exist() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(InputError, match=f"http://127.0.0.1:{port}/a.png is on a host that refuses connections"):
        remote.fetch(f"http://127.0.0.1:{port}/a.png")
    with pytest.raises(InputError, match="is on a host that is not found: check its name"):
        remote.fetch("http://no-such-host.invalid/a.png")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_encryption_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        *names,
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with serving(always(response(PNG)), context) as server:
        with pytest.raises(InputError, match=r"certificate is not trusted \(self-signed certificate\).*SSL_CERT_FILE"):
            remote.fetch(server)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert remote.fetch(server) == PNG
    with serving(always(response(PNG))) as server, pytest.raises(InputError, match="encrypted connection that fails"):
        remote.fetch(server.replace("http:", "https:"))


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http:///street.png",
        "http://host:port/",
        "http://host:123456/",
        "http://user:pa/ss@host/street.png",
        "http://[::1/street.png",
        "http://a..b/",
        "http://ho st/",
        f"http://{'a' * 64}.org/",
        "file:///etc/passwd",
        "gopher://host/",
    ],
)
def test_addresses_that_cannot_be_fetched(address: str) -> None:
    with pytest.raises(InputError, match=r"is malformed|is not on the web") as error:
        remote.fetch(address)
    assert "pa/ss" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@host:8443/a/b.jpg?key=secret#secret", "https://host:8443/a/b.jpg"),
        ("https://user:se/cret@host/b.jpg", "https://..."),
        ("https://user:12/secret@host/b.jpg", "https://.../..."),
        ("https://user:12?secret@host/b.jpg", "https://.../..."),
        ("https://user:12#secret@host/b.jpg", "https://.../..."),
        ("https://host/package@1.0/b.jpg", "https://host/..."),
        ("HTTP://host/\x1b[31m.jpg", "HTTP://host/\\x1b[31m.jpg"),
    ],
)
def test_messages_show_no_secrets(address: str, shown: str) -> None:
    assert addresses.shown(address) == shown


@given(st.text(), st.sampled_from(["http://", "https://", "HTTP://", "http://h/", "http://h?", ""]))
def test_any_text_is_taken_apart_or_refused_in_one_line(text: str, start: str) -> None:
    try:
        parsed = addresses.parse(start + text)
    except InputError as error:
        message = str(error)
    else:
        message = parsed.url
        assert parsed.url.isascii()
        assert " " not in parsed.url
        assert addresses.is_web(parsed.url)
    assert message.isprintable()
