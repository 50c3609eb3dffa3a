# SPDX-License-Identifier: Apache-2.0
"""Export to QONNX, with golden images and logits that every later step of the flow is held to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from brevitas.export import export_qonnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from model.checkpoint import load_checkpoint
from model.errors import ExportError
from model.networks import Network, to_brevitas
from model.networks.mappable import check_mappable

MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden.npz"
INPUT_NAME = "global_in"
OUTPUT_NAME = "global_out"

PAPER_TOLERANCE = 1e-3
"""Sums of real numbers depend on their order, and a sign after them may then flip."""

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExportedModel:
    """The files of an export, and what they hold."""

    model: Path
    golden: Path
    network: str
    images: npt.NDArray[np.uint8]
    logits: Float32
    labels: npt.NDArray[np.int64] | None = None


def export(
    source: Network | Path,
    out_dir: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64] | None = None,
) -> ExportedModel:
    """Write model.onnx (QONNX, batch 1, float32 input as Network.values gives it) and golden.npz into `out_dir`.

    `source` is a network or the path of a checkpoint. In hardware precision it is exported as Brevitas layers,
    after a check that each of them can be mapped exactly (model.networks.mappable); the input is values 0 .. 255. In
    paper precision, which is for comparison only, the input is normalised.

    `images` are (n, channels, height, width) uint8. golden.npz holds `images`, `logits` (n, classes) float32
    as the exported network computes them, and `labels` (n,) int64 where given. Raises ExportError if a layer cannot
    be mapped or QONNX execution of the written graph gives any other logits (in paper precision: others than float32
    sums in another order explain), and CheckpointError for a bad checkpoint.
    """
    network = load_checkpoint(source)[0] if isinstance(source, Path) else source
    shape = network.spec.input_shape
    if images.dtype != np.uint8 or images.shape[1:] != shape or len(images) == 0:
        raise ExportError(
            f"{network.spec.name} takes uint8 images of shape (n, {', '.join(map(str, shape))}), "
            f"got {images.dtype} {images.shape}"
        )
    values = network.values(torch.from_numpy(images))
    if network.precision == "hardware":
        network = to_brevitas(network)
        check_mappable(network, values[:1])
    out_dir.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        logits: Float32 = network(values).numpy()
    model_path = out_dir / MODEL_FILE
    _write_qonnx(network, model_path)
    _check_qonnx(model_path, values.numpy(), logits, 0.0 if network.precision == "hardware" else PAPER_TOLERANCE)
    golden_path = out_dir / GOLDEN_FILE
    if labels is None:
        np.savez_compressed(golden_path, images=images, logits=logits)
    else:
        np.savez_compressed(golden_path, images=images, logits=logits, labels=labels)
    return ExportedModel(model_path, golden_path, network.spec.name, images, logits, labels)


def _write_qonnx(network: Network, path: Path) -> None:
    example = torch.zeros(1, *network.spec.input_shape)
    export_qonnx(
        network,
        args=example,
        export_path=str(path),
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME],
        dynamo=False,
    )
    model = cleanup_model(ModelWrapper(str(path)))
    # Notes of the tracer hold paths of the exporting machine.
    for node in model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    model.save(str(path))


def _check_qonnx(path: Path, values: Float32, logits: Float32, tolerance: float) -> None:
    """Compare with QONNX execution; `tolerance` is a share of an image's largest logit."""
    model = ModelWrapper(str(path))
    for index, (image, expected) in enumerate(zip(values, logits, strict=True)):
        found = execute_onnx(model, {INPUT_NAME: image[None]})[OUTPUT_NAME][0]
        if not np.abs(found - expected).max() <= tolerance * np.abs(expected).max():
            raise ExportError(
                f"QONNX execution of {path.name} differs from torch on image {index}: {found} instead of {expected}"
            )
