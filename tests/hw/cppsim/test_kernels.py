# SPDX-License-Identifier: Apache-2.0
"""Every kernel against FINN's Python execution of the same node, over shapes that fill words and vectors badly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model

from hw.cppsim import Accelerator
from hw.cppsim.program import generate_program
from hw.errors import UnsupportedNodeError
from hw.ops.cell_op import CellOp
from hw.transforms.specialise import specialise
from tests.hw.cppsim import graphs
from tests.hw.ops import nodes

Programs = dict[str, tuple[ModelWrapper, Accelerator]]


@pytest.fixture(scope="module")
def programs(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """One program of all generic cases and one of all specialised ones."""
    wholes = {
        "generic": graphs.merged({name: make() for name, make in graphs.GENERIC.items()}),
        "specialised": graphs.merged({name: graphs.specialised(name) for name in graphs.SPECIALISED}),
    }
    made = {}
    for name, whole in wholes.items():
        folder = tmp_path_factory.mktemp(name)
        generate_program(whole).write(folder)
        made[name] = (whole, Accelerator.load(folder, cache))
    return made


@pytest.fixture(scope="module")
def results(programs: Programs) -> dict[str, dict[str, np.ndarray]]:
    """What the programs make of random inputs; the inputs are among them."""
    found = {}
    for kind, (whole, accelerator) in programs.items():
        inputs = {name: _values(accelerator, name, whole) for name in accelerator.interface.inputs}
        found[kind] = inputs | accelerator.execute(inputs, 1)
    return found


def _values(accelerator: Accelerator, name: str, whole: ModelWrapper) -> np.ndarray:
    info = accelerator.interface.tensor(name)
    values = np.random.default_rng(1).integers(info.type.low, info.type.high + 1, info.shape)
    if info.datatype == "BIPOLAR":
        return np.where(values > 0, 1, -1)
    return values


def _check(case: str, model: ModelWrapper, results: dict[str, np.ndarray]) -> None:
    inputs = {tensor.name: results[f"{case}.{tensor.name}"].astype(np.float32) for tensor in model.graph.input}
    for name, expected in graphs.reference(model, inputs).items():
        np.testing.assert_array_equal(results[f"{case}.{name}"].reshape(expected.shape), expected)


@pytest.mark.parametrize("case", graphs.GENERIC)
def test_a_generic_node_computes_what_finn_does(case: str, results: dict[str, dict[str, np.ndarray]]) -> None:
    _check(case, graphs.GENERIC[case](), results["generic"])


@pytest.mark.parametrize("case", graphs.SPECIALISED)
def test_an_rtl_node_computes_what_its_python_does(case: str, results: dict[str, dict[str, np.ndarray]]) -> None:
    _check(case, graphs.specialised(case), results["specialised"])


@pytest.mark.parametrize("case", ["padding_packed", "window_depthwise", "window_stride", "thresholds", "product_8_bit"])
def test_finns_own_rtl_nodes_compute_what_their_python_does(case: str, tmp_path: Path, cache: Path) -> None:
    model = specialise(graphs.FINN_CASES[case](), nodes.PART)
    assert model.graph.node[0].op_type.endswith("_rtl")
    generate_program(model).write(tmp_path)
    accelerator = Accelerator.load(tmp_path, cache)
    inputs = {name: _values(accelerator, name, model) for name in accelerator.interface.inputs}
    results = inputs | accelerator.execute(inputs, 1)
    _check(case, model, {f"{case}.{name}": values for name, values in results.items()})


def test_a_sum_wraps_at_the_width_of_the_hardware(tmp_path: Path, cache: Path) -> None:
    """Python has no widths: an accumulator that is too narrow shows only where it is one."""
    model = nodes.binary(144, 8, 1, 1, [40])  # its output type is FINN's INT8, and 144 agreeing bits are too many
    generate_program(model).write(tmp_path)
    accelerator = Accelerator.load(tmp_path, cache)
    weights = model.get_initializer("weights")
    inputs = {"in": np.tile(weights.T, (5, 1)).astype(np.uint8)}
    exact = graphs.reference(model, {"in": inputs["in"].astype(np.float32)})["out"].astype(np.int64)
    found = accelerator.execute(inputs, 1)["out"][0]
    assert exact.max() == 144
    np.testing.assert_array_equal(found, (exact + 128) % 256 - 128)


def _with(model: ModelWrapper, **changes: Any) -> ModelWrapper:
    for name, value in changes.items():
        getCustomOp(model.graph.node[0]).set_nodeattr(name, value)
    return model


REFUSED = {
    "float": (
        lambda: _with(graphs.padding((3, 3), 2, (1, 1, 1, 1), "INT4"), inputDataType="FLOAT32"),
        "FMPadding_0: input 0: 'FLOAT32' is no integer type",
    ),
    "threshold outside its type": (
        lambda: _with(graphs.FINN_CASES["thresholds"](), weightDataType="INT3"),
        "Thresholding_0: has weights or thresholds .* outside INT3",
    ),
    "narrow output": (
        lambda: _with(graphs.FINN_CASES["thresholds"](), outputDataType="INT3"),
        "Thresholding_0: gives -8 .. 7, more than INT3 holds",
    ),
    "built-in thresholds": (
        lambda: _with(nodes.binary(18, 6, 1, 1, [2]), noActivation=0),
        "MVAU_0: has built-in thresholds",
    ),
    "padding without zero": (
        lambda: graphs.padding((3, 3), 2, (1, 1, 1, 1), "BIPOLAR"),
        "FMPadding_0: input 0: .*must support zero",
    ),
    "average": (
        lambda: nodes.pool("AvgPool", 4, 2, 2, 2, types=("INT4", "INT4")),
        "Pool_0: Function AvgPool is not exact",
    ),
    "two labels": (lambda: nodes.label(10, 1, "INT16", [4], k=2), "LabelSelect_0: K = 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_node_that_cannot_be_computed_names_itself_and_what_to_do(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(UnsupportedNodeError, match=message):
        generate_program(make())


def test_datatypes_that_contradict_each_other_are_refused(network: ModelWrapper) -> None:
    broken = ModelWrapper(network.model, make_deepcopy=True)
    getCustomOp(broken.graph.node[3]).set_nodeattr("inputDataType", "INT20")
    with pytest.raises(UnsupportedNodeError, match=r"Thresholding_3: reads 2.out as INT20, but MVAU_2 writes INT18"):
        generate_program(broken)


def test_a_node_that_nobody_describes_is_refused() -> None:
    lookup = nodes.one_node("Lookup", {"in": ((1, 2), "UINT4")}, {"out": ((1, 2), "UINT4")})
    with pytest.raises(UnsupportedNodeError, match=r"Lookup_0: no file of hw/ops describes Lookup; .*CONTRIBUTING.md"):
        generate_program(lookup)


def test_a_tensor_that_nothing_writes_is_refused() -> None:
    model = graphs.chain([graphs.padding((3, 3), 2, (1, 1, 1, 1), "INT4"), graphs.window((5, 5), 2, (3, 3), "INT4")])
    model.graph.node[1].input[0] = "lost"
    with pytest.raises(UnsupportedNodeError, match="_1: reads lost, which nothing writes"):
        generate_program(model)


def test_nodes_may_stand_in_any_order() -> None:
    ordered = graphs.classifier()
    shuffled = ModelWrapper(ordered.model, make_deepcopy=True)
    reverse = list(shuffled.graph.node)[::-1]
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(reverse)
    assert generate_program(shuffled).source == generate_program(ordered).source
    assert [node.name for node in shuffled.graph.node] == [node.name for node in reverse]


def test_a_node_of_a_network_that_is_not_converted_is_refused() -> None:
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("in", "out")]
    relu = helper.make_node("Relu", ["in"], ["out"], name="Relu_7")
    model = ModelWrapper(qonnx_make_model(helper.make_graph([relu], "g", tensors[:1], tensors[1:])))
    with pytest.raises(UnsupportedNodeError, match=r"Relu_7: .* describes Relu; convert the graph"):
        generate_program(model)


@pytest.mark.parametrize("case", ["xnor_odd", "pad_middle", "add_mixed_signs", "duplicate_three", "pool_average_one"])
def test_exec_mode_cppsim_runs_the_kernel(case: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR2NET_CACHE", str(cache))
    model = graphs.specialised(case)
    inputs = nodes.stimuli(model)
    expected = graphs.reference(model, inputs)
    monkeypatch.setattr(CellOp, "execute_python", None)  # whoever called it would fail
    _with(model, exec_mode="cppsim")
    for name, values in execute_onnx(model, inputs).items():
        np.testing.assert_array_equal(values, expected[name])
        assert values.dtype == np.float32


def test_a_pool_behind_a_generic_window_reads_its_order(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR2NET_CACHE", str(cache))
    window = graphs.window((4, 4), 6, (2, 2), "INT4", stride=(2, 2), depthwise=1)
    model = graphs.chain([window, nodes.pool("QuantAvgPool", 6, 2, 2, 2, types=("INT4", "INT4"))])
    inputs = {"0.in": np.random.default_rng(2).integers(-8, 8, (1, 4, 4, 6)).astype(np.float32)}
    expected = execute_onnx(model, inputs)["1.out"]
    pool = model.graph.node[1]
    pool.op_type, pool.domain = "Pool_rtl", graphs.RTL
    getCustomOp(pool).set_nodeattr("exec_mode", "cppsim")
    np.testing.assert_array_equal(execute_onnx(model, inputs)["1.out"], expected)
