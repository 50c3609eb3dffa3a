# SPDX-License-Identifier: Apache-2.0
"""A convolution with a width converter and FIFOs, synthesised node by node and once as one flat design."""

from __future__ import annotations

from pathlib import Path

import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw import finn_env
from hw.design.design import Design
from hw.design.stitch import stitch
from hw.synth.design import synthesise_design
from hw.synth.resources import Resources
from hw.synth.yosys import Module, synthesise_all
from tests.hw.design.graphs import CLOCK_NS, PART, Network, with_hdl


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("synth")


@pytest.fixture(scope="module")
def model(folder: Path) -> ModelWrapper:
    finn_env.setup(folder / "finn")
    network = Network(size=6, channels=4)
    plain = network.model(network.convolution(network.input, simd=4, pe=2))
    return with_hdl(plain, {"in": 2, "in_win": 40}, folder / "nodes")


@pytest.fixture(scope="module")
def design(model: ModelWrapper, folder: Path) -> Design:
    return stitch(model, folder / "design", PART, CLOCK_NS)


@pytest.fixture(scope="module")
def found(design: Design, folder: Path) -> dict[str, Resources]:
    return synthesise_design(design, "xc7", cache_dir=folder / "cache")


def test_every_node_in_graph_order(model: ModelWrapper, found: dict[str, Resources]) -> None:
    assert list(found) == [node.name for node in model.graph.node]
    assert all(resources.lut > 0 for resources in found.values())


def test_weights_belong_to_their_node(model: ModelWrapper, design: Design, found: dict[str, Resources]) -> None:
    """The memory of weights is a cell of its own in FINN's block design."""
    operator = getCustomOp(model.get_node_from_name("MVAU_rtl_0"))
    resources = found["MVAU_rtl_0"]
    sources = design.sources(design.node("MVAU_rtl_0").module)
    assert any(path.name == "memstream.sv" for path in sources)
    assert resources.dsp > 0
    weight_bits = operator.get_nodeattr("MW") * operator.get_nodeattr("MH") * 4
    assert resources.lutram * 64 + resources.bram36 * 36 * 1024 >= weight_bits


def test_the_sum_bounds_the_flat_design(design: Design, found: dict[str, Resources], folder: Path) -> None:
    module = Module(design.top, tuple(design.sources()), folder=design.rtl)
    flat = synthesise_all({"flat": module}, cache_dir=folder / "cache")["flat"]
    total = Resources.total(found.values())
    assert flat.dsp == total.dsp
    assert flat.bram36 == total.bram36
    assert 0.8 * total.lut <= flat.lut <= 1.03 * total.lut
    assert 0.8 * total.ff <= flat.ff <= total.ff
