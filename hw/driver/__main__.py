# SPDX-License-Identifier: Apache-2.0
"""python -m driver: validate, measure and classify."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from . import image
from .accelerator import PACKAGE, Accelerator
from .adopt import add_bitfile
from .errors import DriverError, InputError
from .standin.compile import make_cppsim

Answer = Tuple[Dict[str, Any], List[str]]
"""For --json, and as lines."""
BEST = 5
"""Scores that --scores prints."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 where all went well, 1 where integers differ or an error was told."""
    options = _parser().parse_args(arguments)
    try:
        answer, lines = _run(options)
    except DriverError as error:
        answer, lines = {"error": str(error)}, []
    errors = [part["error"] for part in [answer, *answer.get("pictures", [])] if "error" in part]
    if options.json:
        print(json.dumps(answer))
    else:
        print(*lines, sep="\n", end="\n" * bool(lines))
        for message in errors:
            print(f"error: {message}", file=sys.stderr)
    return 1 if errors or answer.get("exact") is False else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m driver",
        description="IR2NET_DEVICE names the device: board (default), rtlsim or cppsim.",
    )
    jobs = parser.add_mutually_exclusive_group(required=True)
    jobs.add_argument("--validate", action="store_true", help="run the golden vectors: EXACT or the first difference")
    jobs.add_argument("--throughput", action="store_true", help="measure a batch")
    jobs.add_argument("--classify", metavar="IMAGE", type=Path, nargs="+", help="label of each picture")
    jobs.add_argument("--accuracy", metavar="FILE.npz", type=Path, help="share of right labels: images and labels")
    jobs.add_argument("--add-bitfile", metavar="FOLDER", type=Path, help="take a bitfile that Vivado made")
    jobs.add_argument("--make-standin", action="store_true", help="compile the stand-in cppsim on this machine")
    parser.add_argument("--scores", action="store_true", help="with --classify: the best scores too")
    parser.add_argument("--json", action="store_true", help="the answer as one JSON object, errors too")
    parser.add_argument("--package", metavar="FOLDER", type=Path, default=PACKAGE, help="default: this driver's")
    parser.add_argument("--batch-size", metavar="N", type=int, help="images that the buffers hold")
    parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help="seconds that a run may take (60)")
    return parser


def _run(options: argparse.Namespace) -> Answer:
    if options.add_bitfile:
        added = str(add_bitfile(options.package, options.add_bitfile))
        return {"added": added}, [f"added {added}"]
    if options.make_standin:
        made = str(make_cppsim(options.package))
        return {"made": made}, [f"made {made}: put IR2NET_DEVICE=cppsim in front of the other commands"]
    batch_size = max(1, len(options.classify or [])) if options.batch_size is None else options.batch_size
    with Accelerator(options.package, batch_size, options.timeout) as accelerator:
        if options.validate:
            exact, verdict = accelerator.compare()
            return {"exact": exact, "verdict": verdict}, [verdict]
        if options.throughput:
            return _throughput(accelerator)
        if options.accuracy:
            right, images = accelerator.accuracy(options.accuracy)
            text = f"{right / images:.2%} of {images} images are labelled rightly ({right})"
            return {"accuracy": right / images, "right": right, "images": images}, [text]
        return _classify(accelerator, options.classify, options.scores)


def _throughput(accelerator: Accelerator) -> Answer:
    result = accelerator.throughput_test()
    lines = [f"{name:<40} {value:.6g}" for name, value in result.items()]
    if "host_per_batch[ms]" in result:
        result["binds"] = (
            "host" if result["host_per_batch[ms]"] > result["accelerator_per_batch[ms]"] else "accelerator"
        )
        lines.append("the {} binds".format(result["binds"]))
    return result, lines


def _classify(accelerator: Accelerator, paths: list[Path], with_scores: bool) -> Answer:
    """A label for each picture; one that cannot be read costs no other its label."""
    height, width, channels = accelerator.ishape_normal()[1:]
    found: list[dict[str, Any]] = [{"file": str(path)} for path in paths]
    pixels = []
    for path, picture in zip(paths, found):
        try:
            pixels.append(image.read(path, (channels, height, width)))
        except InputError as error:
            picture["error"] = str(error)
    good = [picture for picture in found if "error" not in picture]
    labels, scores = accelerator.classify(np.stack(pixels)) if good else (np.empty(0, np.int64), None)
    if with_scores and good and scores is None:
        raise InputError("the accelerator gives labels, no scores: build it without --label-select")
    names = dict(enumerate(accelerator.settings.content.get("classes") or []))
    lines = []
    for index, (picture, label) in enumerate(zip(good, labels.tolist())):
        picture.update(label=label, name=names.get(label), scores=None if scores is None else scores[index].tolist())
        best = np.argsort(-scores[index], kind="stable")[:BEST].tolist() if with_scores and scores is not None else []
        ranks = ["{} {:g}".format(names.get(other, other), picture["scores"][other]) for other in best]
        named = f"{label} ({names[label]})" if label in names else str(label)
        lines.append("{}: {}".format(picture["file"], "  ".join([named, *ranks])))
    return {"pictures": found}, lines


if __name__ == "__main__":
    sys.exit(main())
