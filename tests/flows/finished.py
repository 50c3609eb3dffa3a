# SPDX-License-Identifier: Apache-2.0
"""A step's context in a build that is finished, with a folder of its own to write into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.config import BuildConfig
from flows.pipeline import Context
from flows.steps import ORDER
from hw.boards.board import load
from model.checkpoint import shipped_checkpoint


def context(build: Path, step: str, folder: Path, board: str = "pynq-z2", **options: Any) -> Context:
    """What a step sees whose earlier ones have done what they did in the build of `tiny`."""
    folders = {path.name.partition("_")[2]: path for path in build.glob("*_*")}
    done = {s: json.loads((folders[s.name] / "done.json").read_text())["result"] for s in ORDER if s.name in folders}
    return Context(
        config=BuildConfig(network="tiny", board=board, output_dir=folder, **options),
        board=load(board),
        folders=folders | {"report": folder / "report", step: folder},
        checkpoint=shipped_checkpoint("tiny"),
        current=step,
        results={step.name: step.result.model_validate(result) for step, result in done.items()},
    )
