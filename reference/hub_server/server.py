"""The server: addresses, headers and error codes as huggingface_hub expects them."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from reference.hub_server.repository import Repository, digest, is_large

_MODEL = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_STORE = re.compile(r"/store/(?P<name>[^/]+/[^/]+)/(?P<commit>[0-9a-f]{40})/(?P<file>.+)")


@dataclass(frozen=True)
class Request:
    """A request that the server got; its headers by their names in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]


class HubServer:
    """A hub on this machine, in a thread of its own; a context manager.

    Large files come, like the hub's, from another host to which the answer leads; here it is ``localhost`` instead of
    ``127.0.0.1``.

    Attributes:
        repositories: The models by name.
        requests: What it was asked, in order.
        status: The status with which it answers everything; None if it works.
        resets: Whether a response that is cut ends with a reset of the connection, rather than in order.
        silent: Whether it takes requests and answers none.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.status: int | None = None
        self.resets = False
        self.silent = False
        self.closing = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True

    def __enter__(self) -> HubServer:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address, for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def publish(self, name: str, folder: Path, branch: str = "main") -> str:
        """Make ``folder`` the newest commit of a model's branch, and return the commit's hash."""
        return self.repositories.setdefault(name, Repository()).commit(folder, branch)

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Return the environment for a process that shall find its hub here, and keep its cache in ``home``."""
        foreign = re.compile(r"HF_.*|HUGGING.*|TRANSFORMERS_.*|DISABLE_TELEMETRY|DO_NOT_TRACK|.*_PROXY", re.IGNORECASE)
        own = {name: value for name, value in os.environ.items() if foreign.fullmatch(name) is None}
        return {**own, "HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "*", **more}

    def await_request(self, start: str, seconds: float = 60) -> bool:
        """Wait for a request whose path begins so; return whether it came in time."""
        deadline = time.monotonic() + seconds
        while not (came := any(each.path.startswith(start) for each in self.requests)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return came

    def fetched(self, name: str, file: str = "") -> list[Request]:
        """Return the requests for the content of a model's files, or of one of them."""
        return [
            each
            for each in self.requests
            if each.method == "GET"
            and not each.path.startswith("/api/")
            and name in each.path
            and each.path.endswith(file)
        ]


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:  # the base class's types of what it formats
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub.requests.append(Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        path = urlsplit(self.path).path
        if self.hub.silent:
            self._break_off(waits=True)
        elif self.hub.status is not None:
            self._refuse(self.hub.status)
        elif match := _STORE.fullmatch(path):
            repository = self.hub.repositories[match["name"]]
            self._send_file(repository, repository.commits[match["commit"]] / match["file"], {})
        elif match := _MODEL.fullmatch(path):
            self._describe(match["name"], unquote(match["revision"] or "main"))
        elif match := _FILE.fullmatch(path):
            self._resolve(match["name"], unquote(match["revision"]), unquote(match["file"]))
        else:
            self._refuse(404)

    def _describe(self, name: str, revision: str) -> None:
        repository = self._repository(name)
        if repository is None:
            return
        commit = repository.resolve(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound")
        else:
            self._send(json.dumps(repository.description(name, commit)).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repository = self._repository(name)
        if repository is None:
            return
        commit = repository.resolve(revision)
        if repository.gated:
            self._refuse(403 if "Authorization" in self.headers else 401, "GatedRepo")
        elif commit is None:
            self._refuse(404, "RevisionNotFound")
        elif not (repository.commits[commit] / file).is_file():
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
        else:
            self._lead_to(name, commit, file, repository)

    def _lead_to(self, name: str, commit: str, file: str, repository: Repository) -> None:
        path = repository.commits[commit] / file
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest(path)}"'}
        if not is_large(path):
            self._send_file(repository, path, headers)
            return
        headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(path.stat().st_size)}
        headers["Location"] = f"http://localhost:{self.hub.port}/store/{name}/{commit}/{file}"
        self._send(b"", headers, status=302)

    def _repository(self, name: str) -> Repository | None:
        """Return the repository, or None after an answer that there is none for who asks."""
        repository = self.hub.repositories.get(name)
        authorization = self.headers.get("Authorization")
        if repository is None or repository.token not in (None, (authorization or "").removeprefix("Bearer ")):
            self._refuse(404 if authorization else 401, "RepoNotFound")
            return None
        return repository

    def _send_file(self, repository: Repository, path: Path, headers: dict[str, str]) -> None:
        content, file = path.read_bytes(), path.name
        if file in repository.altered:
            content = content[:-1] + bytes([content[-1] ^ 1])
        first = 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            first = int(asked[1])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        last = len(content)
        if self.command == "GET" and file in repository.cut:
            last = first + repository.cut.pop(file)
        if self.command == "GET" and file in repository.hanging:
            last = (first + len(content)) // 2
        headers |= {"Content-Length": str(len(content) - first), "Accept-Ranges": "bytes"}
        self._send(content[first:last], headers, status=206 if asked else 200)
        if self.command == "GET" and last < len(content):
            self._break_off(waits=file in repository.hanging)

    def _break_off(self, *, waits: bool) -> None:
        self.wfile.flush()
        if waits:
            self.hub.closing.wait()
        if self.hub.resets:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()  # before the base class says that no more will come
        self.close_connection = True

    def _refuse(self, status: int, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        named = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        self._send(b"", {**named, **(headers or {})}, status=status)

    def _send(self, content: bytes, headers: Mapping[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
