# SPDX-License-Identifier: Apache-2.0
"""Networks of the user's own: QONNX as Brevitas exports it, integer for integer to hardware nodes and their program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

from flows.steps.convert import Converted
from flows.steps.golden import integers
from hw import finn_env
from hw.cppsim import Accelerator
from hw.cppsim.program import generate_program
from hw.transforms.convert import ConversionError, convert
from hw.transforms.specialise import specialise
from hw.transforms.streamline import streamline
from hw.transforms.verify import execute
from model.given import prepare
from tests.flows.command import ROOT, build
from tests.own_networks import NETWORKS, export

PART = "xc7z020clg400-1"


def outside(parent: ModelWrapper) -> Converted:
    """Scale and offset that stay outside of a partition."""
    found = {node.op_type: parent.get_initializer(node.input[1]) for node in parent.graph.node if len(node.input) > 1}
    scale, offset = (tuple(np.ravel(found.get(name, value)).tolist()) for name, value in (("Mul", 1.0), ("Add", 0.0)))
    return Converted(outside=(), scale=scale, offset=offset)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "resnet8_unequal"])
def test_hardware_nodes_and_their_program_give_what_qonnx_gives(name: str, tmp_path: Path) -> None:
    finn_env.setup(tmp_path / "finn")
    model, inputs = export(NETWORKS[name], tmp_path / "given")
    given = prepare(model, inputs, tmp_path, compared=2)
    images = np.load(given.golden)["images"]
    streamlined = streamline(ModelWrapper(str(given.model)))
    parent, partition = convert(streamlined)
    left = outside(parent)
    expected = integers(given.logits, left)
    assert len(np.unique(expected, axis=0)) > 1
    assert np.array_equal(execute(partition, images), expected)
    program = generate_program(specialise(partition, PART), scale=left.scale, offset=left.offset)
    program.write(tmp_path / "cppsim")
    accelerator = Accelerator.load(tmp_path / "cppsim")
    assert np.array_equal(accelerator.run(images).reshape(expected.shape), expected)
    np.testing.assert_allclose(accelerator.logits(images), given.logits, rtol=1e-4, atol=1e-4)
    assert np.array_equal(accelerator.predict(images), given.logits.argmax(axis=1))
    if np.size(left.scale) == np.size(left.offset) == 1:
        labels = execute(convert(streamlined, label_select=True)[1], images)
        assert np.array_equal(labels.ravel(), given.logits.argmax(axis=1))
    else:
        with pytest.raises(ConversionError, match=r"linear has a bias, .*build without --label-select"):
            convert(streamlined, label_select=True)


@pytest.mark.timeout(1500)
def test_a_file_goes_all_the_way_to_its_driver(tmp_path: Path) -> None:
    """From another folder, by a link to the checkout, with paths and a cache relative to it, and g++ behind ccache.

    What the folder is called has once been a mistake in a list of files, a script or a generated text.
    """
    home = tmp_path / "of 'Zoë' & co. ~1+ü"
    export(NETWORKS["mlp_1w1a"], home / "my nets")
    (home / "link").symlink_to(ROOT)
    (tmp_path / "ccache").write_text('#!/bin/sh\necho "$1" >> "${0%/*}/called"\nexec "$@"\n')
    (tmp_path / "ccache").chmod(0o755)
    given = ["--model", "my nets/own.onnx", "--inputs", "my nets/samples.npy", "--json"]
    environment = os.environ | {"CXX": "ccache g++", "IR2NET_CACHE": "cache", "IR2NET_DATA": "", "PYTHONPATH": ""}
    environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "link/flows/build.py", *given]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    rungs = {row["stage"]: row["mismatches"] for row in summary["verification"]}
    assert {"export", "specialise", "tensors", "nodes", "stitched", "stitched, random stalls", "driver"} <= set(rungs)
    assert set(rungs.values()) == {0}
    assert summary["graph"]["hls_nodes"] == 0 and summary["resources"]["fits"]
    assert list((home / "build" / "own-pynq-z2").glob("*_package/own-pynq-z2.zip"))
    assert set((tmp_path / "called").read_text().split()) == {"g++"}
    assert {path.name for path in home.iterdir()} == {"my nets", "link", "cache", "build"}


def test_a_layer_that_cannot_be_mapped_ends_the_build_with_one_line(tmp_path: Path) -> None:
    model, inputs = export(NETWORKS["resnet8_unequal"], tmp_path)
    result = build("--model", model, "--inputs", inputs, "--output-dir", tmp_path / "out")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert re.search(
        r"error: blocks\.0 cannot be mapped exactly: its inputs have unequal scales: \S+ and \S+; let", last
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "net.onnx"], "--model and --inputs, samples for it (.npy), go together"),
        (["--model", "net.onnx", "--inputs", "a.npy", "--checkpoint", "w"], "leave --checkpoint and --weights out"),
        (["--model", "absent.onnx", "--inputs", "absent.npy"], "cannot read the inputs absent.npy: No such file"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(arguments: list[str], message: str) -> None:
    result = build(*arguments)
    assert result.returncode == 1
    assert message in result.stderr.strip().splitlines()[-1]


def test_the_example_of_the_documentation_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "your-network.md").read_text()
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], {"__name__": "example"})
    given = prepare(Path("net.onnx"), Path("samples.npy"), tmp_path, compared=2)
    parent, partition = convert(streamline(ModelWrapper(str(given.model))))
    expected = integers(given.logits, outside(parent))
    assert np.array_equal(execute(partition, np.load(given.golden)["images"]), expected)
