# SPDX-License-Identifier: Apache-2.0
"""The layers of light.py as Brevitas modules, under the same names, which QONNX export understands.

Gradients are those of the light layers too, where Brevitas' own estimators are others: small functions beside its
quantizers, of which nothing is exported, see to that.
"""

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
from typing_extensions import override

from model.networks.quantizers import Formats, IntegerFormat, Sign

SELECTION_WEIGHT = IntegerFormat(bits=2, scale=1.0, narrow=True)
"""Weights 0 and 1 that select a channel."""


def _constant(base: Any, fmt: IntegerFormat, **settings: Any) -> type:
    """Return Brevitas' name for a quantizer of constant scale."""
    const = ScalingImplType.CONST
    quantizer: type = base.let(bit_width=fmt.bits, scaling_impl_type=const, narrow_range=fmt.narrow, **settings)
    return quantizer


def activation_quantizer(fmt: IntegerFormat) -> type:
    """Return Brevitas' name for an activation quantizer of constant scale."""
    # Brevitas divides the threshold by 2 ** (bits - 1) of the wide range.
    threshold = fmt.scale * 2 ** (fmt.bits - 1)
    return _constant(Int8ActPerTensorFloatMinMaxInit, fmt, min_val=-threshold, max_val=threshold)


def weight_quantizer(fmt: IntegerFormat) -> type:
    """Return Brevitas' name for a weight quantizer of constant scale."""
    # The default clamp lets the gradient of clipped weights pass.
    # Brevitas divides the threshold by the largest integer of the narrow range.
    return _constant(Int8WeightPerTensorFloat, fmt, tensor_clamp_impl=TensorClamp, scaling_const=fmt.scale * fmt.hi)


class BinaryActivation(SignedBinaryActPerTensorConst):
    """sign(x), +1 where x >= 0, scale 1."""

    min_val = -1.0
    max_val = 1.0


class BinaryWeight(SignedBinaryWeightPerTensorConst):
    """sign(w), +1 where w >= 0, scale 1."""

    scaling_const = 1.0
    # The default clamps the parameter itself, which would change the weights that a checkpoint holds.
    tensor_clamp_impl = TensorClamp


class SlopeOfSign(Sign):
    """The identity in front of a sign; gradient max(2 - 2|x|, 0), where Brevitas' sign has 1 for |x| <= 1."""

    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    @override
    def symbolic(graph: Any, x: Any) -> Any:
        return x


class GradientPast(torch.autograd.Function):
    """The first of two tensors; the gradient is the second's, as if what lies between them were the identity."""

    @staticmethod
    @override
    def forward(ctx: Any, result: Tensor, source: Tensor) -> Tensor:
        return result.view_as(result)

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, grads[0]

    @staticmethod
    def symbolic(graph: Any, result: Any, source: Any) -> Any:
        """Export nothing."""
        return result


class PadSigns(torch.autograd.Function):
    """One ring of -1 round a feature map of signs.

    torch's pad exports as nine nodes that compute the widths; to fold them takes minutes in a deep network.
    """

    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return functional.pad(x, (1, 1, 1, 1), value=-1.0)

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
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

    @override
    def forward(self, input: Tensor) -> Tensor:
        # Zero is not a bipolar value: the signs themselves are padded, and the convolution is not.
        result: Tensor = super().forward(PadSigns.apply(self.sign(SlopeOfSign.apply(plain(input)))))
        return result


class QuantConv2d(qnn.QuantConv2d):
    """Convolution whose weights are quantized to an integer format, padded with zeros to the same size."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        weight = weight_quantizer(fmt)
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False, weight_quant=weight)


class QuantLinear(qnn.QuantLinear):
    """Linear layer without bias whose weights are quantized."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False, weight_quant=weight_quantizer(fmt))


class OptionAShortcut(qnn.QuantConv2d):
    """Every second pixel with zero channels before and after, as a 1x1 convolution that selects channels.

    Its weights are fixed and no part of a checkpoint.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        weight = weight_quantizer(SELECTION_WEIGHT)
        super().__init__(inputs, outputs, 1, stride=2, bias=False, weight_quant=weight, return_quant_tensor=True)
        offset = (outputs - inputs) // 2
        self.weight.requires_grad_(False).zero_()
        self.weight[range(offset, offset + inputs), range(inputs)] = 1.0

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Leave the fixed weights out."""

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Keep the fixed weights."""


class CheapConv2d(qnn.QuantConv2d):
    """Grouped 3x3 convolution as a dense one with zeros outside the groups; its first `kept` outputs exist.

    FINN lowers a dense convolution to a matrix-vector unit; a grouped one with a channel multiplier it
    refuses. Checkpoints hold the grouped weights (kept, inputs / groups, 3, 3).
    """

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int, groups: int, kept: int) -> None:
        super().__init__(inputs, kept, 3, padding=1, bias=False, weight_quant=weight_quantizer(fmt))
        members = inputs // groups
        # Output o of a grouped convolution belongs to group o // (outputs / groups).
        group = torch.arange(kept) // (outputs // groups)
        self.rows = torch.arange(kept)[:, None]
        self.sources = group[:, None] * members + torch.arange(members)
        self.weight.requires_grad_(False).zero_()

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Save the weights inside the groups."""
        destination[f"{prefix}weight"] = self.weight[self.rows, self.sources]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Spread grouped weights over the dense ones."""
        dense = torch.zeros_like(self.weight)
        dense[self.rows, self.sources] = state_dict[f"{prefix}weight"].to(dense)
        super()._load_from_state_dict({**state_dict, f"{prefix}weight": dense}, prefix, *args)


class TruncPool(qnn.TruncAvgPool2d):
    """Average of size x size windows, rounded down to a format."""

    def __init__(self, fmt: IntegerFormat, size: int) -> None:
        rounding = TruncTo8bit.let(bit_width=fmt.bits)
        super().__init__(size, stride=size, trunc_quant=rounding, return_quant_tensor=True)


class Quantizer(qnn.QuantIdentity):
    """Quantizes to a format; `typed`: its result carries scale and bit width."""

    def __init__(self, fmt: IntegerFormat, *, typed: bool = False) -> None:
        super().__init__(act_quant=activation_quantizer(fmt), return_quant_tensor=typed)


class ResidualQuantizer(Quantizer):
    """Quantizes to the residual format."""

    def __init__(self, formats: Formats) -> None:
        super().__init__(formats.residual, typed=True)


class QuantJoin(nn.Module):
    """The part that joins share: the branch is quantized, and the shortcut brings its scale along."""

    def __init__(self, formats: Formats) -> None:
        super().__init__()
        self.branch = Quantizer(formats.branch)
        self.total = ResidualQuantizer(formats)

    @property
    def branch_scale(self) -> float:
        """The scale that the branch has when it is added."""
        branch: Any = self.branch
        return float(branch.act_quant.scale())


class ResidualSum(QuantJoin):
    """Quantizes a branch, adds the shortcut, and clips to the residual format."""

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        # Of the two clippings the light layers' gradient knows the last, which is narrower.
        result: Tensor = self.total(GradientPast.apply(self.branch(branch), branch) + plain(shortcut))
        return result


class QuantPReLUSum(QuantJoin):
    """Quantizes a branch, adds the shortcut, and gives PReLU of the sum in the residual format."""

    def __init__(self, formats: Formats, channels: int) -> None:
        super().__init__(formats)
        self.weight = nn.PReLU(channels).weight

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        total = self.branch(branch) + plain(shortcut)
        result: Tensor = self.total(functional.prelu(total, self.weight))
        return result


class QuantPReLU(nn.PReLU):
    """PReLU with one slope per channel, quantized to the residual format."""

    def __init__(self, formats: Formats, channels: int) -> None:
        super().__init__(channels)
        self.total = ResidualQuantizer(formats)

    def forward(self, input: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = self.total(super().forward(input))
        return result


def plain(x: Any) -> Tensor:
    """Return the values of a tensor that may carry a scale."""
    values: Tensor = getattr(x, "value", x)
    return values
