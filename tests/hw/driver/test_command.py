# SPDX-License-Identifier: Apache-2.0
"""python -m driver, and what it may be made of."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hw.driver.__main__ import main
from tests.hw.driver import packages
from tests.hw.driver.packages import IMAGES, SCALE, Engine, expected

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


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """The images as files, a broken one after the second."""
    paths = [tmp_path / f"{index}.png" for index in range(len(IMAGES))]
    for path, pixels in zip(paths, IMAGES, strict=True):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    paths.insert(2, tmp_path / "broken.png")
    paths[2].write_bytes(paths[0].read_bytes()[:60])
    return [str(path) for path in paths]


def test_a_bad_file_costs_its_own_label(package: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    good = pictures[:2] + pictures[3:]
    labels = np.argmax(expected(IMAGES), axis=1).tolist()
    assert main(["--package", str(package), "--classify", *pictures]) == 1
    printed = capsys.readouterr()
    assert printed.out == "".join(f"{path}: {label}\n" for path, label in zip(good, labels, strict=True))
    assert printed.err == f"error: {pictures[2]} is damaged\n"
    assert main(["--package", str(package), "--classify", pictures[2]]) == 1
    assert capsys.readouterr() == ("", f"error: {pictures[2]} is damaged\n")


def test_scores(tmp_path: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    named = packages.write(tmp_path / "named", classes=["cat", "dog", "cow"])
    scores = expected(IMAGES)[0] * SCALE
    assert main(["--package", str(named), "--scores", "--classify", pictures[0]]) == 0
    ranks = np.argsort(-scores, kind="stable")
    best = "  ".join(f"{('cat', 'dog', 'cow')[index]} {scores[index]:g}" for index in ranks)
    assert capsys.readouterr().out == f"{pictures[0]}: {ranks[0]} ({('cat', 'dog', 'cow')[ranks[0]]})  {best}\n"
    labels_only = packages.write(tmp_path / "labels", scale=None)
    assert main(["--package", str(labels_only), "--scores", "--classify", pictures[0]]) == 1
    assert "the accelerator gives labels, no scores" in capsys.readouterr().err


def test_json(
    package: Path, pictures: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(code: int, *arguments: str) -> dict[str, Any]:
        assert main(["--package", str(package), "--json", *arguments]) == code
        printed = capsys.readouterr()
        assert printed.err == ""
        found: dict[str, Any] = json.loads(printed.out)
        return found

    found = answer(1, "--classify", *pictures)["pictures"]
    assert [picture["file"] for picture in found] == pictures
    assert found[2] == {"file": pictures[2], "error": f"{pictures[2]} is damaged"}
    first = expected(IMAGES)[0]
    assert found[0] == {
        "file": pictures[0],
        "label": int(first.argmax()),
        "name": None,
        "scores": (first * SCALE).tolist(),
    }
    assert answer(0, "--validate") == {"exact": True, "verdict": "EXACT: 5 images, 15 integers"}
    figures = answer(0, "--throughput", "--batch-size", "3")
    assert (figures["batch_size"], figures["binds"]) == (3, "host")
    assert "settings.json is not there" in answer(1, "--validate", "--package", pictures[0])["error"]
    monkeypatch.setenv("IR2NET_FAULT", "flipped_bit")
    assert answer(1, "--validate")["exact"] is False


def test_accuracy(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = expected(IMAGES).argmax(axis=1)
    labels[3:] += 1
    np.savez(tmp_path / "some.npz", images=IMAGES, labels=labels)
    command = ["--package", str(package), "--batch-size", "2", "--accuracy", str(tmp_path / "some.npz")]
    assert main(command) == 0
    assert capsys.readouterr().out == "60.00% of 5 images are labelled rightly (3)\n"
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"accuracy": 0.6, "right": 3, "images": 5}


@pytest.mark.parametrize("job", [["--validate"], ["--throughput"], ["--classify", "a.png"]])
def test_a_batch_of_no_images_is_refused(package: Path, job: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--package", str(package), "--batch-size", "0", *job]) == 1
    assert capsys.readouterr() == ("", "error: batch_size must be a positive integer, not 0\n")


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--validate", "--package", str(tmp_path)]) == 1
    assert re.fullmatch(r"error: .*settings.json is not there.*\n", capsys.readouterr().err)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_python_3_8_and_numpy_are_enough(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    runs = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    assert "numpy.typing" not in ast.unparse(ast.Module(runs, []))  # numpy 1.17 has none
    imports = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    imports |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    # hw.streams goes into the package as well
    roots = {(name or "").split(".")[0] for name in imports if not (name or "").startswith("hw.streams.")}
    allowed = {"numpy", "pynq"} | ({"PIL"} if path.name == "image.py" else set())  # for pictures that are no PNG files
    assert roots - set(sys.stdlib_module_names) <= allowed
