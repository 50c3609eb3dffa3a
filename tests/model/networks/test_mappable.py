# SPDX-License-Identifier: Apache-2.0
"""The check before an export: sound networks pass, and each planted fault is named with its layer."""

from collections.abc import Callable

import brevitas.nn as qnn
import pytest
import torch
from brevitas.inject.enum import FloatToIntImplType
from brevitas.quant.scaled_int import TruncTo8bit
from torch import nn

from model.errors import ExportError
from model.networks import NETWORKS, Network, to_brevitas
from model.networks.brevitas import activation_quantizer
from model.networks.mappable import check_mappable
from model.networks.quantizers import IntegerFormat


def example(network: Network) -> torch.Tensor:
    return torch.zeros(1, *network.spec.input_shape)


def set_scale(quantizer: nn.Module, scale: float) -> None:
    """Give a Brevitas sign another constant scale."""
    (scaling,) = (module for name, module in quantizer.named_modules() if name.endswith("tensor_quant.scaling_impl"))
    scaling.value.value.fill_(scale)


@pytest.fixture
def twin(make_network: Callable[..., Network]) -> Network:
    return to_brevitas(make_network("tiny"))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_of_the_paper_passes(name: str, make_network: Callable[..., Network]) -> None:
    network = to_brevitas(make_network(name))
    check_mappable(network, example(network))


def only_problem(network: Network) -> str:
    with pytest.raises(ExportError) as error:
        check_mappable(network, example(network))
    return str(error.value)


def test_unequal_scales_at_an_addition(twin: Network) -> None:
    block = twin.get_submodule("layer2.0.add1")
    block.branch = qnn.QuantIdentity(act_quant=activation_quantizer(IntegerFormat(5, 1 / 4)))
    assert only_problem(twin) == (
        "layer2.0.add1 cannot be mapped exactly: its inputs have unequal scales: 0.25 and 0.125"
    )


def test_unequal_scales_at_a_concatenation(twin: Network) -> None:
    fusion = twin.get_submodule("fusion.cheap_operation")
    fusion[2] = qnn.QuantIdentity(act_quant=activation_quantizer(IntegerFormat(4, 1 / 16)), return_quant_tensor=True)
    assert only_problem(twin) == (
        "fusion.concat cannot be mapped exactly: its inputs have unequal scales: 0.125 and 0.0625"
    )


def test_an_input_without_a_scale(twin: Network) -> None:
    twin.nonlinear = nn.Hardtanh()
    assert only_problem(twin) == (
        "layer1.0.add1 cannot be mapped exactly: its inputs have unequal scales: 0.125 and none"
    )


def test_negative_batch_norm_in_front_of_the_classifier(twin: Network) -> None:
    with torch.no_grad():
        twin.get_parameter("bn2.weight")[5] = -0.25
    assert only_problem(twin).startswith("bn2 cannot be mapped exactly: the scale of the batch norm in front of")
    assert "-0.25 in channel 5" in only_problem(twin)


@pytest.mark.parametrize("name", ["prelu", "layer3.0.prelu", "fusion.primary_conv.2"])
def test_negative_slope(name: str, make_network: Callable[..., Network]) -> None:
    network = to_brevitas(make_network("birealnet18_B"))
    with torch.no_grad():
        network.get_parameter(f"{name}.weight")[1] = -0.125
    expected = f"{name} cannot be mapped exactly: the slope of the PReLU is negative (-0.125 in channel 1)"
    assert only_problem(network).startswith(expected)


@pytest.mark.parametrize(("part", "what"), [("sign.act_quant", "activations"), ("weight_quant", "weights")])
def test_sign_of_another_scale(part: str, what: str, twin: Network) -> None:
    set_scale(twin.get_submodule(f"layer3.0.conv1.{part}"), 0.5)
    layer = "layer3.0.conv1.sign" if what == "activations" else "layer3.0.conv1"
    assert only_problem(twin) == f"{layer} cannot be mapped exactly: the sign of its {what} has the scale 0.5, not 1"


def test_rounding_pool(twin: Network) -> None:
    pool = qnn.TruncAvgPool2d(
        4,
        stride=4,
        trunc_quant=TruncTo8bit.let(bit_width=4, float_to_int_impl_type=FloatToIntImplType.ROUND),
        return_quant_tensor=True,
    )
    twin.get_submodule("gather.pools")[0] = pool.eval()
    assert only_problem(twin) == (
        "gather.pools.0 cannot be mapped exactly: its average pool rounds (ROUND); the hardware's rounds down"
    )


def test_pool_of_real_numbers(twin: Network) -> None:
    twin.get_submodule("gather.pools")[1] = nn.AvgPool2d(4)
    assert only_problem(twin).startswith("gather.pools.1 cannot be mapped exactly: its average pool is not rounded")
