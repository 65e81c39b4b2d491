"""Commands leave nothing but their outputs and the documented cache, and ask nobody anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pem_edge.runtime.datasets.toy_streets import ToyStreets
from tests.runtime.helpers import coco_folder

ROOT = Path(__file__).parents[2]

RECORDER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
static void note(const char* what) {
    int file = open(getenv("NETWORK_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dprintf(file, "%s\n", what);
    close(file);
}
int connect(int socket, const struct sockaddr* address, socklen_t length) {
    if (address->sa_family != AF_UNIX) note("connect");
    int (*next)(int, const struct sockaddr*, socklen_t) = dlsym(RTLD_NEXT, "connect");
    return next(socket, address, length);
}
int getaddrinfo(const char* name, const char* service, const struct addrinfo* hints, struct addrinfo** found) {
    note("getaddrinfo");
    int (*next)(const char*, const char*, const struct addrinfo*, struct addrinfo**) = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(name, service, hints, found);
}
"""
"""A library that notes each connection and each look-up of a name, by native code, too."""


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the recorder of connections with")
    folder = tmp_path_factory.mktemp("recorder")
    (folder / "recorder.c").write_text(RECORDER)
    library = folder / "recorder.so"
    subprocess.run([compiler, "-shared", "-fPIC", folder / "recorder.c", "-o", library, "-ldl"], check=True)
    return library


SMALL = ["--size", "64x128"]
COMMANDS = {
    "pem-run": ["runtime.cli.run", "demo", "{pictures}", "-o", "out", "--save", "overlay,panoptic,json"],
    "pem-run, ONNX Runtime": ["runtime.cli.run", "demo", "{pictures}", "-o", "out", "--backend", "onnxruntime"],
    "pem-eval": ["runtime.cli.eval", "demo", "--dataset", "toy:2:64x128"],
    "pem-bench": [
        "runtime.cli.bench", "demo", "-o", "out/report.html", "--runs", "2", "--seconds", "0.1",
    ],
    "pem-data": ["runtime.cli.data", "check", "toy:3:64x128", "--val", "toy:2:64x128:1", "-o", "out"],
    "pem-doctor": ["runtime.cli.doctor"],
    "pem-export": ["export.cli.export", "--weights", "demo", "--to", "onnx", *SMALL, "-o", "out"],
    "pem-export --precision int8": [
        "export.cli.export", "--weights", "demo", "--to", "onnx", *SMALL, "--precision", "int8", "--calib",
        "toy:2:64x128", "-o", "out",
    ],
    "pem-export --to trt-rtx": ["export.cli.export", "--weights", "demo", "--to", "trt-rtx", *SMALL, "-o", "out"],
    "pem-train": [
        "pem.cli.train", "--variant", "pem-nano", "--dataset", "toy:2:64x64", "--size", "64x64", "--batch", "2",
        "--steps", "1", "--workers", "1", "-o", "out",
    ],
}  # fmt: skip

CACHES = {"pem-export --precision int8": {".cache/pem-edge"}}
"""What commands leave in the user's home, as README.md says."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_leaves_its_outputs_alone_and_asks_nobody(command: str, recorder: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("home", "temporary", "work", "pictures")}
    for place in places.values():
        place.mkdir()
    coco_folder.save(places["pictures"] / "a.png", ToyStreets(1, 64, 128)[0].image)
    module, *arguments = [part.format(pictures=places["pictures"]) for part in COMMANDS[command]]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(places["home"]),
        "TMPDIR": str(places["temporary"]),
        "PYTHONPATH": str(ROOT),
        "LD_PRELOAD": str(recorder),
        "NETWORK_LOG": str(tmp_path / "network"),
    }
    done = subprocess.run(
        [sys.executable, "-m", f"pem_edge.{module}", *arguments],
        cwd=places["work"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "network").exists(), (tmp_path / "network").read_text()
    assert list(places["temporary"].rglob("*")) == []
    assert {path.name for path in places["work"].iterdir()} <= {"out"}
    kept = (path.relative_to(places["home"]) for path in places["home"].rglob("*") if path.is_file())
    left = {"/".join(path.parts[:2]) for path in kept}
    assert left == CACHES.get(command, set())


def test_the_recorder_hears_a_connection(recorder: Path, tmp_path: Path) -> None:
    ask = "import socket; socket.create_connection(('localhost', 1), 1)"
    environment = {**os.environ, "LD_PRELOAD": str(recorder), "NETWORK_LOG": str(tmp_path / "network")}
    subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True)
    assert {"getaddrinfo", "connect"} <= set((tmp_path / "network").read_text().split())


@pytest.mark.parametrize("home", [None, "/nonexistent", "a file"])
def test_a_user_without_a_home_can_run_and_export(home: str | None, tmp_path: Path) -> None:
    """Containers run commands as users that the machine does not know."""
    (tmp_path / "a file").write_text("")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    if home is not None:
        environment["HOME"] = home if home.startswith("/") else str(tmp_path / home)
    coco_folder.save(tmp_path / "a.png", ToyStreets(1, 64, 128)[0].image)
    commands = [["runtime.cli.run", "demo", str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]]
    if home is None:  # without a cache
        commands.append([*COMMANDS["pem-export --precision int8"][:-1], str(tmp_path / "int8")])
    for module, *arguments in commands:
        script = (
            "import pwd, runpy, sys\n"
            "def unknown(_): raise KeyError('uid not found')\n"
            "pwd.getpwuid = unknown\n"
            f"sys.argv = ['x', *{arguments!r}]\n"
            f"runpy.run_module('pem_edge.{module}', run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
