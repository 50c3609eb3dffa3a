# SPDX-License-Identifier: Apache-2.0
"""Figures out of the texts that Vivado writes."""

from __future__ import annotations

import pytest

from hw.deploy import reports
from tests.hw.deploy.reports import TIMING, UTILIZATION_7, UTILIZATION_PLUS

PARTITION = "top_i/StreamingDataflowPartition_1/inst/StreamingDataflowPartition_1_XnorMVAU_rtl_1"


def test_tool() -> None:
    assert reports.tool(TIMING) == "Vivado v.2022.2"
    assert reports.tool(UTILIZATION_7) is None


def test_timing() -> None:
    assert reports.timing(TIMING) == {"wns_ns": 1.284, "whs_ns": 0.015, "wpws_ns": 3.75}


@pytest.mark.parametrize(("written", "slack"), [(" -0.312", -0.312), ("    NA", None), ("   inf", None)])
def test_a_slack_may_be_negative_or_missing(written: str, slack: float | None) -> None:
    assert reports.timing(TIMING.replace(" 1.284", written))["wns_ns"] == slack


def test_setup_paths() -> None:
    node, shell = reports.paths(TIMING)
    assert node == {
        "start": f"{PARTITION}/inst/core/a_reg[3]/C", "end": f"{PARTITION}/inst/core/b_reg[0]/CE",
        "slack_ns": 1.284, "delay_ns": 8.48, "logic_ns": 2.12, "routing_ns": 6.36,
    }  # fmt: skip
    assert shell["slack_ns"] == 1.501
    nodes = ["XnorMVAU_rtl_0", "XnorMVAU_rtl_1", "old_XnorMVAU_rtl_1", "rtl_1"]
    assert reports.node_of(str(node["end"]), nodes) == "XnorMVAU_rtl_1"
    assert reports.node_of(str(shell["end"]), nodes) == ""
    (late, _) = reports.paths(TIMING.replace("Slack (MET) :             1.284", "Slack (VIOLATED) :       -0.312"))
    assert late["slack_ns"] == -0.312


def test_a_text_that_is_no_timing_report() -> None:
    assert reports.paths(UTILIZATION_7) == []
    assert set(reports.timing(UTILIZATION_7).values()) == {None}
    assert set(reports.timing("").values()) == {None}


def test_utilisation() -> None:
    seven = {"lut": 12345, "ff": 20202, "bram36": 10.5, "dsp": 41, "uram": None}
    assert reports.utilisation(UTILIZATION_7) == seven
    plus = {"lut": 133100, "ff": 200100, "bram36": 205, "dsp": 47, "uram": 12}
    assert reports.utilisation(UTILIZATION_PLUS) == plus


def test_utilisation_of_a_design_that_is_not_placed_yet() -> None:
    """After synthesis alone Vivado puts a star behind the number of LUTs, for a note below the table."""
    assert reports.utilisation(UTILIZATION_7.replace("Slice LUTs ", "Slice LUTs*"))["lut"] == 12345


def test_a_text_that_is_no_utilisation_report() -> None:
    assert set(reports.utilisation(TIMING).values()) == {None}
