# SPDX-License-Identifier: Apache-2.0
"""Quantizers against their formulas, and their gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.networks.quantizers import (
    WEIGHT_DEVIATION,
    Formats,
    IntegerFormat,
    Quantize,
    ResidualAdd,
    ShiftedSign,
    Sign,
    SignWeight,
    ZeroSignWeight,
    floor_to,
    standardized,
)

FORMATS = Formats()


@pytest.mark.parametrize(
    ("fmt", "lo", "hi"),
    [
        (FORMATS.residual, -8, 7),
        (FORMATS.branch, -16, 15),
        (FORMATS.head, -128, 127),
        (FORMATS.linear_weight, -127, 127),
    ],
)
def test_ranges(fmt: IntegerFormat, lo: int, hi: int) -> None:
    assert (fmt.lo, fmt.hi) == (lo, hi)


def test_sign_of_zero_is_plus_one() -> None:
    x = torch.tensor([-1e-9, -0.0, 0.0, 1e-9])
    assert (ShiftedSign.apply(x) - 1).tolist() == [-1, 1, 1, 1]
    assert SignWeight.apply(x).tolist() == [-1, 1, 1, 1]


def test_the_paper_s_sign_of_zero_is_zero() -> None:
    x = torch.tensor([-1e-9, -0.0, 0.0, 1e-9])
    assert Sign.apply(x).tolist() == ZeroSignWeight.apply(x).tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize(("activation", "weight"), [(ShiftedSign, SignWeight), (Sign, ZeroSignWeight)])
def test_sign_gradients(activation: type[torch.autograd.Function], weight: type[torch.autograd.Function]) -> None:
    x = torch.tensor([-2.0, -0.75, 0.0, 0.5, 1.5], requires_grad=True)
    activation.apply(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0.5, 2, 1, 0]
    w = torch.tensor([-1.5, -1.0, 0.2, 1.0, 1.1], requires_grad=True)
    weight.apply(w).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [0, 1, 1, 1, 0]


def latent_weights(scale: float = 0.05) -> Tensor:
    """Return weights (5, 3, 3, 3), of a mean and a deviation of their own for every output."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5, 3, 3, 3, dtype=torch.float64, generator=generator)
    offset, factor = torch.rand(2, 5, 1, 1, 1, dtype=torch.float64, generator=generator) + 0.1
    return (scale * (values * factor + offset)).requires_grad_()


def test_standardized_weights_have_mean_0_and_one_deviation() -> None:
    found = standardized(latent_weights())
    assert found.mean((1, 2, 3)).tolist() == pytest.approx([0] * 5, abs=1e-12)
    assert found.std((1, 2, 3), correction=0).tolist() == pytest.approx([WEIGHT_DEVIATION] * 5, rel=1e-4)
    torch.testing.assert_close(standardized(latent_weights(500.0)), found, rtol=1e-4, atol=0)


def test_gradient_through_standardized_signs_is_that_of_the_formula() -> None:
    """Straight through the sign where the standardized weight is within -1 .. 1, then by mean and deviation."""
    weights, upstream = latent_weights(), torch.arange(-67.0, 68.0, dtype=torch.float64).view(5, 3, 3, 3)
    with torch.no_grad():
        weights[:, 0, 0, 0] *= 20
    assert (standardized(weights).abs() > 1).any()
    (found,) = torch.autograd.grad(SignWeight.apply(standardized(weights)), weights, upstream)
    deviation = ((weights - weights.mean((1, 2, 3), True)) ** 2).mean((1, 2, 3), True).add(1e-10).sqrt()
    formula = (WEIGHT_DEVIATION * (weights - weights.mean((1, 2, 3), True)) / deviation).clamp(-1, 1)
    (expected,) = torch.autograd.grad(formula, weights, upstream)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(found.sum((1, 2, 3)), torch.zeros(5, dtype=torch.float64), atol=1e-9)  # the mean is free


@pytest.mark.parametrize("fmt", [FORMATS.residual, FORMATS.head, FORMATS.linear_weight])
def test_quantize_is_round_and_clip(fmt: IntegerFormat) -> None:
    integers = torch.linspace(fmt.lo - 3, fmt.hi + 3, 1001)
    x = (integers * fmt.scale).requires_grad_()
    found = Quantize.apply(x, fmt)
    rounded = torch.round(integers)
    assert torch.equal(found, rounded.clamp(fmt.lo, fmt.hi) * fmt.scale)
    found.sum().backward()
    inside = (rounded >= fmt.lo) & (rounded <= fmt.hi)
    assert x.grad is not None
    assert torch.equal(x.grad, inside.float())


def test_residual_add_clips_the_branch_first_and_the_sum_next() -> None:
    branch = torch.tensor([3.0, 3.0, -5.0, 0.3, 0.06], requires_grad=True)
    shortcut = torch.tensor([-1.0, 0.5, 0.875, 0.25, 0.0], requires_grad=True)
    found = ResidualAdd.apply(branch, shortcut, Formats())
    assert found.tolist() == [0.875, 0.875, -1.0, 0.5, 0.0]
    found.sum().backward()
    # 15 - 8 = 7 is inside, 15 + 4 and -16 + 7 are clipped.
    assert branch.grad is not None
    assert shortcut.grad is not None
    assert branch.grad.tolist() == shortcut.grad.tolist() == [1, 0, 0, 1, 1]


def test_floor_to_rounds_down_and_lets_the_gradient_through() -> None:
    x = torch.tensor([-0.01, 0.124, 0.125, -0.125], requires_grad=True)
    found = floor_to(x, FORMATS.residual)
    assert found.tolist() == [-0.125, 0.0, 0.125, -0.125]
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 1, 1]


def _signs_and_sums(y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Compute what a residual block does besides convolution and batch norm."""
    total = ResidualAdd.apply(ResidualAdd.apply(y, None, FORMATS), r, FORMATS)
    return total, ShiftedSign.apply(total)


def _values_and_gradients(block: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = (4 * torch.randn(2, 4, 6, 6, generator=generator)).to(torch.bfloat16).to(memory_format=torch.channels_last)
    r = torch.randint(-8, 8, y.shape, generator=generator).to(torch.bfloat16) / 8
    y, r = y.requires_grad_(), r.requires_grad_()
    total, signs = block(y, r)
    signs.backward(torch.linspace(-1, 1, signs.numel()).to(signs.dtype).view_as(signs))
    assert y.grad is not None
    assert r.grad is not None
    return [total, signs, y.grad, r.grad]


def test_compiled_quantizers_are_equal_bit_for_bit() -> None:
    found = _values_and_gradients(torch.compile(_signs_and_sums, dynamic=False, fullgraph=True))
    for one, other in zip(_values_and_gradients(_signs_and_sums), found, strict=True):
        assert torch.equal(one, other)
