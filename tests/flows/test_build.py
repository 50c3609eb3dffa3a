# SPDX-License-Identifier: Apache-2.0
"""The command line: `tiny` through the whole flow, its report, resume, and what bad input gets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.build import run
from flows.config import BuildConfig
from flows.errors import UserError
from flows.report.summary import Summary
from tests.flows.command import ROOT, build

STEPS = [
    "export",
    "streamline",
    "convert",
    "fold",
    "specialise",
    "generate",
    "verify",
    "stitch",
    "simulate",
    "synthesise",
    "package",
    "bitfile",
    "report",
]


@pytest.fixture(scope="module")
def summary(tiny_build: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tiny_build / "report" / "summary.json").read_text())
    return found


@pytest.mark.timeout(1500)
def test_every_rung_is_exact(summary: dict[str, Any]) -> None:
    Summary.model_validate(summary)
    rungs = {row["stage"]: row for row in summary["verification"]}
    graphs = {"export", "streamline", "convert", "fold", "specialise", "generate"}
    assert set(rungs) == graphs | {"tensors", "test images", "nodes", "stitched", "stitched, random stalls", "driver"}
    assert all(row["mismatches"] == 0 for row in rungs.values())
    assert all(rungs[name]["images"] >= 4 for name in graphs)
    assert rungs["nodes"]["images"] == 1
    assert rungs["stitched"]["images"] >= 3


@pytest.mark.timeout(1500)
def test_design_is_all_rtl_fast_enough_and_fits(summary: dict[str, Any]) -> None:
    assert summary["graph"]["hls_nodes"] == 0
    assert summary["graph"]["outside_partition"] == ["Transpose", "Mul"]
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
def test_package_names_every_file_with_its_digest(tiny_build: Path) -> None:
    deploy = tiny_build / "11_package" / "deploy"
    settings = json.loads((deploy / "settings.json").read_text())
    found = {str(path.relative_to(deploy)) for path in deploy.rglob("*") if path.is_file()} - {"settings.json"}
    assert set(settings["files"]) == found
    text = "".join(path.read_text() for path in (deploy / "rtl").glob("*.*v"))
    assert str(tiny_build) not in text  # ROM files are found on any machine


@pytest.mark.timeout(1500)
def test_a_second_build_comes_from_the_cache(tiny_build: Path) -> None:
    result = build("--network", "tiny", "--board", "pynq-z2", "--output-dir", tiny_build, "--stop", "bitfile")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(" cached ") == len(STEPS) - 2
    assert " skipped " in next(line for line in result.stderr.splitlines() if "bitfile" in line)


@pytest.mark.timeout(1500)
def test_a_flipped_weight_bit_is_found_at_its_node(tiny_build: Path, tmp_path: Path) -> None:
    from hw.rtlsim import nodewise

    node = "XnorMVAU_rtl_0"
    model, folder = _with_copied_node(tiny_build, tmp_path, node)
    rom = next(folder.glob("*.hex"))
    words = rom.read_text().split()
    words[0] = f"{int(words[0], 16) ^ 1:0{len(words[0])}x}"
    rom.write_text("\n".join(words) + "\n")
    results = _check(nodewise, model, tiny_build, node)
    assert results.difference is not None


@pytest.mark.timeout(1500)
def test_a_wrong_threshold_is_found_at_its_node(tiny_build: Path, tmp_path: Path) -> None:
    from hw.rtlsim import nodewise

    node = "Thresholding_rtl_0"
    model, folder = _with_copied_node(tiny_build, tmp_path, node)
    for rom in folder.glob("*.dat"):  # all thresholds of one stage, so that an image is sure to meet one
        words = rom.read_text().split()
        rom.write_text("\n".join("0" * len(word) for word in words) + "\n")
        break
    results = _check(nodewise, model, tiny_build, node)
    assert results.difference is not None


def _with_copied_node(tiny_build: Path, tmp_path: Path, name: str) -> tuple[Any, Path]:
    """The generated model with one node's files moved to where a test may change them."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp

    from hw import finn_env
    from hw.rtlsim import xsi

    finn_env.setup(tmp_path / "finn")
    xsi.install()
    model = ModelWrapper(str(tiny_build / "06_generate" / "model.onnx"))
    operator = getCustomOp(model.get_node_from_name(name))
    source = Path(operator.get_nodeattr("code_gen_dir_ipgen"))
    folder = tmp_path / name
    shutil.copytree(source, folder)
    for file in folder.glob("*.*v"):
        file.write_text(file.read_text().replace(str(source), str(folder)))
    for attribute in ("code_gen_dir_ipgen", "ipgen_path", "ip_path"):
        operator.set_nodeattr(attribute, str(folder))
    return model, folder


def _check(nodewise: Any, model: Any, tiny_build: Path, name: str) -> Any:
    with np.load(tiny_build / "07_verify" / "tensors.npz") as tensors:
        return nodewise.check_node(model, model.get_node_from_name(name), dict(tensors))


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
        ({"network": "resnet20", "data_dir": "."}, r"no test\*\.parquet in"),
        ({"network": "resnet20", "data_dir": "nowhere"}, "no such data folder"),
        ({"target_fps": 1e9}, "leaves no clock cycle for a frame; lower --target-fps"),
        ({"target_fps": float("inf")}, "leaves no clock cycle"),
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
    with pytest.raises(UserError, match=r"step 'stitch' needs a C\+\+ compiler"):
        run(BuildConfig(network="tiny", output_dir=tmp_path / "out", verify=()))
    assert list(tmp_path.iterdir()) == []


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
