# SPDX-License-Identifier: Apache-2.0
"""How cells of a netlist are counted."""

import pytest

from hw.synth.resources import Resources, UnknownCell


def test_luts_of_any_width_and_inverters_count_as_one() -> None:
    cells = {"LUT1": 1, "LUT2": 2, "LUT5": 3, "LUT6": 4, "LUT6_2": 5, "INV": 6, "MUXF7": 7, "CARRY4": 8}
    assert Resources.of_cells(cells) == Resources(lut=21)


@pytest.mark.parametrize(
    ("cell", "luts"),
    [("SRL16E", 1), ("SRLC32E", 1), ("RAM64X1D", 2), ("RAM32M", 4), ("RAM64M", 4), ("RAM64M8", 8), ("RAM256X1S", 4)],
)
def test_memory_in_luts(cell: str, luts: int) -> None:
    assert Resources.of_cells({cell: 3, "LUT2": 1}) == Resources(lut=3 * luts + 1, lutram=3 * luts)


def test_flip_flops_block_rams_and_dsps_of_both_families() -> None:
    cells = {"FDRE": 5, "FDSE": 2, "FDCE": 1, "RAMB18E1": 3, "RAMB36E2": 2, "DSP48E1": 4, "DSP48E2": 1, "URAM288": 2}
    assert Resources.of_cells(cells) == Resources(ff=8, bram36=3.5, dsp=5, uram=2)


def test_a_cell_of_unknown_size_is_refused() -> None:
    with pytest.raises(UnknownCell, match="mystery, other"):
        Resources.of_cells({"other": 1, "LUT6": 1, "mystery": 2})


def test_sums() -> None:
    parts = [Resources(lut=1, bram36=0.5), Resources(ff=2, bram36=1.0, lutram=1)]
    assert Resources.total(parts) == Resources(lut=1, ff=2, bram36=1.5, lutram=1)
    assert Resources.total([]) == Resources()


def test_what_is_exceeded() -> None:
    taken = Resources(lut=10, bram36=2.5, dsp=3)
    assert taken.exceeding({"lut": 10, "bram36": 2, "dsp": 3}) == {"bram36": (2.5, 2)}
