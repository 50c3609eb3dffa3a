# SPDX-License-Identifier: Apache-2.0
"""All of our SystemVerilog keeps to what hw/rtl/README.md calls the dialect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hw.rtl.streams import RTL

FILES = [*sorted(RTL.glob("*.sv")), *sorted((RTL.parent / "design").glob("*.sv"))]
FINN_PORT = re.compile(r"ap_clk|ap_rst_n|(in|out)\d_V_T(DATA|VALID|READY)")
PORT = re.compile(r"^  (input|output) (.*?) *(?:\[.*\] +)?(\w+),?(?: *//.*)?$", re.MULTILINE)


def faults(text: str) -> list[str]:
    """What a file does differently."""
    lines = [line for line in text.splitlines() if line and not line.startswith("//")]
    found = [] if lines[0] == "`default_nettype none" else ["does not begin with default_nettype none"]
    if lines[-1] != "`default_nettype wire":
        found.append("does not end with default_nettype wire")
    found += [f"line {number} is too long" for number, line in enumerate(text.splitlines(), 1) if len(line) > 100]
    ports = PORT.findall(text)
    facing = any(name == "ap_clk" for _, _, name in ports)
    for direction, kind, name in ports:
        if kind.strip() != {"input": "wire", "output": "logic"}[direction]:
            found.append(f"{name} is {direction} {kind.strip()}")
        ending = "_n?i" if direction == "input" else "_o"
        if not (facing and FINN_PORT.fullmatch(name)) and not re.search(rf"{ending}$", name):
            found.append(f"the name of {name}")
    if re.search(r"\balways\b", text):
        found.append("a plain always")
    for label in re.findall(r"^(.*)\bassert \(", text, re.MULTILINE):
        if not re.fullmatch(r" *assert_\w+ : ", label):
            found.append("an assertion without a label")
    if text.count("assert (") != len(re.findall(r'else \$error\("%m: ', text)):
        found.append("an assertion without a message")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file(file: Path) -> None:
    assert faults(file.read_text()) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("stream_add", "`default_nettype none", "", "does not begin with default_nettype none"),
        ("stream_add", "`default_nettype wire", "", "does not end with default_nettype wire"),
        ("stream_add", "input  wire  ", "input  logic ", "in0_V_TDATA is input logic"),
        ("stream_add", "in0_V_TDATA", "s_tdata", "the name of s_tdata"),
        ("stream_register", "rst_ni", "ap_rst_n", "the name of ap_rst_n"),
        ("stream_register", "always_ff", "always", "a plain always"),
        ("stream_monitor", "assert_valid_held : ", "", "an assertion without a label"),
        ("stream_monitor", "%m: valid", "valid", "an assertion without a message"),
    ],
)
def test_faults_are_seen(file: str, old: str, new: str, fault: str) -> None:
    text = (RTL / f"{file}.sv").read_text()
    assert fault in faults(text.replace(old, new))
