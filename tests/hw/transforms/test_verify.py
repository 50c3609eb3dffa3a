# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from hw.transforms.verify import execute, tensors
from tests.hw.ops.nodes import one_node


def test_hardware_reads_channels_last_even_from_a_cube() -> None:
    """An image with as many channels as rows and columns has a shape that fits either way."""
    stream = {"NumChannels": 2, "PE": 1, "NumOutputStreams": 1, "inputDataType": "UINT8", "numInputVectors": [1, 2, 2]}
    outputs = {"out": ((1, 2, 2, 2), "UINT8")}
    model = one_node("DuplicateStreams", {"in": ((1, 2, 2, 2), "UINT8")}, outputs, outFIFODepths=[2], **stream)
    image = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    np.testing.assert_array_equal(tensors(model, image)["out"], image.transpose(1, 2, 0)[None])
    np.testing.assert_array_equal(execute(model, image[None]), image.transpose(1, 2, 0)[None])
