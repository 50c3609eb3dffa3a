# SPDX-License-Identifier: Apache-2.0
"""Faults planted in a residual block's RTL: in the stitched design and node by node, each is named at its node."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw import finn_env
from hw.design.design import Design
from hw.design.errors import DesignError
from hw.design.stitch import stitch
from hw.rtlsim.nodes import NodeResult, check_nodes
from hw.rtlsim.trace import explain
from hw.streams.sim import StallError
from tests.hw.design.graphs import CLOCK_NS, PART, random_frames, residual, with_hdl

SHORTCUT, DEEP = "in_b", 150
FRAMES = 2
Reference = list[dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


def nothing(model: ModelWrapper) -> None:
    """No fault."""


def generated(
    folder: Path, plant: Callable[[ModelWrapper], None] = nothing, depth: int = DEEP
) -> tuple[ModelWrapper, Path]:
    """A graph with a fault and its HDL, into which others may be planted."""
    model = residual()
    plant(model)
    return with_hdl(model, {SHORTCUT: depth, "in_a": 8}, folder / "nodes"), folder / "nodes"


def design(model: ModelWrapper, folder: Path) -> Design:
    return stitch(model, folder / "design", PART, CLOCK_NS)


def alone(broken: Design, node: str, tensors: dict[str, Any]) -> NodeResult:
    """What the check of all nodes on their own says of one."""
    return next(result for result in check_nodes(broken, tensors) if result.node == node)


@pytest.fixture(scope="module")
def frames() -> Any:
    return random_frames(residual(), FRAMES)


@pytest.fixture(scope="module")
def reference(frames: Any, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    model, _ = generated(tmp_path_factory.mktemp("reference"))
    values = [frame[None].astype(np.float32) for frame in frames]
    return [execute_onnx(model, {"in": value}, return_full_exec_context=True) for value in values]


def weight_bit(model: ModelWrapper) -> None:
    weights = model.get_initializer("in_a_weights").copy()
    weights[17, 3] = weights[17, 3] - 1 if weights[17, 3] % 2 else weights[17, 3] + 1
    model.set_initializer("in_a_weights", weights)


def threshold(model: ModelWrapper) -> None:
    steps = model.get_initializer("in_a_steps").copy()
    steps[2] = np.sort(steps[2] + 300)
    model.set_initializer("in_a_steps", steps)


def narrow_accumulator(model: ModelWrapper) -> None:
    product, follower = (getCustomOp(model.get_nodes_by_op_type(kind)[0]) for kind in ("MVAU_rtl", "Thresholding_rtl"))
    product.set_nodeattr("outputDataType", "INT8")
    product.set_nodeattr("accDataType", "INT8")
    follower.set_nodeattr("inputDataType", "INT8")
    follower.set_nodeattr("weightDataType", "INT8")
    model.set_initializer("in_a_steps", np.clip(model.get_initializer("in_a_steps"), -128, 127))


def swapped_channels(model: ModelWrapper) -> None:
    weights = model.get_initializer("in_a_weights").copy()
    weights[:, [1, 2]] = weights[:, [2, 1]]
    model.set_initializer("in_a_weights", weights)


BEFORE: dict[str, tuple[Callable[[ModelWrapper], None], str, int | None]] = {
    "weight bit": (weight_bit, "MVAU_rtl_0", 3),
    "threshold": (threshold, "Thresholding_rtl_0", 2),
    "accumulator too narrow": (narrow_accumulator, "MVAU_rtl_0", None),
    "swapped channels": (swapped_channels, "MVAU_rtl_0", 1),
}
"""Faults in what the RTL is generated from: how, the node to blame, and the channel."""


def padding_value(folder: Path) -> None:
    """Pads with 1 in place of 0; a pixel of four zeros changes as well."""
    file = folder / "FMPadding_rtl_0" / "FMPadding_rtl_0.v"
    text = file.read_text().replace(".m_axis_tdata(out0_V_TDATA)", ".m_axis_tdata(padded)")
    change = "wire [15:0] padded; assign out0_V_TDATA = padded == 0 ? 16'h1111 : padded;"
    file.write_text(text.replace("endmodule", f"{change}\nendmodule"))


def dropped_beat(folder: Path) -> None:
    """The adder's second input is told that its eighth beat was taken, and the adder does not see it."""
    file = folder / "StreamAdd_rtl_0" / "StreamAdd_rtl_0.v"
    text = file.read_text()
    counter = "reg [7:0] seen = 0; always @(posedge ap_clk) if (in1_V_TVALID && in1_V_TREADY) seen <= seen + 1;"
    text = text.replace("endmodule", f"{counter}\nendmodule").replace("in1_V_TVALID)", "in1_V_TVALID && seen != 7)")
    file.write_text(text)


@pytest.mark.parametrize("fault", BEFORE)
def test_a_fault_in_the_constants_is_named(fault: str, frames: Any, reference: Reference, tmp_path: Path) -> None:
    plant, node, channel = BEFORE[fault]
    broken = design(generated(tmp_path, plant)[0], tmp_path)
    found = explain(broken, frames, reference, tmp_path / "report", stall_in=0.3, stall_out=0.3)
    assert found is not None and found.difference is not None
    assert found.node == node, found
    assert channel is None or found.difference.channel == channel
    at = (0, *found.difference.pixel, found.difference.channel)
    assert reference[found.difference.image][found.difference.tensor][at] == found.difference.expected
    with np.load(tmp_path / "report" / "difference.npz") as stored:
        assert stored["got"][at] == found.difference.got != stored["expected"][at]
    if fault == "accumulator too narrow":
        with pytest.raises(DesignError, match=r"WidthConverter_rtl_1 .* cannot take in_a_sum: .* are not all INT8"):
            alone(broken, node, reference[0])
        return
    result = alone(broken, node, reference[0])
    assert result.difference is not None and result.difference.node == node


def test_a_wrong_padding_value_is_named(frames: Any, reference: Reference, tmp_path: Path) -> None:
    model, hdl = generated(tmp_path)
    padding_value(hdl)
    broken = design(model, tmp_path)
    found = explain(broken, frames, reference, tmp_path / "report")
    assert found is not None and found.difference is not None
    assert (found.node, found.difference.pixel, found.difference.expected) == ("FMPadding_rtl_0", (0, 0), 0)
    result = alone(broken, "FMPadding_rtl_0", reference[0])
    assert result.difference is not None and result.difference.pixel == (0, 0)


def test_a_dropped_beat_is_named(frames: Any, reference: Reference, tmp_path: Path) -> None:
    model, hdl = generated(tmp_path)
    dropped_beat(hdl)
    broken = design(model, tmp_path)
    found = explain(broken, frames, reference, tmp_path / "report", idle_limit=5000)
    assert found is not None and found.difference is not None
    # One element a beat and four channels: the eighth beat is the last channel of the second pixel.
    assert (found.node, found.difference.pixel) == ("StreamAdd_rtl_0", (0, 1)), found
    with pytest.raises(StallError, match=r"StreamAdd_\w+_out0_V stopped after"):
        check_nodes(broken, reference[0])


def test_a_short_fifo_is_named(frames: Any, reference: Reference, tmp_path: Path) -> None:
    broken = design(generated(tmp_path, depth=9)[0], tmp_path)
    found = explain(broken, frames, reference, tmp_path / "report", idle_limit=5000)
    assert found is not None and found.difference is None
    assert found.node == "StreamAdd_rtl_0"
    assert re.search(r"waits for in_a_act .* while in_b_fifo .* is full", str(found)), found


def test_without_a_fault_nothing_is_found(frames: Any, reference: Reference, tmp_path: Path) -> None:
    right = design(generated(tmp_path)[0], tmp_path)
    assert explain(right, frames, reference, tmp_path / "report", stall_in=0.4, stall_out=0.4) is None
    assert [result.node for result in check_nodes(right, reference[0]) if result.difference] == []
