# SPDX-License-Identifier: Apache-2.0
"""From nodes with generated HDL to modules of a design: copies with patches, under names made of their content.

A module has FINN's ports of its node, ap_clk, ap_rst_n and the streams, and no others. Nodes whose files differ in
nothing but names share one, in this design and, as far as caches are concerned, in any other.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from finn.util.fpgadataflow import is_rtl_node
from onnx import NodeProto
from qonnx.custom_op.registry import getCustomOp

from hw.cache import key_of
from hw.design.errors import DesignError
from hw.design.finnlib import patched
from hw.design.netlist import Netlist
from hw.ops.cell_op import CellOp

ROM = "rom"
_PATH = re.compile(r'"(/[^"\n]+)"')
"""A string in a source that may be the path of a memory file, or the part that the paths of several begin with."""
SOURCE_SUFFIXES = frozenset({".v", ".sv", ".vh", ".svh"})
_OWN_NAME = "$NODE$"
"""Stands for the name of a node's module in its files."""
_DIGITS = 8
"""Of a digest in a name."""


class Modules:
    """The modules in a folder of sources."""

    def __init__(self, rtl: Path) -> None:
        self.rtl = rtl
        self.files: dict[str, tuple[str, ...]] = {}
        (rtl / ROM).mkdir(parents=True, exist_ok=True)

    def add(self, node: NodeProto) -> str:
        """Write the module of a node, if it is not there already, and return its name.

        Raises:
            DesignError: a node without RTL, or two different sources of one name.
        """
        if not is_rtl_node(node):
            raise DesignError(f"{node.name} ({node.op_type}) is not an RTL node")
        op = getCustomOp(node)
        own_name, home = str(op.get_nodeattr("gen_top_module")), Path(str(op.get_nodeattr("code_gen_dir_ipgen")))
        if not own_name or not home.is_dir():
            raise DesignError(f"{node.name} has no generated HDL: run PrepareIP first")
        netlist = Netlist()
        netlist.run(op.code_generation_ipi())
        # a name after a slash is part of a path
        name = re.compile(rf"(?<![/\w]){re.escape(own_name)}")
        texts = {
            path: name.sub(lambda _: _OWN_NAME, self._with_memories(path))
            for path in netlist.sources
            if home in path.parents
        }
        module = f"{node.op_type.removesuffix('_rtl')}_{key_of(node.op_type, *texts.values())[:_DIGITS]}"
        if module not in self.files:
            inner = module if isinstance(op, CellOp) else f"{module}_core"
            files = []
            for path in netlist.sources:
                text = texts[path].replace(_OWN_NAME, inner) if path in texts else patched(path)
                files.append(self._write(name.sub(inner, path.name), text))
            if inner != module:
                netlist.sources = dict.fromkeys(self.rtl / file for file in files)
                netlist.cells = {
                    where: replace(cell, module=name.sub(inner, cell.module)) for where, cell in netlist.cells.items()
                }
                files.append(self._write(f"{module}.v", _around(netlist, node.name, op, module)))
            self.files[module] = tuple(files)
        return module

    def _with_memories(self, path: Path) -> str:
        """Return the text of a source in which memories have their new places, with names made of their content."""

        def relocated(match: re.Match[str]) -> str:
            start = Path(match.group(1))
            files = [file for file in sorted(start.parent.glob(f"{start.name}*")) if file.suffix not in SOURCE_SUFFIXES]
            if not files:
                return match.group(0)
            contents = {file.name.removeprefix(start.name): file.read_bytes() for file in files}
            digest = key_of(*(part for content in contents.items() for part in content))
            place = f"{ROM}/{digest[:_DIGITS]}{start.suffix if start.is_file() else '_'}"
            for ending, content in contents.items():
                (self.rtl / f"{place}{ending}").write_bytes(content)
            return f'"./{place}"'

        return _PATH.sub(relocated, path.read_text())

    def _write(self, name: str, text: str) -> str:
        target = self.rtl / name
        if target.exists() and target.read_text() != text:
            raise DesignError(f"two different sources are called {name}")
        target.write_text(text)
        return name


def _around(netlist: Netlist, node: str, op: Any, module: str) -> str:
    """Return a module around FINN's cells: their configuration ports tied to zero, their monitoring ports open."""
    for pin in ("ap_clk", "ap_rst_n"):
        netlist.add_port(pin, 1, is_output=False)
        netlist.connect(pin, f"{node}/{pin}")
    interfaces = op.get_verilog_top_module_intf_names()
    for kind, is_output in (("s_axis", False), ("m_axis", True)):
        for stream, width in interfaces[kind]:
            netlist.add_stream_port(stream, width, is_output=is_output)
            netlist.connect_stream(f"{node}/{stream}", stream)
    return netlist.verilog(module)
