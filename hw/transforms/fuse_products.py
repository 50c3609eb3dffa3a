# SPDX-License-Identifier: Apache-2.0
"""Small convolutions of integers take whole windows, and their products go to DSP blocks with two weights in each."""

from __future__ import annotations

from typing import Any

import numpy as np
from finn.util.basic import getHWCustomOp
from typing_extensions import override

from hw.ops.dsp_mvau import FIELD_BITS, LARGEST_WEIGHT
from hw.transforms.fuse_windows import whole_window
from hw.transforms.rewriting import Rewriting, only_consumer, replace_by_rtl

LARGEST_VECTOR = 64
"""Inputs: each takes a DSP block at least, also where there is time to use fewer."""
NARROW_WEIGHT = 7
"""Up to here FINN's unit multiplies four weights in a block, and an input at a time is enough."""


class FuseDspProducts(Rewriting):
    """Turn ``FMPadding -> ConvolutionInputGenerator -> MVAU`` into BinaryWindow_rtl and DspMVAU_rtl.

    So is the first convolution of most networks, of pixels of 8 bits. Its unit has a vector a cycle where FINN's needs
    two, and the picture comes in pixel by pixel in place of value by value. Larger vectors, narrow weights, and what
    ``whole_window`` cannot make, stay.
    """

    at = ("MVAU",)

    @override
    def rewrite(self, model: Any, node: Any) -> bool:
        weights, generator = model.get_initializer(node.input[1]), model.find_producer(node.input[0])
        windows = generator is not None and generator.op_type == "ConvolutionInputGenerator"
        alone = only_consumer(model, node.input[0], node.op_type) is not None
        if windows and alone and weights is not None and _fits(model, node, weights) and whole_window(model, generator):
            attributes = {
                "Outputs": weights.shape[1],
                "outputDataType": model.get_tensor_datatype(node.output[0]).name,
                "Weights": weights.T.astype(np.int64).ravel().tolist(),
            }
            replace_by_rtl(model, node, "DspMVAU_rtl", node.input[:1], node.output, **attributes)
        return False


def _fits(model: Any, node: Any, weights: Any) -> bool:
    """Whether a product is one that the cell has, and that is worth its DSP blocks."""
    unit = getHWCustomOp(node)
    plain = unit.get_nodeattr("noActivation") and not unit.get_nodeattr("binaryXnorMode")
    taken, sums = unit.get_input_datatype(0), unit.get_output_datatype()
    integers = taken.is_integer() and sums.is_integer() and sums.signed()
    narrow = 1 < taken.bitwidth() < FIELD_BITS and sums.bitwidth() <= 31
    largest = int(np.abs(weights).max())
    return bool(plain and integers and narrow and len(weights) <= LARGEST_VECTOR) and (
        NARROW_WEIGHT < largest <= LARGEST_WEIGHT
    )
