# SPDX-License-Identifier: Apache-2.0
"""Worst paths from recorded delays, and from a loop and a port made up."""

from pytest import approx

from hw.route.paths import TimingPath, worst_paths
from tests.hw.route.fake import RECORDED

NODES = {"Slow_rtl_0", "Quiet_rtl_0"}
FLIP_FLOP = """\
    (INSTANCE {name})
        (IOPATH CLK Q (10:20:{delay}) (10:20:30))
      (SETUPHOLD (posedge M) (posedge CLK) (5:6:7) (1:1:1))
"""
LUT = """\
    (INSTANCE {name})
        (IOPATH A F (100:200:{delay}) (10:20:30))
        (IOPATH B F (100:200:{delay}) (10:20:30))
"""


def test_recorded() -> None:
    """The first is what nextpnr itself reported: 2.294 ns, 1.061 of them in cells, to a clock enable."""
    slow, quiet = sorted(worst_paths(RECORDED.open(), NODES), key=lambda path: -path.delay_ns)
    assert slow == TimingPath(("Slow_rtl_0", "held[2]_reg"), ("Slow_rtl_0", "out0_V_TDATA[6]_reg.CE"), 1.061, 1.233)
    assert slow.delay_ns == approx(2.294)
    # begins in the other node
    assert quiet == TimingPath(
        ("Slow_rtl_0", "out0_V_TDATA[2]_reg"), ("Quiet_rtl_0", "out0_V_TDATA[2]_reg.M"), 0.395, 0.565
    )


def test_a_node_that_is_not_known_is_nobodys() -> None:
    paths = {path.end[0]: path for path in worst_paths(RECORDED.open(), {"Quiet_rtl_0"})}
    assert paths[""].end == ("", "Slow_rtl_0.out0_V_TDATA[6]_reg.CE")
    assert paths["Quiet_rtl_0"].start[0] == ""


def test_ports_and_loops_have_no_time() -> None:
    """A LUT that a port feeds and one in a loop; the path beside them counts, with its setup."""
    text = FLIP_FLOP.format(name="N.a", delay=40) + FLIP_FLOP.format(name="N.b", delay=40)
    text += "".join(LUT.format(name=name, delay=300) for name in ("N.port", "N.loop", "N.lut"))
    wires = [
        "N.port/F N.lut/A",
        "N.loop/F N.loop/A",
        "N.a/Q N.loop/B",
        "N.loop/F N.a/M",
        "N.a/Q N.lut/B",
        "N.lut/F N.b/M",
    ]
    text += "".join(f"        (INTERCONNECT {wire} (1:2:100) (1:2:90))\n" for wire in wires)
    (path,) = worst_paths(text.splitlines(), {"N"})
    assert path == TimingPath(("N", "a"), ("N", "b.M"), 0.347, 0.2)
