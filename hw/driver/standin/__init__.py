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
from .compile import FOLDER
from .engine import open_engine
from .faults import Faults
from .iodma import Dmas, Iodma, Kernel
from .memory import Buffer, Memory

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

    def Overlay(self, bitfile: str, download: bool = True, device: Any = None) -> Overlay:  # noqa: N802 - pynq's name
        """pynq.Overlay: the simulated design in the place of the bitfile."""
        self._overlay = Overlay(self, Path(bitfile))
        return self._overlay

    def MMIO(self, base_addr: int, length: int = _IP_RANGE) -> Iodma:  # noqa: N802 - pynq's name
        """pynq.MMIO: the registers at an address."""
        if base_addr not in self._overlay.registers:
            raise DeviceError(f"no IP at address {base_addr:#x}")
        return self._overlay.registers[base_addr]

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
        self._settings = Settings.load(pynq.package)
        self.build_id = "0" * 16 if pynq.faults.wrong_build_id else str(design["build_id"])
        self._engine = open_engine(pynq.engine, folder, self._settings.io_shape_dict)
        self.clock_dict = {"clock0": {"frequency": self._settings.clock_mhz}}
        self._connect()

    def _connect(self) -> None:
        """Give every DMA its registers, as they are after loading."""
        shapes = self._settings.io_shape_dict
        self._dmas = Dmas(self._engine, self._pynq.memory, self._pynq.faults)
        self.registers: dict[int, Iodma] = {}
        self.ip_dict: dict[str, dict[str, int]] = {}
        for kind in ("input", "output"):
            for name, packed in zip(shapes[f"{kind}_dma_name"], shapes[f"{kind[0]}shape_packed"]):
                dma = self._dmas.add(name, int(np.prod(packed[1:])), is_input=kind == "input")
                address = _FIRST_IP + len(self.registers) * _IP_RANGE
                self.registers[address] = dma
                self.ip_dict[name] = {"phys_addr": address, "addr_range": _IP_RANGE}
                setattr(self, name, Kernel(dma) if self._settings.platform == "alveo" else dma)

    @property
    def simulated_cycles(self) -> Any:
        """Clock cycles of the last run, where the engine counts them."""
        return self._engine.cycles

    def waits(self) -> list[int]:
        """Cycles that the accelerator waited for the host before each run but the first, as far as they are kept."""
        reference = self._settings.reference_mhz
        share = self._pynq.Clocks.fclk0_mhz / reference if reference else 1.0
        return self._pynq.memory.log.waits(self._settings.clock_mhz * share * 1e6)

    def download(self) -> None:
        """Load the design again: everything that ran is gone."""
        self._dmas.stop()
        self._engine.reset()
        self._connect()

    def free(self) -> None:
        """Unload the design."""
        self._dmas.stop()
        self._engine.close()
