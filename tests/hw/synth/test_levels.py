# SPDX-License-Identifier: Apache-2.0
"""Levels of logic of small modules whose depth is known, and of two nodes one after the other."""

from __future__ import annotations

from typing import Any

import pytest

from hw.synth import yosys
from hw.synth.levels import LogicPath, Loop, deepest_into, deepest_paths
from hw.synth.yosys import Module

MODULES = {
    # 300 bits before a clock enable
    "planted": """
  logic [299:0] seen_q; logic busy_q;
  always_ff @(posedge clk) begin seen_q <= {seen_q[298:0], d[0]}; if (seen_q == ~300'd128) busy_q <= d[1]; end
  assign q = 8'(busy_q);""",
    "wires": "logic [7:0] x_q, y_q; always_ff @(posedge clk) begin x_q <= d; y_q <= x_q; end assign q = y_q;",
    "adder": """
  logic [31:0] a_q, b_q, sum_q;
  always_ff @(posedge clk) begin a_q <= {a_q[23:0], d}; b_q <= ~a_q; sum_q <= a_q + b_q; end
  assign q = 8'(^sum_q);""",
    "through": "assign q = d + 8'd3;",
    "memory": """
  logic [7:0] ram [32]; logic [4:0] at_q; logic [7:0] read_q;
  always_ff @(posedge clk) begin ram[at_q] <= d; at_q <= d[4:0]; read_q <= ram[at_q]; end
  assign q = read_q;""",
}


def by_ends(paths: tuple[LogicPath, ...]) -> dict[tuple[str, str], LogicPath]:
    return {(path.source, path.sink): path for path in paths}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[tuple[str, str], LogicPath]]:
    folder = tmp_path_factory.mktemp("levels")
    modules = {}
    for name, body in MODULES.items():
        ports = "input logic clk, input logic [7:0] d, output logic [7:0] q"
        (folder / f"{name}.sv").write_text(f"module {name} ({ports});\n{body}\nendmodule\n")
        modules[name] = Module(name, (folder / f"{name}.sv",))
    return {name: by_ends(paths) for name, paths in yosys.paths(modules, cache_dir=folder / "cache").items()}


def test_levels_between_registers(found: dict[str, dict[tuple[str, str], LogicPath]]) -> None:
    inside = {name: paths["", ""].levels for name, paths in found.items() if ("", "") in paths}
    assert inside.pop("planted") > 2
    # a carry chain of eight parts is one, after the LUTs that it adds with; a memory of LUTs is read in one
    assert inside == {"wires": 0, "adder": 3, "memory": 1}


def test_a_path_is_named(found: dict[str, dict[tuple[str, str], LogicPath]]) -> None:
    path = found["planted"]["", ""]
    assert path.start.startswith("seen_q[")
    assert path.end == "busy_q.CE"


def test_levels_at_ports(found: dict[str, dict[tuple[str, str], LogicPath]]) -> None:
    assert found["through"]["d", "q"].levels >= 2
    assert ("", "q") not in found["through"]
    assert found["wires"]["d", ""].levels == found["wires"]["", "q"].levels == 0


def lut(inputs: list[int], output: int) -> dict[str, Any]:
    return {
        "type": "LUT2",
        "port_directions": {"I0": "input", "I1": "input", "O": "output"},
        "connections": {"I0": inputs[:1], "I1": inputs[1:], "O": [output]},
    }


def test_a_loop_of_gates_is_refused() -> None:
    nets = {"x": {"bits": [2]}, "y": {"bits": [3]}}
    cells = {"a": lut([2, 4], 3), "b": lut([3, 4], 2)}
    with pytest.raises(Loop, match="a loop of gates: "):
        deepest_paths({"ports": {}, "netnames": nets, "cells": cells})


def test_a_path_through_nodes_adds_up() -> None:
    """Ready of the last node, through the one in the middle, to a clock enable of the first."""
    nodes = {
        "first": [LogicPath("out_TREADY", "", 2, "out_TREADY", "data_q[0].CE"), LogicPath("", "", 3, "a_q", "b_q.D")],
        "middle": [LogicPath("out_TREADY", "in_TREADY", 1, "out_TREADY", "in_TREADY")],
        "last": [LogicPath("", "in_TREADY", 4, "full_q", "in_TREADY")],
    }
    wires = {
        ("first", "out_TREADY"): ("middle", "in_TREADY"),
        ("middle", "out_TREADY"): ("last", "in_TREADY"),
    }
    assert deepest_into(nodes, wires) == {"first": LogicPath("", "", 7, "last.full_q", "first.data_q[0].CE")}
    del wires["middle", "out_TREADY"]  # from outside
    assert deepest_into(nodes, wires)["first"] == LogicPath("", "", 3, "out_TREADY", "first.data_q[0].CE")


def test_a_loop_through_nodes_is_refused() -> None:
    nodes = {name: [LogicPath("in", "out", 1, "in", "out")] for name in ("a", "b")}
    with pytest.raises(Loop, match=r"a loop of gates: .*a\.out"):
        deepest_into(nodes, {("a", "in"): ("b", "out"), ("b", "in"): ("a", "out")})
