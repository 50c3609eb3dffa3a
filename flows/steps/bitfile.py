# SPDX-License-Identifier: Apache-2.0
"""The bitfile by FINN's ZynqBuild or VitisBuild, where Vivado is installed, and the package with it inside."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.config import BuildConfig
from flows.errors import ToolError, UserError
from flows.pipeline import Context, Skipped, Step, digest
from hw.boards.board import Board
from hw.deploy.vivado import VERSIONS

HEADERS = "finn-hlslib"


def run(context: Context) -> dict[str, Any]:
    """Make the bitfile, and the package with it."""
    missing = missing_tools(context.board)
    if not context.config.bitfile:
        raise Skipped(f"{missing[0]}" if missing else "not asked for (--bitfile)")
    check(context.config, context.board)
    from hw import finn_env
    from hw.driver.adopt import add_bitfile

    finn_env.setup(context.folder / "finn")
    model = ModelWrapper(str(context.path("stitch", "model.onnx")))
    made = context.folder / "made"
    made.mkdir()
    try:
        files = _zynq(context, model, made) if context.board.shell == "zynq-iodma" else _vitis(context, model, made)
    except Exception as error:  # FINN raises what it likes
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ToolError(f"FINN cannot make the bitfile: {first}", context.log) from error
    package = context.path("package", "deploy")
    settings = json.loads((package / "settings.json").read_text())
    record = {"build_id": settings["build_id"], "files": {path.name: digest(path) for path in files}}
    (made / "bitfile.json").write_text(json.dumps(record))
    name = f"{context.config.network}-{context.board.name}"
    deploy = context.folder / name
    shutil.copytree(package, deploy)
    add_bitfile(deploy, made)
    shutil.make_archive(str(context.folder / name), "zip", context.folder, name)
    return {"archive": f"{name}.zip", "reports": sorted(path.name for path in made.glob("*report*"))}


def check(config: BuildConfig, board: Board) -> None:
    """Raise UserError where a bitfile is asked for that cannot be made here."""
    missing = missing_tools(board) if config.bitfile else []
    if missing:
        vitis = ", Vitis and the platform of the card" if board.shell == "alveo" else ""
        raise UserError(
            f"--bitfile: {'; '.join(missing)}",
            f"install Vivado with Vitis HLS{vitis} ({VERSIONS}), source its settings64.sh, and let FINN_DEPS name a "
            f"folder with the repository {HEADERS}; or leave --bitfile out",
        )


def missing_tools(board: Board) -> list[str]:
    """What a bitfile takes and this machine lacks, one line each."""
    tools = ["vivado"] + (["v++"] if board.shell == "alveo" else [])
    lines = [f"{tool} is not installed" for tool in tools if shutil.which(tool) is None]
    if shutil.which("vitis_hls") is None and shutil.which("vitis-run") is None:
        lines.append("Vitis HLS is not installed")
    if not os.environ.get("XILINX_VIVADO"):
        lines.append("XILINX_VIVADO is not set")
    if not (Path(os.environ.get("FINN_DEPS", "")) / HEADERS).is_dir() or not os.environ.get("FINN_DEPS"):
        lines.append(f"FINN_DEPS names no folder with {HEADERS}")
    return lines


def _zynq(context: Context, model: ModelWrapper, made: Path) -> list[Path]:
    """FINN's Zynq shell; returns accelerator.bit and .hwh."""
    from finn.transformation.fpgadataflow.make_zynq_proj import ZynqBuild

    build = ZynqBuild(context.board.platform, context.clock_ns, partition_model_dir=context.folder / "partitions")
    model = model.transform(build)
    bitfile = Path(shutil.copyfile(model.get_metadata_prop("bitfile"), made / "accelerator.bit"))
    handoff = Path(shutil.copyfile(model.get_metadata_prop("hw_handoff"), made / "accelerator.hwh"))
    shutil.copyfile(model.get_metadata_prop("vivado_synth_rpt"), made / "report_utilization.xml")
    project = Path(model.get_metadata_prop("vivado_pynq_proj"))
    for report in project.glob("*.runs/impl_1/*timing_summary*.rpt"):
        shutil.copyfile(report, made / "report_timing.rpt")
    return [bitfile, handoff]


def _vitis(context: Context, model: ModelWrapper, made: Path) -> list[Path]:
    """FINN's flow for Alveo, its own steps from the graph to the link; returns accelerator.xclbin."""
    from finn.builder import build_dataflow_steps as steps
    from finn.builder.build_dataflow_config import DataflowBuildConfig, DataflowOutputType, ShellFlowType

    config = DataflowBuildConfig(
        output_dir=str(context.folder / "finn-output"),
        synth_clk_period_ns=context.clock_ns,
        board=context.board.platform,
        shell_flow_type=ShellFlowType.VITIS_ALVEO,
        vitis_platform=context.board.vitis_platform,
        generate_outputs=[DataflowOutputType.BITFILE],
    )
    model = steps.step_synthesize_bitfile(steps.step_prepare_synthesis(model, config), config)
    bitfiles = json.loads(model.get_metadata_prop("bitfile"))
    return [Path(shutil.copyfile(next(iter(bitfiles.values())), made / "accelerator.xclbin"))]


STEP = Step("bitfile", run, options=("network", "bitfile"), needs=("stitch", "package"))
