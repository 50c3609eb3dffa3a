# SPDX-License-Identifier: Apache-2.0
"""The benches: the main job of a network with its design, and the XNOR-popcount unit on its own.

Each works in a folder of its own, which is empty at its start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from flows.bench.accelerator import accelerator
from flows.bench.results import Figure, Target
from flows.pipeline import Skipped
from flows.report.summary import ResourceUse, Summary

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 100
"""Simulated for the speed of the simulation: of this many, filling and draining the design are a few per cent."""

UNIT = "xnor_mvu_axi"
UNITS = ((16, 72), (32, 144))  # PE, SIMD
UNIT_FOLD = (8, 4)  # of inputs and neurons: so many words of weights that no bit of them is constant, and saved
PACKED = (("UINT8", 3), ("INT18", 1), ("INT4", 16), ("BINARY", 64), ("INT12", 10), ("INT5", 7))
"""Type and elements of a beat: pixels, logits, and folded streams of other widths."""
PACKED_BYTES = 4_000_000


@dataclass(frozen=True)
class Bench:
    """How something is measured, under which conditions, and what the figures have to be."""

    measure: Callable[[Path], dict[str, Figure]]
    conditions: str
    targets: tuple[Target, ...]


def main_job(network: str, folder: Path, *, fps: str | None = None) -> dict[str, Figure]:
    """Build `network` for the PYNQ-Z2 as a user does, and simulate its design for long.

    Args:
        network: of the shipped ones.
        folder: to work in.
        fps: --target-fps; None for the board's.

    Raises:
        Skipped: the build failed.
    """
    began = time.monotonic()
    summary = _build(network, folder, *([] if fps is None else ["--target-fps", fps]))
    wall = time.monotonic() - began
    return {
        "wall_seconds": round(wall, 1),
        "step_seconds": {step.name: step.seconds for step in summary.steps},
        "peak_memory_mb": summary.peak_memory_mb,
        "mismatches": summary.mismatches,
        "clock_mhz": summary.clock_mhz,
        **summary.performance.model_dump(include={"interval_cycles", "latency_cycles", "fps"}),
        **_resources(summary.resources),
        **simulation(folder / "output", folder),
    }


def _build(network: str, folder: Path, *options: str) -> Summary:
    """Build for the PYNQ-Z2 into `folder`/output, with a cache of its own."""
    output, log = folder / "output", folder / "build.log"
    script = str(ROOT / "flows" / "build.py")
    command = [sys.executable, script, "--board", "pynq-z2", "--network", network, "--output-dir", str(output)]
    environment = os.environ | {"IR2NET_CACHE": str(folder / "cache")}
    with log.open("w") as stream:
        done = subprocess.run(
            [*command, *options], env=environment, cwd=ROOT, stdout=stream, stderr=stream, check=False
        )
    if done.returncode:
        last = (log.read_text().strip().splitlines() or ["nothing said"])[-1]
        raise Skipped(f"the build ended with exit code {done.returncode}: {last}")
    return Summary.model_validate_json((output / "report" / "summary.json").read_text())


def routed(network: str, folder: Path) -> dict[str, Figure]:
    """What nextpnr reaches with the design of `network` on the stand-in, and which node is the slowest there.

    Raises:
        Skipped: no nextpnr is installed, or the build failed.
    """
    summary = _build(network, folder, "--route", "--verify", "")
    step = next(step for step in summary.steps if step.name == "route")
    if summary.routed is None:
        raise Skipped(str(step.reason))
    worst = summary.routed.paths[0] if summary.routed.paths else None
    return {
        "seconds": step.seconds,
        **summary.routed.model_dump(include={"tool", "device", "seed", "fmax_mhz", "parts"}),
        "node": worst and worst.node,
        "routing_share": worst and round(worst.routing_ns / worst.delay_ns, 3),
    }


def _resources(use: ResourceUse) -> dict[str, Figure]:
    """Each resource and its share of the device."""
    figures: dict[str, Figure] = {}
    for name, available in use.available:
        taken = getattr(use, name)
        figures |= {name: taken, f"{name}_share": None if taken is None else round(taken / available, 4)}
    return figures


def simulation(build: Path, folder: Path) -> dict[str, Figure]:
    """Cycles for a second of the processor of the stitched design that `build` left, without compiling and loading."""
    from hw.design.design import Design
    from hw.rtlsim.whole import simulate

    (design,) = build.glob("*_design/design")
    (golden,) = build.glob("*_export/golden.npz")
    with np.load(golden) as file:
        images = file["images"][:FRAMES].transpose(0, 2, 3, 1)  # the hardware takes channels last
    frames = images[np.arange(FRAMES) % len(images)]
    result = simulate(Design.load(design), frames, cache_dir=folder / "cache")
    return {
        "simulated_frames": FRAMES,
        "simulated_interval_cycles": result.interval,
        "simulated_cycles": result.cycles,
        "simulated_cycles_per_second": round(result.cycles / result.seconds),
    }


def xnor_units(folder: Path) -> dict[str, Figure]:
    """LUTs of the XNOR-popcount unit for each multiplication (an XNOR and its count) that it does in a cycle."""
    from hw.ops.xnor_mvau import weight_words
    from hw.rtl import sources
    from hw.synth import yosys

    modules = {}
    for pe, simd in UNITS:
        mw, mh = UNIT_FOLD[0] * simd, UNIT_FOLD[1] * pe
        weights = np.random.default_rng(0).integers(0, 2, (mw, mh))
        rom = folder / f"{pe}x{simd}.hex"
        rom.write_text("\n".join(weight_words(weights, pe, simd)) + "\n")
        shape: dict[str, int | str] = {"MW": mw, "MH": mh, "PE": pe, "SIMD": simd, "AccWidth": mw.bit_length()}
        modules[f"{pe}x{simd}"] = yosys.Module(UNIT, sources(UNIT), shape | {"InitFile": str(rom), "RamStyle": "block"})
    found = yosys.synthesise_all(modules, cache_dir=folder / "cache")
    figures: dict[str, Figure] = {}
    for (pe, simd), (name, used) in zip(UNITS, found.items(), strict=True):
        figures |= {f"lut_{name}": used.lut, f"ff_{name}": used.ff, f"bram36_{name}": used.bram36}
        figures[f"lut_per_mac_{name}"] = round(used.lut / (pe * simd), 3)
    return figures


def packing(folder: Path) -> dict[str, Figure]:
    """MB of numpy arrays that the driver packs and unpacks in a second; the best of some runs of 4 MB."""
    from hw.streams.packing import DataType, pack, unpack

    figures: dict[str, Figure] = {}
    for name, elements in PACKED:
        datatype = DataType.of(name)
        shape = (PACKED_BYTES // elements // datatype.dtype.itemsize, elements)
        values = np.random.default_rng(0).integers(datatype.low, datatype.high + 1, shape).astype(datatype.dtype)
        width = (elements * datatype.bits + 7) // 8
        target = np.empty((len(values), width), np.uint8)
        pack_s = _seconds(partial(pack, values, datatype, width, out=target))
        unpack_s = _seconds(partial(unpack, target, datatype, elements))
        figures[f"pack_{name}x{elements}_mb_s"] = round(values.nbytes / 1e6 / pack_s)
        figures[f"unpack_{name}x{elements}_mb_s"] = round(values.nbytes / 1e6 / unpack_s)
    return figures


def _seconds(function: Callable[[], object]) -> float:
    """Of one core, the best of five."""
    times = []
    for _ in range(5):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return max(min(times), 1e-6)


EMPTY = "installed environment; empty output folder, empty caches of compiled simulations and of synthesis"
BUILD = (Target("wall_seconds", "<=", 20 * 60), Target("peak_memory_mb", "<=", 8000))
BENCHES = {
    "resnet20": Bench(
        partial(main_job, "resnet20", fps="40000"),
        f"main job for the PYNQ-Z2, 40,000 frames/s; {EMPTY}",
        (
            Target("interval_cycles", "<=", 2500),
            Target("latency_cycles", "<=", 10_000),
            Target("lut", "<=", 37_200),
            Target("bram36", "<=", 125),
            Target("dsp", "<=", 205),
            Target("simulated_cycles_per_second", ">=", 60_000),
            *BUILD,
        ),
    ),
    "resnet20_10000": Bench(
        partial(main_job, "resnet20", fps="10000"),
        f"main job for the PYNQ-Z2, 10,000 frames/s; {EMPTY}",
        (Target("interval_cycles", "<=", 10_000), Target("lut", "<=", 22_000), *BUILD),
    ),
    "resnet20_20000": Bench(
        partial(main_job, "resnet20", fps="20000"),
        f"main job for the PYNQ-Z2, 20,000 frames/s; {EMPTY}",
        (Target("interval_cycles", "<=", 5000), *BUILD),
    ),
    "resnet20_max": Bench(
        partial(main_job, "resnet20", fps="max"),
        f"main job for the PYNQ-Z2, the fastest that fits; {EMPTY}",
        (Target("lut_share", "<=", 0.85), *BUILD),
    ),
    "tiny": Bench(
        partial(main_job, "tiny"),
        f"main job for the PYNQ-Z2; {EMPTY}",
        (Target("wall_seconds", "<=", 4 * 60),),
    ),
    "tiny_100": Bench(
        partial(main_job, "tiny", fps="100"),
        f"main job for the PYNQ-Z2, 100 frames/s; {EMPTY}",
        (Target("interval_cycles", "<=", 1_000_000), Target("lut", "<=", 3000)),
    ),
    "route": Bench(
        partial(routed, "tiny"),
        "tiny for the PYNQ-Z2, placed and routed by nextpnr on an ECP5 that stands in for the board's chip",
        (),
    ),
    "cppsim": Bench(
        partial(accelerator, "resnet20"),
        "resnet20's integer graph on two threads, random images, empty cache; PyTorch: the light layers, as "
        "model.evaluate runs them; onnxruntime: the float graph of the paper's precision, image by image",
        (
            Target("images_per_second", ">=", 2000),
            Target("peak_memory_mb", "<=", 500),
            Target("compile_seconds", "<=", 20),
        ),
    ),
    "xnor_mvu": Bench(
        xnor_units,
        "xnor_mvu_axi, PE x SIMD, of 8 SIMD inputs and 4 PE neurons, random weights in block RAM; Yosys, xc7",
        tuple(Target(f"lut_per_mac_{pe}x{simd}", "<=", 1.9) for pe, simd in UNITS),
    ),
    "driver": Bench(
        packing,
        "packing and unpacking of 4 MB by the driver on one core; MB of the numpy arrays, TYPE x elements of a beat",
        tuple(Target(f"{way}_{n}x{e}_mb_s", ">=", 200) for n, e in PACKED for way in ("pack", "unpack")),
    ),
}
