# SPDX-License-Identifier: Apache-2.0
"""What the driver has to know about a design: FINN's io_shape_dict, and the id of the build."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hw.design.design import Design
from hw.driver.settings import digest

ID_DIGITS = 16
DMA_NAMES = {"zynq-iodma": "{}dma{}", "alveo": "{}dma_{}"}
"""What FINN calls the DMAs of its shells; the driver looks for them under these names."""


def io_shape_dict(design: Design, shell: str) -> dict[str, Any]:
    """Types and shapes of all inputs and outputs, and their DMAs in a shell ("zynq-iodma", "alveo"): FINN's keys."""
    shapes: dict[str, Any] = {"number_of_external_weights": 0, "external_weights_input_shapes": {}}
    for side, edges in (("input", design.inputs), ("output", design.outputs)):
        letter, ends = side[0], [edge.stream for edge in edges]
        shapes |= {
            f"{letter}dt": [f"DataType['{end.datatype}']" for end in ends],
            f"{letter}shape_normal": [list(end.shape) for end in ends],
            f"{letter}shape_folded": [list(end.folded_shape) for end in ends],
            f"{letter}shape_packed": [[*end.folded_shape[:-1], end.width // 8] for end in ends],
            f"{side}_dma_name": [DMA_NAMES[shell].format(letter, index) for index in range(len(ends))],
            f"num_{side}s": len(ends),
        }
    return shapes


def build_id(rtl: Path, facts: Mapping[str, Any]) -> str:
    """Names the design: it covers every source and memory below `rtl`, and `facts`."""
    files = {str(path.relative_to(rtl)): digest(path) for path in sorted(rtl.rglob("*")) if path.is_file()}
    text = json.dumps([files, facts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]
