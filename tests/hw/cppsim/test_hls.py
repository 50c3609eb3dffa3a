# SPDX-License-Identifier: Apache-2.0
"""FINN's own simulation of HLS twins: why it cannot run, and what is told where it differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.cppsim import hls
from hw.transforms.verify import tensors
from tests.hw.cppsim.graphs import classifier, images


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hls, "get_settings", lambda: type("Settings", (), {"finn_deps": tmp_path}))
    monkeypatch.delenv("XILINX_HLS", raising=False)
    assert "finn-hlslib is not in" in (hls.missing() or "")
    (tmp_path / "finn-hlslib").mkdir()
    (tmp_path / "finn-hlslib" / "mvau.hpp").touch()
    assert "XILINX_HLS" in (hls.missing() or "")
    monkeypatch.setenv("XILINX_HLS", str(tmp_path))
    assert "ap_int.h is not there" in (hls.missing() or "")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "ap_int.h").touch()
    assert hls.missing() is None


def test_the_first_twin_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Python nodes in the place of compiled ones: their compiler is not here."""
    model = classifier()
    monkeypatch.setattr(hls, "_compiled", lambda model, part: model)
    monkeypatch.setattr(hls, "is_hls_node", lambda node: True)
    values = tensors(model, images(1)[0])
    count, found = hls.compare_twins(model, values, "xc7z020clg400-1")
    assert (count, found) == (len(model.graph.node), None)
    name = next(node.output[0] for node in model.graph.node if node.name == "MVAU_6")
    values[name] = values[name] + np.float32(1)
    _, found = hls.compare_twins(model, values, "xc7z020clg400-1")
    assert found is not None and found.node == "MVAU_6"
