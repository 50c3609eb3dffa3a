# SPDX-License-Identifier: Apache-2.0
"""The design rule for every cell: at most four LUTs, or two and a carry chain, between two registers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from finn.util.basic import getHWCustomOp

from hw.design.generate import generate_hdl
from hw.synth import yosys
from hw.synth.levels import LIMIT, LogicPath
from hw.transforms.specialise import specialise
from tests.hw.ops import nodes

FORMS = (
    *("queue_registers", "queue_shift", "queue_block", "xnor_folded", "xnor_unfolded", "pad_middle", "complement_bits"),
    *("join_residual", "join_table", "window", "window_stride", "window_folded", "dsp_signed", "add_residual"),
    *("duplicate_two", "concat_four", "pool_average", "pool_maximum", "tiles_average", "tiles_maximum", "grouped_part"),
    *("global_pool", "widen", "narrow", "label", "label_parallel", "line", "line_folded", "subsample"),
    *("ternary_folded",),
)
"""Each operator, in the forms that differ in their logic."""
DEEPER = {
    "xnor_folded": (6, "two adders of a popcount by columns, LUT and carry chain each, without a register between"),
    "ternary_folded": (5, "the same"),
    "grouped_part": (5, "a product in LUTs: two to form its partial sums, and the carry chain"),
}
"""Forms that break the rule: how many levels they have, and why."""
CUT = ("queue_s", "queue_b", "duplicate", "join", "xnor", "ternary", "window_folded")
"""Where TREADY comes from a register."""
READY = 3
"""Levels of TREADY through a cell, which add up along a chain of cells."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[LogicPath, ...]]:
    folder, modules = tmp_path_factory.mktemp("levels"), {}
    for form in FORMS:
        model = generate_hdl(specialise(nodes.CASES[form](), nodes.PART), nodes.PART, 10.0, folder / form)
        operator = getHWCustomOp(model.graph.node[0])
        files = tuple(map(Path, operator.get_rtl_file_list(abspath=True)))
        modules[form] = yosys.Module(operator.get_nodeattr("gen_top_module"), files)
    return yosys.paths(modules, workers=2)


def test_levels_between_registers(found: dict[str, tuple[LogicPath, ...]]) -> None:
    inside = {
        form: [path.levels for path in paths if not path.source and not path.sink] for form, paths in found.items()
    }
    over = {form: max(levels) for form, levels in inside.items() if max(levels) > LIMIT}
    assert over == {form: levels for form, (levels, _) in DEEPER.items()}


def test_data_and_valid_come_from_registers(found: dict[str, tuple[LogicPath, ...]]) -> None:
    """But for the sign of a join, which is an inverted bit."""
    for form, paths in found.items():
        for path in paths:
            if path.sink.endswith(("_TDATA", "_TVALID")):
                assert path.source == "", form
                assert path.levels == (path.sink == "out1_V_TDATA" and form.startswith("join")), form


def test_ready_through_a_cell(found: dict[str, tuple[LogicPath, ...]]) -> None:
    through = {
        form: [path.levels for path in paths if path.source.endswith("_TREADY") and path.sink.endswith("_TREADY")]
        for form, paths in found.items()
    }
    cut = {form for form, levels in through.items() if not levels}
    assert cut == {form for form in FORMS if form.startswith(CUT)}
    assert max(max(levels, default=0) for levels in through.values()) <= READY


def test_every_operator_has_a_form() -> None:
    def operators(forms: Iterable[str]) -> set[str]:
        return {specialise(nodes.CASES[form](), nodes.PART).graph.node[0].op_type for form in forms}

    assert operators(FORMS) == operators(nodes.CASES)
