# SPDX-License-Identifier: Apache-2.0
"""Paper precision against the published code: names, shapes, parameters, logits and features.

The published code was run with the tensors that `reference_tensor` makes of their names. The facts below are
always compared; the whole reference values where IR2NET_DATA names a folder that holds them in `paper`.
"""

import hashlib
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.networks import Network, create_network
from model.networks.pixels import PIXEL_DEVIATION, PIXEL_MEAN
from model.training.restriction import erase_mask, restricted_loss

# Trainable parameters, digest of the state dict's names and shapes, and the first image's first three logits.
FACTS = {
    "resnet20": (272_458, "73c8d75969908f08", (0.3412, 0.6041, -0.5041)),
    "resnet18": (11_207_096, "0ea722ff7d862f7c", (0.5338, 0.3000, 1.7759)),
    "vgg_small": (4_675_834, "fccaa31e85c66967", (2.4280, 1.0538, -1.1098)),
    "birealnet18_A": (12_220_264, "b154d07fb7271f18", (-4.7880, -271.1819, 359.3678)),
    "birealnet18_B": (11_960_424, "19571af36e79d879", (-871.0359, 3.3057, 737.9928)),
    "birealnet18_C": (11_882_344, "ef74a650b654ad1f", (901.3035, -70.1000, -78.2809)),
    "birealnet18_D": (11_727_070, "903e66bcd6b5b205", (385.9140, 215.4276, 134.5710)),
}


def reference_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        values = 0.5 + rng.random(shape)
    elif len(shape) == 1:
        values = 0.2 * rng.standard_normal(shape) + float(name.endswith("weight"))
    else:
        values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def shapes(network: Network) -> dict[str, tuple[int, ...]]:
    state = network.state_dict().items()
    return {name: tuple(tensor.shape) for name, tensor in state if not name.endswith("num_batches_tracked")}


def reference_network(name: str) -> Network:
    network = create_network(name, precision="paper").eval()
    tensors = {key: reference_tensor(key, shape) for key, shape in shapes(network).items()}
    network.load_state_dict(tensors, strict=False)
    return network


def reference_input(shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(7).standard_normal(shape).astype(np.float32))


def reference_folder() -> Path:
    folder = Path(os.environ.get("IR2NET_DATA", "")) / "paper"
    if not (folder / "networks.json").is_file():
        pytest.skip("no reference values: IR2NET_DATA names no folder that holds them in `paper`")
    return folder


@pytest.mark.parametrize("name", FACTS)
def test_names_shapes_and_parameters(name: str) -> None:
    parameters, digest, _ = FACTS[name]
    with torch.device("meta"):
        network = create_network(name, precision="paper")
    rows = "\n".join(f"{key} {list(shape)}" for key, shape in sorted(shapes(network).items()))
    assert hashlib.sha256(rows.encode()).hexdigest()[:16] == digest
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == parameters


@pytest.mark.parametrize("name", FACTS)
def test_first_logits(name: str) -> None:
    network = reference_network(name)
    # The whole batch: the generator fills it in one go, and its first image is what the facts are of.
    with torch.no_grad():
        logits = network(reference_input((1, *network.spec.input_shape)))
    assert logits[0, :3].tolist() == pytest.approx(FACTS[name][2], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", ["resnet20", "vgg_small", "birealnet18_B"])
def test_published_reference_values(name: str) -> None:
    folder = reference_folder()
    facts = json.loads((folder / "networks.json").read_text())[name]
    network = reference_network(name)
    assert {key: list(shape) for key, shape in shapes(network).items()} == facts["tensors"]
    assert FACTS[name][0] == facts["parameters"]
    with torch.no_grad(), np.load(folder / f"{name}.npz") as expected:
        logits, features = network.logits_and_features(reference_input(tuple(facts["input_shape"])))
        np.testing.assert_allclose(logits, expected["logits"], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(features.mean((2, 3)), expected["feature_mean"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FACTS)
def test_hardware_has_the_names_of_the_paper(name: str) -> None:
    """But for the classifier's bias, and the binary weights of ImageNet, which are no column there."""
    with torch.device("meta"):
        paper, hardware = (shapes(create_network(name, precision=each)) for each in ("paper", "hardware"))
    classifier = "linear" if "linear.bias" in paper else "fc"
    expected = {key.replace("binary_conv.weights", "binary_conv.weight") for key in paper} - {f"{classifier}.bias"}
    assert set(hardware) == expected


def test_the_first_step_of_imagenet_is_real_and_differs() -> None:
    """A zero weight is sign 0 in the paper: its row gives nothing."""
    network = reference_network("resnet20")
    with torch.no_grad():
        network.get_parameter("layer1.0.conv1.weight")[4] = 0.0
        signs = network.get_submodule("layer1.0.conv1")(torch.ones(1, 16, 4, 4))
    assert set(signs[0, 4].flatten().tolist()) == {0.0}


def test_zero_padding() -> None:
    """The corner of a convolution of ones sees four of nine pixels, and padding adds nothing."""
    for name, part in (("resnet20", "layer1.0.conv1"), ("birealnet18_B", "layer1.0.binary_conv")):
        network = create_network(name, precision="paper")
        conv = network.get_submodule(part)
        with torch.no_grad():
            next(conv.parameters()).fill_(0.5)
            found = conv(torch.ones(1, network.spec.widths[0], 5, 5))
        assert found[0, 0, 0, 0] == 4 * network.spec.widths[0]
        assert found[0, 0, 2, 2] == 9 * network.spec.widths[0]


def test_pixels_are_normalised_and_erased_ones_become_the_mean() -> None:
    network = reference_network("resnet20")
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    values = network.values(images)
    colour = (float(images[1, 2, 3, 4]) / 255 - PIXEL_MEAN[2]) / PIXEL_DEVIATION[2]
    assert values[1, 2, 3, 4].item() == pytest.approx(colour, rel=1e-5)
    labels = torch.arange(4)
    with torch.no_grad():
        loss, logits, _ = restricted_loss(network, images, labels, threshold=1.0)
        _, features = network.logits_and_features(values)
        erased = network(values * erase_mask(features, 32, 1.0))
    entropy = torch.nn.functional.cross_entropy
    assert loss.item() == pytest.approx((entropy(logits, labels) + entropy(erased, labels)).item() / 2)
    assert torch.equal(network(values), network(images))


def test_restriction_is_off_at_inference() -> None:
    """Neither a restricted step nor the threshold changes what a network answers."""
    network = reference_network("resnet20")
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with torch.no_grad():
        before = network(images)
        restricted_loss(network, images, torch.zeros(1, dtype=torch.int64), 0.5)
        assert torch.equal(network(images), before)
