# SPDX-License-Identifier: Apache-2.0
"""Each operator against FINN's generic one in Python, and its RTL against its Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flows.report.drawing import short
from flows.report.summary import NodeRow
from hw.design.generate import generate_hdl
from hw.errors import UnsupportedNodeError
from hw.ops.operator import Operator
from hw.ops.registry import describe, kind_of, kinds, own_operators
from hw.ops.stream_add import StreamAdd_rtl
from hw.ops.stream_fifo import queue
from hw.ops.xnor_mvau import WEIGHT_FILE, weight_words
from hw.rtlsim import xsi
from hw.transforms.specialise import specialise
from tests.hw.ops import nodes

LATENCY = 16
"""More cycles than any cell needs beyond its interval."""


def operator(model: ModelWrapper) -> Any:
    return getHWCustomOp(model.graph.node[0])


def run_rtl(model: ModelWrapper, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a graph of one generated node through FINN's rtlsim."""
    xsi.install()
    operator(model).set_nodeattr("exec_mode", "rtlsim")
    operator(model).prepare_rtlsim(behav=False)
    return execute_onnx(model, inputs)


def window_order(model: ModelWrapper, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs as the specialised node gets them: a window generator's stream is not in im2col order."""
    if model.graph.node[0].op_type != "Pool_rtl":
        return inputs
    pe, window = operator(model).get_nodeattr("PE"), int(np.prod(operator(model).get_nodeattr("KernelSize")))
    values = inputs["in"]
    folded = values.reshape(*values.shape[:-1], window, -1, pe).swapaxes(-2, -3)
    return {"in": folded.reshape(values.shape)}


@pytest.mark.parametrize("case", nodes.CASES)
def test_python_execution_equals_the_generic_operator(case: str) -> None:
    generic = nodes.CASES[case]()
    inputs = nodes.stimuli(generic)
    expected = execute_onnx(generic, inputs)
    own = specialise(generic, nodes.PART)
    produced = execute_onnx(own, window_order(own, inputs))
    assert own.graph.node[0].op_type in {own.__name__ for own in own_operators()}
    for name, values in expected.items():
        np.testing.assert_array_equal(produced[name], values)
        datatype = own.get_tensor_datatype(name)
        assert all(datatype.allowed(value) for value in np.unique(values)), datatype


@pytest.mark.parametrize("case", nodes.CASES)
def test_rtl_equals_python_execution(case: str, tmp_path: Path) -> None:
    model = specialise(nodes.CASES[case](), nodes.PART)
    inputs = nodes.stimuli(model, seed=2)
    expected = execute_onnx(model, inputs)
    model = generate_hdl(model, nodes.PART, 10.0, tmp_path)
    produced = run_rtl(model, inputs)
    for name, values in expected.items():
        np.testing.assert_array_equal(produced[name], values)
    cycles, interval = operator(model).get_nodeattr("cycles_rtlsim"), operator(model).get_exp_cycles()
    assert interval <= cycles <= interval + LATENCY


def test_a_flipped_weight_bit_is_seen_in_rtl(tmp_path: Path) -> None:
    model = specialise(nodes.binary(18, 6, 2, 6, [4]), nodes.PART)
    inputs = nodes.stimuli(model)
    expected = execute_onnx(model, inputs)["out"]
    model = generate_hdl(model, nodes.PART, 10.0, tmp_path)
    rom = Path(operator(model).get_nodeattr("code_gen_dir_ipgen")) / WEIGHT_FILE
    words = rom.read_text().split()
    words[4] = f"{int(words[4], 16) ^ 1:03x}"  # neuron 2 (nf 1, pe 0), input 6 (sf 1, simd 0)
    rom.write_text("\n".join(words))
    produced = run_rtl(model, inputs)["out"]
    assert set(zip(*np.nonzero(produced != expected), strict=True)) == {(i, 2) for i in range(4)}


def test_weight_words_follow_the_address_and_bit_order() -> None:
    weights = np.random.default_rng(0).integers(0, 2, (12, 6))
    pe, simd = 3, 4
    words = [int(word, 16) for word in weight_words(weights, pe, simd)]
    assert len(words) == 6 * 12 // (pe * simd)
    for neuron in range(6):
        for source in range(12):
            word = words[(neuron // pe) * (12 // simd) + source // simd]
            assert word >> ((neuron % pe) * simd + source % simd) & 1 == weights[source, neuron]


def test_a_width_converter_takes_what_was_flattened() -> None:
    """FINN's thresholds hand (1, 1, 1, c) on where the graph says (1, c)."""
    converter = operator(specialise(nodes.width(12, 4, 24, "INT4"), nodes.PART))
    context = {"in": np.arange(108.0).reshape(9, 12), "out": np.zeros((1, 3, 3, 12))}
    converter.execute_node(context, None)
    np.testing.assert_array_equal(context["out"], np.arange(108.0).reshape(1, 3, 3, 12))


def test_popcount_type_survives_finns_minimisation() -> None:
    model = specialise(nodes.binary(144, 4, 1, 1, [1]), nodes.PART)
    assert operator(model).minimize_accumulator_width(model).name == "UINT8"
    assert model.get_tensor_datatype("out").name == "UINT8"
    ones = {"in": np.ones((1, 144), dtype=np.float32)}
    model.set_initializer("weights", np.ones((144, 4), dtype=np.float32))
    assert execute_onnx(model, ones)["out"].tolist() == [[144.0] * 4]


def test_the_first_of_equal_labels_wins(tmp_path: Path) -> None:
    model = generate_hdl(specialise(nodes.label(6, 2, "INT4", [3]), nodes.PART), nodes.PART, 10.0, tmp_path)
    inputs = {"in": np.array([[0, 5, 5, 1, 5, 0], [-8] * 6, [-8, -8, -8, -8, -8, -7]], dtype=np.float32)}
    assert execute_onnx(model, inputs)["out"].ravel().tolist() == [1, 0, 5]
    assert run_rtl(model, inputs)["out"].ravel().tolist() == [1, 0, 5]


def test_wrapper_declares_finns_ports_and_files(tmp_path: Path) -> None:
    model = generate_hdl(specialise(nodes.CASES["duplicate_three"](), nodes.PART), nodes.PART, 10.0, tmp_path)
    node = operator(model)
    files = [Path(name) for name in node.get_rtl_file_list(abspath=True)]
    assert [file.name for file in files] == node.get_rtl_file_list()
    assert all(file.is_file() for file in files)
    text = files[-1].read_text()
    assert f"module {node.get_nodeattr('gen_top_module')} (" in text
    for port in ("input [15:0] in0_V_TDATA", "output [15:0] out2_V_TDATA", "input out2_V_TREADY"):
        assert port in text
    commands = node.code_generation_ipi()
    assert commands[-1] == f"create_bd_cell -type module -reference {node.onnx_node.name} {node.onnx_node.name}"
    assert commands[:-1] == [f"add_files -norecurse {file}" for file in files]


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (lambda: nodes.add((1, 4), "INT4", "INT4", "INT5", 3), "PE = 3 does not divide lhs_shape = "),
        (lambda: nodes.add((1, 4), "INT4", "INT4", "INT5", 1, rhs_shape=(1, 1)), "broadcasts"),
        (lambda: nodes.add((1, 4), "INT4", "FLOAT32", "FLOAT32", 1), "rhs_dtype is FLOAT32; it can only be integers"),
        (lambda: nodes.binary(18, 6, 4, 6, [1]), "PE = 4 does not divide MH = 6"),
        (lambda: nodes.binary(18, 6, 1, 6, [1], runtime_writeable_weights=1), "in ROM"),
        (lambda: nodes.duplicate([1], 4, 1, 9, "INT4"), "2 to 8"),
        (
            lambda: nodes.concat([1], [4, 3], 2, ["INT4", "INT4"], "INT4"),
            r"SIMD = 2 does not divide ChannelsPerStream = \[4, 3\]",
        ),
        (lambda: nodes.pool("AvgPool", 4, 1, 2, 2, types=("INT4", "INT4")), "AvgPool has no exact integer"),
        (lambda: nodes.pool("AccPool", 4, 1, 2, 2, types=("INT4", "INT5")), "cannot hold"),
        (lambda: nodes.complement((1, 4), "INT4", 3, -1), "PE = 3 does not divide NumChannels = 4"),
        (lambda: nodes.complement((1, 4), "UINT3", 1, 5), "only complement whole channels"),
        (lambda: nodes.label(10, 1, "INT8", [1], k=3), "K = 3"),
        (lambda: nodes.label(10, 3, "INT8", [1]), "PE = 3 does not divide Labels = 10"),
    ],
)
def test_what_a_cell_cannot_do_is_refused_by_name(model: Any, problem: str) -> None:
    with pytest.raises(UnsupportedNodeError, match=problem) as caught:
        specialise(model(), nodes.PART)
    assert caught.value.node == model().graph.node[0].name


def test_all_that_a_folding_must_divide_is_checked() -> None:
    pad = operator(specialise(nodes.selection(4, 8, 2, 1, [1]), nodes.PART))
    assert pad.folds() == [{"PE": 1}, {"PE": 2}]
    pad.set_nodeattr("PE", 4)
    with pytest.raises(UnsupportedNodeError, match="PE = 4 does not divide Offset = 2"):
        pad.validate()


def test_a_queue_has_a_least_depth() -> None:
    with pytest.raises(UnsupportedNodeError, match="depth = 3; a queue in block has 4 or more"):
        operator(nodes.queue(3, "block")).validate()


@pytest.mark.parametrize(
    ("width", "depth", "style", "luts"),
    [(32, 97, "srl", 112), (8, 385, "srl", 123), (16, 33, "srl", 30), (32, 128, "block", 18), (8, 512, "block", 20)],
)
def test_a_queue_costs_what_it_does(width: int, depth: int, style: str, luts: int) -> None:
    """Luts: what Yosys 0.70 makes of it."""
    assert queue(width, depth, style).lut == pytest.approx(luts, abs=5)


@pytest.mark.parametrize("case", nodes.CASES)
def test_every_folding_can_be_built(case: str) -> None:
    own = operator(specialise(nodes.CASES[case](), nodes.PART))
    for folding in own.folds():
        for name, value in folding.items():
            own.set_nodeattr(name, value)
        own.validate()
        assert own.cell().module
        assert own.get_exp_cycles() > 0
        assert own.cost(nodes.PART).lut > 0


@pytest.mark.parametrize(("style", "blocks", "luts"), [("auto", 0, 648), ("distributed", 0, 648), ("block", 2, 0)])
def test_weights_are_counted_where_they_are(style: str, blocks: int, luts: int) -> None:
    cost = operator(specialise(nodes.binary(288, 32, 8, 18, [1], ram_style=style), nodes.PART)).cost(nodes.PART)
    assert cost.bram36 == blocks  # 64 words of 144 bits
    assert cost.lut == pytest.approx(230 + luts, rel=0.03)  # Yosys 0.70


@pytest.mark.parametrize(
    ("shape", "luts", "blocks"),
    [((784, 32, 4, 49), 694, 3), ((1024, 64, 8, 64), 1494, 7.5), ((576, 64, 2, 36), 333, 1)],
)
def test_a_ternary_unit_costs_what_it_does(shape: tuple[int, int, int, int], luts: int, blocks: float) -> None:
    cost = operator(specialise(nodes.ternary(*shape, [1], ram_style="block"), nodes.PART)).cost(nodes.PART)
    assert (cost.bram36, cost.dsp) == (blocks, 0)
    assert cost.lut == pytest.approx(luts, rel=0.06)  # Yosys 0.70


@pytest.mark.parametrize(("channels", "blocks"), [(512, 0), (1024, 0.5)])
def test_deep_thresholds_are_in_block_ram_where_nothing_is_said(channels: int, blocks: float) -> None:
    tensors: tuple[nodes.Tensors, nodes.Tensors] = {"in": ((1, channels), "INT11")}, {"out": ((1, channels), "BIPOLAR")}
    model = nodes.one_node(
        "Thresholding",
        *tensors,
        (np.zeros((channels, 1)), "INT11"),
        NumChannels=channels,
        PE=1,
        numSteps=1,
        inputDataType="INT11",
        weightDataType="INT11",
        outputDataType="BIPOLAR",
        ActVal=-1,
        numInputVectors=[1],
    )
    assert describe(operator(specialise(model, nodes.PART))).cost(nodes.PART).bram36 == blocks


@pytest.mark.parametrize(
    ("mh", "mw", "pe", "luts", "off"),
    [(16, 144, 16, 946, 0.05), (16, 72, 16, 642, 0.05), (4, 36, 4, 118, 0.05), (8, 288, 8, 830, 0.05),
     (32, 144, 8, 1115, 0.05), (32, 288, 4, 1220, 0.05), (16, 36, 2, 105, 0.05),
     (32, 288, 2, 1170, 0.05), (32, 72, 2, 256, 0.25)],
)  # fmt: skip
def test_a_unit_of_its_weights_costs_what_it_does(mh: int, mw: int, pe: int, luts: int, off: float) -> None:
    """What Yosys 0.70 makes of random weights; short vectors at many words take less than is estimated."""
    model = specialise(nodes.binary(mw, mh, pe, mw, [1], ram_style="distributed"), nodes.PART)
    assert operator(model).cost(nodes.PART).lut == pytest.approx(luts, rel=off)


def test_the_unit_of_its_weights_is_chosen_for_whole_vectors() -> None:
    def made(pe: int, simd: int, style: str) -> bool:
        node = operator(specialise(nodes.binary(36, 32, pe, simd, [1], ram_style=style), nodes.PART))
        return str(node.cell().module).endswith("_unit")

    assert made(32, 36, "distributed") and made(2, 36, "auto")
    assert not made(32, 18, "distributed") and not made(1, 36, "distributed") and not made(32, 36, "block")


def test_every_operator_has_a_case() -> None:
    """So that the tests of this file, and those of cppsim, cover what is registered."""
    tested = {specialise(case(), nodes.PART).graph.node[0].op_type for case in nodes.CASES.values()}
    assert tested == {own.__name__ for own in own_operators()}


@pytest.mark.parametrize("kind", sorted(set(kinds().values()), key=str))
def test_every_kind_can_be_shown(kind: type[Operator]) -> None:
    row = NodeRow(name=f"{kind.__name__}_0", op=kind.__name__, label=kind.label, role=kind.role)
    assert short(row) == f"{kind.label} 0"


def test_a_generic_node_and_its_rtl_are_one_kind() -> None:
    def kind(op_type: str) -> type[Operator]:
        return kind_of(NodeProto(op_type=op_type))

    assert kind("ElementwiseAdd") is kind("StreamAdd_rtl") is StreamAdd_rtl
    assert kind("MVAU") is kind("MVAU_rtl") is not kind("XnorMVAU_rtl")
    with pytest.raises(UnsupportedNodeError, match="Softmax: no file of hw/ops describes Softmax"):
        kind("Softmax")
