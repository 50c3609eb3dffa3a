# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from qonnx.core.modelwrapper import ModelWrapper

from hw import finn_env
from hw.cppsim import Accelerator
from hw.cppsim.program import generate_program
from tests.hw.cppsim.graphs import classifier


@pytest.fixture(scope="session", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of compiled programs for the session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def network(finn: None) -> ModelWrapper:
    """A small image classifier of generic hardware nodes."""
    return classifier()


@pytest.fixture(scope="session")
def program(network: ModelWrapper, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the classifier's program; not to be changed."""
    folder = tmp_path_factory.mktemp("classifier")
    generate_program(network, scale=0.5).write(folder)
    return folder


@pytest.fixture(scope="session")
def accelerator(program: Path, cache: Path) -> Accelerator:
    """The classifier, compiled."""
    return Accelerator.load(program, cache)
