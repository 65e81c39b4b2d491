"""Reads ONNX models as OpenVINO's, with what its own reader lacks or lays out worse."""

from __future__ import annotations

from pem_edge.runtime.outside.quiet_imports import without_telemetry

with without_telemetry():
    import openvino as ov
    from openvino import opset8 as opset
    from openvino.frontend import ConversionExtension, NodeContext

_NO_PADDING, _ONE_STEP = [0, 0, 0, 0], [1, 1]


def extend(core: ov.Core) -> None:
    """Teach ``core`` to read ONNX's DeformConv: OpenVINO has such an operation, but no conversion to it."""
    core.add_extension(ConversionExtension("DeformConv", _deformable_convolution))


def read(core: ov.Core, model: bytes | str) -> ov.Model:
    """Read an ONNX model, given as its bytes or as the path of its file."""
    found = core.read_model(model)
    _name_deformable_convolutions(found)
    if found.is_dynamic():
        _follow_dimensions(found)
    _multiply_last_channels(found)
    return found


def _deformable_convolution(node: NodeContext) -> list[ov.Output]:
    """Return the outputs of the operation that ONNX's DeformConv is, version 19.

    Both take the offsets as dy and dx of each tap in turn, and both sample zeros outside the map.
    """
    inputs = [node.get_input(index) for index in range(node.get_input_size())]
    data, weights, offsets, bias, mask = [*map(_given, inputs), None, None][:5]
    pads = node.get_attribute("pads", _NO_PADDING)
    convolved = opset.deformable_convolution(
        data,
        offsets,
        weights,
        strides=node.get_attribute("strides", _ONE_STEP),
        pads_begin=pads[:2],
        pads_end=pads[2:],
        dilations=node.get_attribute("dilations", _ONE_STEP),
        mask=mask,
        group=node.get_attribute("group", 1),
        deformable_group=node.get_attribute("offset_group", 1),
        bilinear_interpolation_pad=True,
    )
    if bias is None:
        return [convolved.output(0)]
    return [opset.add(convolved, opset.reshape(bias, [1, -1, 1, 1], special_zero=False)).output(0)]


def _given(value: ov.Output) -> ov.Output | None:
    """Return an input of a node; None if it is left out before one that is not, as ONNX does with an empty name."""
    return None if value.get_node().get_type_name() == "NullNode" else value


def _name_deformable_convolutions(model: ov.Model) -> None:
    """Give the operations that were converted the names of their nodes in ONNX, which profiles show.

    The reader names what the conversion returned: the sum with the bias, if there is one.
    """
    for node in model.get_ops():
        if node.get_type_name() == "DeformableConvolution" and node.friendly_name == node.get_name():
            for target in node.output(0).get_target_inputs():
                node.friendly_name = target.get_node().friendly_name


def _follow_dimensions(model: ov.Model) -> None:
    """Mark each dimension of the inputs that varies, so that the dimensions that always equal it are known."""
    for parameter in model.get_parameters():
        shape = parameter.get_partial_shape()
        if shape.rank.is_static:
            dimensions = list(shape)
            for dimension in dimensions:
                if dimension.is_dynamic:
                    dimension.set_symbol(ov.Symbol())
            parameter.set_partial_shape(ov.PartialShape(dimensions))
    model.validate_nodes_and_infer_types()


def _multiply_last_channels(model: ov.Model) -> None:
    """Let matrix products read maps (N, C, H, W) that are their right factor with the channels last.

    That is how convolutions leave them on CPUs, so that OpenVINO need not move every pixel of the mask features.
    """
    moved: dict[ov.Output, ov.Output] = {}
    for product in model.get_ordered_ops():
        if product.get_type_name() == "MatMul" and (pixels := _flattened_map(product)) is not None:
            if pixels not in moved:
                moved[pixels] = _channels_last(pixels)
            again = opset.matmul(product.input_value(0), moved[pixels], transpose_a=False, transpose_b=True)
            again.friendly_name = product.friendly_name
            product.output(0).replace(again.output(0))


def _flattened_map(product: ov.Node) -> ov.Output | None:
    """Return the map (N, C, H, W) that is the right factor of ``product`` as (N, C, H W); None if it is none."""
    attributes, right = product.get_attributes(), product.input_value(1).get_node()
    if attributes["transpose_a"] or attributes["transpose_b"] or right.get_type_name() != "Reshape":
        return None
    pixels = right.input_value(0)
    before, after = pixels.get_partial_shape(), right.output(0).get_partial_shape()
    if before.rank != ov.Dimension(4) or after.rank != ov.Dimension(3) or before[1].is_dynamic:
        return None
    return pixels if all(map(_is_same, before[:2], after[:2])) else None


def _is_same(one: ov.Dimension, other: ov.Dimension) -> bool:
    """Return whether two dimensions are known to be equal, whatever the sizes of the inputs."""
    if one.is_static:
        return bool(one == other)
    return one.has_symbol() and other.has_symbol() and bool(one.get_symbol() == other.get_symbol())


def _channels_last(pixels: ov.Output) -> ov.Output:
    """Return ``pixels`` (N, C, H, W) as (N, H W, C)."""
    channels = pixels.get_partial_shape()[1].get_length()
    return opset.reshape(opset.transpose(pixels, [0, 2, 3, 1]), [0, -1, channels], special_zero=True).output(0)
