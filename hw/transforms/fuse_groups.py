# SPDX-License-Identifier: Apache-2.0
"""Products of a grouped convolution, which came as a dense one with a mask, leave out what is zero."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.util.basic import getHWCustomOp
from qonnx.core.datatype import DataType
from typing_extensions import override

from hw.transforms.fuse_windows import folded_window
from hw.transforms.rewriting import Rewriting, new_constant, only_consumer, replace_by_rtl


class FuseGroupedProducts(Rewriting):
    """Turn an MVAU of windows into GroupedMVAU_rtl, where its matrix is zero outside of blocks along the channels.

    The windows come from FoldedWindow_rtl, or from FINN's generator, depthwise, where that cannot make them. A matrix
    without such blocks stays, and so does one that only selects.
    """

    at = ("MVAU",)

    @override
    def rewrite(self, model: Any, node: Any) -> bool:
        windows = model.find_producer(node.input[0])
        weights = model.get_initializer(node.input[1])
        if weights is None or windows is None or windows.op_type != "ConvolutionInputGenerator":
            return False
        generator, product = getHWCustomOp(windows), getHWCustomOp(node)
        taps, channels = math.prod(generator.get_nodeattr("ConvKernelDim")), int(generator.get_nodeattr("IFMChannels"))
        alone = only_consumer(model, node.input[0], node.op_type) is not None
        plain = product.get_nodeattr("noActivation") and not product.get_nodeattr("binaryXnorMode")
        types = [product.get_input_datatype(0), product.get_input_datatype(1), product.get_output_datatype()]
        whole = all(kind.is_integer() and kind != DataType["BIPOLAR"] for kind in types)
        groups = blocks(weights.reshape(taps, channels, -1))
        if alone and plain and whole and taps > 1 and groups > 1 and not generator.get_nodeattr("depthwise"):
            _insert(model, node, windows, compact(weights.reshape(taps, channels, -1), groups), groups)
        return False


def blocks(weights: npt.NDArray[Any]) -> int:
    """The most groups, in order, of channels and outputs such that weights between two of them are zero.

    Args:
        weights: (taps, channels, outputs).
    """
    used: npt.NDArray[np.bool_] = np.any(weights, axis=0)
    most = math.gcd(*used.shape)
    return next(n for n in range(most, 0, -1) if most % n == 0 and not used[_between(used.shape, n)].any())


def _between(shape: tuple[int, ...], groups: int) -> npt.NDArray[np.bool_]:
    """Which (channel, output) are of different groups."""
    channel, output = (np.arange(count) * groups // count for count in shape)
    between: npt.NDArray[np.bool_] = channel[:, None] != output[None, :]
    return between


def compact(weights: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    """(taps * channels of a group, outputs): what is left of (taps, channels, outputs)."""
    taps, channels, outputs = weights.shape
    split = weights.reshape(taps, groups, channels // groups, groups, outputs // groups)
    own = split[:, np.arange(groups), :, np.arange(groups)]  # groups first
    return own.transpose(1, 2, 0, 3).reshape(-1, outputs)


def _insert(model: Any, node: Any, windows: Any, weights: npt.NDArray[Any], groups: int) -> None:
    generator, product = getHWCustomOp(windows), getHWCustomOp(node)
    datatype = product.get_input_datatype(1)
    attributes = {
        "NumChannels": int(generator.get_nodeattr("IFMChannels")),
        "PE": 0,  # follows from SIMD
        "SIMD": int(generator.get_nodeattr("SIMD")),
        "Taps": math.prod(generator.get_nodeattr("ConvKernelDim")),
        "Groups": groups,
        "MH": weights.shape[1],
        "weightDataType": datatype.name,
        "outputDataType": product.get_output_datatype().name,
    }
    inputs = [node.input[0], new_constant(model, weights, datatype)]
    replace_by_rtl(model, node, "GroupedMVAU_rtl", inputs, node.output, **attributes)
    if not folded_window(model, windows):  # from here on the two are folded alike
        generator.set_nodeattr("depthwise", 1)
