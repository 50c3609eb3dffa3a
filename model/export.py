# SPDX-License-Identifier: Apache-2.0
"""Export to QONNX, with golden images and logits that every later step of the flow is held to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

BATCH = 250

PAPER_TOLERANCE = 1e-3
"""Sums of real numbers depend on their order, and a sign after them may then flip."""

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExportedModel:
    """The files of an export, and the logits (n, classes) of its images."""

    model: Path
    golden: Path
    logits: Float32


def export(
    source: Network | Path,
    out_dir: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64] | None = None,
    *,
    classes: Sequence[str] = (),
    compared: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> ExportedModel:
    """Write model.onnx (QONNX, batch 1, float32 input as Network.values gives it) and golden.npz into `out_dir`.

    `source` is a network or the path of a checkpoint. In hardware precision it is exported as Brevitas layers,
    after a check that each of them can be mapped exactly (model.networks.mappable); the input is values 0 .. 255. In
    paper precision, which is for comparison only, the input is normalised.

    `images` are (n, channels, height, width) uint8. golden.npz holds `images`, `logits` (n, classes) float32
    as the exported network computes them, `labels` (n,) int64 where given, and the names of the `classes` if they have
    any. Nodes of model.onnx say in doc_string which layer they are of. `progress` is told how many images are done.

    Raises ExportError if a layer cannot be mapped, or if QONNX execution of the written graph gives any other logits
    for the first `compared` images, by default all (in paper precision: others than float32 sums in another order
    explain), and CheckpointError for a bad checkpoint.
    """
    network = load_checkpoint(source)[0] if isinstance(source, Path) else source
    shape = network.spec.input_shape
    if images.dtype != np.uint8 or images.shape[1:] != shape or len(images) == 0:
        raise ExportError(
            f"{network.spec.name} takes uint8 images of shape (n, {', '.join(map(str, shape))}), "
            f"got {images.dtype} {images.shape}"
        )
    values = network.values(torch.from_numpy(images[:compared]))
    if network.precision == "hardware":
        network = to_brevitas(network)
        check_mappable(network, values[:1])
    out_dir.mkdir(parents=True, exist_ok=True)
    logits = _logits(network, images, progress)
    model_path = out_dir / MODEL_FILE
    _write_qonnx(network, model_path)
    _check_qonnx(
        model_path, values.numpy(), logits[:compared], 0.0 if network.precision == "hardware" else PAPER_TOLERANCE
    )
    golden_path = out_dir / GOLDEN_FILE
    arrays: dict[str, Any] = {"images": images, "logits": logits, "classes": np.array(classes, dtype=str)}
    np.savez(golden_path, **arrays if labels is None else arrays | {"labels": labels})
    return ExportedModel(model_path, golden_path, logits)


def _logits(network: Network, images: npt.NDArray[np.uint8], progress: Callable[[int], None]) -> Float32:
    found = []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            progress(start)
            found.append(network(torch.from_numpy(images[start : start + BATCH])).numpy())
    return np.concatenate(found)


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
    model = ModelWrapper(str(path))
    # Notes of the tracer hold paths of the exporting machine; its names of nodes hold the modules' names.
    for node in model.graph.node:
        node.doc_string = layer_of(node.name)
        del node.metadata_props[:]
    cleanup_model(model).save(str(path))


def layer_of(name: str) -> str:
    """Return layer1.0.conv1 for /layer1/layer1.0/conv1/weight_quant/export_handler/Quant.

    What is in a sequence repeats its name; quantizers belong to the layer that they are in.
    """
    layer: list[str] = []
    for part in name.split("/")[1:-1]:
        if part.endswith("_quant"):
            break
        if layer and part.startswith(f"{layer[-1]}."):
            layer.pop()
        layer.append(part)
    return ".".join(layer)


def _check_qonnx(path: Path, values: Float32, logits: Float32, tolerance: float) -> None:
    """Compare with QONNX execution; `tolerance` is a share of an image's largest logit."""
    model = ModelWrapper(str(path))
    for index, (image, expected) in enumerate(zip(values, logits, strict=True)):
        found = execute_onnx(model, {INPUT_NAME: image[None]})[OUTPUT_NAME][0]
        if not np.abs(found - expected).max() <= tolerance * np.abs(expected).max():
            raise ExportError(
                f"QONNX execution of {path.name} differs from torch on image {index}: {found} instead of {expected}"
            )
