# SPDX-License-Identifier: Apache-2.0
"""Steps for FINN's own builder: this project's cells, folding and simulator inside a FINN flow.

A `build_dataflow` configuration names them by their module paths, e.g. `hw.finn_steps.step_ir2net_specialise`, beside
FINN's steps; docs/finn-build.yaml is one. Each takes the graph that FINN has at its place, and needs no vendor tool;
`python -m hw.finn_steps CONFIG.yaml MODEL.onnx` runs the builder where there is none:

    step_ir2net_streamline  in place of step_qonnx_to_finn, step_tidy_up and step_streamline
    step_ir2net_convert     in place of step_convert_to_hw and step_create_dataflow_partition
    step_ir2net_specialise  in place of step_specialize_layers
    step_ir2net_fold        in place of step_target_fps_parallelization and step_apply_folding_config
    step_ir2net_design      in place of step_hw_codegen, step_hw_ipgen, step_set_fifo_depths and step_create_stitched_ip
    step_ir2net_simulate    in place of step_measure_rtlsim_performance
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from finn.builder.build_dataflow_config import DataflowBuildConfig
from finn.util.exception import FINNUserError
from qonnx.core.modelwrapper import ModelWrapper

from hw.boards.board import Board, available
from hw.design.design import Design
from hw.design.fifos import Prices, insert_width_converters
from hw.finn_env import setup
from hw.ops.cost import Budget
from hw.rtlsim import xsi
from hw.rtlsim.depths import FRAMES, size_fifos
from hw.rtlsim.whole import simulate
from hw.transforms.convert import convert
from hw.transforms.fold import fold
from hw.transforms.specialise import specialise
from hw.transforms.streamline import streamline
from hw.transforms.verify import execute

DESIGN, PARENT, SCRATCH = "ir2net_design", "ir2net_parent.onnx", "ir2net_scratch"
"""In the configuration's output_dir: the design with its RTL, the graph around the partition, FINN's files."""


def step_ir2net_streamline(model: ModelWrapper, cfg: DataflowBuildConfig) -> Any:
    """From an exported QONNX graph with pixels 0 .. 255 to integers between thresholds."""
    _set_up(cfg)
    return streamline(model)


def step_ir2net_convert(model: ModelWrapper, cfg: DataflowBuildConfig) -> Any:
    """Hardware nodes, in a partition of their own; what stays around them is written to the output folder."""
    _set_up(cfg)
    parent, partition = convert(model)
    parent.save(str(Path(cfg.output_dir) / PARENT))
    return partition


def step_ir2net_specialise(model: ModelWrapper, cfg: DataflowBuildConfig) -> Any:
    """Replace every abstract node by RTL: this project's cells first, FINN's own for the rest."""
    _set_up(cfg)
    return specialise(model, cfg._resolve_fpga_part())


def step_ir2net_fold(model: ModelWrapper, cfg: DataflowBuildConfig) -> Any:
    """Fold for target_fps, or the fastest that fits, by what folding_config_file says of PE, SIMD and memories."""
    _set_up(cfg)
    board = _board(cfg)
    content = json.loads(Path(cfg.folding_config_file).read_text()) if cfg.folding_config_file else {}
    wanted = {name: settings for name, settings in content.items() if name != "Defaults"}
    budget = Budget(lut=board.left["lut"], bram36=board.left["bram36"], dsp=board.left["dsp"])
    cycles = cfg._resolve_cycles_per_frame()
    result = fold(model, target_cycles=cycles, budget=budget, part=board.part, folding=wanted)
    print(result.message)  # FINN's builder keeps it in its log
    return result.model


def step_ir2net_design(model: ModelWrapper, cfg: DataflowBuildConfig) -> Any:
    """Write the stitched design, with FIFOs as deep as a simulation asks for, into the output folder."""
    scratch, board = _set_up(cfg), _board(cfg)
    prices = Prices(board.part, board.resources.lut / max(2 * board.resources.bram36, 1))
    converted = insert_width_converters(model, board.part)
    folder = Path(cfg.output_dir) / DESIGN
    return size_fifos(converted, prices, cfg.synth_clk_period_ns, folder, scratch, progress=print).model


def step_ir2net_simulate(model: ModelWrapper, cfg: DataflowBuildConfig) -> Any:
    """Run random frames through the stitched design, compare them with Python, and note how fast it is.

    Raises:
        FINNUserError: an integer differs.
    """
    _set_up(cfg)
    design = Design.load(Path(cfg.output_dir) / DESIGN)
    source = model.graph.input[0].name
    datatype, shape = model.get_tensor_datatype(source), model.get_tensor_shape(source)
    frames = np.random.default_rng(0).integers(int(datatype.min()), int(datatype.max()) + 1, (FRAMES, *shape[1:]))
    result = simulate(design, frames)
    if not np.array_equal(result.outputs, execute(model, np.moveaxis(frames, -1, 1))):
        raise FINNUserError("the stitched design differs from FINN's Python execution")
    figures = {
        "interval_cycles": result.interval,
        "latency_cycles": result.latency,
        "fps": 1e9 / cfg.synth_clk_period_ns / result.interval,
    }
    (cfg.get_report_directory() / "ir2net_simulation.json").write_text(json.dumps(figures, indent=2) + "\n")
    return model


def _set_up(cfg: DataflowBuildConfig) -> Path:
    """Register the operators; returns the folder for FINN's files."""
    scratch = Path(cfg.output_dir) / SCRATCH
    setup(scratch)
    return scratch


def _board(cfg: DataflowBuildConfig) -> Board:
    """What is known of the configuration's part: resources, and what a shell takes of them."""
    part = cfg._resolve_fpga_part()
    found = [board for board in available() if board.part == part]
    if not found:
        known = ", ".join(sorted({board.part for board in available()}))
        raise FINNUserError(f"no file of hw/boards is for {part}; there are files for {known}")
    return next((board for board in found if board.platform == cfg.board), found[0])


def main(config: str, model: str) -> int:
    """Run FINN's builder with Verilator in place of Vivado's simulator; returns its exit code."""
    cfg = DataflowBuildConfig.from_yaml(Path(config).read_text())
    os.environ.setdefault("XILINX_VIVADO", "none")  # FINN notes the name of this folder
    _set_up(cfg)
    xsi.install()
    from finn.builder.build_dataflow import build_dataflow_cfg  # which looks for the simulator as it is imported

    return int(build_dataflow_cfg(model, cfg))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
