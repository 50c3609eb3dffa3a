# SPDX-License-Identifier: Apache-2.0
"""The Brevitas kit: the layers of layers.py as Brevitas modules, which QONNX export understands."""

from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.core.function_wrapper import TensorClamp
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerTensorFloat,
    SignedBinaryActPerTensorConst,
    SignedBinaryWeightPerTensorConst,
)
from brevitas.quant.scaled_int import TruncTo8bit
from torch import Tensor, nn
from torch.nn import functional

from model.quantizers import (
    BRANCH,
    FUSION_WEIGHT,
    HEAD,
    LINEAR_WEIGHT,
    RESIDUAL,
    STEM_WEIGHT,
    IntegerFormat,
)

SELECTION_WEIGHT = IntegerFormat(bits=2, scale=1.0, narrow=True)
"""Weights 0 and 1 that select a channel."""


def activation_quantizer(fmt: IntegerFormat) -> type:
    """Return Brevitas' name for an activation quantizer of constant scale."""
    # Brevitas divides the threshold by 2 ** (bits - 1) of the wide range.
    threshold = fmt.scale * 2 ** (fmt.bits - 1)
    quantizer: type = Int8ActPerTensorFloatMinMaxInit.let(
        bit_width=fmt.bits,
        scaling_impl_type=ScalingImplType.CONST,
        narrow_range=fmt.narrow,
        min_val=-threshold,
        max_val=threshold,
    )
    return quantizer


def weight_quantizer(fmt: IntegerFormat) -> type:
    """Return Brevitas' name for a weight quantizer of constant scale."""
    quantizer: type = Int8WeightPerTensorFloat.let(
        bit_width=fmt.bits,
        scaling_impl_type=ScalingImplType.CONST,
        narrow_range=fmt.narrow,
        # Brevitas divides the threshold by the largest integer of the narrow range.
        scaling_const=fmt.scale * fmt.hi,
    )
    return quantizer


class BinaryActivation(SignedBinaryActPerTensorConst):
    """sign(x), +1 where x >= 0, scale 1."""

    min_val = -1.0
    max_val = 1.0


class BinaryWeight(SignedBinaryWeightPerTensorConst):
    """sign(w), +1 where w >= 0, scale 1."""

    scaling_const = 1.0
    # The default clamps the parameter itself, which would change the weights that a checkpoint holds.
    tensor_clamp_impl = TensorClamp


class FloorToResidual(TruncTo8bit):
    """Drops the low bits of a window's sum, down to the residual format."""

    bit_width = RESIDUAL.bits


class PadSigns(torch.autograd.Function):
    """One ring of -1 round a feature map of signs.

    torch's pad exports as nine nodes that compute the widths; to fold them takes minutes in a deep network.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return (batch, channels, height + 2, width + 2)."""
        return functional.pad(x, (1, 1, 1, 1), value=-1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Cut the ring off."""
        return grads[0][:, :, 1:-1, 1:-1]

    @staticmethod
    def symbolic(graph: Any, x: Any) -> Any:
        """Export as a single Pad."""
        widths = graph.op("Constant", value_t=torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]))
        return graph.op("Pad", x, widths, graph.op("Constant", value_t=torch.tensor(-1.0)))


class BinaryConv2d(qnn.QuantConv2d):
    """3x3 convolution of sign(x), padded with -1, with sign(w)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, bias=False, weight_quant=BinaryWeight)
        self.sign = qnn.QuantIdentity(act_quant=BinaryActivation)

    def forward(self, input: Tensor) -> Tensor:
        """Binarize, pad and convolve."""
        # Zero is not a bipolar value: the signs themselves are padded, and the convolution is not.
        result: Tensor = super().forward(PadSigns.apply(self.sign(input)))
        return result


class OptionAShortcut(qnn.QuantConv2d):
    """Every second pixel with zero channels before and after, as a 1x1 convolution that selects channels.

    Its weights are fixed and no part of a checkpoint.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, stride=2, bias=False, weight_quant=weight_quantizer(SELECTION_WEIGHT))
        offset = (outputs - inputs) // 2
        self.weight.requires_grad_(False).zero_()
        self.weight[range(offset, offset + inputs), range(inputs)] = 1.0

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Leave the fixed weights out."""

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Keep the fixed weights."""


class GroupedConv2d(qnn.QuantConv2d):
    """3x3 convolution with one group an input channel, as a dense convolution with zeros outside the groups.

    FINN lowers a dense convolution to a matrix-vector unit; a grouped one with a channel multiplier it
    refuses. Checkpoints hold the grouped weights (outputs, 1, 3, 3).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False, weight_quant=weight_quantizer(FUSION_WEIGHT))
        # Output channel o of a grouped convolution reads input channel o // (outputs / inputs).
        self.source = torch.arange(outputs) // (outputs // inputs)
        self.weight.requires_grad_(False).zero_()

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Save the weights inside the groups."""
        outputs = torch.arange(self.out_channels)
        destination[f"{prefix}weight"] = self.weight[outputs, self.source].unsqueeze(1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Spread grouped weights over the dense ones."""
        grouped = state_dict[f"{prefix}weight"]
        dense = torch.zeros_like(self.weight)
        dense[torch.arange(self.out_channels), self.source] = grouped.squeeze(1).to(dense)
        super()._load_from_state_dict({**state_dict, f"{prefix}weight": dense}, prefix, *args)


class ResidualSum(nn.Module):
    """Quantizes a branch, adds the shortcut, and clips to the residual format."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = qnn.QuantIdentity(act_quant=activation_quantizer(BRANCH))
        self.total = _residual_identity()

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = self.total(self.branch(branch) + shortcut)
        return result


def _residual_identity() -> nn.Module:
    layer: nn.Module = qnn.QuantIdentity(act_quant=activation_quantizer(RESIDUAL), return_quant_tensor=True)
    return layer


class BrevitasKit:
    """The Brevitas layers, for evaluation and export."""

    def stem(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        layer: nn.Module = qnn.QuantConv2d(
            inputs, outputs, 3, padding=1, bias=False, weight_quant=weight_quantizer(STEM_WEIGHT)
        )
        return layer

    def binary_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """See Kit."""
        return BinaryConv2d(inputs, outputs, stride)

    def shortcut(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return OptionAShortcut(inputs, outputs)

    def quantizer(self) -> nn.Module:
        """See Kit."""
        return _residual_identity()

    def residual_add(self) -> nn.Module:
        """See Kit."""
        return ResidualSum()

    def trunc_pool(self, size: int) -> nn.Module:
        """See Kit."""
        layer: nn.Module = qnn.TruncAvgPool2d(size, stride=size, trunc_quant=FloorToResidual, return_quant_tensor=True)
        return layer

    def pointwise(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        layer: nn.Module = qnn.QuantConv2d(inputs, outputs, 1, bias=False, weight_quant=weight_quantizer(FUSION_WEIGHT))
        return layer

    def grouped(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return GroupedConv2d(inputs, outputs)

    def head_quantizer(self) -> nn.Module:
        """See Kit."""
        layer: nn.Module = qnn.QuantIdentity(act_quant=activation_quantizer(HEAD))
        return layer

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        layer: nn.Module = qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=weight_quantizer(LINEAR_WEIGHT))
        return layer
