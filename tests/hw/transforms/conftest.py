# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from sklearn.datasets import load_sample_images
from torch import nn

from hw import finn_env
from hw.transforms.convert import convert
from hw.transforms.streamline import streamline
from model.export import export
from model.networks import create_network
from model.networks.adjust import calibrate
from model.networks.ties import separate_ties


@pytest.fixture(scope="session", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelWrapper, dict[str, Any]]:
    """`tiny` with random weights, batch norms of both signs, and golden logits of photograph patches."""
    network = create_network("tiny", seed=3)
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            gamma = torch.rand(module.num_features, generator=generator) * 0.6 + 0.1
            if isinstance(module, nn.BatchNorm2d):
                gamma *= torch.where(torch.rand(module.num_features, generator=generator) < 0.25, -1, 1)
            module.weight.data = gamma
            module.bias.data = torch.randn(module.num_features, generator=generator) * 0.2
    patches = _patches(40, network.spec.size)
    calibrate(network, torch.from_numpy(patches[:32]))
    separate_ties(network)
    result = export(network, tmp_path_factory.mktemp("export"), patches[32:36])
    return ModelWrapper(str(result.model)), dict(np.load(result.golden))


@pytest.fixture(scope="session")
def streamlined(exported: tuple[ModelWrapper, dict[str, Any]]) -> ModelWrapper:
    return streamline(exported[0])


@pytest.fixture(scope="session")
def converted(streamlined: ModelWrapper) -> tuple[ModelWrapper, ModelWrapper]:
    """(parent, partition)."""
    parent, partition = convert(streamlined)
    return parent, partition


def _patches(count: int, size: int) -> np.ndarray:
    photographs = load_sample_images().images
    rng = np.random.default_rng(3)
    patches = []
    for _ in range(count):
        photograph = photographs[rng.integers(len(photographs))]
        top, left = (rng.integers(0, extent - size) for extent in photograph.shape[:2])
        patches.append(photograph[top : top + size, left : left + size].mean(2).astype(np.uint8)[None])
    return np.stack(patches)
