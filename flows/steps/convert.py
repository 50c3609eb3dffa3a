# SPDX-License-Identifier: Apache-2.0
"""Integer graph -> one partition of FINN hardware nodes, with what stays outside it named."""

from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.pipeline import Context, Step


def run(context: Context) -> dict[str, Any]:
    """Convert to hardware nodes and cut the partition out."""
    from hw.transforms.convert import convert

    source = ModelWrapper(str(context.path("streamline", "model.onnx")))
    parent, partition = convert(source, label_select=context.config.label_select)
    parent.save(str(context.folder / "parent.onnx"))
    partition.save(str(context.folder / "model.onnx"))
    outside = [node.op_type for node in parent.graph.node if node.op_type != "StreamingDataflowPartition"]
    return {"nodes": len(partition.graph.node), "outside": outside}


STEP = Step("convert", run, options=("label_select",), needs=("streamline",))
