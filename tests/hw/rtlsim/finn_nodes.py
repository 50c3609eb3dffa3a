# SPDX-License-Identifier: Apache-2.0
"""Models of one FINN node, and their execution in Python and in RTL simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.core import onnx_exec
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.util.basic import getHWCustomOp
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from hw.rtlsim.xsi import PrepareRTLSim, install

PART = "xc7z020clg400-1"
CLOCK_NS = 10.0
Array = npt.NDArray[np.float32]


def node_model(  # noqa: PLR0917
    op_type: str,
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    in_type: str,
    out_type: str,
    constants: dict[str, tuple[npt.ArrayLike, str]] | None = None,
    domain: str = "finn.custom_op.fpgadataflow.rtl",
    **attributes: Any,
) -> ModelWrapper:
    """A graph of one node "inp" -> "outp"; `constants`: further input name -> (value, data type)."""
    constants = constants or {}
    node = helper.make_node(op_type, ["inp", *constants], ["outp"], domain=domain, backend="fpgadataflow", **attributes)
    inp = helper.make_tensor_value_info("inp", TensorProto.FLOAT, in_shape)
    outp = helper.make_tensor_value_info("outp", TensorProto.FLOAT, out_shape)
    graph = helper.make_graph([node], "one_node", [inp], [outp])
    model = ModelWrapper(helper.make_model(graph))
    model.set_tensor_datatype("inp", DataType[in_type])
    model.set_tensor_datatype("outp", DataType[out_type])
    for name, (value, data_type) in constants.items():
        model.set_initializer(name, np.asarray(value, dtype=np.float32))
        model.set_tensor_datatype(name, DataType[data_type])
    return model.transform(GiveUniqueNodeNames())


def execute(model: ModelWrapper, mode: str, value: Array) -> Array:
    """Output of the only node for `value`. In `mode` "cppsim" FINN executes RTL nodes in Python."""
    getHWCustomOp(model.graph.node[0]).set_nodeattr("exec_mode", mode)
    name = model.graph.input[0].name
    result: Array = onnx_exec.execute_onnx(model, {name: value})[model.graph.output[0].name]
    return result


def prepare(model: ModelWrapper, workers: int = 1) -> ModelWrapper:
    """Generate and compile the node."""
    install()
    model = model.transform(GiveReadableTensorNames())
    model = model.transform(PrepareIP(PART, CLOCK_NS))
    return model.transform(PrepareRTLSim(num_workers=workers))


def random_values(data_type: str, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Uniform values of a QONNX data type."""
    dtype = DataType[data_type]
    random = np.random.default_rng(seed)
    if data_type == "BIPOLAR":
        return (2 * random.integers(0, 2, shape) - 1).astype(np.float32)
    return random.integers(int(dtype.min()), int(dtype.max()) + 1, shape).astype(np.float32)


def source_files(model: ModelWrapper) -> list[Path]:
    """RTL of the only node."""
    return [Path(path) for path in getHWCustomOp(model.graph.node[0]).get_rtl_file_list(abspath=True)]
