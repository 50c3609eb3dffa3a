# SPDX-License-Identifier: Apache-2.0
"""Packages for tests of the driver, with an engine of a few lines in the place of a compiled design."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.driver import settings
from hw.streams.packing import DataType, pack, unpack

BUILD_ID = "0123456789abcdef"
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4)).astype(np.uint8)
SCALE = 0.25


def expected(images: NDArray[Any]) -> NDArray[np.int32]:
    """What the engine gives for images (n, 3, 4, 4): three signed integers each."""
    channels = images.astype(np.int32).sum(axis=(2, 3))
    return channels - 2000


class Engine:
    """Sums each channel; the output is INT13, two elements a beat where there are four of them."""

    cycles = 7

    def __init__(self, name: str, folder: Path, shapes: dict[str, Any]) -> None:
        self.shapes = shapes
        self.closed = False

    def run(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        beats = data.reshape(len(data), *self.shapes["ishape_packed"][0][1:])
        idt, odt = (DataType.of(self.shapes[key][0]) for key in ("idt", "odt"))
        images = unpack(beats, idt, self.shapes["ishape_folded"][0][-1]).reshape(len(data), 4, 4, 3)
        values = expected(images.transpose(0, 3, 1, 2)).reshape(len(data), *self.shapes["oshape_folded"][0][1:])
        return pack(values, odt, self.shapes["oshape_packed"][0][-1]).reshape(len(data), -1)

    def reset(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def shapes() -> dict[str, Any]:
    """FINN's io_shape_dict of these packages."""
    return {
        "idt": ["DataType['UINT8']"],
        "odt": ["DataType['INT13']"],
        "ishape_normal": [[1, 4, 4, 3]],
        "ishape_folded": [[1, 4, 4, 1, 3]],
        "ishape_packed": [[1, 4, 4, 1, 3]],
        "oshape_normal": [[1, 3]],
        "oshape_folded": [[1, 3, 1]],
        "oshape_packed": [[1, 3, 2]],
        "input_dma_name": ["idma0"],
        "output_dma_name": ["odma0"],
        "num_inputs": 1,
        "num_outputs": 1,
    }


def write(folder: Path, **changes: Any) -> Path:
    """A package; `changes` replace keys of its settings."""
    (folder / "standin").mkdir(parents=True)
    (folder / "standin" / "design.json").write_text(json.dumps({"build_id": BUILD_ID}))
    np.savez(folder / "golden.npz", images=IMAGES, outputs=expected(IMAGES))
    content = {
        "format": settings.FORMAT,
        "build_id": BUILD_ID,
        "platform": "zynq-iodma",
        "clock_mhz": 200.0,
        "reference_mhz": 100.0,
        "scale": SCALE,
        "io_shape_dict": shapes(),
        "files": {name: settings.digest(folder / name) for name in ("golden.npz", "standin/design.json")},
    }
    settings.write(folder, content | changes)
    return folder
