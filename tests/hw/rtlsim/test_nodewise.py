# SPDX-License-Identifier: Apache-2.0
"""Checking nodes in worker processes: what comes back when a tool fails there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

from hw import finn_env
from hw.rtlsim.nodewise import NodeError, check_nodes
from tests.hw.rtlsim.finn_nodes import CLOCK_NS, PART, node_model


def test_a_failing_compiler_is_told_with_node_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finn_env.setup(tmp_path / "finn")
    attributes = {"ImgDim": [2, 2], "Padding": [1, 1, 1, 1], "NumChannels": 4, "SIMD": 4, "inputDataType": "INT4"}
    model = node_model("FMPadding_rtl", (1, 2, 2, 4), (1, 4, 4, 4), "INT4", "INT4", **attributes)
    model.transform(PrepareIP(PART, CLOCK_NS)).save(str(tmp_path / "model.onnx"))
    np.savez(tmp_path / "tensors.npz", inp=np.zeros((1, 2, 2, 4)), outp=np.zeros((1, 4, 4, 4)))
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'fatal error: out of licences' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("IR2NET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(NodeError, match=r"FMPadding_rtl_0 .*: fatal error: out of licences") as failure:
        check_nodes(tmp_path / "model.onnx", tmp_path / "tensors.npz", tmp_path / "finn", workers=1)
    assert failure.value.log is not None
    assert "out of licences" in failure.value.log.read_text()
