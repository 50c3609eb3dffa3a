# SPDX-License-Identifier: Apache-2.0
"""deploy/: driver, settings, golden vectors and RTL for the board; a stand-in, on which the driver is tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flows.errors import ToolError
from flows.pipeline import Context, Step, digest
from flows.steps.golden import load_golden, output_scale

PICTURES = 10
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "4_device.ipynb"
FOLDING = ("PE", "SIMD", "depth")
REFERENCE_MHZ = 100.0
"""Of the processing system's clock in FINN's Zynq shell, from which a PLL makes the accelerator's."""

README = """\
{network} for {board} ({part}), {clock_mhz:g} MHz, build {build_id}

On the board, in this folder:

    python3 -m driver --validate                   # EXACT, or the first integer that differs
    python3 -m driver --classify images/*.png
    python3 -m driver --throughput

On a PC, with numpy and nothing else, the same against the simulated accelerator: put IR2NET_DEVICE=cppsim (fast) or
IR2NET_DEVICE=rtlsim (cycle by cycle) in front.

driver/        Python 3.8 or later, numpy and pynq
notebooks/     the same in Jupyter, with pictures
settings.json  shapes, types, folding, clock, and the sha256 of every file here; do not edit it
golden.npz     images, and the integers that the accelerator must give for them
images/        some of these images as pictures
rtl/           the whole accelerator; top module {top}; simulate or synthesise it with rtl/ as working folder
vivado/        scripts that synthesise rtl/ on its own and package it as an IP, and a README of the commands
standin/       the accelerator compiled for PCs; not used on the board

{bitfile}
"""
BITFILE = """\
accelerator.bit and accelerator.hwh (or accelerator.xclbin) are here where the build had Vivado. Once they are made
elsewhere from this build, `python3 -m driver --add-bitfile FOLDER` takes them in (vivado/README)."""


def run(context: Context) -> dict[str, Any]:
    """Collect the package, then run its driver on the stand-in."""
    from hw import finn_env
    from hw.deploy.rtl import copy_design
    from hw.deploy.settings import build_id, io_shape_dict
    from hw.deploy.standin import copy_driver
    from hw.deploy.vivado import write_scripts
    from hw.driver.settings import FORMAT, write
    from hw.rtlsim.stitch import stitch

    finn_env.setup(context.folder / "finn")
    model = ModelWrapper(str(context.path("stitch", "model.onnx")))
    design = stitch(model, context.folder / "stitched")
    deploy = context.folder / "deploy"
    deploy.mkdir()
    sources = copy_design(design, deploy / "rtl")
    facts: dict[str, Any] = {
        "network": context.config.network,
        "board": context.board.name,
        "part": context.board.part,
        "platform": context.board.shell,
        "clock_mhz": context.clock_mhz,
        "top": design.top,
        "io_shape_dict": io_shape_dict(design, context.board.shell),
    }
    facts["build_id"] = build_id(deploy / "rtl", facts)
    copy_driver(deploy / "driver")
    write_scripts(deploy / "vivado", deploy / "rtl", sources, facts, context.clock_ns)
    _write_vectors(context, deploy)
    (deploy / "notebooks").mkdir()
    shutil.copy(NOTEBOOK, deploy / "notebooks")
    engines = _add_standin(context, deploy / "standin", facts["build_id"], design.top, sources)
    (deploy / "README").write_text(README.format(**facts, bitfile=BITFILE))
    label = context.config.label_select
    scale = None if label else float(output_scale(ModelWrapper(str(context.path("convert", "parent.onnx")))))
    settings: dict[str, Any] = facts | {
        "format": FORMAT,
        "reference_mhz": REFERENCE_MHZ if context.board.shell == "zynq-iodma" else None,
        "scale": scale,
        "classes": _class_names(context),
        "folding": _folding(model),
        "checkpoint": digest(context.checkpoint),
        "files": _digests(deploy),
    }
    write(deploy, settings)
    rows = [_try_driver(context, deploy, engine) for engine in engines]
    name = f"{context.config.network}-{context.board.name}"
    archive = _zip(deploy, context.folder / f"{name}.zip", name)
    return {
        "build_id": facts["build_id"],
        "files": len(settings["files"]),
        "archive": archive.name,
        "verification": rows,
    }


def _write_vectors(context: Context, deploy: Path) -> None:
    """golden.npz, and some of its images as pictures."""
    golden = load_golden(context)
    arrays: dict[str, Any] = {
        "images": golden.images,
        "outputs": golden.hardware.astype(np.int32),
        "logits": golden.logits,
    }
    if golden.labels is not None:
        arrays["labels"] = golden.labels
    np.savez_compressed(deploy / "golden.npz", **arrays)
    (deploy / "images").mkdir()
    for index, image in enumerate(golden.images[:PICTURES]):
        pixels: NDArray[np.uint8] = image.transpose(1, 2, 0)
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(deploy / "images" / f"{index}.png")


def _add_standin(context: Context, folder: Path, build_id: str, top: str, sources: list[Path]) -> list[str]:
    """Libraries of the engines that were verified; those that were not asked for take a compiler for nothing."""
    from hw.deploy.standin import add_cppsim, add_rtlsim, write_design

    engines: list[str] = [engine for engine in ("cppsim", "rtlsim") if engine in context.config.verify]
    write_design(folder, build_id)
    if "cppsim" in engines:
        context.status("cppsim for the package")
        add_cppsim(folder, context.path("verify", "cppsim"))
    if "rtlsim" in engines:
        context.status("rtlsim for the package")
        add_rtlsim(folder, top, sources)
    return engines


def _try_driver(context: Context, deploy: Path, engine: str) -> dict[str, Any]:
    """The package's own driver on its stand-in, in a process of its own."""
    context.status(f"driver on {engine}")
    began = time.monotonic()
    environment = {**os.environ, "IR2NET_DEVICE": engine, "IR2NET_FAULT": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "driver", "--validate", "--timeout", "3600"]
    done = subprocess.run(command, cwd=deploy, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, sep="\n")  # to the step's log
    verdict = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no answer"]
    if done.returncode != 0 or not verdict[0].startswith("EXACT"):
        raise ToolError(f"the driver on {engine}: {verdict[0]}")
    images = len(load_golden(context).images)
    seconds = round(time.monotonic() - began, 2)
    return {"stage": "driver", "engine": engine, "images": images, "mismatches": 0, "seconds": seconds}


def _class_names(context: Context) -> list[str]:
    from model.data import class_names

    return list(class_names(context.config.network))


def _folding(model: ModelWrapper) -> dict[str, dict[str, int]]:
    table = {}
    for node in model.graph.node:
        operator = getCustomOp(node)
        known = operator.get_nodeattr_types()
        table[node.name] = {name: int(operator.get_nodeattr(name)) for name in FOLDING if name in known}
    return table


def _digests(deploy: Path) -> dict[str, str]:
    return {str(path.relative_to(deploy)): digest(path) for path in sorted(deploy.rglob("*")) if path.is_file()}


def _zip(deploy: Path, target: Path, name: str) -> Path:
    """The package as one file that unpacks into a folder called `name`."""
    links = target.with_suffix("")
    shutil.copytree(deploy, links / name)
    shutil.make_archive(str(links), "zip", links, name)
    shutil.rmtree(links)
    return target


STEP = Step(
    "package",
    run,
    options=("network", "label_select", "verify"),
    needs=("export", "convert", "verify", "stitch"),
    compiles=lambda config: not {"cppsim", "rtlsim"}.isdisjoint(config.verify),
)
