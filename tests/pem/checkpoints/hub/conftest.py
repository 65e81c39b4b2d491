"""A hub on this machine, and processes that fetch from it: huggingface_hub reads the environment when imported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from reference.hub_server import HubServer
from tests.helpers.processes import started

LARGE = 300_000

NO_NETWORK, OFFLINE = {"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}
"""Environments: one in which nobody listens where the hub should be, and one that says not to ask."""

FETCHES = """
import json, os, resource, sys
from pem_edge.pem.checkpoints import hub
from pem_edge.runtime.errors import CheckpointError

def fetch(name, revision, largest_file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file or resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    said = []
    try:
        snapshot = hub.fetch(name, revision, said.append)
    except CheckpointError as error:
        return {"error": str(error), "said": said}
    except Exception as error:
        return {"error": f"not a CheckpointError: {error!r}", "said": said}
    return {"folder": str(snapshot.folder), "name": snapshot.name, "revision": snapshot.revision, "said": said}

def started(environment):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:0] = filter(None, [environment.get("IMPORTED_FIRST")])
        for line in os.fdopen(reading):
            print(json.dumps(fetch(**json.loads(line))), flush=True)
        os._exit(0)
    os.close(reading)
    return os.fdopen(writing, "w")

workers = {}
for line in sys.stdin:
    order = json.loads(line)
    environment = order.pop("environment")
    key = json.dumps(environment)
    if key not in workers:
        workers[key] = started(environment)
    print(json.dumps(order), file=workers[key], flush=True)
"""
"""Carries out orders, one a line, in a process for each environment, which imports huggingface_hub there.

What they print on standard output is one line of JSON for each order, and nothing else.
"""


@dataclass(frozen=True)
class Answer:
    """What came of one call of `fetch`."""

    folder: Path = Path()
    name: str = ""
    revision: str = ""
    error: str = ""
    said: tuple[str, ...] = ()

    @property
    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if self.revision}


@dataclass(frozen=True)
class Fetcher:
    """Calls `fetch` in other processes; ``name`` is that of the test's own model, ``home`` the hub's cache."""

    process: subprocess.Popen[str]
    hub: HubServer
    home: Path
    name: str

    def __call__(
        self, name: str | None = None, revision: str | None = None, *, largest_file: int = 0, **environment: str
    ) -> Answer:
        order = {
            "name": name or self.name,
            "revision": revision,
            "largest_file": largest_file,
            "environment": self.hub.environment(self.home, **environment),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        folder, said = Path(answer.pop("folder", "")), tuple(answer.pop("said", ()))
        return Answer(folder=folder, said=said, **answer)


@pytest.fixture(scope="package")
def process() -> Iterator[subprocess.Popen[str]]:
    with started([sys.executable, "-c", FETCHES], stdin=subprocess.PIPE, stderr=None) as process:
        yield process


@pytest.fixture(scope="package")
def server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def hub(server: HubServer) -> HubServer:
    """Put the hub in order, as if never asked; each test has a model of its own name there."""
    server.requests.clear()
    server.status, server.resets, server.silent = None, False, False
    return server


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def fetch(process: subprocess.Popen[str], hub: HubServer, home: Path, tmp_path: Path) -> Fetcher:
    name = re.sub("[^A-Za-z0-9]+", "-", tmp_path.name).strip("-")
    return Fetcher(process, hub, home, f"owner/{name}")


@pytest.fixture
def publish(fetch: Fetcher, tmp_path: Path) -> Callable[..., str]:
    """Publish files as the newest commit of the test's model: content as it is, or a number of bytes by chance."""
    chance = np.random.default_rng(0)

    def publish(files: Mapping[str, bytes | str | int], branch: str = "main") -> str:
        folder = tmp_path / "published" / str(len(list(tmp_path.glob("published/*"))))
        folder.mkdir(parents=True)
        for file, content in files.items():
            data = chance.bytes(content) if isinstance(content, int) else content
            (folder / file).write_bytes(data.encode() if isinstance(data, str) else data)
        return fetch.hub.publish(fetch.name, folder, branch)

    return publish
