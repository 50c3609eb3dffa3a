# SPDX-License-Identifier: Apache-2.0
"""Export: the QONNX graph computes what Brevitas computes, and nothing else passes."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor

import model.export as export_module
from model.data import sample_images
from model.errors import ExportError
from model.export import export
from model.networks import NETWORKS, Network
from model.networks.kit import BinaryWeights
from model.training.restriction import restricted_loss

MakeNetwork = Callable[..., Network]


@pytest.mark.parametrize(("name", "binary"), [("tiny", 6), ("resnet20", 18)])
def test_export(name: str, binary: int, tmp_path: Path, make_network: MakeNetwork) -> None:
    network = make_network(name)
    samples = sample_images(name, 2)
    found = export(network, tmp_path, samples.images, samples.labels)
    assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", "golden.npz"}
    with np.load(found.golden) as golden, torch.no_grad():
        assert np.array_equal(golden["images"], samples.images)
        assert np.array_equal(golden["logits"], network(torch.from_numpy(samples.images)).numpy())
        assert ("labels" in golden) == (samples.labels is not None)
    kinds = Counter(node.op_type for node in onnx.load(found.model).graph.node)
    assert kinds["BipolarQuant"] == 2 * binary
    assert kinds["Pad"] == kinds["Add"] == binary
    assert kinds["Trunc"] == 3
    assert "Cast" not in kinds
    assert b"site-packages" not in found.model.read_bytes()


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_is_executed_again_by_qonnx(
    name: str, tmp_path: Path, make_network: MakeNetwork, make_images: Callable[..., Tensor]
) -> None:
    """Large ones at a fraction of their width; logits are equal, or `export` raises."""
    network = make_network(name)
    images = make_images(network, 2, seed=9)
    found = export(network, tmp_path, images.numpy())
    with torch.no_grad():
        assert np.array_equal(found.logits, network(images).numpy())
    kinds = Counter(node.op_type for node in onnx.load(found.model).graph.node)
    assert kinds["Slice"] == kinds["Cast"] == 0
    assert kinds["PRelu"] == (19 if name in ("birealnet18_B", "birealnet18_C", "birealnet18_D") else 0) + 18 * (
        name == "birealnet18_A"
    )


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "vgg_small", "birealnet18_A", "birealnet18_D"])
def test_paper_precision_is_executed_again_by_qonnx(
    name: str, tmp_path: Path, make_network: MakeNetwork, make_images: Callable[..., Tensor]
) -> None:
    network = make_network(name, precision="paper")
    found = export(network, tmp_path, make_images(network, 1, seed=9).numpy())
    kinds = Counter(node.op_type for node in onnx.load(found.model).graph.node)
    assert kinds["BipolarQuant"] == kinds["Quant"] == 0
    assert kinds["Sign"] == sum(isinstance(module, BinaryWeights) for module in network.modules())


@pytest.mark.parametrize("recovery", ["full", "none"])
def test_other_recoveries_export(
    recovery: str, tmp_path: Path, make_network: MakeNetwork, make_images: Callable[..., Tensor]
) -> None:
    network = make_network("tiny", recovery=recovery)
    found = export(network, tmp_path, make_images(network, 2).numpy())
    kinds = Counter(node.op_type for node in onnx.load(found.model).graph.node)
    assert kinds["Concat"] == (1 if recovery == "full" else 0)
    assert kinds["Trunc"] == (3 if recovery == "full" else 0)


def test_nothing_of_restriction_is_exported(
    tmp_path: Path, make_network: MakeNetwork, make_images: Callable[..., Tensor]
) -> None:
    """A restricted step before the export leaves the graph's operators as they were."""
    network = make_network("tiny")
    images = make_images(network, 2)
    plain = export(network, tmp_path / "plain", images.numpy())
    network.train()
    restricted_loss(network, images, torch.zeros(2, dtype=torch.int64))[0].backward()
    after = export(network.eval(), tmp_path / "after", images.numpy())
    operators = [[node.op_type for node in onnx.load(found.model).graph.node] for found in (plain, after)]
    assert operators[0] == operators[1]


def test_a_network_that_cannot_be_mapped_writes_nothing(
    tmp_path: Path, make_network: MakeNetwork, make_images: Callable[..., Tensor]
) -> None:
    network = make_network("tiny")
    with torch.no_grad():
        network.get_parameter("bn2.weight")[3] = -0.5
    with pytest.raises(ExportError, match=r"^bn2 cannot be mapped exactly: .* negative \(-0\.5 in channel 3\)"):
        export(network, tmp_path / "out", make_images(network, 1).numpy())
    assert not (tmp_path / "out").exists()


def test_wrong_graph_is_caught(
    tmp_path: Path,
    make_network: MakeNetwork,
    make_images: Callable[..., Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plant a fault: one row of the classifier is negated in the written file."""
    write = export_module._write_qonnx

    def write_with_fault(network: Network, path: Path) -> None:
        write(network, path)
        graph = onnx.load(path)
        weight = next(t for t in graph.graph.initializer if sorted(t.dims) == [10, 32])
        weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
        onnx.save(graph, path)

    monkeypatch.setattr(export_module, "_write_qonnx", write_with_fault)
    network = make_network("tiny")
    with pytest.raises(ExportError, match="differs from torch on image 0"):
        export(network, tmp_path, make_images(network, 1).numpy())
    assert not (tmp_path / "golden.npz").exists()


def test_images_of_another_shape_are_refused(tmp_path: Path, make_network: MakeNetwork) -> None:
    with pytest.raises(ExportError, match=r"takes uint8 images of shape \(n, 1, 16, 16\)"):
        export(make_network("tiny"), tmp_path, np.zeros((1, 3, 32, 32), np.uint8))
