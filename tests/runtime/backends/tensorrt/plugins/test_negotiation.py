"""The plugin accepts the types, formats and shapes that its kernels can handle, and no others."""

from __future__ import annotations

import ctypes
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.deform_conv_cases import Case, make
from tests.runtime.backends.tensorrt.plugins.host_library import Attributes, Element, Form, Layout, Shape, attributes_of
from tests.runtime.backends.tensorrt.plugins.strategies import cases

X, WEIGHT, RAW, BIAS, Y = range(5)
EVERY_FORM = [Form(element, layout) for element, layout in product(Element, Layout)]


def combination(element: Element, layout: Layout) -> list[Form]:
    return [Form(element, Layout.LINEAR if position in (WEIGHT, BIAS) else layout) for position in range(5)]


FLOAT = combination(Element.FLOAT, Layout.LINEAR)
HALF = combination(Element.HALF, Layout.LINEAR)
HALF_HWC8 = combination(Element.HALF, Layout.HWC8)


def key(form: Form) -> tuple[int, int]:
    return form.element, form.layout


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((1, 1), [FLOAT, HALF_HWC8]),
        ((2, 1), [FLOAT, HALF, HALF_HWC8]),
        ((1, 2), [FLOAT, HALF, HALF_HWC8]),
    ],
)
def test_exactly_the_combinations_that_a_kernel_serves_well_are_supported(
    host: ctypes.CDLL, groups: tuple[int, int], expected: list[list[Form]]
) -> None:
    """Ask as TensorRT does: position by position, with later forms undecided."""
    case = make(np.random.default_rng(0), group=groups[0], offset_group=groups[1])
    attributes = ctypes.byref(attributes_of(case))
    chosen: list[list[Form]] = [[]]
    for position in range(5):
        unknown = [Form(99, 99)] * (4 - position)
        chosen = [
            [*before, form]
            for before in chosen
            for form in EVERY_FORM
            if host.supported(attributes, position, (Form * 5)(*before, form, *unknown))
        ]
    assert sorted([key(f) for f in forms] for forms in chosen) == sorted([key(f) for f in c] for c in expected)


def shapes_of(case: Case) -> list[tuple[int, ...]]:
    return [*(array.shape for array in case.plugin_inputs), case.output_shape]


def complaint(host: ctypes.CDLL, attributes: Attributes, shapes: list[tuple[int, ...]]) -> str:
    message = ctypes.create_string_buffer(1024)
    described = (Shape * 5)(*(Shape(len(shape), (ctypes.c_int64 * 8)(*shape)) for shape in shapes))
    host.check(ctypes.byref(attributes), described, message)
    return message.value.decode()


@given(case=cases(), unknown=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 3))))
def test_shapes_that_fit_are_accepted_known_or_not(
    host: ctypes.CDLL, case: Case, unknown: set[tuple[int, int]]
) -> None:
    shapes = [
        tuple(-1 if (tensor, axis) in unknown else size for axis, size in enumerate(shape))
        for tensor, shape in enumerate(shapes_of(case))
    ]
    assert complaint(host, attributes_of(case), shapes) == ""


@given(case=cases(), tensor=st.integers(0, 4), axis=st.integers(0, 3))
def test_a_shape_that_does_not_fit_is_refused(host: ctypes.CDLL, case: Case, tensor: int, axis: int) -> None:
    """Change one size by one, which contradicts another size unless a stride or W's padding absorbs it."""
    shapes = [list(shape) for shape in shapes_of(case)]
    axis %= len(shapes[tensor])
    shapes[tensor][axis] += 1
    absorbed = tensor == X and axis >= 2 and case.strides[axis - 2] > 1
    if tensor == X and axis == 1:
        absorbed = shapes[X][1] % case.group == shapes[X][1] % case.offset_group == 0
    if not absorbed:
        assert complaint(host, attributes_of(case), [tuple(shape) for shape in shapes]).endswith(
            "export the model again"
        )


@given(case=cases())
def test_output_size_is_the_standards(host: ctypes.CDLL, case: Case) -> None:
    """Compare with the number of positions at which the kernel fits."""
    for axis in (0, 1):
        size = case.x.shape[axis + 2]
        reach = case.dilations[axis] * (case.kernel_shape[axis] - 1)
        last = size + case.pads[axis] + case.pads[axis + 2] - 1
        places = [start for start in range(0, last + 1, case.strides[axis]) if start + reach <= last]
        assert host.output_extent(ctypes.c_int64(size), ctypes.byref(attributes_of(case)), axis) == len(places)


@pytest.mark.parametrize(
    ("tensor", "shape", "message"),
    [
        (X, (1, 8, 5), "X has shape (1, 8, 5), expected (-1, -1, -1, -1)"),
        (WEIGHT, (8, 8, 3, 3), "W has shape (8, 8, 3, 3), expected (9, 128, 64)"),
        (WEIGHT, (9, 8, 8), "W has shape (9, 8, 8), expected (9, 128, 64)"),
        (RAW, (1, 18, 5, 6), "raw has shape (1, 18, 5, 6), expected (1, 27, 5, 6)"),
        (BIAS, (1, 8), "B has shape (1, 8), expected (-1)"),
        (Y, (1, 9, 5, 6), "Y has shape (1, 9, 5, 6), expected (1, 8, 5, 6)"),
    ],
)
def test_complaints_name_what_came_and_what_was_expected(
    host: ctypes.CDLL, tensor: int, shape: tuple[int, ...], message: str
) -> None:
    case = make(np.random.default_rng(0))
    shapes = shapes_of(case)
    shapes[tensor] = shape
    assert complaint(host, attributes_of(case), shapes) == f"{message} (-1: any): export the model again"


def test_an_image_smaller_than_the_kernel_is_refused(host: ctypes.CDLL) -> None:
    case = make(np.random.default_rng(0), pads=(0, 0, 0, 0))
    shapes = shapes_of(case)
    shapes[X] = (1, 8, 2, 6)
    assert complaint(host, attributes_of(case), shapes) == (
        "X of shape (1, 8, 2, 6) is smaller than the kernel: use a larger image"
    )


@pytest.mark.parametrize("name", ["group", "offset_group"])
def test_channels_must_divide_into_groups(host: ctypes.CDLL, name: str) -> None:
    case = make(np.random.default_rng(0))
    attributes = attributes_of(case)
    setattr(attributes, name, 3)
    message = complaint(host, attributes, shapes_of(case))
    assert message == f"X has 8 channels, expected a multiple of {name} 3: export the model again"


def test_tensors_beyond_32_bit_indices_are_refused(host: ctypes.CDLL) -> None:
    case = make(np.random.default_rng(0))
    height, width = 2**14, 2**14
    shapes = [(1, 8, height, width), (9, 128, 64), (1, 27, height, width), (8,)]
    message = complaint(host, attributes_of(case), [*shapes, (1, 8, height, width)])
    assert message == ("X of shape (1, 8, 16384, 16384) has 2^31 values or more: use a smaller batch or image")


@given(channels=st.integers(1, 300), out_channels=st.integers(1, 300), group=st.integers(1, 3))
def test_weights_are_padded_to_whole_tiles(host: ctypes.CDLL, channels: int, out_channels: int, group: int) -> None:
    case = make(
        np.random.default_rng(0),
        channels=group * channels,
        out_channels=group * out_channels,
        size=(1, 1),
        kernel=(1, 1),
        pads=(0, 0, 0, 0),
        group=group,
    )
    assert complaint(host, attributes_of(case), shapes_of(case)) == ""
