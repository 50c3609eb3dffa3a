# SPDX-License-Identifier: Apache-2.0
"""A device for PCs: what the driver uses of pynq, with the simulated accelerator behind FINN's IODMA registers.

`StandIn` takes the place of the module pynq: `Overlay`, `allocate`, `MMIO`, `Clocks`. Instead of loading a bitfile
it loads the package's compiled design: of the Verilated RTL, cycle by cycle ("rtlsim"), or of the integer graph as
one program ("cppsim"). Buffers have a side for the processor and one for the device, as caches have: a flush or an
invalidate that the driver forgets shows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import DeviceError, PackageError
from ..settings import Settings
from .engine import open_engine
from .faults import Faults
from .iodma import Dmas, Iodma, Kernel
from .memory import Buffer, Memory

FOLDER = "standin"
REFERENCE_MHZ = 100.0
_FIRST_IP = 0xA0000000
_IP_RANGE = 0x1000


class StandIn:
    """Takes the place of the module pynq.

    Args:
        package: folder with settings.json and standin/.
        engine: "rtlsim" or "cppsim".

    What shall go wrong is what IR2NET_FAULT names.
    """

    def __init__(self, package: Path, engine: str) -> None:
        self.package = package
        self.engine = engine
        self.faults = Faults.of(os.environ.get("IR2NET_FAULT", ""))
        self.memory = Memory()
        self.Clocks = SimpleNamespace(fclk0_mhz=REFERENCE_MHZ)  # what is asked for is what runs
        self._by_address: dict[int, Iodma] = {}

    def Overlay(self, bitfile: str, download: bool = True, device: Any = None) -> Overlay:  # noqa: N802 - pynq's name
        """pynq.Overlay: the simulated design in the place of the bitfile."""
        overlay = Overlay(self, Path(bitfile))
        for name, entry in overlay.ip_dict.items():
            self._by_address[entry["phys_addr"]] = overlay.registers[name]
        return overlay

    def MMIO(self, base_addr: int, length: int = _IP_RANGE) -> Iodma:  # noqa: N802 - pynq's name
        """pynq.MMIO: the registers at an address."""
        if base_addr not in self._by_address:
            raise DeviceError(f"no IP at address {base_addr:#x}")
        return self._by_address[base_addr]

    def allocate(self, shape: tuple[int, ...], dtype: Any = "u4", target: Any = None, cacheable: bool = True) -> Buffer:
        """pynq.allocate: a buffer that the DMAs reach."""
        wanted = tuple(shape)
        if self.faults.short_buffer:
            wanted = (wanted[0] - 1, *wanted[1:])
        return self.memory.allocate(wanted, np.uint16 if self.faults.wrong_dtype else dtype)


class Overlay:
    """pynq.Overlay: DMAs as attributes, ip_dict, clock_dict; and `simulated_cycles` of the last run, or None."""

    def __init__(self, pynq: StandIn, bitfile: Path) -> None:
        self._pynq = pynq
        self.bitfile_name = str(bitfile)
        self.device = f"stand-in ({pynq.engine})"
        folder = pynq.package / FOLDER
        try:
            design = json.loads((folder / "design.json").read_text())
        except (OSError, ValueError) as error:
            raise PackageError(
                "{} is missing or damaged: the package has no stand-in; build it with --verify cppsim,rtlsim".format(
                    folder / "design.json"
                )
            ) from error
        settings = Settings.load(pynq.package)
        self.build_id = "0" * 16 if pynq.faults.wrong_build_id else str(design["build_id"])
        self._engine = open_engine(pynq.engine, folder, settings.io_shape_dict)
        self._shapes = settings.io_shape_dict
        self._alveo = settings.platform == "alveo"
        self.clock_dict = {"clock0": {"frequency": settings.clock_mhz}}
        self.registers: dict[str, Iodma] = {}
        self._connect()
        self.ip_dict = {
            name: {"phys_addr": _FIRST_IP + index * _IP_RANGE, "addr_range": _IP_RANGE}
            for index, name in enumerate(self.registers)
        }

    def _connect(self) -> None:
        shapes = self._shapes
        self._dmas = Dmas(self._engine, self._pynq.memory, self._pynq.faults)
        for kind in ("input", "output"):
            for ind, name in enumerate(shapes[f"{kind}_dma_name"]):
                frame = int(np.prod(shapes[f"{kind[0]}shape_packed"][ind][1:]))
                dma = self._dmas.add(name, frame, is_input=kind == "input")
                self.registers[name] = dma
                setattr(self, name, Kernel(dma) if self._alveo else dma)

    @property
    def simulated_cycles(self) -> int | None:
        """Clock cycles of the last run, where the engine counts them."""
        cycles: int | None = self._engine.cycles
        return cycles

    def download(self) -> None:
        """Load the design again: everything that ran is gone."""
        self._dmas.stop()
        self._engine.reset()
        self._connect()

    def free(self) -> None:
        """Unload the design."""
        self._dmas.stop()
        self._engine.close()
