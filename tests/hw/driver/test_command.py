# SPDX-License-Identifier: Apache-2.0
"""python -m driver, and what it may be made of."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hw.driver.__main__ import main
from tests.hw.driver.packages import IMAGES, Engine, expected

FOLDER = Path(sys.modules["hw.driver"].__file__ or "").parent
SOURCES = [*sorted(FOLDER.rglob("*.py")), *sorted((FOLDER.parent / "streams").glob("*.py"))]


def test_validate(package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--validate", "--package", str(package)]) == 0
    assert capsys.readouterr().out.startswith("EXACT")
    monkeypatch.setenv("IR2NET_FAULT", "flipped_bit")
    assert main(["--validate", "--package", str(package)]) == 1
    assert capsys.readouterr().out.startswith("DIFFERENT")


def test_throughput(package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for cycles, side in ((7, "host"), (10**9, "accelerator")):
        monkeypatch.setattr(Engine, "cycles", cycles)
        assert main(["--throughput", "--batch-size", "3", "--package", str(package)]) == 0
        printed = capsys.readouterr().out
        assert re.search(r"batch_size +3\n", printed)
        assert re.search(r"waited_for_host\[cycles\] +[0-9]", printed)
        assert printed.endswith(f"\nthe {side} binds\n")


def test_classify(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / f"{index}.png") for index in range(len(IMAGES))]
    for path, pixels in zip(paths, IMAGES, strict=True):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    assert main(["--package", str(package), "--classify", *paths]) == 0
    labels = np.argmax(expected(IMAGES), axis=1)
    assert capsys.readouterr().out == "".join(f"{p}: {label}\n" for p, label in zip(paths, labels, strict=True))


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--validate", "--package", str(tmp_path)]) == 1
    assert re.fullmatch(r"error: .*settings.json is not there.*\n", capsys.readouterr().err)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_python_3_8_and_numpy_are_enough(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imports = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    imports |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    # hw.streams goes into the package as well
    roots = {(name or "").split(".")[0] for name in imports if not (name or "").startswith("hw.streams.")}
    allowed = {"numpy", "pynq"} | ({"PIL"} if path.name == "image.py" else set())  # for pictures that are no PNG files
    assert roots - set(sys.stdlib_module_names) <= allowed
