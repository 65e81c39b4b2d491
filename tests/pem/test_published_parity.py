"""The module computes what the published code computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pem_edge import pem
from reference import published_models
from reference.published_form import ReferenceForm, full_mask_features
from tests.pem.conftest import Checkpoint

CASES = [(model, size) for model in published_models.MODELS for size in published_models.sizes(model)]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_module_matches_published_outputs(name: str, size: str, checkpoint: Checkpoint) -> None:
    model = pem.load(checkpoint(name))
    assert model.variant == published_models.MODELS[name]
    logits, masks = model.segment(published_models.pixels(model, size))
    published_models.assert_golden(name, size, logits.numpy(), masks.numpy())


@pytest.mark.parametrize(("name", "size"), CASES)
def test_module_matches_published_intermediate_maps(name: str, size: str, checkpoint: Checkpoint) -> None:
    model = pem.load(checkpoint(name))
    assert isinstance(model, pem.PEM)
    features = model.backbone(published_models.pixels(model, size))
    mask_features, levels = model.pixel_decoder(features)
    maps = {"res2": features[0], "res5": features[3], "mask_features": full_mask_features(model.decoder, mask_features)}
    maps |= {f"multi_scale{i}": level for i, level in enumerate(levels)}
    for key, value in maps.items():
        expected = published_models.golden(name)[f"{size}/{key}_mean"]
        np.testing.assert_allclose(value.mean((2, 3))[0].numpy(), expected, rtol=1e-5, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", published_models.MODELS)
def test_forward_is_normalization_and_segment(name: str, checkpoint: Checkpoint) -> None:
    model = pem.load(checkpoint(name))
    logits, masks = model(published_models.image("128x256"))
    published_models.assert_golden(name, "128x256", logits.numpy(), masks.numpy())


REFERENCES = [
    ("pem_r50_cityscapes", "100x150"),
    *((name, "128x256") for name in published_models.MODELS if "coco" in name),
]


@pytest.mark.parametrize(("name", "size"), REFERENCES)
def test_reference_form_matches_published_outputs(name: str, size: str, checkpoint: Checkpoint) -> None:
    model = pem.load(checkpoint(name))
    logits, masks = ReferenceForm(model).predictions(published_models.pixels(model, size))
    published_models.assert_golden(name, size, logits[-1].numpy(), masks[-1].numpy())


def test_images_of_a_batch_do_not_touch_each_other(checkpoint: Checkpoint) -> None:
    model = pem.load(checkpoint("pem_stdc1_cityscapes"))
    image = published_models.image("128x256")
    both = model(torch.cat([image, image.flip(2)]))
    for i, alone in enumerate((model(image), model(image.flip(2)))):
        for ours, expected in zip(both, alone, strict=True):
            torch.testing.assert_close(ours[i : i + 1], expected, rtol=0, atol=5e-3)
