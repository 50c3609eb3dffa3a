# SPDX-License-Identifier: Apache-2.0
"""Checkpoint -> model.onnx (QONNX) and golden.npz: images, and the logits that every later graph must give for them.

This is the last step that knows of model/: test images, their labels and the names of the classes go with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.config import BuildConfig
from flows.errors import ToolError, UserError
from flows.pipeline import Context, Step
from flows.report.summary import Checkpoint, StepResult
from hw.cache import file_digest

if TYPE_CHECKING:
    from model.data import Images
    from model.networks import NetworkSpec
    from model.networks.ties import TieReport


class Exported(StepResult):
    """Where the images come from, and the network that they went through."""

    dataset: str
    checkpoint: Checkpoint


def run(context: Context) -> Exported:
    """Export the checkpoint; Brevitas and QONNX are compared here, image by image. A user's model is executed."""
    if context.config.model is not None and context.config.inputs is not None:
        return _prepare(context, context.config.model, context.config.inputs)
    from model.checkpoint import load_checkpoint
    from model.data import class_names, sample_images
    from model.errors import ExportError, ModelError
    from model.export import export
    from model.networks.ties import separate_ties

    config = context.config
    try:
        network, card = load_checkpoint(context.checkpoint, config.network_file or config.network, "hardware")
        data = sample_images(network.spec, 1) if context.dry else _images(config, network.spec)
        context.status(f"{len(data)} images: {data.dataset}")
        with context.comparing("export", "qonnx", min(config.images, len(data))):
            export(
                network,
                context.folder,
                data.images,
                data.labels,
                classes=class_names(network.spec),
                compared=config.images,
                progress=lambda done: context.status(f"{done} of {len(data)} images: {data.dataset}"),
            )
    except ExportError as error:
        raise ToolError(str(error)) from error
    except ModelError as error:
        raise UserError(str(error)) from error
    return Exported(
        warning="; ".join([*_random(config), *_stand_ins(data), *_warnings(separate_ties(network))]) or None,
        dataset=data.dataset,
        checkpoint=Checkpoint(
            sha256=file_digest(context.checkpoint), dataset=card.dataset, images=card.test_images, top1=card.top1
        ),
    )


def _prepare(context: Context, model: Path, inputs: Path) -> Exported:
    from model.errors import GivenModelError
    from model.given import load_samples, prepare

    try:
        compared = min(context.config.images, len(load_samples(inputs)))
        with context.comparing("export", "qonnx", compared):
            prepare(model, inputs, context.folder, compared=compared, progress=context.status)
    except GivenModelError as error:
        raise UserError(str(error)) from error
    sha256 = file_digest(context.checkpoint)
    return Exported(
        dataset=inputs.name, checkpoint=Checkpoint(sha256=sha256, dataset=inputs.name, images=None, top1=None)
    )


def _images(config: BuildConfig, spec: NetworkSpec) -> Images:
    """All test images where the data set is at hand, sample photographs elsewhere."""
    from model.data import load_images, sample_images
    from model.errors import ModelError

    try:
        return load_images(spec, "test", config.data_dir, download=config.download, skip_damaged=config.skip_damaged)
    except ModelError:
        if config.data_dir is not None or config.download:
            raise
        return sample_images(spec, config.images)


def _given(context: Context) -> list[Path]:
    """The card, and the files of the test images; or what belongs to a user's model."""
    if context.config.model is not None and context.config.inputs is not None:
        from model.given import files_of

        return [*files_of(context.config.model)[1:], context.config.inputs]
    from model.checkpoint import card_path, load_card
    from model.data import data_files

    card, folder = load_card(context.checkpoint), context.config.data_dir
    files = [] if folder is None else data_files(card.spec or card.network, "test", folder)
    return [card_path(context.checkpoint), *files]


def _random(config: BuildConfig) -> list[str]:
    if config.weights is None:
        return []
    return ["the weights are random: what the hardware answers is exact and says nothing"]


def _stand_ins(data: Images) -> list[str]:
    if data.labels is not None:
        return []
    return [f"the images are {data.dataset}; --data-dir (CIFAR-10: or --download) takes those of the data set"]


def _warnings(ties: TieReport) -> list[str]:
    """One line about channels in which rounding decides: images that are not compared could differ there."""
    channels = ties.moved + ties.unresolved
    if not channels:
        return []
    cure = "train on" if ties.unresolved else "finish the weights with model.ties.separate_ties"
    return [
        f"in {channels} channels a sum can lie within float rounding of a batch-norm threshold, "
        f"so that hardware and training may differ on other images; {cure}"
    ]


STEP = Step("export", run, Exported, options=("network", "images", "download", "skip_damaged"), given=_given)
