# SPDX-License-Identifier: Apache-2.0
"""`tiny` on every board: HDL for its part and clock, synthesis against its device, its package, and all that FINN has
Vivado, Vitis HLS and v++ do for the bitfile, against stand-ins for these.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flows.config import Engine
from flows.pipeline import Context
from flows.steps import bitfile, package, synthesise
from hw import finn_env
from hw.boards.board import Board, available
from hw.design.generate import generate_hdl
from hw.design.stitch import stitch
from hw.driver import Accelerator
from tests.flows import finished
from tests.hw.deploy import fake_tools, flowcheck, tclcheck
from tests.tools import needs_tclsh

pytestmark = needs_tclsh

DRIVEN = ("u250", "zcu104")
"""One of each shell, besides the PYNQ-Z2 of the other tests; a compiler's time for each of the rest shows no more."""


def context(board: Board, tiny_build: Path, folder: Path) -> Context:
    """A build for the board that has come as far as `design`: RTL of the folded graph with its FIFOs."""
    verify: tuple[Engine, ...] = ("cppsim",) if board.name in DRIVEN else ()
    found = finished.context(tiny_build, "design", folder / "design", board.name, verify=verify, bitfile=True)
    for step in ("design", "synthesise", "package", "bitfile"):
        found.folders[step] = folder / step
        found.folders[step].mkdir()
    finn_env.setup(folder / "finn")
    model = ModelWrapper(str(tiny_build / "07_design" / "model.onnx"))
    for node in model.graph.node:
        getCustomOp(node).set_nodeattr("ipgen_path", "")  # for another part
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = generate_hdl(model, board.part, found.clock_ns, folder / "finn")
    found.save(model)
    stitch(model, found.path("design", "design"), board.part, found.clock_ns)
    return found


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("board", available(), ids=lambda board: board.name)
def test_generate_fit_package_and_scripts(
    board: Board, tiny_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = context(board, tiny_build, tmp_path)
    found.current = "synthesise"
    resources = synthesise.run(found).resources
    assert resources.lut is not None and resources.fits
    assert resources.available.lut == board.resources.lut
    assert 0 < resources.lut < resources.available.lut
    found.current = "package"
    package.run(found)
    settings = json.loads((found.path("package", "deploy") / "settings.json").read_text())
    assert (settings["part"], settings["platform"]) == (board.part, board.shell)
    assert settings["clock_mhz"] == board.clock_mhz
    vivado = found.path("package", "deploy") / "vivado"
    for script in ("ooc.tcl", "package_ip.tcl"):
        commands = tclcheck.run(vivado / script, tmp_path)
        design = tclcheck.check(commands, vivado.parent / "rtl")
        assert len(design.files) > 20
        assert any(board.part in command for command in commands)
    assert [row.engine for row in found.compared] == list(found.config.verify)
    if board.name in DRIVEN:
        with Accelerator(found.path("package", "deploy"), batch_size=3, device="cppsim") as accelerator:
            assert accelerator.validate()
            assert accelerator.fclk_mhz == board.clock_mhz
    found.current = "bitfile"
    fake_tools.install(monkeypatch, tmp_path / "tools")
    reported = bitfile.run(found).vivado
    assert reported is not None and reported.met and reported.lut
    flow = flowcheck.check(found.path("bitfile", "finn"))
    shapes = settings["io_shape_dict"]
    assert {*shapes["input_dma_name"], *shapes["output_dma_name"]} < flow.instances
    # two DMAs from Vitis HLS, three kernels, the shell's project or three objects and a report; a cell for each node
    assert flow.scripts == (6 if board.shell == "zynq-iodma" else 9)
    assert flow.cells > len(ModelWrapper(str(found.path("design", "model.onnx"))).graph.node)
    assert all(board.part in script.read_text() for script in found.path("bitfile", "finn").rglob("make_project.tcl"))
    shutil.rmtree(tmp_path)
