# SPDX-License-Identifier: Apache-2.0
"""QONNX -> FINN's integer graph: scales gathered at the end, thresholds in place of batch norms."""

from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.pipeline import Context, Step


def run(context: Context) -> dict[str, Any]:
    """Streamline the exported graph."""
    from hw.transforms.streamline import streamline

    model = streamline(ModelWrapper(str(context.path("export", "model.onnx"))))
    model.save(str(context.folder / "model.onnx"))
    return {"nodes": len(model.graph.node)}


STEP = Step("streamline", run, needs=("export",))
