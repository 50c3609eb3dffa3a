# SPDX-License-Identifier: Apache-2.0
"""What popcount_pkg says, asked of the package itself."""

from __future__ import annotations

from functools import cache

from pyslang.ast import Compilation
from pyslang.syntax import SyntaxTree

from tests.hw.rtl.streams import RTL


def xnor_latency(bits: int) -> int:
    """Cycles that popcount_xnor takes for vectors of so many bits."""
    return asked(f"popcount_pkg::xnor_latency({bits})")


@cache
def asked(expression: str, declarations: str = "") -> int:
    """The value of a constant expression behind declarations."""
    compilation = Compilation()
    compilation.addSyntaxTree(SyntaxTree.fromFile(str(RTL / "popcount_pkg.sv")))
    module = f"module asked; {declarations} localparam int Answer = {expression}; endmodule\n"
    compilation.addSyntaxTree(SyntaxTree.fromText(module))
    return int(compilation.getRoot().lookupName("asked.Answer").value.value)
