# SPDX-License-Identifier: Apache-2.0
"""Networks of one's own, by file, and pictures of other sizes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.data import sample_images
from model.errors import NetworkFileError, SizeError
from model.networks import Recovery, create_network, network_spec
from model.networks.ties import quantized_norms
from model.training.recipe import load_recipe


def write(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text)
    return path


def test_a_network_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "like: resnet20\nwidths: [8, 16]\nclasses: 5\nsize: 48\n")
    spec = network_spec(str(path))
    assert spec == replace(network_spec("resnet20"), name="own", widths=(8, 16), classes=5, size=48, dataset="own")
    assert network_spec(path) == spec
    assert create_network(spec).eval()(torch.zeros(1, 3, 48, 48, dtype=torch.uint8)).shape == (1, 5)
    assert sample_images(spec, 2).images.shape == (2, 3, 48, 48)
    recipe = load_recipe(spec, "resnet20")
    assert [phase.size for phase in recipe.phases] == [36, 36, 48]  # 24, 24, 32 of 32
    assert recipe.network == "own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("like: resnet20\nwidth: 3\n", "own.yaml is wrong: width: Unexpected keyword argument"),
        ("like: resnet20\nclasses: 1\n", "classes: Input should be greater than 1"),
        ("like: resnet20\nchannels: 2\n", "channels: Input should be 1 or 3"),
        ("family: double\n", "own.yaml is wrong: channels: "),
        ("like: resnet20\nname: x\n", "its name is the file's"),
        ("like: resnet2\n", "own.yaml is wrong: like: unknown network 'resnet2'; did you mean resnet20 or"),
        ("- x\n", "write one 'field: value' a line"),
        ("a: [\n", "is no YAML"),
        ("like: tiny\nsize: 8\nsize: 16\n", "'size' stands twice in \"<unicode string>\", line 3"),
    ],
)
def test_a_wrong_file_is_explained(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError) as caught:
        network_spec(str(write(tmp_path, text)))
    assert message in str(caught.value)


def test_a_file_that_is_missing_or_has_a_taken_name(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match="cannot read the network"):
        network_spec(str(tmp_path / "own.yaml"))
    write(tmp_path, "like: tiny\n").rename(tmp_path / "tiny.yaml")
    with pytest.raises(NetworkFileError, match="the name tiny is taken"):
        network_spec(str(tmp_path / "tiny.yaml"))


@pytest.mark.parametrize(
    ("name", "size", "multiple", "recovery"),
    [
        ("tiny", 15, 4, "compact"),
        ("resnet20", 30, 4, "full"),
        ("resnet18", 36, 8, "compact"),
        ("vgg_small", 36, 8, "compact"),
        ("birealnet18_B", 240, 32, "none"),
    ],
)
def test_sizes_that_cannot_be_pooled_are_refused_by_name(
    name: str, size: int, multiple: int, recovery: Recovery
) -> None:
    with pytest.raises(SizeError, match=rf"{name} takes no pictures of {size} x {size}: .* multiples of {multiple} "):
        create_network(replace(network_spec(name), size=size), recovery=recovery)


@pytest.mark.parametrize("size", [13, 15, 16])
def test_ties_know_the_real_size_of_the_last_map(size: int) -> None:
    network = create_network(replace(network_spec("tiny"), size=size, widths=(8, 16)), recovery="none").eval()
    _, features = network.logits_and_features(torch.zeros(1, 1, size, size, dtype=torch.uint8))
    head = list(quantized_norms(network))
    steps = [row.step for row in head if row.norm is network.get_submodule("bn2")]
    assert network.formats is not None
    assert steps == [network.formats.residual.scale / (features.shape[2] * features.shape[3])]
