# SPDX-License-Identifier: Apache-2.0
"""Every node gets its RTL implementation: ours or FINN's; a node that would need HLS fails the build."""

from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.pipeline import Context, Step


def run(context: Context) -> dict[str, Any]:
    """Specialise to RTL operators."""
    from hw.transforms.specialise import specialise

    model = specialise(ModelWrapper(str(context.path("fold", "model.onnx"))), context.board.part)
    model.save(str(context.folder / "model.onnx"))
    types = [node.op_type for node in model.graph.node]
    return {"nodes": len(types), "hls_nodes": sum(name.endswith("_hls") for name in types)}


STEP = Step("specialise", run, needs=("fold",))
