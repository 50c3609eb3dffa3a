# SPDX-License-Identifier: Apache-2.0
"""Samples of every form become integers, and what cannot be used is refused in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor

from model.errors import GivenModelError
from model.given import files_of, load_samples, prepare
from tests.own_networks import Doubled, export, mixed, mlp, pixels

Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A network that multiplies its input, pixels / 255, before it quantises it."""
    return export(lambda: mlp(1, 2), tmp_path_factory.mktemp("mlp"))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A network that quantises its input with a learned scale, to six bits."""
    return export(mixed, tmp_path_factory.mktemp("mixed"))


def prepared(model: Path, samples: NDArray[Any], folder: Path) -> tuple[ModelWrapper, dict[str, Any]]:
    np.save(folder / "samples.npy", samples)
    given = prepare(model, folder / "samples.npy", folder, compared=2)  # compares the two graphs
    return ModelWrapper(str(given.model)), dict(np.load(given.golden))


def input_type(model: ModelWrapper) -> str:
    name: str = model.get_tensor_datatype("global_in").name
    return name


def test_pixels_divided_by_255_are_pixels(signed: Files, tmp_path: Path) -> None:
    model, golden = prepared(signed[0], np.load(signed[1]), tmp_path)
    assert np.array_equal(golden["images"], pixels((1, 8, 8)))
    assert (golden["images"].dtype, input_type(model)) == (np.uint8, "UINT8")
    assert model.graph.node[0].op_type == "Div"


@pytest.mark.parametrize(
    ("low", "high", "kind"), [(0, 256, "UINT8"), (-3, 4, "INT3"), (-128, 128, "INT8")], ids=["pixels", "few", "signed"]
)
def test_integers_stay(signed: Files, tmp_path: Path, low: int, high: int, kind: str) -> None:
    samples = np.random.default_rng(0).integers(low, high, (3, 1, 8, 8))
    samples[0, 0, 0, :2] = low, high - 1
    for number in (samples, samples.astype(np.float32)):
        model, golden = prepared(signed[0], number, tmp_path)
        assert np.array_equal(golden["images"], samples)
        assert input_type(model) == kind


def test_signs_become_signs_in_hardware(signed: Files, tmp_path: Path) -> None:
    model, _ = prepared(signed[0], np.random.default_rng(0).choice([-1, 1], (3, 1, 8, 8)), tmp_path)
    assert (input_type(model), model.graph.node[0].op_type) == ("INT2", "BipolarQuant")


def test_real_numbers_go_through_the_models_own_quantiser(learned: Files, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(size=(4, 2, 8, 10)).astype(np.float32)
    for given in (samples, np.rint(1000 * samples)):  # integers of more than 8 bits too
        model, golden = prepared(learned[0], given, tmp_path)
        assert (golden["images"].dtype, golden["images"].min(), golden["images"].max()) == (np.int8, -32, 31)
        assert DataType[input_type(model)].bitwidth() == 6


def test_a_tensor_that_is_taken_twice_is_doubled_or_refused(tmp_path: Path) -> None:
    model, _ = prepared(*_twice(torch.add, tmp_path), tmp_path)
    assert "Add" not in {node.op_type for node in model.graph.node}
    with pytest.raises(GivenModelError, match="Mul takes one tensor twice"):
        prepared(*_twice(torch.mul, tmp_path), tmp_path)


def _twice(join: Callable[[Tensor, Tensor], Tensor], folder: Path) -> tuple[Path, NDArray[Any]]:
    model, inputs = export(lambda: (Doubled(join), (1, 4, 4)), folder)
    return model, np.load(inputs)


def test_nodes_say_which_layer_they_are_of(learned: Files, tmp_path: Path) -> None:
    expected = {"wide", "act1", "depthwise", "norm", "act2", "pool", "average", "act3", "biased", "linear"}
    model, _ = prepared(learned[0], np.load(learned[1]), tmp_path)
    assert expected <= {node.doc_string for node in model.graph.node}


def test_the_other_exporter_of_torch_gives_the_same(signed: Files, tmp_path: Path) -> None:
    """It leaves the weights in a file beside the model, and says in its own way which layer a node is of."""
    model, inputs = export(lambda: mlp(1, 2), tmp_path / "given", dynamo=True)
    onnx.save(
        onnx.load(str(model)), str(model), save_as_external_data=True, location=f"{model.name}.data", size_threshold=0
    )
    assert [path.name for path in files_of(model)] == ["own.onnx", "own.onnx.data"]
    shutil.copy(model, tmp_path / "alone.onnx")
    with pytest.raises(GivenModelError, match=r"are in own\.onnx\.data, which is not beside it; copy it there too"):
        files_of(tmp_path / "alone.onnx")
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one, golden = prepared(signed[0], np.load(inputs), tmp_path / "one")
    other, same = prepared(model, np.load(inputs), tmp_path / "other")
    np.testing.assert_array_equal(golden["images"], same["images"])
    np.testing.assert_allclose(golden["logits"], same["logits"], rtol=1e-5, atol=1e-5)
    layers = [{node.doc_string for node in graph.graph.node if "Quant" in node.op_type} for graph in (one, other)]
    assert layers[0] == layers[1]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 1, 8, 9), np.uint8), r"has the shape \(2, 1, 8, 9\), and own.onnx takes \(n, 1, 8, 8\)"),
        (np.array(["a"]), "holds no array of samples"),
        (np.zeros((0, 1, 8, 8)), "holds no array of samples"),
        (np.array([[None]]), "are no .npy file of numbers, or cut; write them with numpy.save"),
        (np.full((2, 1, 8, 8), np.nan), "holds NaN or infinite values"),
    ],
    ids=["shape", "text", "none", "pickle", "nan"],
)
def test_samples_that_do_not_fit_are_refused(signed: Files, tmp_path: Path, samples: Any, message: str) -> None:
    with pytest.raises(GivenModelError, match=message):
        prepared(signed[0], samples, tmp_path)


def test_real_numbers_for_a_network_without_quantiser_are_refused(signed: Files, tmp_path: Path) -> None:
    proto = onnx.load(str(signed[0]))
    for node in proto.graph.node[:4]:
        if node.op_type == "Quant":
            node.op_type, node.domain = "Relu", ""
            del node.input[1:], node.attribute[:]
    onnx.save(proto, str(tmp_path / "bare.onnx"))
    for value in (0.3, 300):
        with pytest.raises(GivenModelError, match=f"{value} to {value}, are .* put a QuantIdentity in front of the"):
            prepared(tmp_path / "bare.onnx", np.full((1, 1, 8, 8), value, np.float32), tmp_path)


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "empty.onnx").touch()
    given = {"text.onnx": "is no ONNX file, or was cut; export the network with brevitas", "empty.onnx": "is empty"}
    for name, message in (given | {"absent.onnx": "No such file or directory"}).items():
        with pytest.raises(GivenModelError, match=message):
            files_of(tmp_path / name)
    with pytest.raises(GivenModelError, match="cannot read the inputs"):
        load_samples(tmp_path / "absent.npy")
