"""Each rewrite that is part of the module computes what the published formulation computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pem_edge.pem import PEM
from pem_edge.pem.backbones.swin import PatchMerging, WindowAttention
from pem_edge.pem.decoder import ProjectingMaskProduct
from pem_edge.pem.layers.attention import (
    MaskedCrossAttention,
    Memory,
    PrototypeCrossAttention,
    PrototypeSelection,
    SelfAttention,
    argmax_pixel,
)
from pem_edge.pem.layers.deformable_attention import DeformableAttention
from pem_edge.pem.layers.positions import sine_positions
from pem_edge.pem.pixel_decoders.encoder import Depths, TokenEncoder
from pem_edge.pem.variants import VARIANTS
from reference import published_form
from reference.published import positions, transformer
from reference.published_form import ReferenceForm
from reference.weights import randomized
from tests.helpers.tiny import TINY_EOMT, TINY_MASK2FORMER, TINY_PROSCALE

VARIANTS_TRIED = {row.name: row for row in (VARIANTS["pem-nano"], TINY_MASK2FORMER, TINY_PROSCALE)}


@pytest.mark.parametrize("name", VARIANTS_TRIED)
def test_every_prediction_equals_the_one_made_at_stride_4_and_resized(name: str) -> None:
    torch.manual_seed(0)
    model = VARIANTS_TRIED[name].build(num_classes=7).eval()
    if name != "pem-nano":  # PEM picks single pixels, which random weights make a matter of rounding
        randomized(model)
    assert isinstance(model, PEM)
    pixels = torch.randn(2, 3, 96, 160, generator=torch.Generator().manual_seed(1))
    all_logits, all_masks = ReferenceForm(model).predictions(pixels)
    mask_features, levels = model.pixel_decoder(model.backbone(pixels))
    states = model.decoder.states(levels, mask_features)
    assert len(states) == len(all_logits) == len(model.decoder.layers) + 1
    for state, logits, masks in zip(states, all_logits, all_masks, strict=True):
        ours = model.decoder.predict(state.expand(2, -1, -1), mask_features)
        torch.testing.assert_close(ours[0], logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(ours[1], masks, rtol=0, atol=1e-3)


def test_tokens_in_another_order_and_blocks_that_leave_some_out_compute_what_is_published() -> None:
    model = randomized(TINY_EOMT.build(num_classes=7))
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for ours, expected in zip(model(images), ReferenceForm(model)(images), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_resizing_commutes_with_the_mask_product(factor: int) -> None:
    features, embeddings = torch.randn(2, 16, 32, 48), torch.randn(2, 5, 16)
    size = [32 // factor, 48 // factor]
    late = F.interpolate(torch.einsum("bqc,bchw->bqhw", embeddings, features), size, mode="bilinear")
    early = torch.einsum("bqc,bchw->bqhw", embeddings, F.interpolate(features, size, mode="bilinear"))
    torch.testing.assert_close(early, late, rtol=0, atol=1e-4)


def test_halving_bilinearly_is_the_mean_of_2x2_pixels() -> None:
    features = torch.randn(2, 3, 12, 20)
    torch.testing.assert_close(F.avg_pool2d(features, 2), F.interpolate(features, (6, 10), mode="bilinear"))


@pytest.mark.parametrize(("height", "width"), [(4, 8), (13, 7), (1, 1), (64, 128)])
def test_positions_are_the_published_sines(height: int, width: int) -> None:
    rows, columns = sine_positions(height, width, 64, torch.device("cpu"))
    expected = positions.sine_positions(torch.zeros(1, 1, height, width), 64)
    torch.testing.assert_close(rows + columns, expected, rtol=0, atol=2e-5)


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "mixed": lambda logits: logits,
    "everything inside": lambda logits: logits.abs(),
    "one query outside": lambda logits: torch.cat([-logits[:, :1].abs() - 0.1, logits[:, 1:]], dim=1),
    "everything outside": lambda logits: -logits.abs() - 0.1,
    "outside in one image of two": lambda logits: torch.stack([-logits[0].abs() - 0.1, logits[1]]),
    "exactly on the threshold": lambda logits: logits * 0,
}


@pytest.mark.parametrize("case", CASES)
def test_cross_attention_masks_as_published(case: str) -> None:
    module = randomized(PrototypeCrossAttention(width=32, heads=4))
    queries, positions, memory = torch.randn(2, 6, 32), torch.randn(1, 6, 32), torch.randn(2, 32, 5, 9)
    mask_logits = CASES[case](torch.randn(2, 6, 5, 9))
    ours = module(queries, positions, Memory(memory, memory), mask_logits)
    expected = published_form.cross_attend(module, queries, positions, memory, mask_logits)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_a_query_with_every_pixel_outside_takes_pixel_0() -> None:
    keys, targets = torch.randn(1, 8, 10), torch.randn(1, 2, 8)
    mask_logits = torch.ones(1, 2, 2, 5)
    mask_logits[:, 1] = -1
    prototypes, _ = PrototypeSelection(heads=2)(keys, targets, mask_logits)
    torch.testing.assert_close(prototypes[0, 1], F.normalize(keys, dim=1)[0, :, 0])


@given(height=st.integers(1, 6), width=st.integers(1, 6), levels=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_the_highest_pixel_by_row_and_column_is_the_first_of_all(
    height: int, width: int, levels: int, seed: int
) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).integers(0, levels, (2, 3, height, width))).float()
    expected = values.flatten(2).numpy().argmax(axis=2)
    np.testing.assert_array_equal(argmax_pixel(values).numpy(), expected)


def test_positions_added_to_the_projection_are_positions_added_before_it() -> None:
    module = randomized(SelfAttention(width=32, heads=4))
    queries, positions = torch.randn(2, 6, 32), torch.randn(1, 6, 32)
    expected = published_form.self_attend(module, queries, positions.expand(2, -1, -1))
    torch.testing.assert_close(module(queries, positions), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_masked_attention_masks_as_published(case: str) -> None:
    module = randomized(MaskedCrossAttention(width=32, heads=4))
    queries, positions, source, places = (
        torch.randn(shape) for shape in [(2, 6, 32), (1, 6, 32), *[(2, 32, 5, 9)] * 2]
    )
    mask_logits = CASES[case](torch.randn(2, 6, 5, 9))
    ours = module(queries, positions, Memory(source, source + places), mask_logits)
    expected = transformer.masked_attend(module, queries, positions, source, places, mask_logits)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_projecting_embeddings_is_projecting_mask_features() -> None:
    module = randomized(ProjectingMaskProduct(16))
    embeddings, features = torch.randn(2, 5, 16), torch.randn(2, 16, 8, 12)
    expected = torch.einsum("bqc,bchw->bqhw", embeddings, F.conv2d(features, module.weight, module.bias))
    torch.testing.assert_close(module(embeddings, features), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sizes", [[(3, 5)], [(2, 3), (4, 6)], [(1, 1), (2, 2), (4, 4)], [(2, 4), (4, 8), (8, 16)]])
def test_points_before_tokens_and_constant_steps_sample_as_published(sizes: list[tuple[int, int]]) -> None:
    module = randomized(DeformableAttention(width=16, heads=2, levels=len(sizes)))
    length = sum(height * width for height, width in sizes)
    tokens, places = torch.randn(2, length, 16), torch.randn(1, length, 16)
    expected = transformer.deformable_attend(module, tokens + places, tokens, sizes)
    torch.testing.assert_close(module(tokens, places, sizes), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("depths", [(0, 0, 2), (1, 1, 1), (2, 0, 1), (1, 1, 0)])
@pytest.mark.parametrize("recalibrated", [False, True])
def test_stages_of_the_encoder_see_the_published_tokens(depths: Depths, recalibrated: bool) -> None:
    encoder = randomized(TokenEncoder(32, 2, 64, depths, recalibrated=recalibrated))
    levels = [torch.randn(2, 32, 2 * factor, 3 * factor) for factor in (1, 2, 4)]
    for ours, expected in zip(encoder(levels), transformer.encode(encoder, levels), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


@given(height=st.integers(1, 15), width=st.integers(1, 15), window=st.sampled_from((2, 7, 12)), shifted=st.booleans())
def test_windows_see_what_published_windows_see(height: int, width: int, window: int, shifted: bool) -> None:
    module = randomized(WindowAttention(8, 2, window, shifted=shifted))
    x = torch.randn(2, height, width, 8)
    torch.testing.assert_close(module(x), transformer.window_attend(module, x), rtol=0, atol=1e-4)


def test_merging_patches_keeps_the_published_order_of_channels() -> None:
    module, x = randomized(PatchMerging(8)), torch.randn(2, 4, 6, 8)
    torch.testing.assert_close(module(x), transformer.merge_patches(module, x), rtol=0, atol=1e-5)
