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
    _multiply_last_channels(found)
    return found


def _deformable_convolution(node: NodeContext) -> list[ov.Output]:
    """Return the outputs of the operation that ONNX's DeformConv is, version 19.

    Both take the offsets as dy and dx of each tap in turn, and both sample zeros outside the map.
    """
    inputs = [node.get_input(index) for index in range(node.get_input_size())]
    data, weights, offsets = inputs[:3]
    pads = node.get_attribute("pads", _NO_PADDING)
    convolved = opset.deformable_convolution(
        data,
        offsets,
        weights,
        strides=node.get_attribute("strides", _ONE_STEP),
        pads_begin=pads[:2],
        pads_end=pads[2:],
        dilations=node.get_attribute("dilations", _ONE_STEP),
        mask=inputs[4],
        group=node.get_attribute("group", 1),
        deformable_group=node.get_attribute("offset_group", 1),
        bilinear_interpolation_pad=True,
    )
    bias = opset.reshape(inputs[3], [1, -1, 1, 1], special_zero=False)
    return [opset.add(convolved, bias).output(0)]


def _name_deformable_convolutions(model: ov.Model) -> None:
    """Give the operations that were converted the names of their nodes in ONNX, which profiles show."""
    for node in model.get_ops():
        if node.get_type_name() == "DeformableConvolution":
            (with_bias,) = node.output(0).get_target_inputs()
            node.friendly_name = with_bias.get_node().friendly_name


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
    if len(before) != 4 or len(after) != 3 or before[1].is_dynamic or before[1] != after[1]:
        return None
    return pixels


def _channels_last(pixels: ov.Output) -> ov.Output:
    """Return ``pixels`` (N, C, H, W) as (N, H W, C)."""
    channels = pixels.get_partial_shape()[1].get_length()
    return opset.reshape(opset.transpose(pixels, [0, 2, 3, 1]), [0, -1, channels], special_zero=True).output(0)
