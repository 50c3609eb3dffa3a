# SPDX-License-Identifier: Apache-2.0
"""The bitfile by FINN's ZynqBuild or VitisBuild, where Vivado is installed, and the package with it inside."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from flows.config import BuildConfig
from flows.errors import ToolError, UserError
from flows.pipeline import Context, Skipped, Step, first_line
from flows.report.summary import WORST, StepResult, TimedPath, Vivado
from hw.boards.board import Board
from hw.boards.clock import finn_period_ns
from hw.cache import file_digest
from hw.deploy import reports
from hw.deploy.vivado import VERSIONS
from hw.design.design import Design

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

HEADERS = "finn-hlslib"
LINKED_AS = {"U200": "U250"}
"""FINN knows the memory banks of four cards; the U200's are four of DDR4 as the U250's are."""
REPORTS = {
    "report_timing.rpt": ("*timing_summary*rout*.rpt",),
    "report_utilization.rpt": ("*utilization_placed.rpt", "*full_util_routed.rpt"),
}
"""Our names for the reports of an implementation run, and those that Vivado and v++ give them."""


class Bitfile(StepResult):
    """What Vivado's reports say."""

    vivado: Vivado | None = None


def run(context: Context) -> Bitfile:
    """Make the bitfile, and the package with it."""
    missing = missing_tools(context.board)
    if not context.config.bitfile:
        raise Skipped(f"{missing[0]}" if missing else "not asked for (--bitfile)")
    check(context.config, context.board)
    from hw import finn_env
    from hw.driver.adopt import add_bitfile

    finn_env.setup(context.folder / "finn")
    model = context.model("design")
    made = context.folder / "made"
    made.mkdir()
    try:
        files = _zynq(context, model, made) if context.board.shell == "zynq-iodma" else _vitis(context, model, made)
    except Exception as error:  # FINN raises what it likes
        raise ToolError(f"FINN cannot make the bitfile: {first_line(error)}", context.log) from error
    package = context.path("package", "deploy")
    settings = json.loads((package / "settings.json").read_text())
    record = {"build_id": settings["build_id"], "files": {path.name: file_digest(path) for path in files}}
    (made / "bitfile.json").write_text(json.dumps(record))
    name = f"{context.config.network}-{context.board.name}"
    deploy = context.folder / name
    shutil.copytree(package, deploy)
    add_bitfile(deploy, made)
    shutil.make_archive(str(context.folder / name), "zip", context.folder, name)
    return Bitfile(vivado=_figures(made, Design.load(context.path("design", "design"))))


def check(config: BuildConfig, board: Board) -> None:
    """Raise UserError where a bitfile is asked for that cannot be made here."""
    if not config.bitfile:
        return
    from finn.util.basic import alveo_part_map, pynq_part_map

    if board.platform not in pynq_part_map | alveo_part_map:
        raise UserError(f"--bitfile: FINN knows no board '{board.platform}'", "leave --bitfile out, all else works")
    for place in (config.output, Path(__file__).resolve().parent):
        if not re.fullmatch(r"[\w./+~-]+", str(place), re.ASCII):
            raise UserError(
                f"--bitfile: FINN's scripts for Vivado cannot name files in {place}",
                "choose a path of letters, digits and . _ - + ~, or leave --bitfile out",
            )
    missing = missing_tools(board)
    if missing:
        vitis, xrt = (
            (", Vitis, XRT and the card's platform", " and XRT's setup.sh") if board.shell == "alveo" else ("", "")
        )
        raise UserError(
            f"--bitfile: {'; '.join(missing)}",
            f"install Vivado with Vitis HLS{vitis} ({VERSIONS}), source its settings64.sh{xrt}, and let FINN_DEPS name "
            f"a folder with the repository {HEADERS} (docs/board.md says from where); or leave --bitfile out",
        )


def missing_tools(board: Board) -> list[str]:
    """What a bitfile takes and this machine lacks, one line each."""
    alveo = board.shell == "alveo"
    tools = ["vivado", *(["v++", "kernelinfo"] if alveo else [])]
    lines = [f"{tool} is not installed" for tool in tools if shutil.which(tool) is None]
    if shutil.which("vitis_hls") is None and shutil.which("vitis-run") is None:
        lines.append("Vitis HLS is not installed")
    variables = ["XILINX_VIVADO", *(["XILINX_VITIS", "XILINX_XRT", "PLATFORM_REPO_PATHS"] if alveo else [])]
    lines += [f"{name} is not set" for name in variables if not os.environ.get(name)]
    if not (Path(os.environ.get("FINN_DEPS", "")) / HEADERS).is_dir() or not os.environ.get("FINN_DEPS"):
        lines.append(f"FINN_DEPS names no folder with {HEADERS}")
    return lines


def _zynq(context: Context, model: ModelWrapper, made: Path) -> list[Path]:
    """FINN's Zynq shell; returns accelerator.bit and .hwh."""
    from finn.transformation.fpgadataflow.make_zynq_proj import ZynqBuild

    build = ZynqBuild(
        context.board.platform, finn_period_ns(context.clock_mhz), partition_model_dir=context.folder / "partitions"
    )
    model = model.transform(build)
    bitfile = Path(shutil.copyfile(model.get_metadata_prop("bitfile"), made / "accelerator.bit"))
    handoff = Path(shutil.copyfile(model.get_metadata_prop("hw_handoff"), made / "accelerator.hwh"))
    shutil.copyfile(model.get_metadata_prop("vivado_synth_rpt"), made / "report_utilization.xml")
    _copy_reports(Path(model.get_metadata_prop("vivado_pynq_proj")), made)
    return [bitfile, handoff]


def _vitis(context: Context, model: ModelWrapper, made: Path) -> list[Path]:
    """FINN's kernels and their link for Alveo; returns accelerator.xclbin."""
    from finn.builder.build_dataflow_config import DataflowBuildConfig, ShellFlowType
    from finn.transformation.fpgadataflow.build_xo import BuildAllXOs
    from finn.transformation.fpgadataflow.create_dataflow_partition import CreateDataflowPartition
    from finn.transformation.fpgadataflow.floorplan import Floorplan
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.insert_iodma import InsertIODMA
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from finn.transformation.fpgadataflow.vitis_build import VitisBuild

    board = context.board
    config = DataflowBuildConfig(
        output_dir=str(context.folder / "finn-output"),
        synth_clk_period_ns=finn_period_ns(context.clock_mhz),
        board=LINKED_AS.get(board.platform, board.platform),
        fpga_part=board.part,
        shell_flow_type=ShellFlowType.VITIS_ALVEO,
        vitis_platform=board.vitis_platform,
        generate_outputs=[],
    )
    # what FINN's step_prepare_synthesis and step_synthesize_bitfile do; their module wants a simulator to be imported
    for transformation in (
        InsertIODMA(board.axi_width_bits),
        InsertDWC(),
        SpecializeLayers(board.part),
        GiveUniqueNodeNames(),
        GiveReadableTensorNames(),
        Floorplan(),
        CreateDataflowPartition(str(context.folder / "partitions")),
        GiveUniqueNodeNames(),
        GiveReadableTensorNames(),
        BuildAllXOs(board.part, context.clock_ns),
        VitisBuild(config),
    ):
        model = model.transform(transformation)
    (bitfile,) = json.loads(model.get_metadata_prop("bitfile")).values()
    _copy_reports(Path(bitfile).parent, made)
    return [Path(shutil.copyfile(bitfile, made / "accelerator.xclbin"))]


def _copy_reports(project: Path, made: Path) -> None:
    """Vivado's own reports of the last stage that it came to."""
    for name, patterns in REPORTS.items():
        found = [path for pattern in patterns for path in project.rglob(pattern)]
        if found:
            shutil.copyfile(max(found, key=lambda path: path.stat().st_mtime), made / name)


def _figures(made: Path, design: Design) -> Vivado:
    """What the copied reports say, as summary.json has it."""
    timing, utilisation = ((made / name).read_text() if (made / name).exists() else "" for name in REPORTS)
    slacks = reports.timing(timing)
    known = [slack for slack in slacks.values() if slack is not None]
    met = min(known) >= 0 if known else None
    worst: dict[str, TimedPath] = {}
    for path in reports.paths(timing):
        node = reports.node_of(path["end"], [node.name for node in design.nodes])
        layer = design.node(node).layer if node else ""
        worst.setdefault(node, TimedPath.model_validate({"node": node, "layer": layer, **path}))
    figures = {"tool": reports.tool(timing), **slacks, "met": met, **reports.utilisation(utilisation)}
    return Vivado.model_validate(figures | {"paths": tuple(worst.values())[:WORST]})


STEP = Step("bitfile", run, Bitfile, options=("network", "bitfile"), needs=("design", "package"))
