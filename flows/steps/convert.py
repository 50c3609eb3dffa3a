# SPDX-License-Identifier: Apache-2.0
"""Integer graph -> one partition of FINN hardware nodes, with what stays outside it named."""

from flows.pipeline import Context, Step
from flows.report.summary import StepResult

PARENT = "parent.onnx"


class Converted(StepResult):
    """Operators outside the partition, and the scale that turns its integers into logits (None: it gives a label)."""

    outside: tuple[str, ...]
    scale: float | None


def run(context: Context) -> Converted:
    """Convert to hardware nodes and cut the partition out."""
    from hw.transforms.convert import convert

    label = context.config.label_select
    parent, partition = convert(context.model("streamline"), label_select=label)
    context.save(parent, PARENT)
    context.save(partition)
    outside = [node for node in parent.graph.node if node.op_type != "StreamingDataflowPartition"]
    scales = [parent.get_initializer(node.input[1]) for node in outside if node.op_type == "Mul"]
    return Converted(outside=tuple(node.op_type for node in outside), scale=None if label else float(scales[0].item()))


STEP = Step("convert", run, Converted, options=("label_select",), needs=("streamline",))
