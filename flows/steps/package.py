# SPDX-License-Identifier: Apache-2.0
"""deploy/: driver, settings, golden vectors and RTL for the board; a stand-in, on which the driver is tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flows.errors import ToolError
from flows.pipeline import Context, Step, file_digests
from flows.report.summary import StepResult
from flows.steps.convert import Converted
from flows.steps.export import Exported
from flows.steps.golden import Golden, load_golden
from hw.design.design import Design
from hw.driver.settings import FORMAT, write
from hw.driver.standin import REFERENCE_MHZ

PICTURES = 10
IMAGES = "some of these images as pictures"
NO_IMAGES = "empty: for your pictures. Those of golden.npz are sample photographs, of none of the classes"
ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "hw" / "deploy" / "4_device.ipynb"
SETUP = ROOT / "hw" / "deploy" / "setup.py"

README = """\
{network} for {board} ({part}), {clock_mhz:g} MHz, build {build_id}

On the board, in this folder:

    python3 -m driver --validate                   # EXACT, or the first integer that differs
    python3 -m driver --classify images/*.png
    python3 -m driver --throughput
    python3 -m driver --accuracy FILE.npz          # of arrays called images and labels

--json gives the answer to a program, --scores the best scores of each picture, --help the rest. `pip install .` takes
the package in as the module {module}: `python3 -m {module}.driver --validate` then runs
anywhere, and `pynq get-notebooks {module}` copies its notebook.

On a PC, with numpy and nothing else, the same against the simulated accelerator: put IR2NET_DEVICE=cppsim (fast) or
IR2NET_DEVICE=rtlsim (cycle by cycle) in front. `python3 -m driver --make-standin` compiles cppsim where the package
has it for other machines only, say on the board; that takes g++.

driver/        Python 3.8 or later, numpy 1.17 or later, and pynq
notebooks/     the same in Jupyter, with pictures
settings.json  shapes, types, folding, clock, and the sha256 of every file here; do not edit it
golden.npz     images, and the integers that the accelerator must give for them
images/        {images}
rtl/           the whole accelerator; top module {top}; simulate or synthesise it with rtl/ as working folder
vivado/        scripts that synthesise rtl/ on its own and package it as an IP, and a README of the commands
standin/       the accelerator compiled for PCs, and as C++; not needed on the board

{bitfile}
"""
BITFILE = """\
accelerator.bit and accelerator.hwh (or accelerator.xclbin) are here where the build had Vivado. Once they are made
elsewhere from this build, `python3 -m driver --add-bitfile FOLDER` takes them in (vivado/README)."""


def run(context: Context) -> StepResult:
    """Collect the package, then run its driver on the stand-in."""
    from hw.deploy.settings import build_id, io_shape_dict
    from hw.deploy.standin import copy_driver
    from hw.deploy.vivado import write_scripts

    design = Design.load(context.path("design", "design"))
    golden = load_golden(context)
    deploy = context.folder / "deploy"
    shutil.copytree(design.rtl, deploy / "rtl")
    shell = context.board.shell
    facts: dict[str, Any] = {
        "network": context.config.network,
        "board": context.board.name,
        "part": context.board.part,
        "platform": shell,
        "clock_mhz": context.clock_mhz,
        "top": design.top,
        "io_shape_dict": io_shape_dict(design, shell),
    }
    facts["build_id"] = build_id(deploy / "rtl", facts)
    copy_driver(deploy / "driver")
    write_scripts(deploy / "vivado", design, facts)
    _write_vectors(golden, deploy)
    (deploy / "notebooks").mkdir()
    shutil.copy(NOTEBOOK, deploy / "notebooks")
    shutil.copy(SETUP, deploy)
    engines = _add_standin(context, deploy / "standin", facts["build_id"], design)
    module = "ir2net_{network}_{board}".format(**facts).replace("-", "_")
    images = NO_IMAGES if golden.labels is None else IMAGES
    (deploy / "README").write_text(README.format(**facts, module=module, bitfile=BITFILE, images=images))
    settings: dict[str, Any] = facts | {
        "format": FORMAT,
        "module": module,
        "reference_mhz": REFERENCE_MHZ if shell == "zynq-iodma" else None,
        "scale": context.result(Converted).scale,
        "offset": context.result(Converted).offset,
        "classes": list(golden.classes),
        "folding": {node.name: dict(node.folding) for node in design.nodes},
        "checkpoint": context.result(Exported).checkpoint.sha256,
        "files": file_digests(deploy),
    }
    write(deploy, settings)
    for engine in engines:
        _try_driver(context, deploy, engine, len(golden.images))
    name = f"{context.config.network}-{context.board.name}"
    _zip(deploy, context.folder / f"{name}.zip", name)
    return StepResult()


def _write_vectors(golden: Golden, deploy: Path) -> None:
    """golden.npz, and some of its images as pictures, but none that a name of a class would be wrong for."""
    arrays: dict[str, Any] = {
        "images": golden.images,
        "outputs": golden.hardware.astype(np.int32),
        "logits": golden.logits,
    }
    if golden.labels is not None:
        arrays["labels"] = golden.labels
    np.savez_compressed(deploy / "golden.npz", **arrays)
    (deploy / "images").mkdir()
    pictures = golden.labels is not None and golden.images.dtype == np.uint8 and golden.images.ndim == 4
    pictures = pictures and golden.images.shape[1] in {1, 3}
    for index, image in enumerate(golden.images[:PICTURES] if pictures else ()):
        pixels: NDArray[np.uint8] = image.transpose(1, 2, 0)
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(deploy / "images" / f"{index}.png")


def _add_standin(context: Context, folder: Path, build_id: str, design: Design) -> list[str]:
    """Libraries of the engines that were verified; those that were not asked for take a compiler for nothing."""
    from hw.deploy.standin import add_cppsim, add_rtlsim, write_design

    engines: list[str] = [engine for engine in ("cppsim", "rtlsim") if engine in context.config.verify]
    write_design(folder, build_id)
    if "cppsim" in engines:
        context.status("cppsim for the package")
        add_cppsim(folder, context.path("verify", "cppsim"))
    if "rtlsim" in engines:
        context.status("rtlsim for the package")
        add_rtlsim(folder, design)
    return engines


def _try_driver(context: Context, deploy: Path, engine: str, images: int) -> None:
    """The package's own driver on its stand-in, in a process of its own."""
    context.status(f"driver on {engine}")
    environment = {**os.environ, "IR2NET_DEVICE": engine, "IR2NET_FAULT": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "driver", "--validate", "--timeout", "3600"]
    with context.comparing("driver", engine, images):
        done = subprocess.run(command, cwd=deploy, env=environment, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr, sep="\n")  # to the step's log
        verdict = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no answer"]
        if done.returncode != 0 or not verdict[0].startswith("EXACT"):
            raise ToolError(f"the driver on {engine}: {verdict[0]}")


def _zip(deploy: Path, target: Path, name: str) -> None:
    """The package as one file that unpacks into a folder called `name`."""
    links = target.with_suffix("")
    shutil.copytree(deploy, links / name)
    shutil.make_archive(str(links), "zip", links, name)
    shutil.rmtree(links)


STEP = Step(
    "package",
    run,
    options=("network", "verify", "images"),
    needs=("export", "convert", "verify", "design"),
    reads=(NOTEBOOK, SETUP, ROOT / "hw" / "driver", ROOT / "hw" / "streams"),
    compiles=lambda config: not {"cppsim", "rtlsim"}.isdisjoint(config.verify),
)
