# SPDX-License-Identifier: Apache-2.0
"""Number of thresholds that a value reaches: quantisation, with batch norm and scales in the thresholds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from typing_extensions import override

from hw.cppsim.interface import integer_type
from hw.ops.cost import LUT_RAM_DEPTH, rom
from hw.ops.operator import Cost, Emitter, FinnOperator, Node
from hw.streams.packing import DataType

VECTOR = 64
"""Elements after which a row of thresholds is long enough for any vector register."""

LARGEST_IN_LUTS = 512
"""Words; where nothing is said, Yosys puts larger memories into block RAM: 1,024 x 11 bits into half a BRAM36."""


class Thresholding(FinnOperator):
    """One pipeline stage for each bit of the result, which finds it by bisection."""

    label, role = "threshold", "quantise"
    divides = (("PE", "NumChannels"),)
    # Thresholds deeper than one LUT RAM go to block RAM where that is cheaper.
    memories = ({"depth_trigger_bram": 0}, {"depth_trigger_bram": LUT_RAM_DEPTH + 1})

    @override
    def cost(self, part: str) -> Cost:
        """A comparison and a memory for each stage. FINN makes thresholds a bit wider than the input; in LUTs the bits
        that none of them needs are none. Within 16 % of Yosys for those of resnet20 in LUTs.
        """
        pe, trigger = self.number("PE"), self.number("depth_trigger_bram")
        bits, stored = (self.op.get_input_datatype(index).bitwidth() for index in (0, 1))
        stages = self.op.get_output_datatype().bitwidth()
        cost = Cost(lut=20)
        for stage in range(stages):
            depth = self.number("NumChannels") // pe * 2**stage
            block = trigger <= depth if trigger else depth > LARGEST_IN_LUTS
            memory = rom(stored if block else bits, depth, block=block)
            cost += Cost(pe * (bits + 1 + memory.lut), pe * memory.bram36)
        return cost

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        levels = np.atleast_2d(node.constant())
        channels, steps = node.number("NumChannels"), levels.shape[1]
        output = node.output_type(0)
        scale, bias = (2, -1) if output.name == "BIPOLAR" else (1, node.number("ActVal"))
        if bias < output.low or scale * steps + bias > output.high:
            raise node.refuse(f"gives {bias} .. {scale * steps + bias}, more than {output.name} holds")
        if levels.shape[0] not in (1, channels):
            raise node.refuse(f"thresholds of {levels.shape[0]} channels for {channels}")
        levels = np.broadcast_to(levels, (channels, steps))
        dtype = common_dtype(node.input_type(0), integer_type(node.text("weightDataType")), steps)
        rows = np.tile(levels.T, (1, -(-VECTOR // channels))).astype(dtype)
        emit.compute(node, "thresholds", [math.prod(node.input_shape(0)), rows.shape[1], steps, scale, bias], rows)


def common_dtype(values: DataType, levels: DataType, steps: int) -> type[np.integer[Any]]:
    """The narrowest type of 8, 16 or 32 bits for elements, thresholds and the number of steps."""
    lowest, highest = min(values.low, levels.low), max(values.high, levels.high)
    for dtype in (np.uint8, np.int8, np.uint16, np.int16, np.uint32):
        limits = np.iinfo(dtype)
        if limits.min <= lowest and highest <= limits.max and steps < 2**limits.bits:
            return dtype
    return np.int32
