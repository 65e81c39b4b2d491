"""Foreign files end in one line, which says what to do about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pem_edge.runtime import images
from pem_edge.runtime.artifacts import artifact, labels
from pem_edge.runtime.artifacts.manifest import manifest_path
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import ArtifactError, InputError, PemError
from pem_edge.runtime.outside.reading import absence, reading
from tests.runtime.helpers import coco_folder

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
CAUSES = {
    "cannot read shelf: Permission denied; mend it": PermissionError(13, "Permission denied"),
    "shelf is damaged or not a shelf (OSError: torn): mend it": OSError("torn"),
    "shelf needs more memory than there is, expected a shelf: close other programs, or mend it": MemoryError(),
    "shelf is nested too deeply, expected a shelf: mend it": RecursionError(),
    "shelf is damaged or not a shelf (torn): mend it": ValueError("torn"),
    "shelf is damaged or not a shelf (KeyError: 'a'): mend it": KeyError("a"),
    "ours": InputError("ours"),
}


@pytest.mark.parametrize("message", CAUSES)
def test_every_cause_is_one_line(message: str) -> None:
    with pytest.raises(InputError) as caught, reading("shelf", InputError, expected="a shelf", cure="mend it"):
        raise CAUSES[message]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "none does not exist"),
        ("dangling", "dangling is a link to none, which does not exist"),
        ("loop", "loop is behind too many levels of symbolic links"),
        ("loop/street.jpg", "loop/street.jpg is behind too many levels of symbolic links"),
        ("other", "other is behind too many levels of symbolic links"),
        ("a\0b", "a\0b does not exist"),
    ],
)
def test_what_is_not_there_says_why(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for link, target in (("dangling", "none"), ("loop", "loop"), ("other", "back"), ("back", "other")):
        Path(link).symlink_to(target)
    assert absence(Path(name)) == message


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_that_git_lfs_has_not_fetched_is_said(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"street.{suffix}"
    path.write_text(POINTER)
    refused(lambda: images.read(path), path)


def test_models_manifests_and_labels_that_git_lfs_has_not_fetched_are_said(tiny: Path) -> None:
    model, manifest = tiny.read_bytes(), manifest_path(tiny)
    tiny.write_text(POINTER)
    refused(lambda: artifact.read(tiny), tiny, ArtifactError)
    tiny.write_bytes(model)
    manifest.write_text(POINTER)
    refused(lambda: artifact.read(tiny), manifest, ArtifactError)
    refused(lambda: labels.load(str(manifest)), manifest)


def test_datasets_that_git_lfs_has_not_fetched_are_said(tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path)
    (folder / "panoptic" / "0.png").write_text(POINTER)
    refused(lambda: open_dataset(str(folder))[0], folder / "panoptic" / "0.png")
    (folder / "panoptic.json").write_text(POINTER)
    refused(lambda: open_dataset(str(folder)), folder / "panoptic.json")


def refused(read: Callable[[], object], path: Path, error: type[PemError] = InputError) -> None:
    with pytest.raises(error) as caught:
        read()
    assert str(caught.value).startswith(f"{path} only stands for a file in Git LFS, expected ")
    assert str(caught.value).endswith(": git lfs pull")
