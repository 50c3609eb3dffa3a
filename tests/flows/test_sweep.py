# SPDX-License-Identifier: Apache-2.0
"""Sweeps: what a file asks for, what comes of builds beside each other, and what is left where one is ended."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.errors import UserError
from flows.sweep import Rows, planned
from tests.flows.command import ROOT
from tests.flows.report.conftest import EXAMPLE
from tests.flows.test_interrupt import still_there


def written(folder: Path, **content: Any) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def command(folder: Path, *options: str, **content: Any) -> tuple[list[str], dict[str, str]]:
    """A sweep whose builds do nothing, into folder/out."""
    (folder / "summary.json").write_text(json.dumps(EXAMPLE))
    script = Path(__file__).with_name("slow_sweep.py")
    file, output = written(folder, **content), folder / "out"
    words = [sys.executable, script, folder / "summary.json", file, "--output-dir", output, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    environment.pop("IR2NET_DATA", None)
    return list(map(str, words)), environment


def swept(folder: Path, *options: str, **content: Any) -> tuple[subprocess.CompletedProcess[str], Rows]:
    words, environment = command(folder, *options, **content)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    return done, Rows.model_validate_json((folder / "out" / "sweep.json").read_text())


def test_a_file_is_a_product_and_rows(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        common={"network": "tiny", "seed": 3},
        product={"board": ["pynq-z2", "kv260"], "target_fps": [100, "max"]},
        rows=[{"board": "u250", "verify": ["cppsim"], "seed": 4}],
    )
    plans = planned(file, tmp_path / "out")
    assert [plan.name for plan in plans] == [
        "tiny-pynq-z2-target_fps=100",
        "tiny-pynq-z2-target_fps=max",
        "tiny-kv260-target_fps=100",
        "tiny-kv260-target_fps=max",
        "tiny-u250-verify=_cppsim_-seed=4",
    ]
    assert [plan.config.seed for plan in plans] == [3, 3, 3, 3, 4]
    assert [plan.config.output for plan in plans] == [tmp_path / "out" / plan.name for plan in plans]
    assert plans[-1].config.verify == ("cppsim",)


def test_the_example_is_one(tmp_path: Path) -> None:
    assert len(planned(ROOT / "docs" / "sweep.yaml", tmp_path)) == 7


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"product": {"bord": ["kv260"]}}, "unknown option 'bord'; did you mean board"),
        ({"network": ["tiny"]}, "unknown option 'network'; known options: common, product, rows"),
        ({"product": {"board": "kv260"}}, "option 'product.board' = 'kv260': input should be a valid list"),
        ({"product": {"images": [4, 0]}}, "option 'images' = 0"),
        ({"common": {"board": "kv260"}}, "asks for no build; give it product or rows"),
        ({"rows": [{}, {}]}, "more than one build would be in"),
    ],
    ids=["option", "key", "no list", "value", "empty", "twice"],
)
def test_what_cannot_be_is_refused(tmp_path: Path, content: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError) as error:
        planned(written(tmp_path, **content), tmp_path / "out")
    assert complaint in str(error.value)


def test_a_failed_build_costs_its_own_row(tmp_path: Path) -> None:
    boards = ["pynq-z2", "broken", "killed"]
    done, found = swept(tmp_path, "--jobs", "1", product={"network": ["tiny"], "board": boards, "target_fps": [1, 2]})
    assert done.returncode == 2
    assert "error: 4 of 6 builds failed: tiny-broken-target_fps=1" in done.stderr
    log = tmp_path / "out" / "tiny-killed-target_fps=1.log"
    reasons = [None, "step 'export' failed: no reason (log: x.log)", f"ended by SIGKILL (log: {log})"]
    assert [row.failure for row in found.rows[::2]] == reasons
    assert [(row.point and row.point.fps, row.pareto) for row in found.rows[:2]] == [(1, False), (2, True)]
    page = (tmp_path / "out" / "sweep.md").read_text()
    assert page.index("tiny-pynq-z2-target_fps=2") < page.index("others") < page.index("tiny-pynq-z2-target_fps=1")
    assert "- `tiny-broken-target_fps=2`: step 'export' failed" in page
    assert "tiny-pynq-z2-target_fps=2" in (tmp_path / "out" / "pareto.svg").read_text()
    assert "reached" in done.stdout or "MISSED" in done.stdout


@pytest.mark.timeout(120)
def test_builds_run_at_once(tmp_path: Path) -> None:
    done, found = swept(tmp_path, "--jobs", "2", product={"board": ["both"], "target_fps": [1, 2]})
    assert done.returncode == 0, done.stderr
    assert [row.failure for row in found.rows] == [None, None]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_whatever_ends_a_sweep_ends_its_builds(tmp_path: Path, number: signal.Signals) -> None:
    words, environment = command(tmp_path, "--jobs", "2", product={"board": ["slow"], "target_fps": [1, 2, 3]})
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as guard:
        process = psutil.Process(guard.pid)
        children: list[psutil.Process] = []
        while sum(child.name() == "sleep" for child in children) < 2:
            assert guard.poll() is None
            time.sleep(0.1)
            children = process.children(recursive=True)
        guard.send_signal(number)
        assert still_there(children) == []
        said = guard.communicate(timeout=60)[1]
    assert not (tmp_path / "out" / "sweep.json").exists()
    assert not list((tmp_path / "out").glob("*=3"))  # that which waited was not begun
    if number != signal.SIGKILL:
        assert (guard.returncode, "error: interrupted" in said) == (1, True)


@pytest.mark.timeout(900)
def test_a_dry_run_in_a_pool_is_resumed(tmp_path: Path) -> None:
    """A real one, of the smallest network, beside a board that there is not."""
    file = written(tmp_path, common={"network": "tiny"}, product={"board": ["pynq-z2", "pynq-z9"]})
    words = [sys.executable, "-m", "flows.cli", "sweep", file, "--output-dir", tmp_path / "out", "--dry-run"]
    environment = {name: value for name, value in os.environ.items() if name != "IR2NET_DATA"}
    run = lambda: subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: E731
    done = run()
    assert done.returncode == 1, done.stderr
    first, second = Rows.model_validate_json((tmp_path / "out" / "sweep.json").read_text()).rows
    assert first.point is not None and first.folding is not None and first.pareto
    assert first.point.fps >= 10_000
    assert second.failure is not None and "pynq-z9" in second.failure
    assert run().returncode == 1
    lines = (tmp_path / "out" / "tiny-pynq-z2.log").read_text().splitlines()
    assert {line.split()[0] for line in lines if "cached" in line} == {"export", "streamline", "convert", "fold"}


def test_without_ray_its_name_is_told(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray"):
        pytest.skip("ray is installed")
    words, environment = command(tmp_path, "--ray", "local", product={"board": ["pynq-z2"]})
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: ray is not installed; install it with: pip install 'ir2net-fpga[ray]'\n"


@pytest.mark.timeout(300)
def test_ray_runs_builds_here(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
    done, found = swept(tmp_path, "--ray", "local", common={"workers": 1}, product={"board": ["pynq-z2", "broken"]})
    assert done.returncode == 2, done.stderr
    assert [bool(row.failure) for row in found.rows] == [False, True]


@pytest.mark.timeout(300)
def test_ray_runs_builds_on_a_cluster(tmp_path: Path) -> None:
    """Of two nodes with a core each: two builds that wait for each other run on both."""
    pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        done, found = swept(tmp_path, "--ray", cluster.address, product={"board": ["both"], "target_fps": [1, 2]})
    finally:
        cluster.shutdown()
    assert done.returncode == 0, done.stderr
    assert [row.failure for row in found.rows] == [None, None]
