# SPDX-License-Identifier: Apache-2.0
"""A netlist, and the subset of Vivado's block-design Tcl in which FINN's nodes describe their wiring.

A FINN node says in ``code_generation_ipi()`` which modules it consists of and how they are connected; most
are one cell, a matrix-vector unit with streamed weights is a hierarchy of two. ``Netlist.run`` interprets
those commands, ``Netlist.verilog`` writes everything as one flat module in plain Verilog.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyslang import Bag, SourceManager
from pyslang.ast import Compilation, CompilationFlags, CompilationOptions
from pyslang.syntax import SyntaxTree

from hw.design.errors import DesignError
from hw.design.top import STREAM_SIGNALS, bus

TOP = ""  # the cell path of the design's own ports

_STREAM_VLNV = "xilinx.com:interface:axis_rtl:1.0"
_COMPLAINTS = {
    "create_bd_cell": "a cell without a module",
    "create_bd_intf_pin": "only AXI streams can be stitched, not this",
    "connect_bd_net": "a connection needs two ends",
    "connect_bd_intf_net": "a connection needs two ends",
}


@dataclass(frozen=True)
class ModulePort:
    """One port of a module; width in bits."""

    name: str
    is_output: bool
    width: int


@dataclass(frozen=True)
class Pin:
    """A port, in lower case, of the cell at `path` (``TOP`` for the design itself)."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path}/{self.name}" if self.path else self.name


@dataclass(frozen=True)
class Instance:
    """An instance of `module`; `parameters` hold Verilog expressions."""

    module: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def _pin(text: str) -> Pin:
    path, _, name = text.rpartition("/")
    return Pin(path, name.lower())


class _Groups:
    """Disjoint sets of pins."""

    def __init__(self) -> None:
        self._group: dict[Pin, list[Pin]] = {}

    def join(self, a: Pin, b: Pin) -> None:
        first, second = self._group.setdefault(a, [a]), self._group.setdefault(b, [b])
        if first is not second:
            first += second
            self._group |= dict.fromkeys(second, first)

    def all(self) -> list[list[Pin]]:
        return list({id(group): group for group in self._group.values()}.values())


class Netlist:
    """Cells, hierarchies and the connections between their pins.

    Stream interfaces are named by their prefix: ``in0_V`` stands for the ports ``in0_V_TDATA``,
    ``in0_V_TVALID`` and ``in0_V_TREADY`` in any letter case.
    """

    def __init__(self) -> None:
        self.cells: dict[str, Instance] = {}
        self.sources: dict[Path, None] = {}
        self.ports: dict[str, ModulePort] = {}
        self._hierarchies: set[str] = {TOP}
        self._nets = _Groups()

    def add_cell(self, path: str, module: str) -> None:
        """Add an instance of `module`; raises DesignError where the path is taken."""
        if path in self.cells:
            raise DesignError(f"cell {path} exists twice")
        self.cells[path] = Instance(module)

    def add_port(self, name: str, width: int, *, is_output: bool) -> None:
        """Add a port of the design itself."""
        self.ports[name] = ModulePort(name, is_output, width)

    def add_stream_port(self, name: str, width: int, *, is_output: bool) -> None:
        """Add a stream of the design itself: name_TDATA, name_TVALID and name_TREADY; width in bits."""
        self.add_port(f"{name}_TDATA", width, is_output=is_output)
        self.add_port(f"{name}_TVALID", 1, is_output=is_output)
        self.add_port(f"{name}_TREADY", 1, is_output=not is_output)

    def connect(self, a: str, b: str) -> None:
        """Connect two pins, ``cell/port``, or ``port`` for a port of the design."""
        self._nets.join(_pin(a), _pin(b))

    def connect_stream(self, a: str, b: str) -> None:
        """Connect two stream interfaces."""
        for signal in STREAM_SIGNALS:
            self.connect(f"{a}_{signal}", f"{b}_{signal}")

    def run(self, commands: Iterable[str]) -> None:
        """Interpret block-design commands; raises DesignError for one that is not understood."""
        for command in commands:
            words = [word.strip("/") for word in re.sub(r"[\[\]{}]", " ", command).split()]
            match words:
                case [] | ["create_bd_pin" | "save_bd_design" | "validate_bd_design", *_]:
                    pass
                case ["add_files", "-norecurse", *_]:
                    self.sources[Path(command.partition("-norecurse")[2].strip())] = None
                case ["create_bd_cell", *_, "-reference", module, path]:
                    self.add_cell(path, module)
                case ["create_bd_cell", "-type", "hier", path]:
                    self._hierarchies.add(path)
                case ["create_bd_intf_pin", *_] if _STREAM_VLNV in words:
                    pass
                case ["connect_bd_net", _, a, _, b]:
                    self.connect(a, b)
                case ["connect_bd_intf_net", _, a, _, b]:
                    self.connect_stream(a, b)
                case ["set_property", name, value, "get_bd_cells", path] if path in self.cells and "CONFIG." in name:
                    parameters = {**self.cells[path].parameters, name.removeprefix("CONFIG."): value}
                    self.cells[path] = replace(self.cells[path], parameters=parameters)
                case [verb, *_]:
                    raise DesignError(f"{_COMPLAINTS.get(verb, 'block-design command not understood')}: {command}")

    def verilog(self, top: str) -> str:
        """The design as one flat Verilog module; raises DesignError for a net without exactly one driver."""
        interfaces = self._interfaces()
        net_of, wires = self._resolve(interfaces)
        lines = [f"module {top} (", ",\n".join(map(_declare, self.ports.values())), ");"]
        lines += [f"  wire {bus(width)}{name};" for name, width in wires.items()]
        for name, port in interfaces[TOP].items():
            if port.is_output and net_of[Pin(TOP, name)] != port.name:
                lines.append(f"  assign {port.name} = {net_of[Pin(TOP, name)]};")
        for path, cell in self.cells.items():
            lines += _instance(path, cell, interfaces[path], net_of)
        return "\n".join([*lines, "endmodule", ""])

    def _interfaces(self) -> dict[str, dict[str, ModulePort]]:
        """The ports of each cell, by lower-case name, as elaborated with the cell's parameters."""
        names = {path: f"c{index}" for index, path in enumerate(self.cells)}
        cells = "\n".join(f"  {_head(cell)} {names[path]} ();" for path, cell in self.cells.items())
        manager = SourceManager()
        options = CompilationOptions()
        options.topModules = {"every_cell"}
        options.flags = CompilationFlags.AllowUseBeforeDeclare  # the port widths of FINN's window generator
        compilation = Compilation(Bag([options]))
        for source in self.sources:
            compilation.addSyntaxTree(SyntaxTree.fromFile(str(source), manager))
        compilation.addSyntaxTree(SyntaxTree.fromText(f"module every_cell;\n{cells}\nendmodule\n", manager))
        body = compilation.getRoot().topInstances[0].body
        interfaces = {}
        for path, cell in self.cells.items():
            instance = body.find(names[path])
            if not hasattr(instance, "body"):
                raise DesignError(f"{path}: no source defines module {cell.module}")
            ports = [ModulePort(p.name, p.direction.name == "Out", p.type.bitWidth) for p in instance.body.portList]
            if any(port.width < 1 for port in ports):
                raise DesignError(f"{path}: the ports of {cell.module} do not elaborate")
            interfaces[path] = {port.name.lower(): port for port in ports}
        interfaces[TOP] = {port.name.lower(): port for port in self.ports.values()}
        return interfaces

    def _resolve(self, interfaces: Mapping[str, Mapping[str, ModulePort]]) -> tuple[dict[Pin, str], dict[str, int]]:
        """The net of each connected leaf pin, and the width of each wire."""
        net_of: dict[Pin, str] = {}
        wires: dict[str, int] = {}
        for group in self._nets.all():
            pins = [(pin, _port(pin, interfaces)) for pin in self._leaves(group)]
            # an input of the design drives its net from the inside
            drivers = [(pin, port) for pin, port in pins if port.is_output != (pin.path == TOP)]
            if len(drivers) != 1:
                raise DesignError(f"{len(drivers)} drivers for the net of {', '.join(str(pin) for pin, _ in pins)}")
            source, driver = drivers[0]
            for pin, port in pins:
                if port.width != driver.width:
                    raise DesignError(f"{pin} has {port.width} bits, its driver {source} has {driver.width}")
                net_of[pin] = driver.name if source.path == TOP else f"{_flat(source.path)}__{driver.name}"
            if source.path != TOP:
                wires[net_of[source]] = driver.width
        return net_of, wires

    def _leaves(self, group: Iterable[Pin]) -> list[Pin]:
        """The pins that belong to cells or are ports, without the pins of hierarchies in between."""
        leaves = []
        for pin in group:
            if pin.path in self.cells or pin.path == TOP:
                leaves.append(pin)
            elif pin.path not in self._hierarchies:
                raise DesignError(f"{pin} is connected, but there is no cell {pin.path}")
        return leaves


def _port(pin: Pin, interfaces: Mapping[str, Mapping[str, ModulePort]]) -> ModulePort:
    try:
        return interfaces[pin.path][pin.name]
    except KeyError:
        raise DesignError(f"there is no port {pin}") from None


def _flat(path: str) -> str:
    return path.replace("/", "__")


def _declare(port: ModulePort) -> str:
    return f"  {'output' if port.is_output else 'input'} wire {bus(port.width)}{port.name}"


def _head(cell: Instance) -> str:
    if not cell.parameters:
        return cell.module
    return f"{cell.module} #({', '.join(f'.{name}({value})' for name, value in cell.parameters.items())})"


def _instance(path: str, cell: Instance, ports: Mapping[str, ModulePort], net_of: Mapping[Pin, str]) -> list[str]:
    bindings = []
    for name, port in ports.items():
        # Vivado drives the open inputs of a block design with zero; open outputs stay open
        open_end = "" if port.is_output else f"{{{port.width}{{1'b0}}}}"
        bindings.append(f"    .{port.name}({net_of.get(Pin(path, name), open_end)})")
    return [f"  {_head(cell)} {_flat(path)} (", ",\n".join(bindings), "  );"]
