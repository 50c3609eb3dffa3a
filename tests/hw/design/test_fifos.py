# SPDX-License-Identifier: Apache-2.0
"""Which form FIFOs take, by their prices and by the block RAMs that a design leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hw.design.design import End
from hw.design.fifos import spare_block_rams
from hw.ops.registry import register
from tests.hw.design.graphs import PART, PRICES, residual

RESIDUAL, NARROW, SHORT, WIDE = (97, 32), (385, 8), (33, 16), (3, 144)  # beats and their bits


def stream(bits: int) -> End:
    return End(node="n", interface="out0_V", datatype="BINARY", folded_shape=(1, 999, bits), shape=(1, 999, bits),
               width=-(-bits // 8) * 8)  # fmt: skip


def forms(spare: int) -> list[tuple[int, str]]:
    queues = {str(size): (stream(size[1]), size[0]) for size in (RESIDUAL, NARROW, SHORT, WIDE)}
    return list(replace(PRICES, spare=spare).forms(queues).values())


def test_without_a_spare_block_ram_shift_registers_are_cheapest() -> None:
    assert forms(0) == [(97, "srl"), (385, "srl"), (33, "srl"), (3, "registers")]


def test_spare_block_rams_go_to_those_that_save_most() -> None:
    assert forms(1) == [(97, "srl"), (512, "block"), (33, "srl"), (3, "registers")]
    assert forms(2) == [(128, "block"), (512, "block"), (33, "srl"), (3, "registers")]
    assert forms(99) == forms(2)  # a short one saves too little


def test_what_is_in_block_ram_by_its_price_is_no_longer_spare() -> None:
    queues = {"deep": (stream(32), 512), "residual": (stream(32), 97)}
    assert PRICES.forms(queues)["deep"] == (512, "block")
    assert replace(PRICES, spare=1).forms(queues)["residual"] == (97, "srl")
    assert replace(PRICES, spare=2).forms(queues)["residual"] == (128, "block")


@pytest.mark.parametrize("bits", [1, 8, 32, 144])
def test_a_deeper_rung_costs_more(bits: int) -> None:
    ladder = PRICES.ladder(stream(bits))
    assert [rung.depth for rung in ladder] == sorted({rung.depth for rung in ladder})
    assert [rung.luts for rung in ladder] == sorted({rung.luts for rung in ladder})
    assert ladder[0].depth == 0 and ladder[-1].depth > 999


def test_a_tenth_of_the_block_rams_stays() -> None:
    register()
    assert 0 < spare_block_rams(residual(), PART, 100) <= 2 * 90
    assert spare_block_rams(residual(), PART, 0) == 0
