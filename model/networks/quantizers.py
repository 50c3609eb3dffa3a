# SPDX-License-Identifier: Apache-2.0
"""Quantizers: the signs of the paper, the integer formats of the hardware, and their straight-through gradients.

Every scale of the hardware is a constant power of two, so a quantized value, and every sum of products of such
values that the networks form, is exact in float32.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from typing_extensions import override

from model.errors import FormatError


@dataclass(frozen=True)
class IntegerFormat:
    """A signed integer format: value = scale * integer, with lo <= integer <= hi.

    `narrow` drops the most negative integer, which makes the range symmetric.
    """

    bits: int
    scale: float
    narrow: bool = False

    def __post_init__(self) -> None:
        if self.bits < 2 or not self.scale > 0 or not math.log2(self.scale).is_integer():
            raise FormatError(f"a format has 2 bits or more and a power of two as its scale, not {self}")

    @property
    def lo(self) -> int:
        """The smallest integer."""
        return int(self.narrow) - (1 << (self.bits - 1))

    @property
    def hi(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest integer."""
        return self.lo, self.hi

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """The values, ascending, at which a quantizer goes from one integer to the next."""
        return self.scale * (np.arange(self.lo, self.hi, dtype=np.float64) + 0.5)


WEIGHT_DEVIATION = 0.35
"""Deviation of standardized weights: |w| > 1, where their signs pass no gradient, are about 4 of 1,000."""

INPUT_SCALE = 1 / 256
"""Images are uint8 and enter as x / 256, without mean or deviation: zero padding stays exact."""


@dataclass(frozen=True)
class Formats:
    """Every bit width and scale of a hardware network. Raises FormatError for a set that does not convert exactly.

    The input is always uint8, binary weights and activations always -1 and +1.
    """

    # The residual stream; its range -1 .. 0.875 takes the place of the paper's Hardtanh.
    residual: IntegerFormat = IntegerFormat(bits=4, scale=1 / 8)
    # A convolution branch before it joins the residual stream: lossless, given the clip that follows.
    branch: IntegerFormat = IntegerFormat(bits=5, scale=1 / 8)
    stem_weight: IntegerFormat = IntegerFormat(bits=8, scale=1 / 128, narrow=True)
    shortcut_weight: IntegerFormat = IntegerFormat(bits=4, scale=1 / 8, narrow=True)
    fusion_weight: IntegerFormat = IntegerFormat(bits=4, scale=1 / 8, narrow=True)
    linear_weight: IntegerFormat = IntegerFormat(bits=8, scale=1 / 128, narrow=True)
    # The pooled features in front of the classifier.
    head: IntegerFormat = IntegerFormat(bits=8, scale=1 / 32)

    def __post_init__(self) -> None:
        if self.branch.scale != self.residual.scale:
            raise FormatError(
                f"branch and residual stream are added, so their scales are equal, not {self.branch.scale:g} "
                f"and {self.residual.scale:g}"
            )
        for field in fields(self):
            weight: IntegerFormat = getattr(self, field.name)
            if field.name.endswith("_weight") and not weight.narrow:
                raise FormatError(f"{field.name} must be narrow, that is symmetric")


def _where_inside(grad: Tensor, integers: Tensor, bounds: tuple[int, int]) -> Tensor:
    """Return the gradient where the integers are within the bounds, and 0 elsewhere."""
    lo, hi = bounds
    masked: Tensor = torch.ops.aten.hardtanh_backward(grad, integers, lo - 0.5, hi + 0.5)
    return masked


def _shifted_sign(x: Tensor) -> Tensor:
    """Return 2 where x >= 0 and 0 elsewhere, in the type of `x`."""
    if torch.compiler.is_compiling():
        return x.ge(0).to(x.dtype) * 2
    # A comparison written straight into a float tensor is ten times as fast as one that goes through bool.
    return torch.ge(x, 0, out=torch.empty_like(x)).mul_(2)


class Sign(torch.autograd.Function):
    """The paper's binary activation: sign(x), with sign(0) = 0.

    Gradient: max(2 - 2|x|, 0), that of Bi-Real Net's piecewise quadratic sign.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return a tensor of -1, 0 and +1 with the shape and type of `x`."""
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return x.abs().mul_(-2).add_(2).clamp_(min=0).mul_(grads[0])

    @staticmethod
    def symbolic(graph: Any, x: Any) -> Any:
        """Export as a single Sign."""
        return graph.op("Sign", x)


class ZeroSignWeight(Sign):
    """The paper's binary weight: sign(w), with sign(0) = 0; gradient of clamp(w, -1, 1)."""

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        w: Tensor = ctx.saved_tensors[0]
        return grads[0] * (w.abs() <= 1)


class ShiftedSign(Sign):
    """Binary activation plus one: sign(x) + 1, that is 2 where x >= 0 and 0 elsewhere.

    The shift turns padding with -1 into padding with 0, which convolutions do at no cost.
    Gradient: that of Sign.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return a tensor of 0 and 2 with the shape and type of `x`."""
        ctx.save_for_backward(x)
        return _shifted_sign(x)


class SignWeight(ZeroSignWeight):
    """Binary weight: +1 where w >= 0, else -1; gradient of clamp(w, -1, 1)."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        """Return a tensor of -1 and +1 with the shape of `w`."""
        ctx.save_for_backward(w)
        return torch.where(w >= 0, 1.0, -1.0)


def standardized(weight: Tensor) -> Tensor:
    """Return weights (outputs, ...), each output's centred and scaled to WEIGHT_DEVIATION.

    Their signs are balanced and carry the most information that signs can (Qin et al. 2020, IR-Net), and no weight
    drifts to where it gets no gradient (Xu et al. 2021, ReCU).
    """
    axes = tuple(range(1, weight.dim()))
    centred = weight - weight.mean(axes, keepdim=True)
    return centred * (WEIGHT_DEVIATION / (centred.square().mean(axes, keepdim=True) + 1e-10).sqrt())


class ResidualAdd(torch.autograd.Function):
    """quantize(branch, y) + r, clipped to the residual format; r is already a multiple of the residual scale.

    One pass for branch quantizer, addition and residual quantizer. Gradient, to both operands: 1 inside the residual
    range, 0 outside. With r = None it is the plain residual quantizer.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, r: Tensor | None, formats: Formats) -> Tensor:
        """Return multiples of the residual scale within the residual range."""
        residual = formats.residual
        total = torch.mul(y, 1 / residual.scale).round_().clamp_(*formats.branch.range)
        if r is not None:
            total.add_(r, alpha=1 / residual.scale)
        ctx.save_for_backward(total)
        ctx.range = residual.range
        ctx.has_shortcut = r is not None
        # What is returned is not changed in place: torch 2.11 compiles that with a gradient of zero, and says nothing.
        return total.clamp(*residual.range) * residual.scale

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        grad = _where_inside(grads[0], ctx.saved_tensors[0], ctx.range)
        return grad, (grad if ctx.has_shortcut else None), None


class Quantize(torch.autograd.Function):
    """round(x / scale), half to even, clipped to the format; gradient 1 inside the range, 0 outside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fmt: IntegerFormat) -> Tensor:
        """Return multiples of the format's scale with the shape of `x`."""
        integers = torch.round(x / fmt.scale)
        ctx.save_for_backward(integers)
        ctx.range = fmt.range
        return integers.clamp(*fmt.range) * fmt.scale

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _where_inside(grads[0], ctx.saved_tensors[0], ctx.range), None


def floor_to(x: Tensor, fmt: IntegerFormat) -> Tensor:
    """Round down to a multiple of the format's scale; the gradient is that of the identity."""
    return x + (torch.floor(x / fmt.scale) * fmt.scale - x).detach()
