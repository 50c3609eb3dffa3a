# SPDX-License-Identifier: Apache-2.0
"""Which kernel computes which operator: one function a kind of node, from its attributes to calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.cppsim.emitter import Emitter, Node
from hw.cppsim.interface import Type

VECTOR = 64
"""Elements after which a row of thresholds is long enough for any vector register."""


def _pad(node: Node, emit: Emitter) -> None:
    height, width = node.numbers("ImgDim")
    top, left, bottom, right = node.numbers("Padding")
    channels = node.number("NumChannels")
    x, y = emit.read(node, 0), emit.write(node, 0)
    elements = -(-channels // 64) if x.packed else channels
    emit.call(node, "pad", [height, width, elements, top, left, bottom, right], x, y)


def _windows(node: Node, emit: Emitter) -> None:
    channels = node.number("IFMChannels")
    numbers = [*node.numbers("IFMDim"), *node.numbers("ConvKernelDim"), *node.numbers("Stride")]
    geometry = f"Window<{', '.join(map(str, [*numbers, *node.numbers('Dilation')]))}>"
    # FINN's generic generator keeps im2col's order even where it is depthwise.
    interleaved = node.number("depthwise") and node.op_type == "ConvolutionInputGenerator_rtl"
    group = node.number("SIMD") if interleaved else channels
    if emit.is_packed(node.inputs[0]) and group == channels:
        emit.call(node, "packed_windows", [geometry, channels], emit.read(node, 0), emit.write(node, 0))
    else:
        x, y = emit.read_plain(node, 0), emit.write_plain(node, 0)
        emit.call(node, "windows", [geometry, channels, group], x, y)


def _mvau(node: Node, emit: Emitter) -> None:
    if not node.number("noActivation"):
        raise node.refuse("has built-in thresholds", "make them a node of their own (noActivation = 1)")
    weights = node.constant(1)
    if node.number("binaryXnorMode"):
        _xnor(node, emit, weights)
        return
    if "BIPOLAR" in (node.input_type(0), node.output_type(0)) and node.text("weightDataType") == "BIPOLAR":
        raise node.refuse("multiplies BIPOLAR by BIPOLAR", "convert the graph to BINARY first")
    pixels, (mw, mh) = _pixels(node.input_shape(0)), weights.shape
    kind = Type.of(node.text("weightDataType")) if node.text("weightDataType") != "BINARY" else Type.of("INT8")
    bits = min(_bits(node, node.text("accDataType")), _bits(node, node.output_type(0)))
    constant = emit.constant(weights.astype(kind.dtype))
    emit.call(node, "mvau", [pixels, mw, mh, bits], emit.read_plain(node, 0), constant, emit.write_plain(node, 0))


def _xnor(node: Node, emit: Emitter, weights: npt.NDArray[np.int64]) -> None:
    if node.input_type(0) != "BINARY" or not np.isin(weights, (0, 1)).all():
        raise node.refuse("is an XNOR product of other values than BINARY", "convert the graph to BINARY first")
    pixels, (mw, mh) = _pixels(node.input_shape(0)), weights.shape
    bits = min(_bits(node, node.text("accDataType")), _bits(node, node.output_type(0)))
    padded = np.zeros((mh, -(-mw // 64) * 64), np.uint8)
    padded[:, :mw] = weights.T
    packed = np.packbits(padded, axis=1, bitorder="little").view("<u8")
    constant = emit.constant(np.ascontiguousarray(packed.T))
    emit.call(node, "xnor_mvau", [pixels, mw, mh, bits], emit.read(node, 0), constant, emit.write_plain(node, 0))


def _thresholds(node: Node, emit: Emitter) -> None:
    levels = np.atleast_2d(node.constant(1))
    channels, steps = node.number("NumChannels"), levels.shape[1]
    scale, bias = (2, -1) if node.output_type(0) == "BIPOLAR" else (1, node.number("ActVal"))
    output = Type.of(node.output_type(0))
    if bias < output.lowest or scale * steps + bias > output.highest:
        raise node.refuse(f"gives {bias} .. {scale * steps + bias}, more than {node.output_type(0)} holds")
    if levels.shape[0] not in (1, channels):
        raise node.refuse(f"thresholds of {levels.shape[0]} channels for {channels}")
    if len(levels) == 1:
        levels = np.repeat(levels, channels, axis=0)
    kind = _common(Type.of(node.input_type(0)), Type.of(node.text("weightDataType")), steps)
    rows = np.tile(levels.T, (1, -(-VECTOR // channels))).astype(kind.dtype)
    parameters = [math.prod(node.input_shape(0)), rows.shape[1], steps, scale, bias]
    emit.call(node, "thresholds", parameters, emit.read_plain(node, 0), emit.constant(rows), emit.write_plain(node, 0))


def _common(values: Type, levels: Type, steps: int) -> Type:
    """The narrowest type of 8, 16 or 32 bits for elements, thresholds and the number of steps."""
    lowest, highest = min(values.lowest, levels.lowest), max(values.highest, levels.highest)
    for size in (8, 16, 32):
        for sign in ("U", ""):
            kind = Type.of(f"{sign}INT{size}") if (sign, size) != ("U", 32) else Type.of("UINT31")
            if kind.lowest <= lowest and highest <= kind.highest and steps < 2**size:
                return kind
    return Type.of("INT32")


def _identity(node: Node, emit: Emitter) -> None:
    for index in range(len(node.outputs)):
        emit.alias(node, index)


def _add(node: Node, emit: Emitter) -> None:
    shapes = [node.input_shape(0), node.input_shape(1), node.output_shape(0)]
    if len({math.prod(shape) for shape in shapes}) > 1:
        raise node.refuse(f"broadcasts {shapes[0]} and {shapes[1]}", "only equal shapes can be added")
    parameters = [math.prod(shapes[0]), _bits(node, node.output_type(0))]
    emit.call(node, "add", parameters, emit.read_plain(node, 0), emit.read_plain(node, 1), emit.write_plain(node, 0))


def _concat(node: Node, emit: Emitter) -> None:
    y = emit.write_plain(node, 0)
    output, width = Type.of(node.output_type(0)), node.output_shape(0)[-1]
    first = 0
    for index in range(len(node.inputs)):
        kind, channels = Type.of(node.input_type(index)), node.input_shape(index)[-1]
        if kind.lowest < output.lowest or kind.highest > output.highest:
            raise node.refuse(f"{node.output_type(0)} does not hold {node.input_type(index)} of input {index}")
        parameters = [_pixels(node.input_shape(index)), channels, width, first]
        emit.call(node, "place", parameters, emit.read_plain(node, index), y)
        first += channels


def _channel_pad(node: Node, emit: Emitter) -> None:
    y = emit.write_plain(node, 0)
    channels, width = node.number("NumChannels"), node.number("OutputChannels")
    emit.call(node, "clear", [math.prod(node.output_shape(0))], y)
    parameters = [_pixels(node.input_shape(0)), channels, width, node.number("Offset")]
    emit.call(node, "place", parameters, emit.read_plain(node, 0), y)


def _complement(node: Node, emit: Emitter) -> None:
    kind = Type.of(node.output_type(0))
    if node.op_type == "ChannelComplement_rtl":
        mask = np.array(node.numbers("Mask")) * (-1 if kind.lowest else kind.highest)
    else:
        mask = node.constant(1, "rhs_dtype")
    channels = node.output_shape(0)[-1]
    if mask.shape != (channels,):
        raise node.refuse(f"a constant of shape {mask.shape} for {channels} channels")
    constant = emit.constant(mask.astype(kind.dtype))
    parameters = [_pixels(node.output_shape(0)), channels]
    emit.call(node, "exclusive_or", parameters, emit.read_plain(node, 0), constant, emit.write_plain(node, 0))


def _pool(node: Node, emit: Emitter) -> None:
    function, channels = node.text("Function"), node.number("Channels")
    if function not in ("QuantAvgPool", "AccPool", "MaxPool"):
        raise node.refuse(f"Function {function} is not exact in integers", "use QuantAvgPool")
    taps, bits, shift = math.prod(node.numbers("KernelSize")), _bits(node, node.output_type(0)), 0
    if function == "QuantAvgPool":
        largest = (2 ** _bits(node, node.input_type(0)) - 1) * taps
        shift = max(0, largest.bit_length() - bits)
    # Pool_rtl reads what a specialised generator writes, everything else im2col's order.
    im2col = node.op_type == "Pool" or node.producer in ("ConvolutionInputGenerator", "Im2Col")
    group = channels if im2col else node.number("PE")
    kernel = "Maximum" if function == "MaxPool" else "Sum"
    parameters = [kernel, _pixels(node.output_shape(0)), channels, taps, group, shift, bits]
    emit.call(node, "pool", parameters, emit.read_plain(node, 0), emit.write_plain(node, 0))


def _global_pool(node: Node, emit: Emitter) -> None:
    frames, height, width = node.numbers("numInputVectors")
    parameters = [frames, height * width, node.number("NumChannels"), _bits(node, node.output_type(0))]
    emit.call(node, "global_sum", parameters, emit.read_plain(node, 0), emit.write_plain(node, 0))


def _label(node: Node, emit: Emitter) -> None:
    if node.number("K") != 1:
        raise node.refuse(f"K = {node.number('K')}", "only the best label (K = 1) can be selected")
    if Type.of(node.output_type(0)).highest < node.number("Labels") - 1:
        raise node.refuse(f"{node.output_type(0)} cannot hold {node.number('Labels')} labels")
    parameters = [_pixels(node.input_shape(0)), node.number("Labels")]
    emit.call(node, "label_select", parameters, emit.read_plain(node, 0), emit.write_plain(node, 0))


def _pixels(shape: tuple[int, ...]) -> int:
    return math.prod(shape[:-1])


def _bits(node: Node, datatype: str) -> int:
    """Width of a result, of which the hardware keeps so many bits."""
    if datatype == "BINARY":
        return 1
    if datatype in ("BIPOLAR", "TERNARY") and not node.op_type.startswith("Pool"):
        raise node.refuse(f"a sum is {datatype}", "it must be an integer type")
    return Type.of(datatype).bits


KERNELS: dict[str, Callable[[Node, Emitter], None]] = {
    "FMPadding": _pad,
    "ConvolutionInputGenerator": _windows,
    "MVAU": _mvau,
    "XnorMVAU": _mvau,
    "Thresholding": _thresholds,
    "DuplicateStreams": _identity,
    "StreamingFIFO": _identity,
    "StreamingDataWidthConverter": _identity,
    "WidthConverter": _identity,
    "ElementwiseAdd": _add,
    "StreamAdd": _add,
    "StreamingConcat": _concat,
    "ChannelPad": _channel_pad,
    "ChannelComplement": _complement,
    "ElementwiseXor": _complement,
    "ElementwiseBitwiseXor": _complement,
    "Pool": _pool,
    "GlobalAccPool": _global_pool,
    "LabelSelect": _label,
}
"""By operator without the suffix of its domain: generic and RTL nodes compute the same."""


def kernel(node: Node) -> Callable[[Node, Emitter], None]:
    """The function for a node.

    Raises:
        UnsupportedOperatorError: there is none.
    """
    found: Any = KERNELS.get(node.op_type.removesuffix("_rtl"))
    if found is None:
        raise node.refuse(
            f"no kernel for operator {node.op_type}",
            "convert or specialise the graph first, or add a kernel to hw/cppsim/kernels.py",
        )
    return found  # type: ignore[no-any-return]
