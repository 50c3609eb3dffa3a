# SPDX-License-Identifier: Apache-2.0
"""python -m driver: validate, measure and classify."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from . import image
from .accelerator import PACKAGE, Accelerator
from .adopt import add_bitfile
from .errors import DriverError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 where all went well, 1 where integers differ or an error was told."""
    options = _parser().parse_args(arguments)
    try:
        if options.add_bitfile:
            print(f"added {add_bitfile(options.package, options.add_bitfile)}")
            return 0
        batch_size = options.batch_size or max(1, len(options.classify or []))
        with Accelerator(options.package, batch_size, options.timeout) as accelerator:
            return _run(accelerator, options)
    except DriverError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m driver",
        description="IR2NET_DEVICE names the device: board (default), rtlsim or cppsim.",
    )
    jobs = parser.add_mutually_exclusive_group(required=True)
    jobs.add_argument("--validate", action="store_true", help="run the golden vectors: EXACT or the first difference")
    jobs.add_argument("--throughput", action="store_true", help="measure a batch")
    jobs.add_argument("--classify", metavar="IMAGE", type=Path, nargs="+", help="label of each picture")
    jobs.add_argument("--add-bitfile", metavar="FOLDER", type=Path, help="take a bitfile that Vivado made")
    parser.add_argument("--package", metavar="FOLDER", type=Path, default=PACKAGE, help="default: this driver's")
    parser.add_argument("--batch-size", metavar="N", type=int, help="images that the buffers hold")
    parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help="seconds that a run may take (60)")
    return parser


def _run(accelerator: Accelerator, options: argparse.Namespace) -> int:
    if options.validate:
        return 0 if accelerator.validate() else 1
    if options.throughput:
        result = accelerator.throughput_test()
        for name, value in result.items():
            print(f"{name:<40} {value:.6g}")
        if "host_per_batch[ms]" in result:
            host, device = result["host_per_batch[ms]"], result["accelerator_per_batch[ms]"]
            print("the {} binds".format("host" if host > device else "accelerator"))
        return 0
    height, width, channels = accelerator.ishape_normal()[1:]
    pictures = np.stack([image.read(path, (channels, height, width)) for path in options.classify])
    labels, _ = accelerator.classify(pictures)
    names = accelerator.settings.content.get("classes") or []
    for path, label in zip(options.classify, labels.tolist()):
        print("{}: {}".format(path, f"{label} ({names[label]})" if label < len(names) else label))
    return 0


if __name__ == "__main__":
    sys.exit(main())
