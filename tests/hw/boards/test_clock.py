# SPDX-License-Identifier: Apache-2.0
"""Clocks that the shells make."""

import math
from fractions import Fraction

import pytest

from hw.boards import board as boards
from hw.boards.clock import clocks, finn_period_ns


@pytest.mark.parametrize("clock", [10, 65, 100, 120, 125, 130, 150, 160, 200, 250])
def test_usual_clocks_of_a_zynq_7000(clock: int) -> None:
    assert clock in clocks("xc7", "zynq-iodma")


def test_a_clock_is_one_of_the_plls_whole_dividers() -> None:
    """Counted the other way round: for each clock of up to 333 MHz, is there a setting?"""
    for family, (slowest, fastest), multipliers, dividers, most in (
        ("xc7", (800, 1600), 64, 5, 250),
        ("xcup", (750, 1500), 21, 1, 333),
    ):
        made = {
            clock
            for clock in range(1, most + 1)
            for divider in range(1, dividers + 1)
            for last in range(1, 129)
            if (multiplier := Fraction(clock * divider * last, 100)).denominator == 1
            and multiplier <= multipliers
            and slowest <= 100 * multiplier / divider <= fastest
        }
        assert set(clocks(family, "zynq-iodma")) == made


@pytest.mark.parametrize("clock", range(1, 334))
def test_finn_makes_of_the_period_the_clock_that_it_stands_for(clock: int) -> None:
    period = finn_period_ns(clock)
    assert int(1 / (period * 0.001)) == clock  # make_zynq_proj.py
    assert round(1000.0 / period) == clock  # vitis_build.py
    assert math.isclose(period, 1000 / clock, rel_tol=1e-5)


@pytest.mark.parametrize("board", boards.available(), ids=lambda board: board.name)
def test_what_a_shell_makes_has_neighbours_in_its_refusal(board: boards.Board) -> None:
    board.check_clock(board.clock_mhz)
    with pytest.raises(ValueError, match=r"cannot make 100.5 MHz, but \d+ or \d+$"):
        board.check_clock(100.5)
