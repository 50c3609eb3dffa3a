# SPDX-License-Identifier: Apache-2.0
"""Every family of networks, at reduced width: integer for integer to hardware nodes only, and to RTL nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper

from hw.ops.cell_op import GENERIC_DOMAIN
from hw.transforms.convert import convert
from hw.transforms.specialise import specialise
from hw.transforms.streamline import streamline
from hw.transforms.verify import execute
from model.export import export
from tests.hw.transforms.graphs import outside_partition
from tests.model.random_networks import random_images, random_network, small_spec

PART = "xc7z020clg400-1"
# Fewer blocks a stage than there are: all that are left out are alike.
CASES: dict[str, dict[str, Any]] = {
    "resnet18": {"blocks": 1},
    "vgg_small": {},
    "birealnet18_A": {"blocks": 1},
    "birealnet18_B": {"blocks": 2},
    "birealnet18_C": {"blocks": 1},
    "birealnet18_D": {"blocks": 1},
}


@pytest.mark.parametrize("name", CASES)
def test_every_graph_gives_the_logits_of_brevitas(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    network = random_network(small_spec(name, **CASES[name]), seed=3)
    images = random_images(network, 2, seed=9).numpy()
    exported = export(network, tmp_path, images)
    streamlined = streamline(ModelWrapper(str(exported.model)))
    assert np.array_equal(execute(streamlined, images), exported.logits)
    assert all(
        streamlined.get_tensor_datatype(node.output[0]).is_integer() for node in list(streamlined.graph.node)[:-1]
    )
    parent, partition = convert(streamlined)
    assert outside_partition(parent) == ["Transpose", "Mul"]
    assert all(node.domain.startswith(GENERIC_DOMAIN) for node in partition.graph.node)
    (mul,) = parent.get_nodes_by_op_type("Mul")
    for model in (partition, specialise(partition, PART)):
        assert np.array_equal(execute(model, images) * parent.get_initializer(mul.input[1]), exported.logits)
