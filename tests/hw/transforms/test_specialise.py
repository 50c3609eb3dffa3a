# SPDX-License-Identifier: Apache-2.0
"""Specialisation of a small network: same integers, RTL only; and HDL for every node without vendor tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from finn.util.basic import getHWCustomOp
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from hw import finn_env
from hw.design.generate import generate_hdl
from hw.errors import UnsupportedNodeError
from hw.ops.cell_op import RTL_DOMAIN, CellOp
from hw.ops.channel_pad import channel_offset
from hw.transforms.specialise import SpecialiseOwn, specialise
from tests.hw.ops import nodes

PARTS = ("xc7z020clg400-1", "xcu250-figd2104-2L-e")
ABSTRACT = "finn.custom_op.fpgadataflow"


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


class Network:
    """Collects abstract nodes and tensors of a graph."""

    def __init__(self, shape: tuple[int, ...], datatype: str) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors = {"in": (shape, datatype)}
        self.constants: dict[str, tuple[np.ndarray, str]] = {}
        self.rng = np.random.default_rng(7)

    def add(self, op_type: str, inputs: list[str], outputs: dict[str, tuple[Any, str]], **attributes: Any) -> None:
        common = {"name": f"n{len(self.nodes)}", "domain": ABSTRACT, "backend": "fpgadataflow"}
        self.nodes.append(helper.make_node(op_type, inputs, list(outputs), **common, **attributes))
        self.tensors.update(outputs)

    def constant(self, name: str, values: np.ndarray, datatype: str) -> str:
        self.constants[name] = (values.astype(np.float32), datatype)
        return name

    def window(self, source: str, out: str, kernel: int, stride: int, pad: int, **attributes: Any) -> None:
        (_, size, _, channels), datatype = self.tensors[source]
        if pad:
            padded = (1, size + 2 * pad, size + 2 * pad, channels)
            self.add(
                "FMPadding",
                [source],
                {f"{out}_padded": (padded, datatype)},
                ImgDim=[size, size],
                SIMD=1,
                Padding=[pad] * 4,
                NumChannels=channels,
                inputDataType=datatype,
            )
            source, size = f"{out}_padded", size + 2 * pad
        side = (size - kernel) // stride + 1
        self.add(
            "ConvolutionInputGenerator",
            [source],
            {out: ((1, side, side, channels * kernel**2), datatype)},
            ConvKernelDim=[kernel, kernel],
            IFMChannels=channels,
            IFMDim=[size, size],
            OFMDim=[side, side],
            Stride=[stride, stride],
            Dilation=[1, 1],
            inputDataType=datatype,
            outputDataType=datatype,
            **{"SIMD": 1, **attributes},
        )

    def product(self, source: str, out: str, weights: np.ndarray, wdt: str, odt: str, **attributes: Any) -> None:
        shape, datatype = self.tensors[source]
        self.constant(f"{out}_w", weights, wdt)
        self.add(
            "MVAU",
            [source, f"{out}_w"],
            {out: ((*shape[:-1], weights.shape[1]), odt)},
            **{"PE": 1, "SIMD": 1, **attributes},
            MW=weights.shape[0],
            MH=weights.shape[1],
            inputDataType=datatype,
            weightDataType=wdt,
            outputDataType=odt,
            accDataType=odt,
            noActivation=1,
            numInputVectors=list(shape[:-1]),
        )

    def thresholds(self, source: str, out: str, values: np.ndarray, odt: str, act_val: int) -> None:
        shape, datatype = self.tensors[source]
        self.constant(f"{out}_t", values, "INT20")
        self.add(
            "Thresholding",
            [source, f"{out}_t"],
            {out: (shape, odt)},
            NumChannels=shape[-1],
            PE=1,
            numSteps=values.shape[1],
            inputDataType=datatype,
            weightDataType="INT20",
            outputDataType=odt,
            ActVal=act_val,
            numInputVectors=list(shape[:-1]),
        )

    def model(self, outputs: list[str]) -> ModelWrapper:
        ins, outs = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, self.tensors[name][0]) for name in names]
            for names in (["in"], outputs)
        )
        model = ModelWrapper(qonnx_make_model(helper.make_graph(self.nodes, "small", ins, outs)))
        for name, (shape, datatype) in self.tensors.items():
            model.set_tensor_shape(name, list(shape))
            model.set_tensor_datatype(name, DataType[datatype])
        for name, (values, datatype) in self.constants.items():
            model.set_initializer(name, values)
            model.set_tensor_datatype(name, DataType[datatype])
        return model


def residual_network() -> ModelWrapper:
    """Stem, a down-sampling binary block with its shortcut, pool, linear: all kinds of nodes but LabelSelect."""
    net = Network((1, 8, 8, 3), "UINT8")
    rng = net.rng
    net.window("in", "stem_win", 3, 1, 1)
    net.product("stem_win", "stem", rng.integers(-127, 128, (27, 8)), "INT8", "INT22")
    net.thresholds("stem", "x", np.sort(rng.integers(-9000, 9000, (8, 15)), axis=1), "INT4", -8)
    copies = {f"x{i}": net.tensors["x"] for i in range(3)}
    size = {"NumChannels": 8, "PE": 1, "numInputVectors": [1, 8, 8], "inputDataType": "INT4"}
    net.add("DuplicateStreams", ["x"], copies, NumOutputStreams=3, outFIFODepths=[2] * 3, **size)
    net.thresholds("x0", "sign", np.zeros((8, 1)), "BINARY", 0)
    net.window("sign", "win", 3, 2, 1)
    net.product("win", "count", rng.integers(0, 2, (72, 16)), "BINARY", "INT7", binaryXnorMode=1, PE=2, SIMD=8)
    net.thresholds("count", "y", np.sort(rng.integers(20, 60, (16, 31)), axis=1), "INT5", -16)
    net.window("x1", "short_win", 1, 2, 0, SIMD=4)
    net.product("short_win", "short", np.eye(8, 16, k=4), "INT2", "INT32", SIMD=4)
    shape = (1, 4, 4, 16)
    net.add(
        "ElementwiseAdd",
        ["y", "short"],
        {"sum": (shape, "INT34")},
        lhs_dtype="INT5",
        rhs_dtype="INT32",
        out_dtype="INT34",
        lhs_shape=shape,
        rhs_shape=shape,
        out_shape=shape,
    )
    net.thresholds("sum", "z", np.arange(-7, 8).reshape(1, 15).repeat(16, 0), "INT4", -8)
    net.window("x2", "pool_win", 2, 2, 0, depthwise=1, SIMD=2)
    net.add(
        "Pool",
        ["pool_win"],
        {"pooled": ((1, 4, 4, 8), "INT4")},
        Channels=8,
        PE=2,
        KernelSize=[2, 2],
        Function="QuantAvgPool",
        OutImgDims=[4, 4],
        InputDataType="INT4",
        OutputDataType="INT4",
    )
    net.add(
        "StreamingConcat",
        ["pooled", "z"],
        {"both": ((1, 4, 4, 24), "INT4")},
        SIMD=1,
        ChannelsPerStream=[8, 16],
        inputDataTypes=["INT4", "INT4"],
        numInputVectors=[1, 4, 4],
    )
    net.product("both", "primary", rng.integers(-3, 4, (24, 6)), "INT3", "INT10")
    net.thresholds("primary", "h", np.sort(rng.integers(-60, 60, (6, 15)), axis=1), "INT4", -8)
    net.add(
        "GlobalAccPool",
        ["h"],
        {"g": ((1, 1, 1, 6), "INT8")},
        NumChannels=6,
        PE=1,
        inputDataType="INT4",
        numInputVectors=[1, 4, 4],
    )
    net.product("g", "logits", rng.integers(-127, 128, (6, 5)), "INT8", "INT18")
    return net.model(["logits"])


def in_python(model: ModelWrapper) -> ModelWrapper:
    """FINN's specialised nodes compute nothing unless they are told how."""
    for node in model.graph.node:
        if not isinstance(getHWCustomOp(node), CellOp):
            getHWCustomOp(node).set_nodeattr("exec_mode", "cppsim")
    return model


def logits(model: ModelWrapper, seed: int) -> np.ndarray:
    return np.asarray(execute_onnx(model, nodes.stimuli(model, seed))["logits"])


def count(model: ModelWrapper, op_type: str) -> int:
    return [node.op_type for node in model.graph.node].count(op_type)


@pytest.mark.parametrize(
    ("lowest", "steps", "weights", "unit"),
    [
        (-1, 2, (-1, 1), "TernaryMVAU_rtl"),
        (-2, 3, (-1, 1), "MVAU_rtl"),
        (-1, 2, (-1, 0, 1), "MVAU_rtl"),
    ],
)
def test_two_bits_by_one_bit_are_popcounts_where_no_value_is_minus_2(
    lowest: int, steps: int, weights: tuple[int, ...], unit: str
) -> None:
    net = Network((1, 4, 4, 2), "INT4")
    net.thresholds("in", "x", np.arange(steps).reshape(1, -1).repeat(2, 0), "INT2", lowest)
    net.window("x", "win", 3, 1, 1)
    net.product("win", "logits", net.rng.choice(weights, (18, 6)), "INT2", "INT8")
    generic = net.model(["logits"])
    special = in_python(specialise(generic, PARTS[0]))
    assert count(special, unit) == 1
    np.testing.assert_array_equal(logits(special, 1), logits(generic, 1))


@pytest.mark.parametrize("part", PARTS)
def test_every_node_becomes_rtl_and_computes_the_same(part: str) -> None:
    generic = residual_network()
    special = in_python(specialise(generic, part))
    assert {node.domain for node in special.graph.node} == {RTL_DOMAIN}
    expected = {"MVAU_rtl": 3, "XnorMVAU_rtl": 1, "ChannelPad_rtl": 1, "StreamAdd_rtl": 1, "Pool_rtl": 1}
    assert {op_type: count(special, op_type) for op_type in expected} == expected
    assert len({node.name for node in special.graph.node}) == len(special.graph.node) == len(generic.graph.node)
    assert count(generic, "MVAU") == 5  # the argument is left as it was
    for seed in range(3):
        np.testing.assert_array_equal(logits(special, seed), logits(generic, seed))


def test_own_operators_narrow_what_follows() -> None:
    special = specialise(residual_network(), PARTS[0])
    types = {name: special.get_tensor_datatype(name).name for name in ("count", "short", "sum")}
    assert types == {"count": "UINT7", "short": "INT4", "sum": "INT6"}
    readers = {name: getHWCustomOp(special.find_consumer(name)) for name in types}
    assert readers["count"].get_input_datatype(0).name == "UINT7"
    assert readers["short"].get_input_datatype(1).name == "INT4"
    assert readers["sum"].get_input_datatype(0).name == "INT6"


def test_a_second_specialisation_serves_what_was_inserted() -> None:
    model = specialise(residual_network(), PARTS[0])
    model = model.transform(InsertDWC()).transform(InsertFIFO(create_shallow_fifos=True))
    again = in_python(specialise(model, PARTS[0]))
    assert count(again, "StreamingFIFO_rtl") > 20
    assert count(again, "WidthConverter_rtl") > 3
    np.testing.assert_array_equal(logits(again, 5), logits(residual_network(), 5))


def test_hdl_of_every_node_is_generated_without_vendor_tools(tmp_path: Path) -> None:
    model = specialise(residual_network(), PARTS[0]).transform(InsertDWC())
    model = specialise(model.transform(InsertFIFO(create_shallow_fifos=True)), PARTS[0])
    model = generate_hdl(model, PARTS[0], 10.0, tmp_path)
    for node in model.graph.node:
        operator: Any = getHWCustomOp(node)
        assert operator.get_nodeattr("code_gen_dir_ipgen") == str(tmp_path / node.name)
        files = [Path(name) for name in operator.get_rtl_file_list(abspath=True)]
        assert all(file.is_file() for file in files), node.name
        assert any(f"module {operator.get_nodeattr('gen_top_module')}" in f.read_text() for f in files)
        assert operator.code_generation_ipi()


def test_nothing_is_left_to_replace_in_a_graph_without_abstract_nodes() -> None:
    special = specialise(residual_network(), PARTS[0])
    before = special.model.SerializeToString()
    after, changed = SpecialiseOwn().apply(special)
    assert not changed
    assert after.model.SerializeToString() == before


@pytest.mark.parametrize(
    ("types", "weights"),
    [
        (("UINT8", "INT8", "INT22"), np.array([[-127, 127], [5, 0], [1, 2], [3, 4]])),
        (("INT4", "INT4", "INT10"), np.array([[-7, 7], [5, 0], [1, 2], [3, 4]])),
        (("INT8", "INT8", "INT18"), np.array([[-127, 127], [5, 0], [1, 2], [3, 4]])),
        (("INT4", "INT3", "INT10"), np.array([[-4, 3], [1, 0], [1, 2], [3, -1]])),  # the most negative value
        (("INT4", "UINT3", "INT10"), np.array([[4, 3], [1, 0], [1, 2], [3, 1]])),  # no sign
        (("INT4", "INT2", "INT10"), np.array([[1, 0], [0, 1], [1, 1], [0, -1]])),
        (("INT4", "BINARY", "INT10"), np.zeros((4, 2))),
    ],
)
@pytest.mark.parametrize("part", PARTS)
def test_integer_products_become_finns_rtl(part: str, types: tuple[str, str, str], weights: np.ndarray) -> None:
    generic = nodes.product(weights, types, [1, 3])
    special = in_python(specialise(generic, part))
    assert special.graph.node[0].op_type == "MVAU_rtl"
    datatype = special.get_tensor_datatype("weights")
    assert datatype.signed()
    assert datatype.min() < weights.min()
    assert datatype.name == getHWCustomOp(special.graph.node[0]).get_nodeattr("weightDataType")
    inputs = nodes.stimuli(generic)
    np.testing.assert_array_equal(execute_onnx(special, inputs)["out"], execute_onnx(generic, inputs)["out"])


def test_products_are_inferred_without_thresholds() -> None:
    shape = (1, 4, 4, 12)
    tensors = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("in", shape), ("out", (1, 4, 4, 6)))
    ]
    steps = helper.make_node(
        "MultiThreshold",
        ["acc", "t"],
        ["out"],
        domain="qonnx.custom_op.general",
        out_dtype="INT4",
        out_bias=-8.0,
        data_layout="NHWC",
    )
    graph = helper.make_graph([helper.make_node("MatMul", ["in", "w"], ["acc"]), steps], "g", tensors[:1], tensors[1:])
    model = ModelWrapper(qonnx_make_model(graph))
    rng = np.random.default_rng(3)
    model.set_initializer("w", rng.integers(-7, 8, (12, 6)).astype(np.float32))
    model.set_initializer("t", np.sort(rng.integers(-99, 99, (6, 15)), axis=1).astype(np.float32))
    model.set_tensor_shape("acc", [1, 4, 4, 6])
    for name, datatype in {"in": "INT4", "w": "INT4", "acc": "INT32", "t": "INT32", "out": "INT4"}.items():
        model.set_tensor_datatype(name, DataType[datatype])
    model = model.transform(InferThresholdingLayer()).transform(InferQuantizedMatrixVectorActivation())
    special = specialise(model, PARTS[0])
    assert [node.op_type for node in special.graph.node] == ["MVAU_rtl", "Thresholding_rtl"]
    assert getHWCustomOp(special.graph.node[0]).get_nodeattr("noActivation") == 1


@pytest.mark.parametrize(
    ("weights", "offset"),
    [
        (np.eye(4, 8, k=2), 2),
        (np.eye(4, 8), 0),
        (np.eye(4, 8, k=4), 4),
        (np.eye(4), 0),
        (np.eye(4, 8, k=5), None),  # one channel falls off the end
        (np.eye(4, 8)[:, ::-1], None),  # another order
        (2 * np.eye(4, 8), None),
        (np.eye(8, 4), None),
        (np.ones((1, 3)), None),
        (np.zeros((2, 4)), None),
        (np.eye(4, 8) + np.eye(4, 8, k=4), None),
    ],
)
def test_channel_offset(weights: np.ndarray, offset: int | None) -> None:
    assert channel_offset(weights) == offset


@pytest.mark.parametrize(("simd", "pe"), [(1, 1), (2, 2), (4, 4), (8, 4), (16, 4)])
def test_channel_pad_is_folded_like_the_products_input(simd: int, pe: int) -> None:
    special = specialise(nodes.selection(16, 40, 12, simd, [1, 2, 2]), PARTS[0])
    assert special.graph.node[0].op_type == "ChannelPad_rtl"
    assert getHWCustomOp(special.graph.node[0]).get_nodeattr("PE") == pe
    assert not special.graph.initializer


def test_bipolar_selection_is_no_channel_pad() -> None:
    model, _ = SpecialiseOwn().apply(nodes.selection(4, 8, 2, 1, [1], datatype="BIPOLAR"))
    assert model.graph.node[0].op_type == "MVAU"


def test_what_has_no_rtl_is_named() -> None:
    shape = (1, 2, 2, 36)
    depthwise = nodes.one_node(
        "VVAU",
        {"in": (shape, "INT4")},
        {"out": ((1, 2, 2, 4), "INT10")},
        (np.ones((4, 1, 3, 3)), "INT4"),
        PE=1,
        Channels=4,
        Dim=[2, 2],
        Kernel=[3, 3],
        noActivation=1,
        inputDataType="INT4",
        weightDataType="INT4",
        outputDataType="INT10",
    )
    with pytest.raises(UnsupportedNodeError, match=r"VVAU_hls_0 \(VVAU_hls, output out\): no RTL"):
        specialise(depthwise, PARTS[0])


def test_binary_product_with_thresholds_is_refused() -> None:
    model = nodes.binary(18, 6, 1, 6, [1], noActivation=0)
    with pytest.raises(UnsupportedNodeError, match="MVAU_0: has built-in thresholds"):
        specialise(model, PARTS[0])


def test_constant_addition_is_refused() -> None:
    model = nodes.add((1, 4), "INT4", "INT4", "INT5", 1)
    model.set_initializer("b", np.ones((1, 4), dtype=np.float32))
    with pytest.raises(UnsupportedNodeError, match="ElementwiseAdd_0: StreamAdd_rtl has a constant input, b"):
        specialise(model, PARTS[0])


def test_generate_refuses_what_is_not_rtl(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedNodeError, match="n0: FMPadding is not an RTL node"):
        generate_hdl(residual_network(), PARTS[0], 10.0, tmp_path)
    model = specialise(residual_network(), PARTS[0])
    model.graph.node[1].name = model.graph.node[0].name
    with pytest.raises(UnsupportedNodeError, match="two nodes"):
        generate_hdl(model, PARTS[0], 10.0, tmp_path)
    model.graph.node[1].name = "n/1"
    with pytest.raises(UnsupportedNodeError, match="module"):
        generate_hdl(model, PARTS[0], 10.0, tmp_path)
    assert not any(tmp_path.iterdir())


def test_generate_refuses_a_pool_behind_another_interleaving(tmp_path: Path) -> None:
    model = specialise(residual_network(), PARTS[0])
    pool = next(node for node in model.graph.node if node.op_type == "Pool_rtl")
    getHWCustomOp(pool).set_nodeattr("PE", 4)
    with pytest.raises(UnsupportedNodeError, match=f"{pool.name}: .* SIMD = PE = 4"):
        generate_hdl(model, PARTS[0], 10.0, tmp_path)


def test_sums_have_room_for_any_product_of_the_types() -> None:
    """FINN's unit refuses less at the start of a simulation, though 3 * -8 .. 7 fits into INT6."""
    weights = np.array([[3, 0, 3], [0, 3, 0]])
    model = specialise(nodes.product(weights, ("INT4", "INT4", "INT6"), [1, 2, 2]), nodes.PART)
    operator = getHWCustomOp(model.graph.node[0])
    assert operator.get_nodeattr("accDataType") == operator.get_nodeattr("outputDataType") == "INT7"
    assert model.get_tensor_datatype("out").name == "INT7"
