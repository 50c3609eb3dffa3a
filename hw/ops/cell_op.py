# SPDX-License-Identifier: Apache-2.0
"""What every operator of this project shares: an RTL node that is one cell in a generated wrapper."""

from __future__ import annotations

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType

from hw.ops.operator import Cost, Emitter, Node, Operator, pass_on
from hw.ops.wrapper import Cell, render
from hw.rtl import sources

__all__ = ["Cell", "Cost", "Emitter", "Node", "pass_on"]  # what the files of operators need
GENERIC_DOMAIN = "finn.custom_op.fpgadataflow"
RTL_DOMAIN = f"{GENERIC_DOMAIN}.rtl"


class CellOp(Operator, RTLBackend):
    """Mixin to be named before FINN's generic class: ``class X_rtl(CellOp, X)``.

    Shapes, datatypes, stream widths and Python execution are the generic class's. A subclass says which cell it is,
    what it cannot do, and what the flow asks of every operator.

    Attributes:
        constant: whether a second input holds constants; the others take streams only.
        dropped: attributes of the generic node that say nothing here.
    """

    constant: ClassVar[bool] = False
    dropped: ClassVar[tuple[str, ...]] = ("preferred_impl_style",)

    @abstractmethod
    def cell(self) -> Cell:
        """The cell and its parameters for this node's attributes."""

    def check(self) -> None:
        """Refuse what the cell cannot serve, beyond foldings that do not divide; see `validate`."""

    def validate(self) -> None:
        """Refuse attributes that the cell cannot serve.

        Raises:
            UnsupportedNodeError: naming the node and the attribute.
        """
        for part, whole in self.divides:
            if self.number(part) < 1 or self.whole(whole) % self.number(part):
                raise self.refuse(f"{part} = {self.number(part)} does not divide {whole} = {self.get_nodeattr(whole)}")
        self.check()

    def cell_files(self) -> list[Path]:
        """The cell's sources, those that it instantiates first."""
        return list(sources(self.cell().module))

    def write_memories(self, model: Any, directory: Path) -> None:
        """Write the contents of the cell's ROMs into ``directory``; most cells have none."""

    @classmethod
    def specialise(cls, model: Any, node: NodeProto) -> NodeProto | None:
        """The node of this type that does what ``node``, of one of the ``generic`` types, does: by default with its
        attributes. None where it does not fit, so that another operator has to take it.
        """
        own = NodeProto()
        own.CopyFrom(node)
        own.op_type, own.domain = cls.__name__, RTL_DOMAIN
        del own.attribute[:]
        own.attribute.extend(a for a in node.attribute if a.name not in cls.dropped)
        return own

    def in_bits(self, index: int = 0) -> int:
        """Bits of an element of input ``index``."""
        return int(self.get_input_datatype(index).bitwidth())

    def out_bits(self) -> int:
        """Bits of an element of the outputs."""
        return int(self.get_output_datatype().bitwidth())

    def check_integer(self, datatype: BaseDataType, role: str) -> None:
        """``datatype`` must be a type of integers; ``role`` says what is of that type, e.g. "sums"."""
        if not datatype.is_integer() or datatype.name == "BIPOLAR":
            raise self.refuse(f"{role} {datatype.name}; it can only be integers")

    # --- FINN's side -------------------------------------------------------------------------------------

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """Write the wrapper and the ROMs into the node's ``code_gen_dir_ipgen`` (see RTLBackend)."""
        self.validate()
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
        paths = [*self.cell_files(), wrapper]
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
        """Simulate the node's RTL; FINN's rtlsim makes a stream of every input, and constants are none."""
        streams_only = NodeProto()
        streams_only.CopyFrom(self.onnx_node)
        if self.constant:
            del streams_only.input[1:]
        alone = type(self)(streams_only)
        RTLBackend.execute_node(alone, context, graph)
        self.set_nodeattr("cycles_rtlsim", alone.get_nodeattr("cycles_rtlsim"))

    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        """Compute the node in Python, as the generic class does."""
        super(RTLBackend, self).execute_node(context, graph)

    def get_exp_cycles(self) -> int:
        """Cycles between two frames, one for each beat of the longer stream; latency comes on top of the first."""
        return max(_beats(self.get_folded_input_shape()), _beats(self.get_folded_output_shape()))

    def get_number_output_values(self) -> int | dict[str, int]:
        """Beats of the output, or of each; some of FINN's own leave out the first dimension, which need not be 1."""
        beats, count = _beats(self.get_folded_output_shape()), len(self.onnx_node.output)
        return beats if count == 1 else {f"out{i}": beats for i in range(count)}


def _beats(shape: tuple[int, ...]) -> int:
    return math.prod(map(int, shape[:-1]))
