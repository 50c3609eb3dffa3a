# SPDX-License-Identifier: Apache-2.0
"""Weights move from paper to hardware: what has an exact counterpart is kept, the rest is rounded."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model.errors import PrecisionError
from model.networks import NETWORKS, Network, to_brevitas
from model.networks.transfer import _fused_norms, to_hardware

MakeNetwork = Callable[..., Network]
MakeImages = Callable[..., Tensor]


def output_of(layer: str, network: Network, images: Tensor) -> Tensor:
    """Return what a layer gives for a batch of images."""
    outputs: list[Tensor] = []
    network.get_submodule(layer).register_forward_hook(lambda _m, _i, output: outputs.append(output))
    with torch.no_grad():
        network(images)
    return outputs[0]


def error(found: Tensor, expected: Tensor) -> float:
    """Return the root mean square of the difference, as a share of the expected values' spread."""
    return float((found - expected).square().mean().sqrt() / expected.std())


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_moves(name: str, make_network: MakeNetwork, make_images: MakeImages) -> None:
    paper = make_network(name, precision="paper")
    hardware = to_hardware(paper)
    assert hardware.precision == "hardware"
    assert not hardware.training
    images = make_images(paper, 2)
    with torch.no_grad():
        assert torch.equal(to_brevitas(hardware)(images), hardware(images))


@pytest.mark.parametrize(("name", "binary"), [("resnet20", "layer2.0.conv1.weight"), ("vgg_small", "conv3.weight")])
def test_binary_weights_are_copied(name: str, binary: str, make_network: MakeNetwork) -> None:
    paper = make_network(name, precision="paper")
    assert torch.equal(to_hardware(paper).get_parameter(binary), paper.get_parameter(binary))


def test_binary_columns_take_their_shape(make_network: MakeNetwork) -> None:
    paper = make_network("birealnet18_B", precision="paper")
    found = to_hardware(paper).get_parameter("layer2.0.binary_conv.weight")
    assert found.shape == (16, 8, 3, 3)
    assert torch.equal(found.view(-1, 1), paper.get_parameter("layer2.0.binary_conv.weights"))


@pytest.mark.parametrize(
    ("name", "layer"), [("tiny", "bn1"), ("resnet20", "bn1"), ("vgg_small", "bn0"), ("birealnet18_B", "bn1")]
)
def test_stem_sees_the_same_picture(name: str, layer: str, make_network: MakeNetwork, make_images: MakeImages) -> None:
    """Inside the picture, weights of 8 bits are all that differs; at its edge, black is padded instead of grey."""
    paper = make_network(name, precision="paper")
    hardware = to_hardware(paper)
    images = make_images(paper, 2)
    expected, found = (output_of(layer, net, images) for net in (paper, hardware))
    assert error(found[:, :, 3:-3, 3:-3], expected[:, :, 3:-3, 3:-3]) < 0.02


@pytest.mark.parametrize("name", ["resnet20", "vgg_small", "birealnet18_A", "birealnet18_C", "birealnet18_D"])
def test_recovery_keeps_its_features(name: str, make_network: MakeNetwork) -> None:
    """The same input gives the same output of the first batch norm, but for the rounding to 4 bits."""
    paper = make_network(name, precision="paper")
    hardware = to_hardware(paper)
    conv, norm = ("fusion", "fbn") if paper.recovery == "full" else ("fusion.primary_conv.0", "fusion.primary_conv.1")
    channels = paper.get_parameter(f"{conv}.weight").shape[1]
    gathered = torch.randint(-8, 8, (2, channels, 4, 4), generator=torch.Generator().manual_seed(3)) / 8
    with torch.no_grad():
        expected, found = (net.get_submodule(norm)(net.get_submodule(conv)(gathered)) for net in (paper, hardware))
    assert error(found, expected) < 0.15


@pytest.mark.parametrize("name", ["resnet20", "resnet18"])
def test_head_keeps_its_logits(name: str, make_network: MakeNetwork) -> None:
    """Negative scales of the batch norm and the classifier's bias have exact counterparts with ten classes."""
    paper = make_network(name, precision="paper")
    width = paper.spec.widths[-1]
    generator = torch.Generator().manual_seed(4)
    fused = torch.randint(-8, 8, (16, width, 4, 4), generator=generator) / 8
    with torch.no_grad():
        norm = paper.get_submodule("bn2")
        pooled = fused.mean((2, 3))
        norm.running_mean.copy_(pooled.mean(0))
        norm.running_var.copy_(pooled.var(0))
        signs = torch.randn(width, generator=generator).sign()
        norm.weight.copy_(signs * (0.5 + torch.rand(width, generator=generator) / 2))
        paper.get_parameter("linear.bias").copy_(0.3 * torch.randn(10, generator=generator))
        hardware = to_hardware(paper)
        assert (hardware.get_parameter("bn2.weight") >= 0).all()
        assert error(hardware.classify(fused), paper.classify(fused)) < 0.05
        # The planted fault: without the bias, the logits are others.
        paper.get_parameter("linear.bias").zero_()
        assert error(hardware.classify(fused), paper.classify(fused)) > 0.05


@pytest.mark.parametrize("recovery", ["compact", "full", "none"])
def test_features_make_up_for_the_bias_of_vgg(recovery: str, make_network: MakeNetwork) -> None:
    """On average over pictures: batch norms give what their scales and biases say, here independent of each other."""
    paper = make_network("vgg_small", precision="paper", recovery=recovery)
    with torch.no_grad():
        for name in _fused_norms(paper):
            paper.get_parameter(f"{name}.bias").normal_(std=0.4)
    bias = torch.linspace(-2, 2, 10)
    moved = []
    for value in (bias, torch.zeros(10)):
        with torch.no_grad():
            paper.get_parameter("fc.bias").copy_(value)
        moved.append(to_hardware(paper))
    generator = torch.Generator().manual_seed(4)
    norms = [moved[0].get_submodule(name) for name in _fused_norms(moved[0])]
    offset, scale = (torch.cat([norm.get_parameter(part) for norm in norms]) for part in ("bias", "weight"))
    normal = torch.randn(256, len(offset), 4, 4, generator=generator)
    features = (offset.view(-1, 1, 1) + scale.view(-1, 1, 1) * normal).clamp(-1, 0.875)
    with torch.no_grad():
        difference = moved[0].classify(features) - moved[1].classify(features)
    assert torch.allclose(difference.mean(0), bias, atol=0.2)


@pytest.mark.parametrize(("largest", "scale"), [(3.0, 2**-5), (0.5, 2**-7), (0.49, 2**-8), (0.0, 2**-26)])
def test_scale_of_the_classifier_fits_its_weights(largest: float, scale: float, make_network: MakeNetwork) -> None:
    paper = make_network("vgg_small", precision="paper")
    weight = paper.get_parameter("fc.weight")
    with torch.no_grad():
        weight.mul_(largest / weight.abs().max())
        paper.get_parameter("fc.bias").zero_()
    hardware = to_hardware(paper)
    assert torch.equal(hardware.get_parameter("fc.weight"), weight)
    assert hardware.formats is not None
    assert hardware.formats.linear_weight.scale == scale


def test_channels_that_are_left_out_do_not_move(make_network: MakeNetwork) -> None:
    """resnet18's ratio of 20 divides no width: the published code computes channels and drops them."""
    paper = make_network("resnet18", precision="paper")
    hardware = to_hardware(paper)
    computed, kept = (net.get_submodule("fusion.cheap_operation.1").num_features for net in (paper, hardware))
    assert (computed, kept) == (76, 60)
    biases = [net.get_parameter("fusion.cheap_operation.1.bias") for net in (paper, hardware)]
    assert torch.equal(biases[0][:60], biases[1])


def test_negative_slopes_become_zero(make_network: MakeNetwork) -> None:
    paper = make_network("birealnet18_B", precision="paper")
    with torch.no_grad():
        for module in paper.modules():
            if isinstance(module, nn.PReLU):
                module.weight[0] = -0.5
    for name, parameter in to_hardware(paper).named_parameters():
        if "prelu" in name:
            assert parameter[0] == 0.0


def test_only_paper_precision_moves(make_network: MakeNetwork) -> None:
    with pytest.raises(PrecisionError, match="is of hardware precision: weights move from paper"):
        to_hardware(make_network("tiny"))
