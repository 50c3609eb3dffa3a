# SPDX-License-Identifier: Apache-2.0
"""All nodes of a design on their own: what is measured, and what is told when a tool fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx

from hw import finn_env
from hw.cxx import CompileError
from hw.design.design import Design
from hw.design.stitch import stitch
from hw.rtlsim.nodes import check_nodes
from tests.hw.design.graphs import CLOCK_NS, PART, chain, random_frames, with_hdl

Tensors = dict[str, Any]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Tensors]:
    """Two convolutions that pad alike, and every tensor of a frame."""
    folder = tmp_path_factory.mktemp("nodes")
    finn_env.setup(folder / "finn")
    model = with_hdl(chain(), {"in_win": 17, "in_act_win": 17}, folder / "hdl")
    frame = random_frames(model, 1).astype(np.float32)
    tensors = execute_onnx(model, {"in": frame}, return_full_exec_context=True)
    return stitch(model, folder / "design", PART, CLOCK_NS), tensors


def test_every_node_is_right_at_its_pace(checked: tuple[Design, Tensors]) -> None:
    design, tensors = checked
    results = check_nodes(design, tensors)
    assert [result.node for result in results] == [node.name for node in design.nodes]
    assert not any(result.difference for result in results)
    for result in (result for result in results if result.expected_cycles):  # FINN has no formula for the others
        assert result.cycles <= 1.1 * result.expected_cycles + 40, result


def test_a_wrong_value_is_found_at_each_of_the_nodes_that_share_a_module(checked: tuple[Design, Tensors]) -> None:
    design, tensors = checked
    assert design.node("FMPadding_rtl_0").module == design.node("FMPadding_rtl_1").module
    for node in ("FMPadding_rtl_0", "FMPadding_rtl_1"):
        (tensor,) = design.node(node).outputs
        changed = tensors[tensor].copy()
        changed[0, 2, 3, 1] += 1
        (wrong,) = [r for r in check_nodes(design, tensors | {tensor: changed}) if r.difference and r.node == node]
        assert wrong.difference is not None
        assert (wrong.difference.pixel, wrong.difference.channel, wrong.difference.count) == ((2, 3), 1, 1)


def test_a_failing_compiler_is_told_with_its_log(
    checked: tuple[Design, Tensors], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'fatal error: out of licences' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(CompileError, match="fatal error: out of licences") as failure:
        check_nodes(*checked, cache_dir=tmp_path / "cache")
    assert failure.value.log is not None
    assert "out of licences" in failure.value.log.read_text()
