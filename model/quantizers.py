# SPDX-License-Identifier: Apache-2.0
"""Quantizers of the hardware network: the integer formats and their straight-through gradients.

Every scale is a constant power of two, so a quantized value, and every sum of products of such values
that the networks form, is exact in float32.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class IntegerFormat:
    """A signed integer format: value = scale * integer, with lo <= integer <= hi.

    `narrow` drops the most negative integer, which makes the range symmetric.
    """

    bits: int
    scale: float
    narrow: bool = False

    @property
    def lo(self) -> int:
        """The smallest integer."""
        return int(self.narrow) - (1 << (self.bits - 1))

    @property
    def hi(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1


INPUT_SCALE = 1 / 256
"""Images are uint8 and enter as x / 256, without mean or deviation: zero padding stays exact."""

RESIDUAL = IntegerFormat(bits=4, scale=1 / 8)
"""The residual stream; its range -1 .. 0.875 takes the place of the paper's Hardtanh."""

BRANCH = IntegerFormat(bits=5, scale=1 / 8)
"""A convolution branch before it joins the residual stream: lossless, given the clip that follows."""

STEM_WEIGHT = IntegerFormat(bits=8, scale=1 / 128, narrow=True)
FUSION_WEIGHT = IntegerFormat(bits=4, scale=1 / 8, narrow=True)
LINEAR_WEIGHT = IntegerFormat(bits=8, scale=1 / 128, narrow=True)
HEAD = IntegerFormat(bits=8, scale=1 / 32)
"""The pooled features in front of the classifier."""


# A comparison written straight into a float tensor is ten times as fast as one that goes through bool.


def _at_least(x: Tensor, bound: float) -> Tensor:
    """Return 1 where x >= bound and 0 elsewhere, in the type of `x`."""
    return torch.ge(x, bound, out=torch.empty_like(x))


def _inside(grad: Tensor, integers: Tensor, fmt: IntegerFormat) -> Tensor:
    """Return the gradient where the integers are in the format's range, and 0 elsewhere."""
    masked: Tensor = torch.ops.aten.hardtanh_backward(grad, integers, fmt.lo - 0.5, fmt.hi + 0.5)
    return masked


class ShiftedSign(torch.autograd.Function):
    """Binary activation plus one: sign(x) + 1, that is 2 where x >= 0 and 0 elsewhere.

    The shift turns padding with -1 into padding with 0, which convolutions do at no cost.
    Gradient: max(2 - 2|x|, 0), the piecewise quadratic estimate of Bi-Real Net that IR2Net uses.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return a tensor of 0 and 2 with the shape and type of `x`."""
        ctx.save_for_backward(x)
        return _at_least(x, 0).mul_(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Scale the gradient by the slope of the piecewise quadratic."""
        x: Tensor = ctx.saved_tensors[0]
        return x.abs().mul_(-2).add_(2).clamp_(min=0).mul_(grads[0])


class SignWeight(torch.autograd.Function):
    """Binary weight: +1 where w >= 0, else -1; gradient of clamp(w, -1, 1)."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        """Return a tensor of -1 and +1 with the shape of `w`."""
        ctx.save_for_backward(w)
        return torch.where(w >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Pass the gradient where the weight is inside [-1, 1]."""
        w: Tensor = ctx.saved_tensors[0]
        return grads[0] * (w.abs() <= 1)


class ResidualAdd(torch.autograd.Function):
    """quantize(BRANCH, y) + r, clipped to RESIDUAL; r is already a multiple of the residual scale.

    One pass for branch quantizer, addition and residual quantizer. Gradient: 1 inside the residual range, to
    both operands. With r = None it is the plain residual quantizer.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, r: Tensor | None) -> Tensor:
        """Return multiples of the residual scale within the residual range."""
        total = torch.mul(y, 1 / BRANCH.scale).round_().clamp_(BRANCH.lo, BRANCH.hi)
        if r is not None:
            total.add_(r, alpha=1 / RESIDUAL.scale)
        ctx.save_for_backward(total)
        ctx.has_shortcut = r is not None
        return total.clamp(RESIDUAL.lo, RESIDUAL.hi).mul_(RESIDUAL.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pass the gradient where the sum was not clipped."""
        grad = _inside(grads[0], ctx.saved_tensors[0], RESIDUAL)
        return grad, (grad if ctx.has_shortcut else None)


class Quantize(torch.autograd.Function):
    """round(x / scale), half to even, clipped to the format; gradient 1 inside the range, 0 outside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fmt: IntegerFormat) -> Tensor:
        """Return multiples of the format's scale with the shape of `x`."""
        integers = torch.round(x / fmt.scale)
        ctx.save_for_backward(integers)
        ctx.format = fmt
        return integers.clamp(fmt.lo, fmt.hi) * fmt.scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Pass the gradient where the value was not clipped."""
        return _inside(grads[0], ctx.saved_tensors[0], ctx.format), None


def floor_to(x: Tensor, fmt: IntegerFormat) -> Tensor:
    """Round down to a multiple of the format's scale; the gradient is that of the identity."""
    return x + (torch.floor(x / fmt.scale) * fmt.scale - x).detach()
