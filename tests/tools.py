# SPDX-License-Identifier: Apache-2.0
"""System tools that only some tests need."""

import shutil

import pytest

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed: apt-get install tcl")
