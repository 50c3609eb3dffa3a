# SPDX-License-Identifier: Apache-2.0
"""Checkpoint -> model.onnx (QONNX) and golden.npz (images and the logits that every later graph must give)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flows.errors import ToolError, UserError
from flows.pipeline import Context, Step
from flows.steps.images import verification_images

if TYPE_CHECKING:
    from model.networks.ties import TieReport


def run(context: Context) -> dict[str, Any]:
    """Export the checkpoint; Brevitas and QONNX are compared here, image by image."""
    from model.checkpoint import load_checkpoint
    from model.errors import ExportError, ModelError
    from model.export import export
    from model.networks.ties import separate_ties

    images, labels, dataset = verification_images(context.config)
    context.status(f"{len(images)} images: {dataset}")
    began = time.monotonic()
    try:
        network, card = load_checkpoint(context.checkpoint, context.config.network, "hardware")
        export(network, context.folder, images, labels)
    except ExportError as error:
        raise ToolError(str(error)) from error
    except ModelError as error:
        raise UserError(str(error)) from error
    seconds = round(time.monotonic() - began, 2)
    row = {"stage": "export", "engine": "qonnx", "images": len(images), "mismatches": 0, "seconds": seconds}
    return {
        "images": dataset,
        "card": card.model_dump(),
        "verification": [row],
        "warning": _warning(separate_ties(network)),  # nobody needs the network that it moves any more
    }


def _warning(ties: TieReport) -> str | None:
    """One line about channels in which rounding decides: images that are not compared could differ there."""
    channels = ties.moved + ties.unresolved
    if not channels:
        return None
    cure = "train on" if ties.unresolved else "finish the weights with model.ties.separate_ties"
    return (
        f"in {channels} channels a sum can lie within float rounding of a batch-norm threshold, "
        f"so that hardware and training may differ on other images; {cure}"
    )


STEP = Step("export", run, options=("network", "images", "data_dir"))
