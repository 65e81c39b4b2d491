"""How this package was installed, and with that the command that adds one of its extras."""

from __future__ import annotations

import shlex
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from pem_edge.runtime.installation import distributions
from pem_edge.runtime.installation.distributions import ONNXRUNTIME_GPU, PACKAGE


class _Folder(msgspec.Struct):
    editable: bool = False


class _Repository(msgspec.Struct):
    vcs: str
    commit_id: str


class _Source(msgspec.Struct):
    """What pip installed a package from, as it records it in ``direct_url.json`` (PEP 610)."""

    url: str
    dir_info: _Folder | None = None
    vcs_info: _Repository | None = None

    def path(self) -> Path | None:
        """Return the folder or the wheel; None for an address."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" and self.vcs_info is None else None

    def is_editable(self) -> bool:
        """Return whether the folder is used in place."""
        return self.dir_info is not None and self.dir_info.editable

    def address(self) -> str:
        """Return the address, as a requirement names it."""
        return self.url if self.vcs_info is None else f"{self.vcs_info.vcs}+{self.url}@{self.vcs_info.commit_id}"


def how_to_install(*extras: str) -> str:
    """Return the command that installs extras of this package, such as ``pip install '.[ort]'`` in a checkout.

    It names what this package was installed from: a folder, a wheel, an address or a repository; and the package's
    name alone if that was a package index.
    """
    chosen, source, checkout = f"[{','.join(extras)}]", _recorded_source(), _checkout()
    place = checkout or (None if source is None else source.path())
    if place is not None:
        target = f".{chosen}" if _is_current(place) else f"{place}{chosen}"
    else:
        target = f"{PACKAGE}{chosen}" if source is None else f"{PACKAGE}{chosen} @ {source.address()}"
    editable = source is not None and source.is_editable() and source.path() == place
    return f"pip install {'-e ' if editable else ''}{shlex.quote(target)}"


def how_to_add(extra: str) -> str:
    """Return the command that adds an extra to what is installed.

    All builds of ONNX Runtime have the same files, so that the one for GPUs must take the place of the others.
    """
    others = [name for name in distributions.onnxruntimes() if name != ONNXRUNTIME_GPU]
    command = how_to_install(extra)
    return f"pip uninstall -y {' '.join(others)} && {command}" if others and extra == "ort-gpu" else command


def how_to_add_tensorrt() -> str:
    """Return how to install TensorRT, which no extra brings, and what the extra has that is not here yet."""
    needed = {each.name for each in distributions.requirements("trt")}
    is_complete = needed and needed <= set(distributions.installed())
    rest = "" if is_complete else f", and {how_to_install('trt')}"
    return f"JetPack has it, elsewhere pip install tensorrt, from NVIDIA's package index{rest}"


def origin() -> str:
    """Return what this package was installed from, in words, such as "a folder, used in place: /home/me/pem-edge"."""
    source, checkout = _recorded_source(), _checkout()
    if checkout is not None:
        return f"a folder, used in place: {checkout}"
    if source is None:
        return "a package index"
    place = source.path()
    if place is None:
        return f"an address: {source.address()}"
    return f"{'a wheel' if place.suffix == '.whl' else 'a folder'}: {place}"


def _is_current(folder: Path) -> bool:
    with suppress(OSError):  # the current folder may have been deleted
        return folder == Path.cwd()
    return False


def _checkout() -> Path | None:
    """Return the checkout that this module is in; None if it is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def _recorded_source() -> _Source | None:
    """Return what pip recorded; None if it was a package index, pip did not install this package, or it is damaged."""
    with suppress(metadata.PackageNotFoundError, msgspec.DecodeError, ValueError):
        recorded = metadata.distribution(PACKAGE).read_text("direct_url.json")
        source = None if recorded is None else msgspec.json.decode(recorded, type=_Source)
        return source if source is not None and urlsplit(source.url).scheme else None
    return None
