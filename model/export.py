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

MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden.npz"
INPUT_NAME = "global_in"
OUTPUT_NAME = "global_out"


@dataclass(frozen=True)
class ExportedModel:
    """The files of an export, and what they hold."""

    model: Path
    golden: Path
    network: str
    images: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None = None


def export(
    source: Network | Path,
    out_dir: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64] | None = None,
) -> ExportedModel:
    """Write model.onnx (QONNX, batch 1, float32 input of values 0 .. 255) and golden.npz into `out_dir`.

    `source` is a network or the path of a checkpoint.

    `images` are (n, channels, height, width) uint8. golden.npz holds `images`, `logits` (n, classes) float32
    as Brevitas computes them, and `labels` (n,) int64 where given. Raises ExportError if QONNX execution of
    the written graph gives any other logits, and CheckpointError for a bad checkpoint.
    """
    light = load_checkpoint(source)[0] if isinstance(source, Path) else source
    network = to_brevitas(light)
    shape = network.spec.input_shape
    if images.dtype != np.uint8 or images.shape[1:] != shape or len(images) == 0:
        raise ExportError(
            f"{network.spec.name} takes uint8 images of shape (n, {', '.join(map(str, shape))}), "
            f"got {images.dtype} {images.shape}"
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        logits: npt.NDArray[np.float32] = network(torch.from_numpy(images)).numpy()
    model_path = out_dir / MODEL_FILE
    _write_qonnx(network, model_path)
    _check_qonnx(model_path, images, logits)
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


def _check_qonnx(path: Path, images: npt.NDArray[np.uint8], logits: npt.NDArray[np.float32]) -> None:
    model = ModelWrapper(str(path))
    for index, (image, expected) in enumerate(zip(images, logits, strict=True)):
        found = execute_onnx(model, {INPUT_NAME: image[None].astype(np.float32)})[OUTPUT_NAME][0]
        if not np.array_equal(found, expected):
            raise ExportError(
                f"QONNX execution of {path.name} differs from Brevitas on image {index}: {found} instead of {expected}"
            )
