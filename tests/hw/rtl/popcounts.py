# SPDX-License-Identifier: Apache-2.0
"""What popcount_pkg says, asked of the package itself."""

from __future__ import annotations

from functools import cache

from pyslang.ast import Compilation
from pyslang.syntax import SyntaxTree

from tests.hw.rtl.streams import RTL


@cache
def xnor_latency(bits: int) -> int:
    """Cycles that popcount_xnor takes for vectors of so many bits."""
    compilation = Compilation()
    compilation.addSyntaxTree(SyntaxTree.fromFile(str(RTL / "popcount_pkg.sv")))
    asked = f"module asked; localparam int Answer = popcount_pkg::xnor_latency({bits}); endmodule\n"
    compilation.addSyntaxTree(SyntaxTree.fromText(asked))
    return int(compilation.getRoot().lookupName("asked.Answer").value.value)
