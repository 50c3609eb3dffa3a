# SPDX-License-Identifier: Apache-2.0
"""Models of one FINN node, and their execution in Python and in RTL simulation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import finn.xsi
import numpy as np
import numpy.typing as npt
from finn.core import onnx_exec
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.util.basic import getHWCustomOp
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from hw.compare import Difference, difference
from hw.rtlsim import stress, xsi
from hw.rtlsim.finn_packing import from_ints
from hw.rtlsim.xsi import PrepareRTLSim, install
from hw.streams.packing import DataType as StreamType
from hw.streams.packing import pack
from hw.streams.sim import Simulation

PART = "xc7z020clg400-1"
VERSAL = "xcvc1902-vsva2197-2MP-e-S"
CLOCK_NS = 10.0
Array = npt.NDArray[np.float32]


def node_model(  # noqa: PLR0917
    op_type: str,
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    in_type: str,
    out_type: str,
    constants: dict[str, tuple[npt.ArrayLike, str]] | None = None,
    /,
    domain: str = "finn.custom_op.fpgadataflow.rtl",
    streams: dict[str, tuple[tuple[int, ...], str]] | None = None,
    **attributes: Any,
) -> ModelWrapper:
    """A graph of one node "inp" -> "outp".

    `constants`: further input name -> (value, data type). `streams`: input that comes with each frame -> (shape,
    data type).
    """
    constants = constants or {}
    inputs = {"inp": (in_shape, in_type), **(streams or {})}
    names = [*inputs, *constants]
    node = helper.make_node(op_type, names, ["outp"], domain=domain, backend="fpgadataflow", **attributes)
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (shape, _) in inputs.items()]
    outp = helper.make_tensor_value_info("outp", TensorProto.FLOAT, out_shape)
    graph = helper.make_graph([node], "one_node", given, [outp])
    model = ModelWrapper(helper.make_model(graph))
    for name, (_, data_type) in inputs.items():
        model.set_tensor_datatype(name, DataType[data_type])
    model.set_tensor_datatype("outp", DataType[out_type])
    for name, (value, data_type) in constants.items():
        model.set_initializer(name, np.asarray(value, dtype=np.float32))
        model.set_tensor_datatype(name, DataType[data_type])
    return model.transform(GiveUniqueNodeNames())


def beats_of(values: npt.ArrayLike, datatype: Any) -> npt.NDArray[np.uint8]:
    """Beats of (beats, elements) values of a QONNX data type, as narrow as they can be."""
    array = np.asarray(values)
    return pack(array, StreamType.of(datatype.name), (array.shape[-1] * datatype.bitwidth() + 7) // 8)


def execute(model: ModelWrapper, mode: str, value: Array | dict[str, Array]) -> Array:
    """Output of the only node for `value`: that of the first input, or of each by name.

    In `mode` "cppsim" FINN executes RTL nodes in Python.
    """
    getHWCustomOp(model.graph.node[0]).set_nodeattr("exec_mode", mode)
    values = value if isinstance(value, dict) else {model.graph.input[0].name: value}
    result: Array = onnx_exec.execute_onnx(model, values)[model.graph.output[0].name]
    return result


def random_inputs(model: ModelWrapper, seed: int = 5) -> dict[str, Array]:
    """Random values of every input of the graph that is not a constant."""
    names = [tensor.name for tensor in model.graph.input if model.get_initializer(tensor.name) is None]
    return {
        name: random_values(model.get_tensor_datatype(name).name, tuple(model.get_tensor_shape(name)), seed + index)
        for index, name in enumerate(names)
    }


def prepare(model: ModelWrapper, workers: int = 1, part: str = PART) -> ModelWrapper:
    """Generate and compile the node."""
    install()
    model = model.transform(GiveReadableTensorNames())
    model = model.transform(PrepareIP(part, CLOCK_NS))
    return model.transform(PrepareRTLSim(num_workers=workers))


def random_values(data_type: str, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Uniform values of a QONNX data type, those of FLOAT32 normal."""
    dtype = DataType[data_type]
    random = np.random.default_rng(seed)
    if data_type == "FLOAT32":
        return random.normal(size=shape).astype(np.float32)
    if data_type == "BIPOLAR":
        return (2 * random.integers(0, 2, shape) - 1).astype(np.float32)
    return random.integers(int(dtype.min()), int(dtype.max()) + 1, shape).astype(np.float32)


def source_files(model: ModelWrapper) -> list[Path]:
    """RTL of the only node."""
    return [Path(path) for path in getHWCustomOp(model.graph.node[0]).get_rtl_file_list(abspath=True)]


@dataclass(frozen=True)
class NodeResult:
    """Outcome of one node in FINN's own rtlsim: the first of its outputs that is wrong."""

    node: str
    op: str
    cycles: int
    expected_cycles: int
    difference: Difference | None = None


@contextlib.contextmanager
def stressed() -> Iterator[None]:
    """FINN's exchange with a node's RTL, and afterwards the same again under stress."""

    def exchange(sim: Simulation, io_dict: xsi.IoDict, num_out_values: Any, sname: str = "_V", **options: Any) -> int:
        cycles = xsi.rtlsim_multi_io(sim, io_dict, num_out_values, sname, **options)
        inputs, _ = xsi.streams(sim, io_dict, num_out_values, sname)
        widths = {stream.name: stream.width_bits for stream in sim.ports}
        expected = {name + sname: from_ints(words, widths[name + sname]) for name, words in io_dict["outputs"].items()}
        stress.check(sim, inputs, expected)
        return cycles

    plain = finn.xsi.__dict__["rtlsim_multi_io"]
    finn.xsi.__dict__["rtlsim_multi_io"] = exchange
    try:
        yield
    finally:
        finn.xsi.__dict__["rtlsim_multi_io"] = plain


def check_node(model: ModelWrapper, node: Any, tensors: dict[str, Any]) -> NodeResult:
    """Simulate one node through FINN on its input tensors, also under stress, and compare all its outputs."""
    instance = getHWCustomOp(node)
    instance.set_nodeattr("exec_mode", "rtlsim")
    instance.prepare_rtlsim(False)
    context = {name: tensors[name] for name in [*node.input, *node.output] if name in tensors}
    constants = {name: model.get_initializer(name) for name in node.input}
    context |= {name: value for name, value in constants.items() if value is not None}
    context |= {name: np.full_like(tensors[name], np.nan) for name in node.output}
    with stressed():
        instance.execute_node(context, model.graph)
    found = (
        difference(tensors[name], context[name], node=node.name, op=node.op_type, tensor=name) for name in node.output
    )
    cycles, expected = int(instance.get_nodeattr("cycles_rtlsim")), int(instance.get_exp_cycles())
    return NodeResult(node.name, node.op_type, cycles, expected, next(filter(None, found), None))
