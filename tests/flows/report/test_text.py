# SPDX-License-Identifier: Apache-2.0
"""What a build says: verdict and figures, each with what it was asked for and where it comes from."""

from typing import Any

from flows.report.summary import Device, Summary
from flows.report.text import conclusion, estimate


def said(summary: Summary, **changed: Any) -> dict[str, str]:
    data = summary.model_dump(mode="json")
    for key, value in changed.items():
        data[key] = data[key] | value if isinstance(value, dict) else value
    return dict(conclusion(Summary.model_validate(data)))


def test_a_build_ends_with_its_figures(summary: Summary) -> None:
    assert said(summary) == {
        "DIFFERENT": "2 integers differ in 2 comparisons",
        "frames/s": "5,000 (target 10,000: MISSED)",
        "latency": "0.543 ms",
        "device": "26,600 LUT (50%), 31,000 FF (29%), 42 BRAM36 (30%), 12 DSP (5%): fits",
        "top-1": "95.56% of the 360 test images of digits, by the hardware's integers (cppsim)",
    }


def test_what_was_not_measured_is_not_claimed(summary: Summary) -> None:
    figures = said(
        summary, verification=[], accuracy=None, performance={"fps": None, "target_fps": None, "reached": None}
    )
    assert figures["NOTHING COMPARED"] == "– integers differ in 0 comparisons"
    assert figures["frames/s"] == "– (the most that fits was asked for)"
    assert figures["top-1"].endswith(
        "of 360 test images of digits, as the card of the weights says; not measured in this build"
    )
    figures = said(summary, accuracy=None, checkpoint={"top1": None, "images": None}, resources={"lut": None})
    assert (figures["top-1"], figures["device"]) == ("not measured", "not synthesised")


def test_a_dry_run_says_what_binds_and_what_more_would_take(summary: Summary) -> None:
    device = Device(lut=53200, ff=106400, bram36=140, dsp=220)
    rows = dict(estimate(summary.folding, 10000, 100, device))
    assert rows == {
        "frames/s": "5,000 expected (target 10,000: MISSED); 20,000 cycles a frame, set by MVAU_0",
        "device": "26,000 LUT (49%), 43 BRAM36 (31%), 12 DSP (5%) expected",
        "binds": "MVAU_0 needs at least 20000 however it is folded",
        "2.00 times": "10,000 frames/s take +4,000 LUT (MVAU_0): fits",
    }
