"""The list of public weights says what was published, finds weights by name, and takes no other file for a zoo's."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from pem_edge import pem
from pem_edge.pem import public_weights
from pem_edge.pem.checkpoints import hub
from pem_edge.pem.checkpoints.names import foreign
from pem_edge.pem.public_weights import (
    LICENSES,
    PublicWeights,
    find,
    license_of,
    listed,
    notice,
    of_copy,
    suggestion,
    verify,
)
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.errors import CheckpointError

TINY = "facebook/mask2former-swin-tiny-coco-panoptic"


def row_id(weights: PublicWeights) -> str:
    return weights.name


@pytest.mark.parametrize("weights", listed(), ids=row_id)
def test_every_row_is_of_a_known_license_label_set_and_address(weights: PublicWeights) -> None:
    assert weights.license in LICENSES
    assert labels.load(weights.labels)
    for address in (weights.url, weights.source, LICENSES[weights.license].url):
        parts = urlsplit(address)
        assert (parts.scheme, bool(parts.netloc)) == ("https", True)
    assert weights.url.endswith(weights.name) or weights.zoo == "PRO-SCALE"
    assert find(weights.name) is weights


def test_names_are_listed_once() -> None:
    names = [weights.name.lower() for weights in listed()]
    assert len(set(names)) == len(names)


def test_rows_are_of_variants_that_can_be_exported() -> None:
    assert {weights.variant for weights in listed()} <= set(pem.VARIANTS)


@pytest.mark.parametrize("weights", [each for each in listed() if each.converted_from], ids=row_id)
def test_names_on_the_hub_say_what_their_rows_say(weights: PublicWeights) -> None:
    """The script that converted the weights made the names of size, data set and task."""
    _, _, size, *_, task = weights.name.replace("-base-IN21k-", "-base-").split("-")
    assert weights.variant.endswith(f"swin-{size[0]}")
    assert weights.task == task
    written = {"ade": "ade20k", "mapillary-vistas": "mapillary_vistas"}
    dataset = weights.name.removesuffix(f"-{task}").split(f"-{size}-")[1].removeprefix("IN21k-")
    assert weights.dataset == written.get(dataset, dataset)
    original = find(str(weights.converted_from))
    assert original is not None
    assert ("IN21k" in original.url) == ("IN21k" in weights.name or size == "large")
    assert f"swin_{size}" in original.url


@pytest.mark.parametrize("weights", [each for each in listed() if each.zoo == "EoMT"], ids=row_id)
def test_names_of_eomt_say_what_their_rows_say(weights: PublicWeights) -> None:
    said = re.fullmatch(r"tue-mps/(\w+)_(panoptic|instance)_eomt_(small|base|large)_(640|1280)(_2x)?", weights.name)
    assert said is not None
    assert (weights.dataset, weights.task, weights.variant) == (said[1], said[2], f"eomt-{said[3][0]}")
    assert (weights.on_hub, weights.converted_from, weights.license) == (True, None, "MIT")
    assert foreign.name_of_hub_model(weights.name) is None


def test_what_the_hub_has_comes_first_and_only_that_is_fetched_by_name() -> None:
    on_hub = [weights.on_hub for weights in listed()]
    assert on_hub == sorted(on_hub, reverse=True)
    assert all(hub.is_name(weights.name) == weights.on_hub for weights in listed())
    assert all(weights.on_hub for weights in listed() if weights.converted_from)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("mask2former-swin-tiny-coco-panoptic", TINY),
        ("COCO_panoptic_eomt_large_640", "tue-mps/coco_panoptic_eomt_large_640"),
        ("panoptic", "panoptic"),
        ("model_final_94dc52.pkl", "model_final_94dc52.pkl"),
        ("", ""),
    ],
)
def test_a_copy_of_a_listed_model_is_known_by_the_name_of_its_folder(folder: str, name: str) -> None:
    assert of_copy(folder) == name


@pytest.mark.parametrize(
    ("name", "metric", "figure", "set_of_labels"),
    [
        ("tue-mps/coco_panoptic_eomt_small_640_2x", "PQ", 46.7, "coco_panoptic"),
        ("tue-mps/ade20k_panoptic_eomt_large_1280", "PQ", 51.7, "ade20k"),
        ("tue-mps/coco_instance_eomt_large_640", "AP", 45.2, "coco_instance"),
        (TINY, "PQ", 53.2, "coco_panoptic"),
        ("facebook/mask2former-swin-large-cityscapes-semantic", "mIoU", 83.3, "cityscapes"),
        ("facebook/mask2former-swin-base-IN21k-coco-instance", "AP", 48.1, "coco_instance"),
        ("model_final_94dc52.pkl", "PQ", 51.9, "coco_panoptic"),
        ("model_final_01a8ed.pkl", "AP", 37.4, "cityscapes_instance"),
        ("model_final_92dae9.pkl", "AP", 34.9, "ade20k_instance"),
        ("model_final_5c90d4.pkl", "PQ", 39.7, "ade20k"),
        ("model_final_132c71.pkl", "PQ", 45.5, "mapillary_vistas"),
        ("mask2former_r50_8xb2-90k_cityscapes-512x1024_20221202_140802-ffd9d750.pth", "mIoU", 80.44, "cityscapes"),
        ("swint_proscale_3_3_3_coco.pth", "PQ", 52.88, "coco_panoptic"),
    ],
)
def test_figures_are_the_published_ones(name: str, metric: str, figure: float, set_of_labels: str) -> None:
    found = find(name)
    assert found is not None
    assert (found.metric, found.figure, found.labels) == (metric, figure, set_of_labels)


def test_names_are_found_in_any_case_and_nothing_else_is() -> None:
    assert find(TINY.upper()) is find(TINY) is not None
    for name in ("", "facebook/mask2former", "mask2former-swin-tiny-coco-panoptic", "model_final.pkl", f"x/{TINY}"):
        assert find(name) is None


def test_licenses_that_forbid_commercial_use_are_told_with_their_address() -> None:
    expected = (
        f"the weights of {TINY} are licensed under CC BY-NC 4.0: not for commercial use; "
        "https://creativecommons.org/licenses/by-nc/4.0/"
    )
    assert notice(TINY, "CC-BY-NC-4.0") == expected
    assert "NEC Labs' terms: not for commercial use" in str(notice("r50_proscale_3_3_3_coco.pth", "LicenseRef-NECLA"))
    assert all((notice(row.name, row.license) is None) == LICENSES[row.license].commercial for row in listed())
    assert notice("model_final.pth", None) is None


def test_unlisted_names_of_the_family_have_its_license_and_others_none() -> None:
    unlisted = "Facebook/mask2former-resnet-50-coco-panoptic"
    assert find(unlisted) is None
    assert license_of(unlisted) is LICENSES["CC-BY-NC-4.0"]
    assert license_of("someone/mask2former-tiny") is None


@pytest.mark.parametrize(
    ("name", "algorithm", "digits"),
    [("model_final_{}.pkl", "md5", 6), ("mask2former_20230118_125535-{}.pth", "sha256", 8)],
)
def test_a_file_is_the_zoos_if_its_content_has_the_hash_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, algorithm: str, digits: int
) -> None:
    content = b"weights" * 1000
    path = tmp_path / name.format(hashlib.new(algorithm, content).hexdigest()[:digits])
    assert not verify(path)  # no zoo has a file of that name, so that it is not even read
    zoo = {
        "title": "a zoo",
        "address": "https://example.org/",
        "source": "https://example.org/",
        "license": "Apache-2.0",
        "files": [[path.name, "mask2former-r50", "coco", "panoptic", 50.0]],
    }
    table = tmp_path / "table.json"
    table.write_bytes(msgspec.json.encode({"zoos": [zoo], "conversions": {}}))
    monkeypatch.setattr(public_weights, "TABLE", table)
    listed.cache_clear()
    try:
        path.write_bytes(content)
        assert verify(path)
        path.write_bytes(content + b" of my own")
        assert not verify(path)
        path.unlink()
        path.symlink_to("/proc/self/mem")  # a file that cannot be read
        with pytest.raises(CheckpointError, match=f"cannot read .*{path.name}: Input/output error; name another file"):
            verify(path)
        path.unlink()
        os.mkfifo(path)  # would wait for a writer
        assert not verify(path)
    finally:
        listed.cache_clear()


def test_a_name_without_a_hash_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r50_proscale_3_3_3_coco.pth"
    path.write_bytes(b"weights")
    assert not verify(path)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("facebook/mask2former-swin-tiny-coco-panotic", f"did you mean {TINY}?"),
        (TINY.partition("/")[2], f"did you mean {TINY}?"),
        ("tue-mps/coco_panoptic_eomt_large_64", "did you mean tue-mps/coco_panoptic_eomt_large_640?"),
        ("model_final.pth", "pem-export --list shows names"),
    ],
)
def test_a_misspelt_name_is_told_the_one_that_it_resembles(name: str, advice: str) -> None:
    assert suggestion(name) == advice


def test_a_listed_name_that_a_hub_lacks_is_not_suggested_again() -> None:
    assert "HF_ENDPOINT" in suggestion("Facebook/mask2former-swin-tiny-coco-panoptic")
