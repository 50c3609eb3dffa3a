# SPDX-License-Identifier: Apache-2.0
"""A summary and nodes with something of everything in them."""

from typing import Any

import pytest

from flows.report.summary import Fifo, NodeRow, Summary

EXAMPLE: dict[str, Any] = {
    "board": "pynq-z2",
    "part": "xc7z020clg400-1",
    "clock_mhz": 100,
    "network": "tiny",
    "checkpoint": {"sha256": "0123" * 16, "dataset": "digits", "images": 360, "top1": 0.9556},
    "graph": {
        "nodes": 9,
        "hls_nodes": 0,
        "outside_partition": ["Transpose", "Mul"],
        "joins_fused": 6,
        "joins_apart": 0,
    },
    "verification": [
        {"stage": "streamline", "engine": "python", "images": 4, "mismatches": 0, "seconds": 1.25},
        {"stage": "stitched", "engine": "rtlsim", "images": 3, "mismatches": 2, "seconds": 9.5},
    ],
    "accuracy": {
        "dataset": "digits",
        "images": 360,
        "top1": 0.9556,
        "engine": "cppsim",
        "confusion": [[170, 10], [6, 174]],
        "classes": [
            {"images": 180, "recall": 0.9444, "precision": 0.9659},
            {"images": 180, "recall": 0.9667, "precision": None},
        ],
    },
    "folding": {
        "target_cycles": 10000,
        "cycles": 20000,
        "bottleneck": "MVAU_0",
        "binds": "MVAU_0 needs at least 20000 however it is folded",
        "expected": {"lut": 26000, "bram36": 43, "dsp": 12},
        "faster": [
            {
                "cycles": 10000,
                "fps": 10000.0,
                "nodes": ["MVAU_0"],
                "expected": {"lut": 30000, "bram36": 43, "dsp": 24},
                "more_lut": 4000,
                "fits": True,
            }
        ],
    },
    "performance": {
        "target_fps": 10000,
        "reached": False,
        "interval_cycles": 20000,
        "latency_cycles": 54321,
        "fps": 5000.0,
        "bottleneck": "XnorMVAU_rtl_0",
        "fifo_bits": 1024,
    },
    "resources": {
        "tool": "Yosys 0.70 (pyosys)",
        "lut": 26600,
        "ff": 31000,
        "bram36": 42.5,
        "dsp": 12,
        "available": {"lut": 53200, "ff": 106400, "bram36": 140, "dsp": 220},
        "kept": {"lut": 6600, "ff": 8800, "bram36": 2, "dsp": 0},
        "fits": True,
    },
    "levels": {
        "limit": 4,
        "most": 5,
        "over": ["XnorMVAU_rtl_0"],
        "across": 7,
        "start": "StreamFIFO_rtl_0.full_q",
        "end": "XnorMVAU_rtl_0.count[3].CE",
    },
    "vivado": {
        "tool": "Vivado v.2022.2",
        "wns_ns": 1.284,
        "whs_ns": 0.015,
        "wpws_ns": 3.75,
        "met": True,
        "lut": 34567,
        "ff": 41234,
        "bram36": 45.5,
        "dsp": 13,
        "uram": None,
        "paths": [
            {
                "node": "Thresholding_rtl_0",
                "layer": "stage1.0",
                "start": "top_i/part_1_Thresholding_rtl_0/inst/a_reg[2]/C",
                "end": "top_i/part_1_Thresholding_rtl_0/inst/b_reg/D",
                "slack_ns": 1.284,
                "delay_ns": 8.5,
                "logic_ns": 2.125,
                "routing_ns": 6.375,
            }
        ],
    },
    "routed": {
        "tool": "nextpnr-ecp5 0.11.1",
        "device": "LFE5UM-85F-8",
        "seed": 1,
        "fmax_mhz": 93.75,
        "parts": 1,
        "left_out": [],
        "paths": [
            {
                "node": "XnorMVAU_rtl_0",
                "layer": "stage1.0",
                "start": "StreamFIFO_rtl_0.full_reg",
                "end": "XnorMVAU_rtl_0.count[3]_reg.CE",
                "slack_ns": -0.667,
                "delay_ns": 10.667,
                "logic_ns": 3.2,
                "routing_ns": 7.467,
            }
        ],
    },
    "timing": "a stand-in of another make reached 93.8 MHz, less than the clock of 100 MHz",
    "steps": [
        {"name": "export", "status": "cached", "seconds": 0.01, "reason": None},
        {"name": "bitfile", "status": "skipped", "seconds": 0, "reason": "Vivado is not installed"},
    ],
    "peak_memory_mb": 1234.5,
    "provenance": {
        "date": "2026-11-28T09:00:00+00:00",
        "commit": "0123456789ab",
        "command": "ir2net build --network tiny --board pynq-z2",
        "tools": {"python": "3.11.9", "verilator": "5.48.0"},
    },
}


@pytest.fixture
def summary() -> Summary:
    return Summary.model_validate(EXAMPLE)


KINDS: dict[str, dict[str, Any]] = {
    "Thresholding_rtl": {"label": "threshold", "role": "quantise"},
    "StreamFIFO_rtl": {"label": "fifo", "role": "store"},
    "DuplicateStreams_rtl": {"label": "duplicate", "role": "join"},
    "XnorMVAU_rtl": {"label": "xnor mvu", "role": "compute"},
    "StreamAdd_rtl": {"label": "add", "role": "join"},
    "Pool_rtl": {"label": "pool", "role": "compute"},
    "StreamingConcat_rtl": {"label": "concat", "role": "join"},
}


@pytest.fixture
def nodes() -> list[NodeRow]:
    def row(name: str, *inputs: str, lut: int = 100, cycles: int = 1000, folding: str = "") -> NodeRow:
        op = name.rsplit("_", 1)[0]
        return NodeRow(
            name=name,
            op=op,
            **KINDS[op],
            inputs=inputs,
            lut=lut,
            ff=10,
            bram36=0.5,
            dsp=0,
            cycles=cycles,
            folding=folding,
            layer="layer1.0",
            takes="INT5",
            gives="UINT4",
            constants="BINARY 144 x 16 in block RAM" if op == "XnorMVAU_rtl" else "",
            fifo=Fifo(depth=40, width=20, peak=33) if op == "StreamFIFO_rtl" else None,
            slack_ns=round(2 - cycles / 10000, 3),
            levels=5 if op == "XnorMVAU_rtl" else 2,
            levels_through=1,
            levels_into=3,
        )

    return [
        row("Thresholding_rtl_0"),
        row("StreamFIFO_rtl_0", "Thresholding_rtl_0", lut=20),
        row("DuplicateStreams_rtl_0", "StreamFIFO_rtl_0"),
        row("XnorMVAU_rtl_0", "DuplicateStreams_rtl_0", lut=1500, cycles=20000, folding="PE 4, SIMD 16"),
        row("Thresholding_rtl_1", "XnorMVAU_rtl_0"),
        row("StreamAdd_rtl_0", "Thresholding_rtl_1", "DuplicateStreams_rtl_0"),
        row("DuplicateStreams_rtl_1", "StreamAdd_rtl_0"),
        row("Pool_rtl_0", "DuplicateStreams_rtl_1"),
        row("StreamingConcat_rtl_0", "DuplicateStreams_rtl_1", "Pool_rtl_0", "DuplicateStreams_rtl_0"),
    ]
