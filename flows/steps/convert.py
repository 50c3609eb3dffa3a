# SPDX-License-Identifier: Apache-2.0
"""Integer graph -> one partition of FINN hardware nodes, with what stays outside it named."""

from typing import Any

import numpy as np

from flows.errors import UserError
from flows.pipeline import Context, Step
from flows.report.summary import StepResult

PARENT = "parent.onnx"
Factor = float | tuple[float, ...]


class Converted(StepResult):
    """Operators outside the partition, and what turns its integers into logits: integers * scale + offset.

    Each is one number, or one a class; no scale where the hardware gives a label.
    """

    outside: tuple[str, ...]
    scale: Factor | None
    offset: Factor = 0.0


def run(context: Context) -> Converted:
    """Convert to hardware nodes and cut the partition out."""
    from hw.transforms.convert import ConversionError, convert

    label = context.config.label_select
    try:
        parent, partition = convert(context.model("streamline"), label_select=label)
    except ConversionError as error:
        raise UserError(str(error)) from error
    context.save(parent, PARENT)
    context.save(partition)
    outside = [node for node in parent.graph.node if node.op_type != "StreamingDataflowPartition"]
    constants = {node.op_type: parent.get_initializer(node.input[1]) for node in outside if len(node.input) > 1}
    scale, offset = (_factor(constants.get(name, value)) for name, value in (("Mul", 1.0), ("Add", 0.0)))
    return Converted(outside=tuple(node.op_type for node in outside), scale=None if label else scale, offset=offset)


def _factor(values: Any) -> Factor:
    flat = np.ravel(values).tolist()
    return flat[0] if len(flat) == 1 else tuple(flat)


STEP = Step("convert", run, Converted, options=("label_select",), needs=("streamline",))
