# SPDX-License-Identifier: Apache-2.0
"""The networks: names, shapes, and the two layer kits that must agree bit for bit."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.errors import UnknownNetworkError
from model.layers import BinaryConv2d, WeightQuantConv2d
from model.networks import NETWORKS, ResidualNetwork, create_network, network_spec, to_brevitas
from model.quantizers import FUSION_WEIGHT

MakeNetwork = Callable[..., ResidualNetwork]
MakeImages = Callable[..., Tensor]


def test_unknown_network_names_the_close_ones() -> None:
    with pytest.raises(UnknownNetworkError, match="did you mean resnet20"):
        network_spec("resnet-20")
    with pytest.raises(UnknownNetworkError, match="known networks: tiny, resnet20"):
        network_spec("xyz")


def test_resnet20_has_the_paper_parameters_but_the_classifier_bias() -> None:
    network = create_network("resnet20")
    assert sum(p.numel() for p in network.parameters()) == 272_458 - 10
    state = network.state_dict()
    assert state["fusion.primary_conv.0.weight"].shape == (16, 128, 1, 1)
    assert state["fusion.cheap_operation.0.weight"].shape == (48, 1, 3, 3)
    assert state["layer2.0.conv1.weight"].shape == (32, 16, 3, 3)
    assert "linear.bias" not in state


@pytest.mark.parametrize("name", list(NETWORKS))
def test_channels_fold(name: str) -> None:
    assert all(width % 8 == 0 for width in network_spec(name).widths)


def test_seed_fixes_the_weights() -> None:
    first, again, other = (create_network("tiny", seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_binary_convolution_pads_with_minus_one() -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(8, 16, 2)
    x = torch.randn(2, 8, 6, 6)
    x[0, 0, 0, 0] = 0.0
    signs = functional.pad(torch.where(x >= 0, 1.0, -1.0), (1, 1, 1, 1), value=-1.0)
    weights = torch.where(layer.weight >= 0, 1.0, -1.0)
    assert torch.equal(layer(x), functional.conv2d(signs, weights, stride=2))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_kits_agree_bit_for_bit(name: str, make_network: MakeNetwork, make_images: MakeImages) -> None:
    network = make_network(name)
    twin = to_brevitas(network)
    assert twin.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in network.state_dict().items())
    images = make_images(network, 16, seed=5)
    with torch.no_grad():
        logits, features = network.logits_and_features(images)
        twin_logits, twin_features = twin.logits_and_features(images)
    assert torch.equal(logits, twin_logits)
    assert torch.equal(features, getattr(twin_features, "value", twin_features))
    assert logits.std() > 0.1


def test_kits_disagree_when_one_weight_flips(make_network: MakeNetwork, make_images: MakeImages) -> None:
    network = make_network("tiny")
    twin = to_brevitas(network)
    with torch.no_grad():
        twin.get_parameter("layer3.0.conv2.weight")[0].neg_()
        images = make_images(network, 16)
        assert not torch.equal(network(images), twin(images))


def test_brevitas_evaluation_leaves_the_weights_alone(make_network: MakeNetwork, make_images: MakeImages) -> None:
    network = make_network("tiny")
    with torch.no_grad():
        network.get_parameter("layer1.0.conv1.weight").mul_(5)
        twin = to_brevitas(network)
        twin(make_images(network, 2))
    expected = network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in twin.state_dict().items())


def test_cheap_channel_order() -> None:
    """Output o of the grouped convolution reads input o // multiplier, in both kits."""
    from model.brevitas_layers import GroupedConv2d

    light = WeightQuantConv2d(FUSION_WEIGHT, 4, 12, 3, padding=1, groups=4)
    dense = GroupedConv2d(4, 12)
    dense.load_state_dict(light.state_dict())
    x = torch.zeros(1, 4, 5, 5)
    x[0, 1] = 1.0
    with torch.no_grad():
        assert torch.equal(light(x), dense(x))
        touched = light(x).abs().sum((0, 2, 3)).nonzero().flatten().tolist()
    assert set(touched) <= {3, 4, 5}


def test_light_kit_needs_no_brevitas() -> None:
    code = (
        "import sys; sys.modules['brevitas'] = None; "
        "import model.train, model.evaluate; "
        "from model.networks import create_network; create_network('tiny')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
