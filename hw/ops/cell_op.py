# SPDX-License-Identifier: Apache-2.0
"""What every operator of this project shares: an RTL node that is one cell behind a generated wrapper."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend

from hw.ops.errors import UnsupportedNodeError
from hw.ops.wrapper import Cell, render, sources


class CellOp(RTLBackend):
    """Mixin to be named before FINN's generic class: ``class X_rtl(CellOp, X)``.

    Attributes, shapes, datatypes, stream widths and Python execution are the generic class's. A subclass says
    which cell it is, what it cannot do, and what it costs.
    """

    @abstractmethod
    def cell(self) -> Cell:
        """The cell and its parameters for this node's attributes."""

    def check(self) -> None:
        """Refuse attributes that the cell cannot serve.

        Raises:
            UnsupportedNodeError: naming the node and the attribute.
        """

    def write_memories(self, model: Any, directory: Path) -> None:
        """Write the contents of the cell's ROMs into ``directory``; most cells have none."""

    def number(self, attribute: str) -> int:
        """An integer attribute."""
        return int(self.get_nodeattr(attribute))

    def numbers(self, attribute: str) -> list[int]:
        """An attribute that is a list of integers."""
        return [int(value) for value in self.get_nodeattr(attribute)]

    def text(self, attribute: str) -> str:
        """A string attribute."""
        return str(self.get_nodeattr(attribute))

    def in_bits(self, index: int = 0) -> int:
        """Bits of an element of input ``index``."""
        return int(self.get_input_datatype(index).bitwidth())

    def out_bits(self) -> int:
        """Bits of an element of the outputs."""
        return int(self.get_output_datatype().bitwidth())

    def vectors(self) -> int:
        """Number of vectors (pixels) of one input tensor."""
        return int(np.prod(self.numbers("numInputVectors")))

    def refuse(self, problem: str) -> UnsupportedNodeError:
        """The error to raise when this node cannot be built."""
        return UnsupportedNodeError(self.onnx_node.name or self.onnx_node.op_type, problem)

    def check_divides(self, part: str, whole: str) -> None:
        """Attribute ``part`` must be positive and divide attribute ``whole``."""
        if self.number(part) < 1 or self.number(whole) % self.number(part):
            raise self.refuse(f"{part} = {self.number(part)} does not divide {whole} = {self.number(whole)}")

    # --- FINN's side -------------------------------------------------------------------------------------

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """Write the wrapper and the ROMs into the node's ``code_gen_dir_ipgen`` (see RTLBackend)."""
        self.check()
        directory = Path(self.text("code_gen_dir_ipgen"))
        top = self.get_verilog_top_module_name()
        # FINN renames nodes later on; the module keeps the name it was generated with.
        self.set_nodeattr("gen_top_module", top)
        self.write_memories(model, directory)
        interfaces = self.get_verilog_top_module_intf_names()
        wrapper = render(top, self.cell(), dict(interfaces["s_axis"]), dict(interfaces["m_axis"]))
        (directory / f"{top}.v").write_text(wrapper)
        self.set_nodeattr("ipgen_path", str(directory))
        self.set_nodeattr("ip_path", str(directory))

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """The cell's sources, then the wrapper; absolute paths or bare names."""
        wrapper = Path(self.text("code_gen_dir_ipgen")) / f"{self.text('gen_top_module')}.v"
        paths = [*sources(self.cell().module), wrapper]
        return [str(path) if abspath else path.name for path in paths]

    def code_generation_ipi(self) -> list[str]:
        """Tcl commands that add the files and instantiate the wrapper in Vivado's IP integrator."""
        files = [f"add_files -norecurse {path}" for path in self.get_rtl_file_list(abspath=True)]
        top = self.text("gen_top_module")
        return [*files, f"create_bd_cell -type module -reference {top} {self.onnx_node.name}"]

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Run the node on ``context``: exec_mode "rtlsim" is its RTL, "cppsim" its compiled kernel, "" Python."""
        mode = self.text("exec_mode")
        if mode == "rtlsim":
            self.execute_rtl(context, graph)
        elif mode == "cppsim":
            from hw.cppsim import node

            node.execute(self.onnx_node, context, graph)
        else:
            self.execute_python(context, graph)

    def execute_rtl(self, context: dict[str, Any], graph: Any) -> None:
        """Simulate the node's RTL."""
        RTLBackend.execute_node(self, context, graph)

    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        """Compute the node in Python, as the generic class does."""
        super(RTLBackend, self).execute_node(context, graph)

    def get_exp_cycles(self) -> int:
        """Cycles between two frames; the first output comes a few cycles (the cell's latency) later."""
        return int(super(RTLBackend, self).get_exp_cycles())

    def dsp_estimation(self, fpgapart: str) -> int:
        """DSP blocks: none of the cells multiplies."""
        return 0
