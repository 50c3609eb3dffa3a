# SPDX-License-Identifier: Apache-2.0
"""FINN's own simulation of each node's HLS twin, beside ours, where finn-hlslib and Vitis HLS are installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from finn.transformation.fpgadataflow.compile_cppsim import CompileCppSim
from finn.transformation.fpgadataflow.prepare_cppsim import PrepareCppSim
from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from finn.util.fpgadataflow import is_hls_node
from finn.util.settings import get_settings
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveUniqueNodeNames

from hw.compare import Difference, Tensors, difference


def missing() -> str | None:
    """What keeps FINN's own simulation from running here; None where everything is there."""
    library = Path(get_settings().finn_deps) / "finn-hlslib"
    if not (library / "mvau.hpp").exists():
        return f"finn-hlslib is not in {library}"
    tools = os.environ.get("XILINX_HLS")
    if tools is None:
        return "XILINX_HLS does not name the folder of Vitis HLS"
    header = Path(tools) / "include" / "ap_int.h"
    return None if header.exists() else f"{header} is not there"


def compare_twins(model: ModelWrapper, tensors: Tensors, part: str) -> tuple[int, Difference | None]:
    """Run the HLS twin of every node that has one on the tensors of one image.

    Args:
        model: partition of generic nodes, folded.
        tensors: every tensor of the image, from the compiled program.
        part: FPGA part.

    Returns:
        How many nodes were compared, and the first difference.
    """
    twins = _compiled(model, part)
    nodes = list(filter(is_hls_node, twins.graph.node))
    for count, node in enumerate(nodes, 1):
        constants = {name: twins.get_initializer(name) for name in node.input}
        context = {n: tensors[n].astype(np.float32) if c is None else c for n, c in constants.items()}
        context |= {name: np.full(tensors[name].shape, np.nan, np.float32) for name in node.output}
        getCustomOp(node).execute_node(context, twins.graph)
        for name in node.output:
            found = difference(tensors[name], context[name], node=node.name, op=node.op_type, tensor=name)
            if found is not None:
                return count, found
    return len(nodes), None


def _compiled(model: ModelWrapper, part: str) -> Any:
    twins = ModelWrapper(model.model, make_deepcopy=True)
    for node in twins.graph.node:
        getCustomOp(node).set_nodeattr("preferred_impl_style", "hls")
    twins = twins.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())
    return twins.transform(PrepareCppSim()).transform(CompileCppSim()).transform(SetExecMode("cppsim"))
