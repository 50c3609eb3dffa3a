# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.util.basic import getHWCustomOp
from qonnx.core.modelwrapper import ModelWrapper

from hw.ops.cost import Cost, ram, rom
from hw.ops.width_converter import converter
from hw.transforms.fold import Budget, FoldingError, FoldResult, fold
from hw.transforms.fold_options import analyse
from hw.transforms.specialise import specialise
from hw.transforms.verify import execute
from tests.hw.ops.nodes import one_node, product

PART = "xc7z020clg400-1"
ZYNQ = Budget(lut=42560, bram36=140, dsp=220)
Converted = tuple[ModelWrapper, ModelWrapper]


def folded(converted: Converted, target: int | None = 4000, budget: Budget = ZYNQ, **options: Any) -> FoldResult:
    return fold(converted[1], target_cycles=target, budget=budget, part=PART, **options)


@pytest.fixture(scope="module")
def result(converted: Converted) -> FoldResult:
    return folded(converted)


def test_target_is_met(result: FoldResult) -> None:
    assert result.met, result.message
    assert result.cycles[result.bottleneck] == max(result.cycles.values()) <= 4000
    assert result.rtl_names[result.bottleneck] in result.message
    assert set(result.cycles) == {node.name for node in result.model.graph.node}


def test_cycles_are_those_of_the_specialised_nodes(result: FoldResult) -> None:
    specialised = specialise(result.model, PART)
    by_output = {node.output[0]: getHWCustomOp(node) for node in specialised.graph.node}
    for node in result.model.graph.node:
        assert by_output[node.output[0]].get_exp_cycles() == result.cycles[node.name], node.name


def test_width_converters_are_all_rtl(result: FoldResult) -> None:
    """FINN's RTL converter needs integer ratios; specialise refuses any node that is not RTL."""
    specialised = specialise(result.model, PART).transform(InsertDWC())
    converters = specialised.get_nodes_by_op_type("StreamingDataWidthConverter")
    assert converters
    for node in converters:
        widths = sorted(getHWCustomOp(node).get_nodeattr(name) for name in ("inWidth", "outWidth"))
        assert widths[1] % widths[0] == 0, node.name
    specialise(specialised, PART)


def test_folding_does_not_change_the_integers(
    exported: tuple[ModelWrapper, dict[str, Any]], converted: Converted, result: FoldResult
) -> None:
    images = exported[1]["images"][:2]
    expected = execute(converted[1], images)
    assert np.array_equal(execute(result.model, images), expected)
    assert np.array_equal(execute(specialise(result.model, PART), images), expected)


def test_specialised_nodes_can_be_folded_too(converted: Converted, result: FoldResult) -> None:
    specialised = specialise(converted[1], PART)
    again = fold(specialised, target_cycles=4000, budget=ZYNQ, part=PART)
    assert again.met
    assert sorted(again.cycles.values()) == sorted(result.cycles.values())


def test_a_slower_target_is_cheaper(converted: Converted, result: FoldResult) -> None:
    slower = folded(converted, target=16000)
    assert slower.met
    assert slower.cost.lut < result.cost.lut


def test_an_unreachable_target_names_the_node(converted: Converted) -> None:
    result = folded(converted, target=1, budget=Budget(10**9, 10**6, 10**6))
    assert not result.met
    fastest = result.cycles[result.bottleneck]
    assert f"needs at least {fastest} however it is folded" in result.message


def test_a_small_budget_gives_the_best_that_fits(converted: Converted, result: FoldResult) -> None:
    budget = Budget(lut=int(result.cost.lut * 0.9), bram36=140, dsp=220)
    smaller = folded(converted, budget=budget)
    assert not smaller.met
    assert "4000 would take" in smaller.message
    assert not smaller.cost.excess(budget)
    assert max(smaller.cycles.values()) > 4000


def test_a_budget_for_nothing_is_said(converted: Converted) -> None:
    result = folded(converted, budget=Budget(lut=100, bram36=1, dsp=1))
    assert not result.met
    assert "even the smallest folding takes" in result.message


def test_the_fastest_that_fits_says_what_binds(converted: Converted, result: FoldResult) -> None:
    budget = Budget(lut=int(result.cost.lut * 1.1), bram36=140, dsp=220)
    fastest = folded(converted, target=None, budget=budget)
    assert fastest.met
    assert max(fastest.cycles.values()) <= max(result.cycles.values())
    assert not fastest.cost.excess(budget)
    assert "would take" in fastest.binds and fastest.binds in fastest.message
    assert not fastest.faster[0].fits or len(fastest.faster[0].nodes) > 1


def test_without_a_budget_the_slowest_node_binds(converted: Converted) -> None:
    fastest = folded(converted, target=None, budget=Budget(10**9, 10**6, 10**6))
    assert fastest.met
    assert f"needs at least {max(fastest.cycles.values())} however it is folded" in fastest.binds
    assert fastest.faster == ()


def test_what_is_faster_can_be_had(converted: Converted, result: FoldResult) -> None:
    assert result.binds == "the target"
    assert [step.cycles for step in result.faster] == sorted({step.cycles for step in result.faster}, reverse=True)
    for step in result.faster:
        again = folded(converted, target=step.cycles, budget=Budget(10**9, 10**6, 10**6))
        assert max(again.cycles.values()) <= step.cycles < max(result.cycles.values())
        assert step.nodes and set(step.nodes) <= set(result.cycles)
        assert step.cost.lut == pytest.approx(result.cost.lut + step.more.lut)
        assert step.fits == (not step.cost.excess(ZYNQ))


def test_wanted_folding_is_taken(converted: Converted) -> None:
    result = folded(converted, folding={"MVAU_1": {"PE": 8, "SIMD": 8}, "Requantise_rtl_1": {"PE": 8}})
    nodes = {node.name: getHWCustomOp(node) for node in result.model.graph.node}
    assert nodes["MVAU_1"].get_nodeattr("PE") == nodes["MVAU_1"].get_nodeattr("SIMD") == 8
    assert nodes["Requantise_rtl_1"].get_nodeattr("PE") == 8


def test_what_was_chosen_can_be_asked_for_by_the_names_of_the_rtl_nodes(converted: Converted) -> None:
    """Also the memories, which another target would choose otherwise."""
    first = folded(converted, target=4000, budget=ZYNQ)
    again = folded(converted, target=16000, folding=first.folding)
    assert again.folding == first.folding
    assert again.cost == first.cost
    names = {node.name for node in specialise(first.model, PART).graph.node}
    assert set(first.folding) <= names == set(first.rtl_names.values())


@pytest.mark.parametrize(
    ("folding", "complaint"),
    [
        ({"MVAU_1": {"PE": 3}}, r"PE = 3 does not divide; it can be \[1, 2, 4, 8\]"),
        ({"MVAU_1": {"PE": 0}}, "PE = 0 does not divide"),
        ({"MVAU_1": {"TH": 2}}, "MVAU_1 as XnorMVAU_rtl_1 has no TH; it has PE, SIMD, ram_style"),
        ({"MVAU_1": {"mem_mode": "internal_decoupled"}}, "has no mem_mode"),
        ({"MVAU_1": {"ram_style": "ultra"}}, r"ram_style = ultra is none of its settings; .*'block', 'distributed'"),
        ({"MVAU_1": {"PE": 2}, "XnorMVAU_rtl_1": {"SIMD": 8}}, "MVAU_1 and XnorMVAU_rtl_1 are one node"),
        ({"MVAU_99": {"PE": 1}}, "there is no node MVAU_99 to fold; did you mean MVAU"),
        ({"DuplicateStreams_3": {"PE": 8}, "StreamingConcat_0": {"SIMD": 3}}, "SIMD = 3 does not divide"),
        ({"FoldedWindow_rtl_0": {"PE": 1}, "GroupedMVAU_rtl_0": {"SIMD": 2}}, "can only be folded alike"),
    ],
)
def test_impossible_folding_is_refused(converted: Converted, folding: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FoldingError, match=complaint):
        folded(converted, folding=folding)


@pytest.mark.parametrize("target", [0, -5])
def test_target_must_be_positive(converted: Converted, target: int) -> None:
    with pytest.raises(FoldingError, match="at least 1"):
        folded(converted, target=target)


def test_neighbours_that_do_not_fit_are_refused(converted: Converted) -> None:
    wanted = {"GroupedMVAU_rtl_0": {"SIMD": 1}, "Requantise_rtl_2": {"PE": 2}}
    with pytest.raises(FoldingError, match="3 elements a beat and Requantise_rtl_2 takes 2"):
        folded(converted, folding=wanted)


def test_costs_of_memories() -> None:
    assert rom(8, 4, block=False) == Cost() and 0 < rom(8, 8, block=False).lut < 8
    assert rom(8, 64, block=False) == Cost(lut=8)
    assert rom(8, 65, block=False) == Cost(lut=16)
    assert rom(72, 512, block=True) == Cost(bram36=1)
    assert rom(1, 16384, block=True) == Cost(bram36=0.5)
    assert ram(3, 64, block=False) == Cost(lut=4)
    assert converter(32, 32) == Cost()
    assert 0 < converter(8, 32).lut < converter(32, 8).lut
    assert Cost(lut=50, bram36=3).excess(Budget(40, 3, 0)) == ["50 LUT of 40"]


@pytest.mark.parametrize(("columns", "modes"), [(3, {0}), (4, {0}), (5, {0, 1})])
def test_windows_that_finn_gets_wrong_whole_are_made_word_by_word(columns: int, modes: set[int]) -> None:
    """Its memory between two rows of a window of three has 4 - 3 = 1 word, which never comes out."""
    size = columns - 2
    model = one_node(
        "ConvolutionInputGenerator",
        {"in": ((1, columns, columns, 2), "INT4")},
        {"out": ((1, size, size, 18), "INT4")},
        ConvKernelDim=[3, 3],
        IFMChannels=2,
        IFMDim=[columns, columns],
        OFMDim=[size, size],
        Stride=[1, 1],
        Dilation=[1, 1],
        SIMD=1,
        depthwise=0,
        inputDataType="INT4",
        outputDataType="INT4",
    )
    sites, *_ = analyse(model, PART, {})
    assert {option.attributes["parallel_window"] for choice in sites[0] for option in choice.values()} == modes


@pytest.mark.parametrize(("binary", "widest"), [(1, 18), (0, 9)])
def test_finns_products_take_two_beats_a_result(binary: int, widest: int) -> None:
    """With one beat a result, that is SIMD = MW, it loses results under back-pressure (test_finn_nodes shows it)."""
    kind = "BINARY" if binary else "INT4"
    values = np.random.default_rng(0).integers(0, 2, (18, 6)) * (1 if binary else 3)
    types = (kind, kind, "UINT5" if binary else "INT12")
    sites, *_ = analyse(product(values, types, [1, 3, 3], binaryXnorMode=binary), PART, {})
    assert max(int(option.attributes["SIMD"]) for choice in sites[0] for option in choice.values()) == widest
