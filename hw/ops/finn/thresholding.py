# SPDX-License-Identifier: Apache-2.0
"""Number of thresholds that a value reaches: quantisation, with batch norm and scales in the thresholds."""

from __future__ import annotations

import math

import numpy as np
from typing_extensions import override

from hw.ops.cost import LUT_RAM_DEPTH, rom
from hw.ops.operator import Cost, Emitter, FinnOperator, Node, Type

VECTOR = 64
"""Elements after which a row of thresholds is long enough for any vector register."""


class Thresholding(FinnOperator):
    """One pipeline stage for each bit of the result, which finds it by bisection."""

    label, role = "threshold", "quantise"
    divides = (("PE", "NumChannels"),)
    # Thresholds deeper than one LUT RAM go to block RAM where that is cheaper.
    memories = ({"depth_trigger_bram": 0}, {"depth_trigger_bram": LUT_RAM_DEPTH + 1})

    @override
    def cost(self, part: str) -> Cost:
        pe, trigger = self.number("PE"), self.number("depth_trigger_bram")
        bits, stages = self.op.get_input_datatype(1).bitwidth(), self.op.get_output_datatype().bitwidth()
        cost = Cost(lut=20)
        for stage in range(stages):
            depth = self.number("NumChannels") // pe * 2**stage
            memory = rom(bits, depth, block=0 < trigger <= depth)
            cost += Cost(pe * (bits + 3 + memory.lut), pe * memory.bram36)
        return cost

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        levels = np.atleast_2d(node.constant(1))
        channels, steps = node.number("NumChannels"), levels.shape[1]
        scale, bias = (2, -1) if node.output_type(0) == "BIPOLAR" else (1, node.number("ActVal"))
        output = Type.of(node.output_type(0))
        if bias < output.lowest or scale * steps + bias > output.highest:
            raise node.refuse(f"gives {bias} .. {scale * steps + bias}, more than {node.output_type(0)} holds")
        if levels.shape[0] not in (1, channels):
            raise node.refuse(f"thresholds of {levels.shape[0]} channels for {channels}")
        levels = np.broadcast_to(levels, (channels, steps))
        kind = common_type(Type.of(node.input_type(0)), Type.of(node.text("weightDataType")), steps)
        rows = np.tile(levels.T, (1, -(-VECTOR // channels))).astype(kind.dtype)
        emit.compute(node, "thresholds", [math.prod(node.input_shape(0)), rows.shape[1], steps, scale, bias], rows)


def common_type(values: Type, levels: Type, steps: int) -> Type:
    """The narrowest type of 8, 16 or 32 bits for elements, thresholds and the number of steps."""
    lowest, highest = min(values.lowest, levels.lowest), max(values.highest, levels.highest)
    for name in ("UINT8", "INT8", "UINT16", "INT16", "UINT31"):
        kind = Type.of(name)
        if kind.lowest <= lowest and highest <= kind.highest and steps < 2 ** (8 * np.dtype(kind.dtype).itemsize):
            return kind
    return Type.of("INT32")
