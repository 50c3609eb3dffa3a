# SPDX-License-Identifier: Apache-2.0
"""Matrix-vector product of integers with constant weights on DSP blocks: the first convolution."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.datatype import BaseDataType, DataType
from typing_extensions import override

from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.wrapper import packed

FIELD_BITS = 17
"""Of the low one of two sums in a DSP block: a weight of 8 bits above it fills the multiplier's 25."""
LARGEST_WEIGHT = 127
Ints = npt.NDArray[np.int64]


class DspMVAU_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """The sums of NumChannels integers times each of Outputs vectors of weights, two weights in a DSP block.

    Weights has the NumChannels weights of output 0, then those of output 1, and so on. A beat of the input is a whole
    vector, one of the output has PE sums.
    """

    label, role = "dsp mvu", "compute"
    divides = (("PE", "Outputs"),)
    parameters = ("Weights",)

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {"Outputs": ("i", True, 0), "outputDataType": ("s", True, ""), "Weights": ("ints", True, [])}
        return {**super().get_nodeattr_types(), **own}

    @override
    def output_channels(self) -> int:
        return self.number("Outputs")

    def weights(self) -> Ints:
        """As (inputs, outputs)."""
        return np.array(self.numbers("Weights"), np.int64).reshape(self.number("Outputs"), -1).T

    def chains(self) -> list[list[int]]:
        """The inputs of each chain of DSP blocks, at the present folding."""
        return chains_of(self.weights(), self.number("PE"), self.in_bits())

    @override
    def check(self) -> None:
        self.check_integer(self.get_input_datatype(), "inputs")
        self.check_integer(self.get_output_datatype(), "sums")
        if len(self.numbers("Weights")) != self.number("NumChannels") * self.number("Outputs"):
            raise self.refuse("Weights must have NumChannels times Outputs numbers")
        if np.abs(self.weights()).max() > LARGEST_WEIGHT or self.in_bits() > FIELD_BITS - 1:
            raise self.refuse(f"weights can be up to {LARGEST_WEIGHT}, inputs have up to {FIELD_BITS - 1} bits")
        low, high = sums_of(self.weights(), self.get_input_datatype())
        sums = self.get_output_datatype()
        if not sums.signed() or not sums.allowed(low) or not sums.allowed(high) or self.out_bits() > 31:
            raise self.refuse(f"{sums.name} does not hold its sums, {low} .. {high}")

    @override
    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.text("outputDataType")]

    @override
    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (*self.numbers("numInputVectors"), 1, self.number("NumChannels"))

    @override
    def get_instream_width(self, ind: int = 0) -> int:
        return self.number("NumChannels") * self.in_bits()

    @override
    def get_outstream_width(self, ind: int = 0) -> int:
        return self.number("PE") * self.out_bits()

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        vectors = context[self.onnx_node.input[0]].astype(np.int64)
        context[self.onnx_node.output[0]] = (vectors @ self.weights()).astype(np.float32)

    @override
    def cell(self) -> Cell:
        chains = self.chains()
        parameters: dict[str, int | str] = {
            "MW": self.number("NumChannels"),
            "MH": self.number("Outputs"),
            "PE": self.number("PE"),
            "InWidth": self.in_bits(),
            "InSigned": f"1'b{int(self.get_input_datatype().signed())}",
            "WeightWidth": 8,
            "AccWidth": self.out_bits(),
            "Chains": len(chains),
            "Order": packed([k for chain in chains for k in chain], 16),
            "Weights": packed(self.weights().T.ravel().tolist(), 8),
        }
        return Cell("dsp_mvu", parameters)

    @override
    def cost(self, part: str) -> Cost:
        """What delays the inputs of a chain, chooses among its weights, and adds the chains' sums.

        Within 10 % of Yosys for the stem of ResNet-20 at PE 1 to 8.
        """
        inputs, pe, chains = self.number("NumChannels"), self.number("PE"), len(self.chains())
        folds, positions = self.number("Outputs") // pe, -(-inputs // chains) + chains - 1
        delay = max(inputs - 3 * chains, 0) * self.in_bits()
        # A bit of a weight is a function of the fold, and of few folds there are few functions.
        weights = min(8 * inputs * pe, positions * ((1 << min(folds, 16)) - 2))
        return Cost(lut=delay + weights + (chains - 1) * pe * self.out_bits() + 40, dsp=inputs * -(-pe // 2))

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        outputs = node.output_shape(0)[-1]
        weights = np.array(node.numbers("Weights"), np.int8).reshape(outputs, -1).T
        parameters = [node.pixels(), *weights.shape, node.sum_bits()]
        emit.compute(node, "mvau", parameters, np.ascontiguousarray(weights))


def sums_of(weights: Ints, inputs: BaseDataType) -> tuple[int, int]:
    """The smallest and the largest sum that (inputs, outputs) weights can give."""
    products = np.stack([weights * int(inputs.min()), weights * int(inputs.max())])
    return int(products.min(0).sum(0).min()), int(products.max(0).sum(0).max())


def chains_of(weights: Ints, pe: int, in_bits: int, least: int = 1) -> list[list[int]]:
    """Spread the inputs over as few chains as keep the low sum of every pair of lanes within its field.

    Args:
        weights: (inputs, outputs).
        pe: outputs at a time; of lanes 0 and 1 that of lane 1 is the low one, and so on.
        in_bits: of an input; its range is 2^in_bits - 1.
        least: chains that there are in any case.
    """
    inputs = len(weights)
    low = np.abs(weights[:, np.arange(weights.shape[1]) % pe % 2 == 1])
    room = ((1 << FIELD_BITS) - 1) // ((1 << in_bits) - 1)
    for count in range(least, inputs):
        chains = _spread(low, [end - begin for begin, end in pairwise(c * inputs // count for c in range(count + 1))])
        if all(low[chain].sum(0).max(initial=0) <= room for chain in chains):
            return chains
    return [[k] for k in range(inputs)]


def _spread(low: Ints, sizes: list[int]) -> list[list[int]]:
    """Inputs into chains of these sizes, those with large weights first, each where it makes the least maximum."""
    chains: list[list[int]] = [[] for _ in sizes]
    loads = np.zeros((len(sizes), low.shape[1]), np.int64)
    for k in np.argsort(-low.sum(1), kind="stable").tolist():
        free = [c for c, size in enumerate(sizes) if len(chains[c]) < size]
        best = min(free, key=lambda c: (loads[c] + low[k]).max(initial=0))
        chains[best].append(k)
        loads[best] += low[k]
    return [sorted(chain) for chain in chains]
