"""Whatever keeps a model from being fetched is said in one line, with the cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pem_edge.pem.checkpoints.hub import is_name, parse
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.installation import how_to_install
from reference.huggingface.hub_server import HubServer
from tests.pem.checkpoints.hub.conftest import LARGE, NO_NETWORK, OFFLINE, Fetcher

Publish = Callable[..., str]

MODEL: dict[str, bytes | str | int] = {"config.json": "{}", "model.safetensors": LARGE}


def refused(fetch: Fetcher, *expected: str, revision: str | None = None, **environment: str) -> None:
    answer = fetch(revision=revision, **environment)
    assert len(answer.error.splitlines()) == 1, answer
    assert [text for text in expected if text not in answer.error] == [], answer


@pytest.mark.parametrize("token", [{}, {"HF_TOKEN": "hf_of_somebody"}], ids=["nobody", "somebody"])
def test_an_unknown_name_may_be_a_private_one(token: dict[str, str], fetch: Fetcher, hub: HubServer) -> None:
    refused(fetch, f"there is no model {fetch.name} on {hub.url}", "private", "hf auth login", "HF_TOKEN", **token)


def test_a_gated_model_has_to_be_asked_for(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    publish(MODEL)
    hub.repositories[fetch.name].gated = True
    refused(fetch, f"ask for access at {hub.url}/{fetch.name}", "hf auth login")


def test_an_unknown_revision_is_named(fetch: Fetcher, publish: Publish) -> None:
    publish(MODEL)
    refused(fetch, f"{fetch.name} has no revision v9: give a branch, a tag or a commit", revision="v9")
    refused(fetch, f"'../../main' is not a revision of {fetch.name}", revision="../../main")


def test_a_model_of_another_kind_is_refused_with_what_it_has(fetch: Fetcher, publish: Publish) -> None:
    publish({"model.pth": LARGE, "README.md": "hello"})
    refused(fetch, f"{fetch.name} has no config.json", "it has README.md, model.pth: choose another model")
    publish({"config.json": "{}", "tf_model.h5": LARGE})
    refused(
        fetch, f"{fetch.name} has no weights that can be read", "it has config.json, tf_model.h5: choose another model"
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("tue-mps/coco_panoptic_eomt_small_640_dinov3", "EoMT with DINOv3"),
        ("https://huggingface.co/tue-mps/ade_semantic_eomt_large_512_DINOv3", "EoMT with DINOv3"),
        ("tue-mps/coco_panoptic_eomt_giant_1280", "EoMT with a ViT-g or larger"),
        ("tue-mps/coco_panoptic_eomt_7b_640", "EoMT with a ViT-g or larger"),
    ],
)
def test_public_models_that_do_not_load_are_named_before_the_hub_is_asked(
    name: str, model: str, fetch: Fetcher, hub: HubServer
) -> None:
    answer = fetch(name)
    assert f"{name.removeprefix('https://huggingface.co/')} is {model}" in answer.error
    assert "is not supported: give one of PEM, Mask2Former" in answer.error
    assert hub.requests == []


@pytest.mark.parametrize("environment", [NO_NETWORK, OFFLINE], ids=["no network", "offline mode"])
def test_what_is_not_in_the_cache_needs_a_network(environment: dict[str, str], fetch: Fetcher) -> None:
    cure = "check the network" if "HF_ENDPOINT" in environment else "unset HF_HUB_OFFLINE"
    refused(fetch, fetch.name, cure, **environment)


@pytest.mark.parametrize("environment", [NO_NETWORK, OFFLINE], ids=["no network", "offline mode"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tue-mps/coco_panoptic_eomt_smal_640_2x", "; or did you mean tue-mps/coco_panoptic_eomt_small_640_2x?"),
        ("tue-mps/coco_panoptic_eomt_small_640_2x", ""),
        ("somebody/else", ""),
    ],
)
def test_a_misspelt_name_is_recognized_without_a_network(
    name: str, meant: str, environment: dict[str, str], fetch: Fetcher
) -> None:
    assert fetch(name, **environment).error.partition("; or did")[1:] == meant.partition("; or did")[1:]


def test_a_cache_that_lacks_a_file_is_not_taken_for_the_model(fetch: Fetcher, publish: Publish) -> None:
    publish({**MODEL, "preprocessor_config.json": "{}"})
    folder = fetch().folder
    (folder / "model.safetensors").unlink()
    refused(fetch, "has no weights of", "with the hub in reach", **OFFLINE)
    (folder / "preprocessor_config.json").unlink()
    refused(fetch, "does not say whether", "preprocessor_config.json", "with the hub in reach", **OFFLINE)


@pytest.mark.parametrize(
    ("status", "expected"), [(500, "is in trouble (500)"), (401, "does not accept your token"), (429, "fewer requests")]
)
def test_a_hub_that_answers_nothing_else_is_named(status: int, expected: str, fetch: Fetcher, hub: HubServer) -> None:
    hub.status = status
    refused(fetch, hub.url, expected, HF_TOKEN="hf_of_nobody")


def test_a_connection_that_is_reset_ends_in_one_line(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    publish(MODEL)
    hub.repositories[fetch.name].cut["model.safetensors"] = 1000
    hub.resets = True
    refused(fetch, f"cannot fetch {fetch.name} from {hub.url} (", "check the network", "run this again")


def test_a_hub_that_says_nothing_for_too_long_ends_in_one_line(
    fetch: Fetcher, hub: HubServer, publish: Publish
) -> None:
    publish(MODEL)
    hub.silent = True
    refused(
        fetch, f"cannot fetch {fetch.name} from {hub.url} (", "Timeout", "check the network", HF_HUB_ETAG_TIMEOUT="1"
    )


def test_a_full_disk_is_named(fetch: Fetcher, publish: Publish) -> None:
    publish(MODEL)
    answer = replace(fetch, largest_file=LARGE // 2)()
    assert f"there is no room for {fetch.name} in {fetch.home / 'hub'}" in answer.error
    assert "set HF_HOME to a folder on another disk" in answer.error


def test_a_cache_that_cannot_be_written_is_named(fetch: Fetcher, publish: Publish, tmp_path: Path) -> None:
    publish(MODEL)
    (tmp_path / "file").touch()
    refused(fetch, "cannot use the cache", str(tmp_path / "file"), "set HF_HOME", HF_HUB_CACHE=str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"weight_map": {"a": "../../x.safetensors"}}', "names '../../x.safetensors', expected a .safetensors file"),
        ('{"weight_map": {"a": "part.bin"}}', "names 'part.bin', expected a .safetensors file beside it"),
        ('{"weight_map": {}}', "names 0 files, expected 1 to 256"),
        (json.dumps({"weight_map": {str(n): f"{n}.safetensors" for n in range(300)}}), "names 300 files"),
        ('{"weight_map": {"a": "absent.safetensors"}}', "lacks absent.safetensors"),
        ('{"weight_map": [', "is damaged or not an index of weights in parts"),
    ],
    ids=["elsewhere", "another format", "none", "too many", "a part missing", "damaged"],
)
def test_an_index_that_names_anything_but_parts_is_refused(
    content: str, expected: str, fetch: Fetcher, publish: Publish
) -> None:
    publish({"config.json": "{}", "model.safetensors.index.json": content})
    refused(fetch, expected)


def test_without_the_package_the_extra_is_named(fetch: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "huggingface_hub.py").write_text("raise ModuleNotFoundError(name='huggingface_hub')")
    refused(fetch, f"huggingface_hub is not installed: {how_to_install('hub')}", IMPORTED_FIRST=str(tmp_path))


def test_an_environment_that_keeps_the_package_from_being_imported_is_named(fetch: Fetcher) -> None:
    refused(fetch, "cannot be imported", "HF_ variables", HF_HUB_ETAG_TIMEOUT="soon")


@pytest.mark.parametrize(
    "text",
    [
        "facebook/mask2former-swin-tiny-coco-panoptic",
        "owner/name-v1.5",
        "O_1/x",
        "https://huggingface.co/owner/name",
        "https://huggingface.co/owner/name/",
        "https://hf.co/owner/name/tree/main",
    ],
)
def test_names_of_models_are_known_as_such(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "demo",
        "model.pth",
        "weights/model.pth",
        "weights/model.PTH",
        "run/model.safetensors",
        "/weights/model",
        "./model",
        "../model",
        "a/b/c",
        "~/model",
        "owner/na--me",
        "owner/na..me",
        "owner/.name",
        "owner/name.git",
        "owner/näme",
        "owner/name\n",
        f"owner/{'n' * 97}",
        "C:\\models\\x",
        "https://example.com/owner/name",
        "https://huggingface.co/datasets/owner/name",
        "https://huggingface.co/owner/name/blob/main/model.pth",
    ],
)
def test_paths_and_other_text_are_no_names(text: str) -> None:
    assert not is_name(text)
    with pytest.raises(CheckpointError, match=r"is not the name of a model on the Hugging Face hub: give it as"):
        parse(text)


def test_an_address_is_taken_apart() -> None:
    assert parse("https://huggingface.co/owner/name/tree/refs/pr/1") == ("owner/name", "refs/pr/1")
    assert parse("https://huggingface.co/owner/name/tree/main/") == ("owner/name", "main")
    assert parse("https://huggingface.co/owner/name/") == ("owner/name", None)
