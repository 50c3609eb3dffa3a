# SPDX-License-Identifier: Apache-2.0
"""System tools that only some tests need."""

import shutil

import pytest

from hw.route import nextpnr

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed: apt-get install tcl")
needs_nextpnr = pytest.mark.skipif(
    nextpnr.command() is None, reason="nextpnr-ecp5 is not installed: .venv/bin/uv pip install -e '.[route]'"
)
