# SPDX-License-Identifier: Apache-2.0
"""The command line: `tiny` through the whole flow, its report, resume, and what bad input gets."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from flows.build import inputs, run
from flows.config import BuildConfig, load_config
from flows.errors import UserError
from flows.report.summary import Summary
from flows.steps.golden import load_golden
from hw.design.design import Design, DesignNode
from model.checkpoint import load_card
from tests.flows import finished
from tests.flows.command import ROOT, build

STEPS = [
    "export",
    "streamline",
    "convert",
    "fold",
    "specialise",
    "verify",
    "design",
    "simulate",
    "synthesise",
    "package",
    "bitfile",
    "route",
    "report",
]


@pytest.fixture(scope="module")
def summary(tiny_build: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tiny_build / "report" / "summary.json").read_text())
    return found


@pytest.mark.timeout(1500)
def test_every_rung_is_exact(summary: dict[str, Any]) -> None:
    Summary.model_validate(summary)
    assert summary["timing"] == "not routed"
    rungs = {row["stage"]: row for row in summary["verification"]}
    graphs = {"export", "streamline", "convert", "fold", "specialise"}
    assert set(rungs) == graphs | {"tensors", "test images", "nodes", "stitched", "stitched, random stalls", "driver"}
    assert all(row["mismatches"] == 0 for row in rungs.values())
    assert all(rungs[name]["images"] >= 4 for name in graphs)
    assert rungs["nodes"]["images"] == 1
    assert rungs["stitched"]["images"] >= 3


@pytest.mark.timeout(1500)
def test_design_is_all_rtl_fast_enough_and_fits(summary: dict[str, Any]) -> None:
    assert summary["graph"]["hls_nodes"] == 0
    assert summary["graph"]["outside_partition"] == ["Transpose", "Mul"]
    assert (summary["graph"]["joins_fused"], summary["graph"]["joins_apart"]) == (6, 0)
    assert summary["performance"]["fps"] >= 5000
    assert summary["performance"]["interval_cycles"] <= 20000
    assert summary["resources"]["fits"] is True
    assert summary["resources"]["lut"] < summary["resources"]["available"]["lut"]


@pytest.mark.timeout(1500)
def test_report_is_about_every_step_itself_included(summary: dict[str, Any], tiny_build: Path) -> None:
    assert [step["name"] for step in summary["steps"]] == STEPS
    own = json.loads((tiny_build / "report" / "done.json").read_text())["seconds"]
    assert 0.5 * own < summary["steps"][-1]["seconds"] <= own


@pytest.mark.timeout(1500)
def test_report_names_what_it_measured(summary: dict[str, Any], tiny_build: Path) -> None:
    card = json.loads((ROOT / "model" / "checkpoints" / "tiny.card.json").read_text())
    assert summary["checkpoint"]["images"] == card["test_images"]
    nodes = json.loads((tiny_build / "report" / "nodes.json").read_text())
    assert summary["performance"]["bottleneck"] in {node["name"] for node in nodes}
    assert {node["cycles"] for node in nodes if "FIFO" in node["op"]} == {None}
    assert summary["peak_memory_mb"] > 500


@pytest.mark.timeout(1500)
def test_a_build_says_what_it_reached(summary: dict[str, Any], tiny_build: Path) -> None:
    rows = (re.split(r"  +", line, maxsplit=1) for line in (tiny_build / "said.txt").read_text().splitlines())
    said = {row[0]: row[1] for row in rows if len(row) == 2}
    assert said["EXACT"] == f"0 integers differ in {len(summary['verification'])} comparisons"
    assert said["frames/s"] == f"{summary['performance']['fps']:,.0f} (target 10,000: reached)"
    assert "% of the 360 test images of scikit-learn digits, by the hardware's integers" in said["top-1"]
    assert all(Path(said[name]).exists() for name in ("report", "package"))
    assert json.loads((tiny_build / "said.json").read_text()) == summary
    assert "\x1b" not in (tiny_build / "said.txt").read_text()


@pytest.mark.timeout(1500)
def test_a_dry_run_chooses_what_the_build_was_folded_with(tiny_build: Path, tmp_path: Path) -> None:
    """Which the report leaves as a file that can be given back, with the names that it shows."""
    result = build("--network", "tiny", "--dry-run", "--json", "--output-dir", tmp_path)
    assert result.returncode == 0, result.stderr
    file = load_config(tiny_build / "report" / "folding.yaml", {})
    assert (file.network, file.board) == ("tiny", "pynq-z2")
    assert json.loads(result.stdout)["nodes"] == file.folding
    assert set(file.folding) <= {
        node["name"] for node in json.loads((tiny_build / "report" / "nodes.json").read_text())
    }
    assert "binds" in result.stderr and "expected (target 10,000: reached)" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["dry-run"]


@pytest.mark.timeout(1500)
def test_nodes_say_what_they_compute_with(tiny_build: Path) -> None:
    nodes = {node["name"]: node for node in json.loads((tiny_build / "report" / "nodes.json").read_text())}
    unit = nodes["XnorMVAU_rtl_0"]
    assert (unit["takes"], unit["gives"][:4]) == ("BINARY", "UINT")
    assert re.fullmatch(r"BINARY \d+ x \d+ in (the RTL|LUTs|block RAM)", unit["constants"])
    assert unit["layer"]
    assert re.fullmatch(r"\d+ weights in the RTL", nodes["DspMVAU_rtl_0"]["constants"])
    fifos = [node["fifo"] for node in nodes.values() if node["op"] == "StreamFIFO_rtl"]
    assert fifos and all(fifo["depth"] > 0 and fifo["width"] > 0 and fifo["peak"] is not None for fifo in fifos)


@pytest.mark.timeout(1500)
def test_package_names_every_file_with_its_digest(tiny_build: Path) -> None:
    deploy = tiny_build / "10_package" / "deploy"
    settings = json.loads((deploy / "settings.json").read_text())
    found = {str(path.relative_to(deploy)) for path in deploy.rglob("*") if path.is_file()} - {"settings.json"}
    assert set(settings["files"]) == found
    text = "".join(path.read_text() for path in (deploy / "rtl").glob("*.*v"))
    assert str(tiny_build) not in text  # ROM files are found on any machine


@pytest.mark.timeout(1500)
def test_a_second_build_comes_from_the_cache(tiny_build: Path) -> None:
    result = build("--network", "tiny", "--board", "pynq-z2", "--output-dir", tiny_build, "--stop", "route")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(" cached ") == len(STEPS) - 3
    for step in ("bitfile", "route"):
        assert " skipped " in next(line for line in result.stderr.splitlines() if step in line)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("op", ["XnorMVAU_rtl", "Requantise_rtl"])
def test_a_changed_memory_is_found_at_its_node(op: str, tiny_build: Path, tmp_path: Path) -> None:
    """The lowest and the highest bit of each word, a weight or an offset's sign: an image is sure to meet one.

    The node is the first of its kind that has a memory; weights can also be a part of the RTL.
    """
    from hw import finn_env
    from hw.rtlsim.nodes import check_nodes
    from hw.transforms.verify import tensors

    finn_env.setup(tmp_path / "finn")
    context = finished.context(tiny_build, "simulate", tmp_path)
    shutil.copytree(tiny_build / "07_design" / "design", tmp_path / "design")
    design = Design.load(tmp_path / "design")
    roms = list(design.rtl.glob("rom/*.hex"))
    node, changed = next(
        (found.name, some) for found in design.nodes if found.op == op and (some := _memories(design, found, roms))
    )
    for rom in changed:
        words = rom.read_text().split()
        bits = 1 | 1 << max(int(word, 16) for word in words).bit_length() - 1
        flipped = (f"{int(word, 16) ^ bits:0{len(word)}x}" for word in words)
        rom.write_text("\n".join(flipped) + "\n")
    image = load_golden(context).images[0]
    wrong = [found.node for found in check_nodes(design, tensors(context.model("design"), image)) if found.difference]
    assert wrong == [node]


def _memories(design: Design, node: DesignNode, roms: list[Path]) -> list[Path]:
    """Those of the ROMs that a node reads."""
    text = "".join(path.read_text() for path in design.sources(node.module))
    return [path for path in roms if path.name[:8] in text]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "resnet2"], "did you mean resnet20"),
        (["--board", "pynq-z3"], "did you mean"),
        (["--network", "tiny", "--checkpoint", "absent.safetensors"], "absent.safetensors"),
        (["--network", "resnet20", "--checkpoint", "model/checkpoints/tiny.safetensors"], "checkpoint of tiny"),
        (["--network", "tiny", "--target-fps", "0"], "target_fps"),
        (["--network", "tiny", "--target-fps", "-1"], "target_fps"),
        (["--network", "tiny", "--stop", "nowhere"], "unknown step 'nowhere'"),
        (["--nonsense"], "--nonsense"),
        (["--images", "many"], "--images"),
    ],
)
def test_bad_input_gets_one_line_and_exit_1(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = build(*arguments, "--output-dir", tmp_path / "out")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert message in line
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_dir": "."}, "nothing is in"),
        ({"network": "resnet20", "data_dir": "."}, "no CIFAR-10 in"),
        ({"network": "resnet20", "data_dir": "nowhere"}, "no such data folder"),
        ({"target_fps": 1e9}, "leaves no clock cycle for a frame; lower --target-fps"),
        ({"target_fps": float("inf")}, "leaves no clock cycle"),
        ({"clock_mhz": 137}, "pynq-z2: the shell cannot make 137 MHz, but 135 or 140; choose another --clock-mhz"),
        ({"clock_mhz": 400}, "the shell cannot make 400 MHz, but 250;"),
        ({"checkpoint": "[/bold].safetensors"}, "cannot read the checkpoint"),
        ({"output_dir": "/proc/out"}, "cannot write to /proc/out"),
    ],
)
def test_bad_input_is_noticed_before_the_first_step(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    if "data_dir" in options:
        options = options | {"data_dir": tmp_path / options["data_dir"]}
    with pytest.raises(UserError, match=message):
        run(BuildConfig(**{"network": "tiny", "output_dir": tmp_path / "out"} | options))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_compiler_is_noticed_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "g++"))
    with pytest.raises(UserError, match=r"step 'verify' needs a C\+\+ compiler"):
        run(BuildConfig(network="tiny", output_dir=tmp_path / "out"))
    with pytest.raises(UserError, match=r"step 'design' needs a C\+\+ compiler"):
        run(BuildConfig(network="tiny", output_dir=tmp_path / "out", verify=()))
    assert list(tmp_path.iterdir()) == []


def test_random_weights_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR2NET_CACHE", str(tmp_path))
    configs = [BuildConfig(network="tiny", weights="random", seed=seed) for seed in (3, 3, 4)]
    first, again, other = (inputs(config) for config in configs)
    assert first == again != other
    assert load_card(first).dataset == "nothing: random weights, seed 3"
    assert "--weights random --seed 3" in configs[0].command()


@pytest.mark.parametrize("name", ['a"b', "a\\b"])
def test_a_path_that_verilog_cannot_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose a path without double quotes and backslashes"):
        run(BuildConfig(network="tiny", output_dir=tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IR2NET_CACHE", raising=False)
    with pytest.raises(UserError, match="let IR2NET_CACHE name a folder that can be written"):
        run(BuildConfig(network="tiny", output_dir=tmp_path / "out"))


def test_a_relative_cache_is_one_folder_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IR2NET_CACHE", "my cache")
    with pytest.raises(UserError, match="unknown board"):
        run(BuildConfig(network="tiny", board="none", output_dir=tmp_path / "out"))
    assert os.environ["IR2NET_CACHE"] == str(tmp_path / "my cache")


def test_a_file_in_place_of_the_output_folder_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.write_text("precious")
    with pytest.raises(UserError, match="is not a folder"):
        run(BuildConfig(network="tiny", output_dir=output))
    assert output.read_text() == "precious"


def test_a_corrupted_checkpoint_is_refused(tmp_path: Path) -> None:
    for name in ("tiny.safetensors", "tiny.card.json"):
        shutil.copy(ROOT / "model" / "checkpoints" / name, tmp_path)
    data = bytearray((tmp_path / "tiny.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "tiny.safetensors").write_bytes(data)
    result = build("--network", "tiny", "--checkpoint", tmp_path / "tiny.safetensors", "--output-dir", tmp_path / "out")
    assert result.returncode == 1
    assert "sha256" in result.stderr
    assert not (tmp_path / "out").exists()
