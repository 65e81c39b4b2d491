"""Random deformable convolutions for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from reference.deform_conv_cases import Case, make


@st.composite
def cases(draw: st.DrawFn, *, grouped: bool = True) -> Case:
    """Draw cases with odd sizes, strides, dilations, pads, offsets far outside, ReLU and, if ``grouped``, groups."""

    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    group = draw(st.integers(1, 3)) if grouped else 1
    offset_group = draw(st.integers(1, 3)) if grouped else 1
    size, kernel, dilations = pair(1, 9), pair(1, 3), pair(1, 3)
    pads = (*pair(0, 3), *pair(0, 3))
    assume(all(size[i] + pads[i] + pads[i + 2] > dilations[i] * (kernel[i] - 1) for i in (0, 1)))
    return make(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        batch=draw(st.integers(1, 2)),
        channels=int(np.lcm(group, offset_group)) * draw(st.integers(1, 3)) if grouped else draw(st.integers(1, 40)),
        out_channels=group * draw(st.integers(1, 3)) if grouped else draw(st.integers(1, 20)),
        size=size,
        kernel=kernel,
        strides=pair(1, 3),
        pads=pads,
        dilations=dilations,
        group=group,
        offset_group=offset_group,
        relu=draw(st.booleans()),
        reach=draw(st.sampled_from([0.0, 0.5, 3.0, 100.0])),
    )
