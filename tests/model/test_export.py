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
from model.networks import Network

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
    with pytest.raises(ExportError, match="differs from Brevitas on image 0"):
        export(network, tmp_path, make_images(network, 1).numpy())
    assert not (tmp_path / "golden.npz").exists()


def test_images_of_another_shape_are_refused(tmp_path: Path, make_network: MakeNetwork) -> None:
    with pytest.raises(ExportError, match=r"takes uint8 images of shape \(n, 1, 16, 16\)"):
        export(make_network("tiny"), tmp_path, np.zeros((1, 3, 32, 32), np.uint8))
