# SPDX-License-Identifier: Apache-2.0
"""Checkpoint -> model.onnx (QONNX) and golden.npz (images and the logits that every later graph must give)."""

import time
from typing import Any

from flows.errors import ToolError
from flows.pipeline import Context, Step
from flows.steps.images import verification_images


def run(context: Context) -> dict[str, Any]:
    """Export the checkpoint; Brevitas and QONNX are compared here, image by image."""
    from model.checkpoint import load_checkpoint
    from model.errors import ExportError
    from model.export import export

    images, labels, dataset = verification_images(context.config)
    context.status(f"{len(images)} images: {dataset}")
    network, card = load_checkpoint(context.checkpoint, context.config.network)
    began = time.monotonic()
    try:
        export(network, context.folder, images, labels)
    except ExportError as error:
        raise ToolError(str(error)) from error
    seconds = round(time.monotonic() - began, 2)
    row = {"stage": "export", "engine": "qonnx", "images": len(images), "mismatches": 0, "seconds": seconds}
    return {"images": dataset, "card": card.model_dump(), "verification": [row]}


STEP = Step("export", run, options=("network", "images", "data_dir"))
