# SPDX-License-Identifier: Apache-2.0
"""The package as it is shipped: its driver on the real stand-in, and what happens when it comes in pieces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from flows.steps.golden import Golden
from flows.steps.package import _write_vectors
from hw.driver import Accelerator, PackageError
from hw.driver import settings as driver_settings


@pytest.fixture(scope="module")
def package(tiny_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip, unpacked somewhere else."""
    folder = tmp_path_factory.mktemp("board")
    with zipfile.ZipFile(tiny_build / "10_package" / "tiny-pynq-z2.zip") as file:
        file.extractall(folder)
    return folder / "tiny-pynq-z2"


def driver(package: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The package's own command, with nothing of this project on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IR2NET"))}
    command = [sys.executable, "-m", "driver", *arguments]
    return subprocess.run(
        command, cwd=package, env=environment | variables, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("engine", ["cppsim", "rtlsim"])
def test_the_shipped_driver(package: Path, engine: str) -> None:
    found = driver(package, "--validate", IR2NET_DEVICE=engine)
    assert (found.returncode, found.stdout) == (0, "EXACT: 4 images, 40 integers\n")
    pictures = sorted(str(path.relative_to(package)) for path in (package / "images").iterdir())
    labels = np.load(package / "golden.npz")["logits"].argmax(axis=1)
    expected = "".join(f"{path}: {label}\n" for path, label in zip(pictures, labels, strict=True))
    assert driver(package, "--classify", *pictures, IR2NET_DEVICE=engine).stdout == expected
    wrong = driver(package, "--validate", IR2NET_DEVICE=engine, IR2NET_FAULT="flipped_bit")
    assert wrong.returncode == 1
    assert wrong.stdout.startswith("DIFFERENT: image 0, output [0]: ")
    # the next run is as exact as the first: batches, part of a batch, one image after the other
    with Accelerator(package, batch_size=3, device=engine) as accelerator:
        assert accelerator.validate()
        assert accelerator.validate()


@pytest.mark.timeout(1500)
def test_cycles_are_those_of_the_simulation(package: Path, tiny_build: Path) -> None:
    from flows.report.summary import Summary

    summary = Summary.model_validate_json((tiny_build / "report" / "summary.json").read_text())
    with Accelerator(package, batch_size=3, device="rtlsim") as accelerator:
        result = accelerator.throughput_test()
    performance = summary.performance
    assert performance.interval_cycles is not None
    assert performance.latency_cycles is not None
    frames = 2 * performance.interval_cycles + performance.latency_cycles
    assert result["simulated_cycles"] == pytest.approx(frames, rel=0.02)


@pytest.mark.timeout(1500)
def test_a_truncated_package(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("settings.json", "README"):
        (other / name).write_bytes((package / name).read_bytes())
    with pytest.raises(PackageError, match=r"is missing: the package is truncated, unpack it again"):
        Accelerator(other, device="cppsim")
    found = driver(package, "--validate", "--package", str(other), IR2NET_DEVICE="cppsim")
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1


@pytest.mark.timeout(1500)
def test_the_standin_is_made_where_it_runs(package: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    shutil.copytree(package, board)
    content = driver_settings.read(board)
    for library in (board / "standin").glob("cppsim-*.so"):  # of another kind of machine
        del content["files"][f"standin/{library.name}"]
        library.unlink()
    driver_settings.write(board, content)
    found = driver(board, "--validate", IR2NET_DEVICE="cppsim")
    assert "compile it here with `python -m driver --make-standin`" in found.stderr
    made = driver(board, "--make-standin")
    assert (made.returncode, made.stdout[:5], made.stderr) == (0, "made ", "")
    assert driver(board, "--validate", IR2NET_DEVICE="cppsim").stdout == "EXACT: 4 images, 40 integers\n"


@pytest.mark.timeout(1500)
def test_pip_takes_it_in(package: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "root"
    shutil.copytree(package, source)
    (source / "accelerator.bit").write_text("added")
    # what pip does on a board, with neither wheel nor network
    command = [sys.executable, "setup.py", "-q", "install", "--single-version-externally-managed"]
    command += ["--record", str(tmp_path / "record"), "--root", str(root), "--install-lib", "/site"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = root / "site" / "ir2net_tiny_pynq_z2"
    assert (installed / "accelerator.bit").is_file()
    lists = [path.read_text() for path in installed.parent.glob("*.egg-info/entry_points.txt")]
    assert lists == ["[pynq.notebooks]\nir2net_tiny_pynq_z2 = ir2net_tiny_pynq_z2.notebooks\n"]
    environment = {**os.environ, "PYTHONPATH": str(installed.parent), "IR2NET_DEVICE": "cppsim"}
    home = tmp_path / "pynq-notebooks" / installed.name  # where `pynq get-notebooks` puts them
    shutil.copytree(installed / "notebooks", home)
    (cell,) = (cell for cell in json.loads((home / "4_device.ipynb").read_text())["cells"] if "places" in str(cell))
    for code in (["-m", f"{installed.name}.driver", "--validate"], ["-c", "".join(cell["source"])]):
        done = subprocess.run(
            [sys.executable, *code], cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.stdout in ("EXACT: 4 images, 40 integers\n", f"{installed} on cppsim\n"), done.stderr


@pytest.mark.timeout(1500)
def test_settings_say_what_was_built(package: Path) -> None:
    found = driver_settings.read(package)
    assert (found["platform"], found["clock_mhz"], found["reference_mhz"]) == ("zynq-iodma", 100, 100)
    assert found["io_shape_dict"]["ishape_normal"] == [[1, 16, 16, 1]]
    assert any(node.startswith("XnorMVAU") and folding["PE"] for node, folding in found["folding"].items())
    assert any(name.startswith("driver/") for name in found["files"])


def test_sample_photographs_are_not_packed_as_pictures(tmp_path: Path) -> None:
    """They would be classified, and called by the name of a class that they are not of."""
    images = np.zeros((2, 3, 4, 4), np.uint8)
    for labels, count in ((None, 0), (np.arange(2), 2)):
        deploy = tmp_path / str(count)
        deploy.mkdir()
        _write_vectors(Golden(images, np.zeros((2, 3)), np.zeros((2, 3)), labels, ("cat", "dog", "owl")), deploy)
        assert len(list((deploy / "images").iterdir())) == count
