# SPDX-License-Identifier: Apache-2.0
"""The networks: names, shapes, and the two layer kits that must agree bit for bit."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.errors import DataError, FormatError, PrecisionError, UnknownNetworkError
from model.networks import (
    NETWORKS,
    Network,
    Recovery,
    create_network,
    network_spec,
    to_brevitas,
)
from model.networks.adjust import binarize_weights, constrain, settle_weights, standardize_weights
from model.networks.brevitas import CheapConv2d as DenseConv2d
from model.networks.brevitas import ResidualSum as BrevitasSum
from model.networks.light import BinaryConv2d, CheapConv2d, ResidualSum
from model.networks.quantizers import Formats, IntegerFormat, SignWeight, standardized

MakeNetwork = Callable[..., Network]
MakeImages = Callable[..., Tensor]


def test_unknown_network_names_the_close_ones() -> None:
    with pytest.raises(UnknownNetworkError, match="did you mean resnet20"):
        network_spec("resnet-20")
    with pytest.raises(UnknownNetworkError, match="known networks: tiny, resnet20, resnet20_w32, resnet18, vgg_small"):
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


def test_a_shortcut_can_add_an_odd_number_of_channels() -> None:
    spec = replace(network_spec("tiny"), widths=(3, 6))
    network = create_network(spec, seed=0).eval()
    images = torch.randint(0, 256, (2, *spec.input_shape), dtype=torch.uint8)
    assert torch.equal(network(images), to_brevitas(network)(images))


def test_binary_convolution_pads_with_minus_one() -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(8, 16, 2)
    x = torch.randn(2, 8, 6, 6)
    x[0, 0, 0, 0] = 0.0
    signs = functional.pad(torch.where(x >= 0, 1.0, -1.0), (1, 1, 1, 1), value=-1.0)
    weights = torch.where(layer.weight >= 0, 1.0, -1.0)
    assert torch.equal(layer(x), functional.conv2d(signs, weights, stride=2))


# Every network with the paper's recovery, and every family with the others.
VARIANTS: list[tuple[str, Recovery]] = [
    *((name, spec.recovery) for name, spec in NETWORKS.items()),
    *((name, recovery) for name in ("tiny", "resnet18", "vgg_small") for recovery in ("full", "none")),
    ("birealnet18_A", "none"),
]


@pytest.mark.parametrize(("name", "recovery"), VARIANTS)
def test_kits_agree_bit_for_bit(
    name: str, recovery: Recovery, make_network: MakeNetwork, make_images: MakeImages
) -> None:
    network = make_network(name, recovery=recovery)
    twin = to_brevitas(network)
    assert twin.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in network.state_dict().items())
    images = make_images(network, 4, seed=5)
    with torch.no_grad():
        logits, features = network.logits_and_features(images)
        twin_logits, twin_features = twin.logits_and_features(images)
    assert torch.equal(logits, twin_logits)
    assert torch.equal(features, getattr(twin_features, "value", twin_features))
    assert logits.std() > 0.1


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["tiny", "resnet20", "resnet18", "vgg_small", "birealnet18_A", "birealnet18_C"])
def test_kits_have_equal_gradients(
    name: str, training: bool, make_network: MakeNetwork, make_images: MakeImages
) -> None:
    """Of every parameter; what is left are roundings of sums in another order."""
    network = make_network(name)
    twin = to_brevitas(network)
    images = make_images(network, 4)
    for module in twin.modules():
        if isinstance(module, DenseConv2d):
            module.weight.requires_grad_(True)
    for model in (network, twin):
        model.train(training)(images).square().mean().backward()
    for key, parameter in network.named_parameters():
        gradient = twin.get_parameter(key).grad
        if gradient.shape != parameter.shape:
            cheap = twin.get_submodule(key.removesuffix(".weight"))
            gradient = gradient[cheap.rows, cheap.sources]
        assert torch.allclose(parameter.grad, gradient, atol=1e-6, rtol=1e-6), key


def test_a_clipped_branch_passes_the_gradient_of_the_sum() -> None:
    """A branch beyond its format, and a shortcut that brings the sum back into the residual's: in both kits alike."""
    branch, shortcut = torch.tensor([3.0, 3.0, -3.0, 0.5]), torch.tensor([-1.0, -0.875, 0.875, 0.25])
    gradients = []
    for layer in (ResidualSum(Formats()), BrevitasSum(Formats()).eval()):
        leaves = [value.clone().requires_grad_() for value in (branch, shortcut)]
        getattr(total := layer(*leaves), "value", total).sum().backward()
        gradients.append([leaf.grad.tolist() for leaf in leaves])
    assert gradients[0] == gradients[1] == [[1, 0, 0, 1], [1, 0, 0, 1]]


@pytest.mark.parametrize("name", ["tiny", "birealnet18_B"])
def test_other_formats(name: str, make_network: MakeNetwork, make_images: MakeImages) -> None:
    """Bit widths are configuration: one bit more for residual streams, in both kits."""
    formats = Formats(
        residual=IntegerFormat(5, 1 / 16), branch=IntegerFormat(6, 1 / 16), fusion_weight=IntegerFormat(3, 1 / 4, True)
    )
    network = make_network(name, formats=formats)
    twin = to_brevitas(network)
    images = make_images(network, 2)
    with torch.no_grad():
        logits, features = network.logits_and_features(images)
        assert torch.equal(logits, twin(images))
    integers = features * 16
    assert torch.equal(integers, integers.round())
    assert integers.min() >= -16
    assert integers.max() <= 15
    assert (integers % 2 == 1).any()


def test_formats_that_do_not_convert_are_refused() -> None:
    with pytest.raises(FormatError, match="added, so their scales are equal"):
        Formats(branch=IntegerFormat(5, 1 / 4))
    with pytest.raises(FormatError, match="power of two"):
        IntegerFormat(4, 0.1)
    with pytest.raises(FormatError, match="fusion_weight must be narrow"):
        Formats(fusion_weight=IntegerFormat(4, 1 / 8))


def test_step_one_uses_real_weights(make_images: MakeImages) -> None:
    for precision in ("paper", "hardware"):
        network = create_network("tiny", precision=precision, seed=0).eval()
        images = make_images(network, 2)
        with torch.no_grad():
            signs = network(images)
            binarize_weights(network, False)
            assert not torch.equal(network(images), signs)
            if precision == "hardware":
                with pytest.raises(PrecisionError, match="real weights"):
                    to_brevitas(network)
            binarize_weights(network, True)
            assert torch.equal(network(images), signs)


def spread(network: Network) -> list[torch.nn.Parameter]:
    """Give every binary convolution weights of another mean and size, some beyond 1; return its weights."""
    found = [m.weight for m in network.modules() if isinstance(m, BinaryConv2d)]
    with torch.no_grad():
        for index, weight in enumerate(found):
            weight.mul_(3.0 * (index + 1)).add_(0.5 - index % 2)
            # Mean and weight are exactly 0 here: there the sign is +1, in every form.
            weight[0] = torch.linspace(-4, 4, 9).view(3, 3)
    return found


@pytest.mark.parametrize("name", ["tiny", "resnet18", "birealnet18_A"])
def test_settled_weights_have_the_signs_of_the_standardized_ones(
    name: str, make_network: MakeNetwork, make_images: MakeImages
) -> None:
    network = make_network(name)
    weights, images = spread(network), make_images(network, 4)
    plain = [SignWeight.apply(weight) for weight in weights]
    standardize_weights(network, True)
    with torch.no_grad():
        signs, logits = [SignWeight.apply(standardized(weight)) for weight in weights], network(images)
        settle_weights(network)
        assert torch.equal(network(images), logits)
        assert torch.equal(to_brevitas(network)(images), logits)
    for weight, sign, other in zip(weights, signs, plain, strict=True):
        assert torch.equal(SignWeight.apply(weight), sign)
        assert not torch.equal(sign, other)  # so it takes standardizing to get them
        assert bool((sign[0, :, 1, 1] == 1).all()) and bool((weight[0, :, 1, 1] == 0).all())
        assert float(weight.abs().max()) <= 1
    settled = [weight.clone() for weight in weights]
    settle_weights(network)  # there is nothing to settle any more
    assert all(torch.equal(*pair) for pair in zip(weights, settled, strict=True))


def test_standardized_weights_are_free_until_they_settle(make_network: MakeNetwork) -> None:
    network = make_network("tiny")
    weights = spread(network)
    standardize_weights(network, True)
    before = [weight.clone() for weight in weights]
    constrain(network)
    assert all(torch.equal(*pair) for pair in zip(weights, before, strict=True))
    with pytest.raises(PrecisionError, match="not settled yet"):
        to_brevitas(network)


def test_standardized_weights_are_for_hardware_precision() -> None:
    with pytest.raises(PrecisionError, match="are for hardware precision, not for paper precision"):
        standardize_weights(create_network("tiny", precision="paper"), True)


def test_constrain_reaches_every_bound(make_network: MakeNetwork) -> None:
    network = make_network("birealnet18_A")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(-3.0)
    constrain(network)
    bound = 127 / 128
    assert network.get_parameter("bn2.weight").max().item() == pytest.approx(1e-3)
    for name in ("prelu.weight", "layer2.0.prelu.weight", "fprelu.weight"):
        assert set(network.get_parameter(name).tolist()) == {0.0}
    for name in ("conv1.weight", "fc.weight"):
        assert set(network.get_parameter(name).flatten().tolist()) == {-bound}
    assert set(network.get_parameter("layer1.0.binary_conv.weight").flatten().tolist()) == {-1.0}


def test_paper_precision_has_no_brevitas_layers() -> None:
    with pytest.raises(PrecisionError, match="paper precision"):
        to_brevitas(create_network("tiny", precision="paper"))


def test_wrong_number_of_channels_is_named() -> None:
    with pytest.raises(DataError, match=r"tiny takes images \(n, 1, height, width\), got \(2, 3, 16, 16\)"):
        create_network("tiny")(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))


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


@pytest.mark.parametrize(("groups", "kept", "first", "last"), [(4, 12, 3, 6), (4, 10, 3, 6), (2, 12, 0, 6)])
def test_cheap_channel_order(groups: int, kept: int, first: int, last: int) -> None:
    """A grouped convolution's outputs first .. last read its input 1, in both kits, also where outputs are missing."""
    light = CheapConv2d(Formats().fusion_weight, 4, 12, groups, kept)
    dense = DenseConv2d(Formats().fusion_weight, 4, 12, groups, kept)
    dense.load_state_dict(light.state_dict())
    x = torch.zeros(1, 4, 5, 5)
    x[0, 1] = 1.0
    with torch.no_grad():
        assert light(x).shape == (1, kept, 5, 5)
        assert torch.equal(light(x), dense(x))
        touched = light(x).abs().sum((0, 2, 3)).nonzero().flatten().tolist()
    assert touched == list(range(first, last))


def test_light_kit_needs_no_brevitas() -> None:
    code = (
        "import sys; sys.modules['brevitas'] = None; "
        "import model.train, model.evaluate; "
        "from model.networks import create_network; create_network('tiny')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
