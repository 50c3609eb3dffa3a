# SPDX-License-Identifier: Apache-2.0
"""Graphs of one abstract FINN node, and one of each kind that this project has an operator for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import gen_finn_dt_tensor, qonnx_make_model

from hw.ops.cell_op import RTL_DOMAIN
from hw.ops.registry import register

PART = "xc7z020clg400-1"
Tensors = dict[str, tuple[tuple[int, ...], str]]  # name -> (shape, datatype)


def one_node(
    op_type: str,
    inputs: Tensors,
    outputs: Tensors,
    weights: tuple[np.ndarray, str] | None = None,
    **attributes: Any,
) -> ModelWrapper:
    """Graph of one abstract node."""
    ins, outs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (shape, _) in tensors.items()]
        for tensors in (inputs, outputs)
    )
    names = [*inputs, *(["weights"] if weights else [])]
    common = {"name": f"{op_type}_0", "domain": "finn.custom_op.fpgadataflow", "backend": "fpgadataflow"}
    node = helper.make_node(op_type, names, list(outputs), **common, **attributes)
    model = ModelWrapper(qonnx_make_model(helper.make_graph([node], "one_node", ins, outs)))
    for name, (_, datatype) in {**inputs, **outputs}.items():
        model.set_tensor_datatype(name, DataType[datatype])
    if weights:
        model.set_initializer("weights", weights[0].astype(np.float32))
        model.set_tensor_datatype("weights", DataType[weights[1]])
    return model


def product(weights: np.ndarray, types: tuple[str, str, str], vectors: list[int], **attributes: Any) -> ModelWrapper:
    """A matrix product without thresholds; types of input, weights and output."""
    mw, mh = weights.shape
    idt, wdt, odt = types
    return one_node(
        "MVAU",
        {"in": ((*vectors, mw), idt)},
        {"out": ((*vectors, mh), odt)},
        (weights, wdt),
        **{
            "MW": mw,
            "MH": mh,
            "PE": 1,
            "SIMD": 1,
            "noActivation": 1,
            "numInputVectors": vectors,
            **attributes,
        },
        inputDataType=idt,
        weightDataType=wdt,
        outputDataType=odt,
        accDataType=odt,
    )


def binary(mw: int, mh: int, pe: int, simd: int, vectors: list[int], **more: Any) -> ModelWrapper:
    """An XNOR product; its output type starts out as FINN's, which is too narrow."""
    weights = np.random.default_rng([mw, mh, pe, simd]).integers(0, 2, (mw, mh))
    types = ("BINARY", "BINARY", "INT8")
    return product(weights, types, vectors, PE=pe, SIMD=simd, binaryXnorMode=1, **more)


def ternary(mw: int, mh: int, pe: int, simd: int, vectors: list[int], **more: Any) -> ModelWrapper:
    """A product of -1, 0, +1 with weights of -1 and +1."""
    weights = np.random.default_rng([mw, mh]).choice([-1, 1], (mw, mh))
    return product(weights, ("TERNARY", "INT2", "INT8"), vectors, PE=pe, SIMD=simd, **more)


def selection(ci: int, co: int, offset: int, simd: int, vectors: list[int], *, datatype: str = "INT4") -> ModelWrapper:
    """The option-A shortcut: a product by a 0/1 matrix."""
    types = (datatype, "INT2", "INT32")
    return product(np.eye(ci, co, k=offset), types, vectors, SIMD=simd)


def add(shape: tuple[int, ...], lhs: str, rhs: str, out: str, pe: int, **attributes: Any) -> ModelWrapper:
    return one_node(
        "ElementwiseAdd",
        {"a": (shape, lhs), "b": (shape, rhs)},
        {"out": (shape, out)},
        **{"lhs_shape": shape, "rhs_shape": shape, "out_shape": shape, "PE": pe, **attributes},
        lhs_dtype=lhs,
        rhs_dtype=rhs,
        out_dtype=out,
    )


def join(
    channels: int, pe: int, types: tuple[str, str, str], shift: int, *, sign: bool = True, **attributes: Any
) -> ModelWrapper:
    """A residual join; types of count, residual and sum. FINN has no abstract node for it."""
    register()
    vectors = [1, 3, 3]
    rng = np.random.default_rng([channels, shift])
    # Lines that run through the range of the sum once, and begin anywhere in it.
    largest, steps = int(DataType[types[0]].max()), 2 ** DataType[types[2]].bitwidth()
    factors = rng.integers(0, 2 * (steps << shift) // largest + 2, channels)
    offsets = -factors * largest // 2 + rng.integers(-(1 << shift), 1 << shift, channels)
    shape = (*vectors, channels)
    model = one_node(
        "ResidualJoin_rtl",
        {"counts": (shape, types[0]), "residual": (shape, types[1])},
        {"out": (shape, types[2])} | ({"sign": (shape, "BINARY")} if sign else {}),
        NumChannels=channels,
        PE=pe,
        inputDataType=types[0],
        residualDataType=types[1],
        outputDataType=types[2],
        numInputVectors=vectors,
        Factors=factors.tolist(),
        Offsets=offsets.tolist(),
        Shift=shift,
        **attributes,
    )
    model.graph.node[0].domain = RTL_DOMAIN
    return model


def line(
    channels: int, pe: int, types: tuple[str, str], shift: int, steepness: float, **attributes: Any
) -> ModelWrapper:
    """Another format by lines that rise through the output's range within 1 / ``steepness`` of the input's."""
    register()
    vectors = [1, 3, 3]
    rng = np.random.default_rng([channels, shift])
    taken, given = (DataType[name] for name in types)
    steps, values = 2 ** given.bitwidth() << shift, 2 ** taken.bitwidth()
    factors = rng.integers(steps * steepness / values, 2 * steps * steepness / values + 1, channels)
    middle = (int(given.min() + given.max() + 1) << shift) - factors * int(taken.min() + taken.max() + 1)
    offsets = middle // 2 + rng.integers(-(1 << shift), 1 << shift, channels)
    shape = (*vectors, channels)
    model = one_node(
        "Requantise_rtl",
        {"in": (shape, types[0])},
        {"out": (shape, types[1])},
        NumChannels=channels,
        PE=pe,
        inputDataType=types[0],
        outputDataType=types[1],
        numInputVectors=vectors,
        Factors=factors.tolist(),
        Offsets=offsets.tolist(),
        Shift=shift,
        **attributes,
    )
    model.graph.node[0].domain = RTL_DOMAIN
    return model


def window(
    size: tuple[int, int],
    channels: int,
    kernel: int = 3,
    padding: int = 1,
    stride: int = 1,
    *,
    datatype: str = "BINARY",
    op_type: str = "BinaryWindow_rtl",
    **folding: Any,
) -> ModelWrapper:
    """Windows of a picture, the padding the same on all sides."""
    register()
    dims = [(n + 2 * padding - kernel) // stride + 1 for n in size]
    model = one_node(
        op_type,
        {"in": ((1, *size, channels), datatype)},
        {"out": ((1, *dims, kernel**2 * channels), datatype)},
        **{"PE": channels, **folding},
        NumChannels=channels,
        inputDataType=datatype,
        numInputVectors=[1, *size],
        Kernel=kernel,
        Stride=stride,
        Padding=padding,
        OFMDim=dims,
    )
    model.graph.node[0].domain = RTL_DOMAIN
    return model


def folded_window(size: tuple[int, int], channels: int, **more: Any) -> ModelWrapper:
    """The same of a part of the channels at a time."""
    return window(size, channels, datatype="INT4", op_type="FoldedWindow_rtl", **more)


def dsp_product(mw: int, mh: int, pe: int, types: tuple[str, str], vectors: list[int]) -> ModelWrapper:
    """A product on DSP blocks; types of input and sum. FINN has no abstract node for it."""
    register()
    weights = np.random.default_rng([mw, mh, pe]).integers(-127, 128, (mh, mw))
    model = one_node(
        "DspMVAU_rtl",
        {"in": ((*vectors, mw), types[0])},
        {"out": ((*vectors, mh), types[1])},
        NumChannels=mw,
        Outputs=mh,
        PE=pe,
        inputDataType=types[0],
        outputDataType=types[1],
        numInputVectors=vectors,
        Weights=weights.ravel().tolist(),
    )
    model.graph.node[0].domain = RTL_DOMAIN
    return model


def subsample(channels: int, simd: int, size: tuple[int, int], stride: tuple[int, int]) -> ModelWrapper:
    """The pixels that a convolution of one pixel reads."""
    dims = [-(-extent // step) for extent, step in zip(size, stride, strict=True)]
    return one_node(
        "ConvolutionInputGenerator",
        {"in": ((1, *size, channels), "INT4")},
        {"out": ((1, *dims, channels), "INT4")},
        ConvKernelDim=[1, 1],
        IFMChannels=channels,
        IFMDim=list(size),
        OFMDim=dims,
        SIMD=simd,
        Stride=list(stride),
        Dilation=[1, 1],
        depthwise=0,
        inputDataType="INT4",
        outputDataType="INT4",
    )


def complement(shape: tuple[int, ...], datatype: str, pe: int, mask: int) -> ModelWrapper:
    """Exclusive-or of every second channel with ``mask``."""
    channels = shape[-1]
    chosen = (np.arange(channels) % 2 * mask, "INT2" if mask < 0 else datatype)
    return one_node(
        "ElementwiseXor" if datatype == "BINARY" else "ElementwiseBitwiseXor",
        {"in": (shape, datatype)},
        {"out": (shape, datatype)},
        chosen,
        lhs_shape=shape,
        rhs_shape=[channels],
        out_shape=shape,
        lhs_dtype=datatype,
        rhs_dtype=chosen[1],
        out_dtype=datatype,
        rhs_style="const",
        PE=pe,
    )


def duplicate(vectors: list[int], channels: int, pe: int, copies: int, datatype: str) -> ModelWrapper:
    shape = (*vectors, channels)
    return one_node(
        "DuplicateStreams",
        {"in": (shape, datatype)},
        {f"out{i}": (shape, datatype) for i in range(copies)},
        NumChannels=channels,
        PE=pe,
        NumOutputStreams=copies,
        inputDataType=datatype,
        numInputVectors=vectors,
        outFIFODepths=[2] * copies,
    )


def concat(vectors: list[int], channels: list[int], simd: int, datatypes: list[str], out: str) -> ModelWrapper:
    ins = {f"in{i}": ((*vectors, c), t) for i, (c, t) in enumerate(zip(channels, datatypes, strict=True))}
    return one_node(
        "StreamingConcat",
        ins,
        {"out": ((*vectors, sum(channels)), out)},
        SIMD=simd,
        ChannelsPerStream=channels,
        inputDataTypes=datatypes,
        numInputVectors=vectors,
        inFIFODepths=[2] * len(channels),
    )


def pool(function: str, channels: int, pe: int, kernel: int, size: int, *, types: tuple[str, str]) -> ModelWrapper:
    return one_node(
        "Pool",
        {"in": ((1, size, size, channels * kernel * kernel), types[0])},
        {"out": ((1, size, size, channels), types[1])},
        Channels=channels,
        PE=pe,
        KernelSize=[kernel, kernel],
        Function=function,
        OutImgDims=[size, size],
        InputDataType=types[0],
        OutputDataType=types[1],
    )


def tiles(
    function: str, channels: int, size: tuple[int, int], kernel: tuple[int, int], *, types: tuple[str, str], pe: int = 1
) -> ModelWrapper:
    """A pool of windows that do not overlap. FINN has no abstract node for it."""
    register()
    dims = [extent // step for extent, step in zip(size, kernel, strict=True)]
    model = one_node(
        "TilePool_rtl",
        {"in": ((1, *size, channels), types[0])},
        {"out": ((1, *dims, channels), types[1])},
        NumChannels=channels,
        PE=pe,
        inputDataType=types[0],
        outputDataType=types[1],
        numInputVectors=[1, *size],
        KernelSize=list(kernel),
        Function=function,
    )
    model.graph.node[0].domain = RTL_DOMAIN
    return model


def grouped(
    channels: int, outputs: int, groups: int, simd: int, *, types: tuple[str, str, str], taps: int = 9, **more: Any
) -> ModelWrapper:
    """Products of a grouped convolution; types of input, weights and output. FINN has no abstract node for it."""
    register()
    vectors, kind = [1, 2, 3], DataType[types[1]]
    rng = np.random.default_rng([channels, outputs, groups])
    weights = rng.integers(int(kind.min()), int(kind.max()) + 1, (taps * channels // groups, outputs))
    model = one_node(
        "GroupedMVAU_rtl",
        {"in": ((*vectors, taps * channels), types[0])},
        {"out": ((*vectors, outputs), types[2])},
        (weights, types[1]),
        NumChannels=channels,
        numInputVectors=vectors,
        SIMD=simd,
        Taps=taps,
        Groups=groups,
        MH=outputs,
        inputDataType=types[0],
        weightDataType=types[1],
        outputDataType=types[2],
        **more,
    )
    model.graph.node[0].domain = RTL_DOMAIN
    return model


def global_pool(size: int, channels: int, pe: int, types: tuple[str, str]) -> ModelWrapper:
    return one_node(
        "GlobalAccPool",
        {"in": ((1, size, size, channels), types[0])},
        {"out": ((1, 1, 1, channels), types[1])},
        NumChannels=channels,
        PE=pe,
        inputDataType=types[0],
        numInputVectors=[1, size, size],
    )


def label(labels: int, pe: int, datatype: str, vectors: list[int], k: int = 1) -> ModelWrapper:
    return one_node(
        "LabelSelect",
        {"in": ((*vectors, labels), datatype)},
        {"out": ((*vectors, k), "UINT8")},
        Labels=labels,
        PE=pe,
        K=k,
        inputDataType=datatype,
        numInputVectors=vectors,
    )


def width(channels: int, in_width: int, out_width: int, datatype: str) -> ModelWrapper:
    """A width converter between beats of ``in_width`` and of ``out_width`` bits."""
    shape = (1, 3, 3, channels)
    return one_node(
        "StreamingDataWidthConverter",
        {"in": (shape, datatype)},
        {"out": (shape, datatype)},
        inShape=shape,
        outShape=shape,
        inWidth=in_width,
        outWidth=out_width,
        dataType=datatype,
    )


def queue(depth: int, ram_style: str) -> ModelWrapper:
    """A queue of beats of three elements."""
    register()
    shape = (1, 4, 4, 6)
    tensors = {"in": (shape, "INT3")}, {"out": (shape, "INT3")}
    folded = {"folded_shape": [1, 4, 4, 2, 3], "normal_shape": list(shape), "dataType": "INT3"}
    model = one_node("StreamFIFO_rtl", *tensors, depth=depth, ram_style=ram_style, **folded)
    model.graph.node[0].domain = RTL_DOMAIN
    return model


CASES: dict[str, Callable[[], ModelWrapper]] = {
    "queue_registers": lambda: queue(3, "registers"),
    "queue_shift": lambda: queue(17, "srl"),
    "queue_block": lambda: queue(64, "block"),
    "xnor_folded": lambda: binary(144, 16, 4, 36, [1, 3, 3]),
    "xnor_one_bit": lambda: binary(18, 6, 1, 1, [2]),
    "xnor_unfolded": lambda: binary(27, 8, 8, 27, [5]),
    "xnor_odd": lambda: binary(45, 6, 3, 5, [1, 2, 3]),
    "ternary_folded": lambda: ternary(72, 8, 4, 9, [1, 3, 3], ram_style="block"),
    "ternary_unfolded": lambda: ternary(27, 8, 8, 27, [5]),
    "pad_middle": lambda: selection(16, 32, 8, 4, [1, 3, 3]),
    "pad_one_channel": lambda: selection(4, 8, 2, 1, [1, 2, 2], datatype="UINT3"),
    "pad_after": lambda: selection(4, 6, 0, 2, [3]),
    "complement_bits": lambda: complement((1, 3, 3, 16), "BINARY", 4, 1),
    "complement_signed": lambda: complement((1, 2, 2, 6), "INT4", 1, -1),
    "complement_unsigned": lambda: complement((3, 5), "UINT3", 5, 7),
    "join_residual": lambda: join(16, 8, ("UINT8", "INT4", "INT4"), 12),
    "join_without_sign": lambda: join(6, 1, ("UINT10", "INT8", "INT8"), 7, sign=False, ram_style="distributed"),
    "join_formats": lambda: join(4, 4, ("UINT3", "INT2", "INT6"), 0),
    "join_table": lambda: join(16, 8, ("UINT8", "INT4", "INT4"), 12, form="table"),
    "join_table_folded": lambda: join(6, 3, ("UINT9", "INT4", "INT4"), 9, form="table", ram_style="block"),
    "join_table_formats": lambda: join(4, 4, ("UINT3", "INT2", "INT6"), 0, form="table", ram_style="distributed"),
    "line": lambda: line(16, 8, ("INT19", "INT4"), 24, 12),
    "line_folded": lambda: line(6, 2, ("INT10", "INT8"), 12, 1.5, ram_style="block"),
    "line_unsigned": lambda: line(5, 1, ("UINT9", "UINT3"), 10, 2, ram_style="distributed"),
    "window": lambda: window((5, 4), 16),
    "window_stride": lambda: window((7, 6), 70, stride=2),
    "window_integers": lambda: window((5, 6), 3, datatype="UINT8"),
    "window_signed": lambda: window((4, 4), 2, stride=2, datatype="INT4"),
    "window_folded": lambda: folded_window((5, 3), 4, PE=2, ram_style="block"),
    "window_folded_stride": lambda: folded_window((7, 4), 3, padding=2, stride=2, PE=1, ram_style="distributed"),
    "window_folded_inside": lambda: folded_window((4, 5), 4, kernel=2, padding=0, PE=4),
    "dsp_stem": lambda: dsp_product(27, 16, 8, ("UINT8", "INT20"), [1, 3, 3]),
    "dsp_signed": lambda: dsp_product(10, 6, 3, ("INT8", "INT19"), [4]),
    "dsp_single": lambda: dsp_product(9, 8, 1, ("UINT8", "INT20"), [1, 2, 2]),
    "subsample": lambda: subsample(16, 4, (6, 6), (2, 2)),
    "subsample_odd": lambda: subsample(3, 1, (5, 7), (2, 3)),
    "window_inside": lambda: window((4, 5), 3, kernel=2, padding=0),
    "add_residual": lambda: add((1, 4, 4, 16), "INT5", "INT4", "INT6", 4),
    "add_one": lambda: add((1, 3, 3, 6), "INT4", "INT5", "INT6", 1),
    "add_mixed_signs": lambda: add((2, 6), "UINT8", "INT4", "INT10", 3),
    "duplicate_two": lambda: duplicate([1, 4, 4], 16, 4, 2, "INT4"),
    "duplicate_three": lambda: duplicate([3], 6, 3, 3, "INT5"),
    "duplicate_eight": lambda: duplicate([1, 2, 2], 4, 1, 8, "BIPOLAR"),
    "concat_four": lambda: concat([1, 3, 3], [16, 16, 32, 64], 16, ["INT4"] * 4, "INT4"),
    "concat_uneven": lambda: concat([2], [6, 3], 3, ["INT4", "INT4"], "INT4"),
    "concat_mixed": lambda: concat([1, 2, 2], [4, 2, 2], 2, ["UINT3", "INT5", "INT2"], "INT5"),
    "pool_average": lambda: pool("QuantAvgPool", 8, 4, 4, 2, types=("INT4", "INT4")),
    "pool_average_one": lambda: pool("QuantAvgPool", 3, 1, 2, 3, types=("UINT4", "UINT4")),
    "pool_average_odd": lambda: pool("QuantAvgPool", 4, 4, 3, 2, types=("INT4", "INT4")),
    "pool_sum": lambda: pool("AccPool", 4, 2, 3, 2, types=("INT3", "INT7")),
    "pool_maximum": lambda: pool("MaxPool", 6, 2, 2, 2, types=("INT4", "INT4")),
    "tiles_average": lambda: tiles("QuantAvgPool", 8, (8, 8), (4, 4), types=("INT4", "INT4"), pe=4),
    "tiles_average_odd": lambda: tiles("QuantAvgPool", 3, (5, 7), (2, 3), types=("UINT4", "UINT4")),
    "tiles_sum": lambda: tiles("AccPool", 4, (3, 4), (3, 2), types=("INT3", "INT6"), pe=2),
    "tiles_maximum": lambda: tiles("MaxPool", 6, (4, 5), (2, 2), types=("INT5", "INT5"), pe=2),
    "tiles_maximum_bits": lambda: tiles("MaxPool", 6, (4, 4), (2, 2), types=("BIPOLAR", "BIPOLAR"), pe=3),
    "grouped": lambda: grouped(16, 48, 16, 4, types=("INT4", "INT4", "INT11")),
    "grouped_part": lambda: grouped(8, 4, 2, 2, types=("INT4", "INT3", "INT12"), ram_style="block"),
    "grouped_unsigned": lambda: grouped(6, 12, 3, 6, types=("UINT5", "UINT2", "UINT12"), taps=4),
    "global_pool": lambda: global_pool(8, 16, 4, ("INT4", "INT10")),
    "global_pool_one_group": lambda: global_pool(3, 4, 4, ("UINT5", "UINT9")),
    "widen": lambda: width(9, 4, 36, "INT4"),
    "widen_bits": lambda: width(16, 1, 16, "BINARY"),
    "narrow": lambda: width(24, 24, 8, "INT4"),
    "label": lambda: label(10, 1, "INT16", [4]),
    "label_parallel": lambda: label(12, 4, "UINT4", [7]),
}


def stimuli(model: ModelWrapper, seed: int = 1) -> dict[str, np.ndarray]:
    """Random values over the whole range of every input's datatype."""
    np.random.seed(seed)
    return {
        i.name: gen_finn_dt_tensor(model.get_tensor_datatype(i.name), model.get_tensor_shape(i.name))
        for i in model.graph.input
    }
