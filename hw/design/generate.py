# SPDX-License-Identifier: Apache-2.0
"""HDL of every node of a specialised graph."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from finn.transformation.fpgadataflow.replace_verilog_relpaths import ReplaceVerilogRelPaths
from finn.util.basic import getHWCustomOp
from finn.util.fpgadataflow import is_rtl_node
from qonnx.core.modelwrapper import ModelWrapper

from hw.errors import UnsupportedNodeError
from hw.ops.registry import register


def generate_hdl(model: ModelWrapper, part: str, clk_ns: float, build_dir: Path) -> ModelWrapper:
    """Write the HDL of every node that has none into ``build_dir/<node name>`` and note the places in its attributes.

    What FINN's PrepareIP does, but into folders whose names do not change from run to run, so that compiled
    simulations can be found again.

    Args:
        model: specialised graph with unique node names; it is not changed.
        part: FPGA part, e.g. xc7z020clg400-1.
        clk_ns: clock period in nanoseconds.
        build_dir: folder for the nodes' folders; what an earlier call left in them is deleted.

    Returns:
        The graph with code_gen_dir_ipgen, gen_top_module, ipgen_path and ip_path set.

    Raises:
        UnsupportedNodeError: a node is not RTL, has an unusable name, or asks for what its cell cannot do.
    """
    register()
    model = ModelWrapper(model.model, make_deepcopy=True)
    _check_nodes(model)
    for node in model.graph.node:
        operator = getHWCustomOp(node)
        made = str(operator.get_nodeattr("ipgen_path"))
        if made and Path(made).is_dir():
            continue
        directory = build_dir.resolve() / node.name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        operator.set_nodeattr("code_gen_dir_ipgen", str(directory))
        try:
            operator.code_generation_ipgen(model, part, clk_ns)
        except ValueError as error:  # e.g. the logarithm of no windows at all
            raise UnsupportedNodeError(node.name, f"FINN cannot generate {node.op_type}: {error}") from error
    # ROM files are named relative to the node's folder, where no simulator runs.
    return model.transform(ReplaceVerilogRelPaths())


def _check_nodes(model: ModelWrapper) -> None:
    names: set[str] = set()
    for node in model.graph.node:
        if not is_rtl_node(node):
            raise UnsupportedNodeError(node.name, f"{node.op_type} is not an RTL node; specialise the graph first")
        if not re.fullmatch(r"[A-Za-z_]\w*", node.name):
            raise UnsupportedNodeError(node.name, "the name of a node becomes that of a module; it cannot be this")
        if node.name in names:
            raise UnsupportedNodeError(node.name, "two nodes have this name")
        names.add(node.name)
