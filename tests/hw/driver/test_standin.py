# SPDX-License-Identifier: Apache-2.0
"""The stand-in behaves as FINN's IODMA does, and finds what a driver can do wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.driver.errors import DeviceError, PackageError
from hw.driver.standin import StandIn
from hw.driver.standin.log import Event, Log
from tests.hw.driver.packages import IMAGES, expected

START, DONE, IDLE, READY = 1, 2, 4, 8
FRAME = IMAGES[:1].transpose(0, 2, 3, 1).reshape(1, 4, 4, 1, 3)


class Device:
    """The stand-in with buffers for one image."""

    def __init__(self, package: Path) -> None:
        self.pynq = StandIn(package, "rtlsim")
        self.overlay: Any = self.pynq.Overlay("accelerator.bit")
        self.source = self.pynq.allocate(shape=(1, 4, 4, 1, 3), dtype=np.uint8)
        self.target = self.pynq.allocate(shape=(1, 3, 1, 2), dtype=np.uint8)

    def start(self, name: str, buffer: Any, frames: int = 1, offset: int = 0) -> None:
        ip = getattr(self.overlay, name)
        ip.write(0x10, (buffer.device_address + offset) & 0xFFFFFFFF)
        ip.write(0x14, buffer.device_address >> 32)
        ip.write(0x1C, frames)
        ip.write(0x00, START)

    def wait(self) -> int:
        for _ in range(1000):
            status = self.overlay.odma0.read(0x00)
            if status & DONE:
                return int(status)
            time.sleep(0.001)
        raise AssertionError("never done")


@pytest.fixture
def device(package: Path) -> Device:
    return Device(package)


def results(buffer: Any) -> list[int]:
    values = np.asarray(buffer).reshape(3, 2).astype(np.uint16)
    return (values[:, 0] | values[:, 1] << 8).tolist()


def test_registers(device: Device) -> None:
    assert device.overlay.odma0.read(0x00) == IDLE
    device.source[:] = FRAME
    device.source.flush()
    device.start("odma0", device.target)
    assert device.overlay.odma0.read(0x00) == START  # it waits for the input
    device.start("idma0", device.source)
    assert device.wait() == DONE | READY | IDLE
    assert device.overlay.odma0.read(0x00) == IDLE  # done falls when it is read
    device.target.invalidate()
    assert results(device.target) == (expected(IMAGES[:1])[0] & 0x1FFF).tolist()
    assert device.overlay.odma0.read(0x1C) == 1
    with pytest.raises(DeviceError, match="idma0 has no register at 0x18"):
        device.overlay.idma0.write(0x18, 1)
    with pytest.raises(ValueError, match="Data type must be int or bytes"):  # of pynq
        device.overlay.idma0.write(0x1C, np.int64(2))


def test_a_forgotten_flush_or_invalidate_shows(device: Device) -> None:
    device.source[:] = FRAME
    device.start("odma0", device.target)
    device.start("idma0", device.source)
    device.wait()
    assert set(np.asarray(device.target).ravel()) == {0x5A}
    device.target.invalidate()
    noise = np.full_like(IMAGES[:1], 0xA5)
    assert results(device.target) == (expected(noise)[0] & 0x1FFF).tolist()


@pytest.mark.parametrize(
    ("frames", "offset", "message"),
    [
        (2, 0, "idma0 moves 1 frames, odma0 2"),
        (1, 8, "idma0 moves data at 0x110000008, no multiple of 64 bytes"),
        (1, 64, "idma0 moves data at 0x110000040, where no buffer is"),
    ],
)
def test_a_transfer_out_of_its_buffer(device: Device, frames: int, offset: int, message: str) -> None:
    device.start("odma0", device.target, frames)
    device.start("idma0", device.source, 1, offset)
    with pytest.raises(DeviceError, match=message):
        device.wait()


def test_a_transfer_longer_than_its_buffer(device: Device) -> None:
    device.start("odma0", device.target, 2)
    device.start("idma0", device.source, 2)
    with pytest.raises(DeviceError, match="idma0 moves 96 bytes, its buffer has 48"):
        device.wait()


def test_addresses_are_wider_than_32_bits(device: Device) -> None:
    assert device.source.device_address >> 32
    assert device.source.device_address % 0x1000 == 0
    device.source.freebuffer()
    with pytest.raises(ValueError, match="freed"):
        device.source.flush()
    with pytest.raises(ValueError, match="was never one"):
        device.target.copy().flush()
    with pytest.raises(ValueError, match="gaps or another order"):
        device.target[:, ::2].flush()


def test_a_part_of_a_buffer_has_an_address(device: Device) -> None:
    device.target[:] = 7
    part = device.target[:, 1:2]
    assert part.device_address == device.target.device_address + 2
    part.flush()
    assert device.pynq.memory[device.target.device_address].tolist() == [0xA5, 0xA5, 7, 7, 0xA5, 0xA5]


def test_a_transfer_that_begins_within_a_buffer(device: Device) -> None:
    several = device.pynq.allocate(shape=(4, 4, 4, 3), dtype=np.uint8)
    several[:] = 0
    several.flush()
    device.start("odma0", device.target)
    device.start("idma0", several, offset=128)
    device.wait()
    device.target.invalidate()
    assert results(device.target) == (expected(np.zeros_like(IMAGES[:1]))[0] & 0x1FFF).tolist()
    device.start("odma0", device.target)
    device.start("idma0", several, 2, offset=128)
    with pytest.raises(DeviceError, match="idma0 moves 2 frames, odma0 1"):
        device.wait()


def test_waiting_for_the_host_is_counted_in_cycles() -> None:
    log = Log()
    for what, at in (
        *(("start", 1.0), ("finish", 1.5), ("asked", 1.5), ("seen", 1.5)),  # asked 500 cycles after the start: 400 late
        *(("start", 1.625), ("asked", 1.6875), ("finish", 3.0), ("seen", 3.0)),  # asked before its end: in time
        *(("start", 3.25), ("asked", 3.5)),
    ):
        log.events.append(Event(what, 100, at))
    assert log.waits(1000.0) == [400 + 125, 250]
    assert log.waits(100.0) == [12, 25]


def test_mmio_by_address(device: Device) -> None:
    entry = device.overlay.ip_dict["odma0"]
    assert device.pynq.MMIO(entry["phys_addr"], entry["addr_range"]).read(0) == IDLE
    with pytest.raises(DeviceError, match="no IP at address 0x1"):
        device.pynq.MMIO(1)


def test_loading_again_stops_everything(device: Device) -> None:
    device.start("odma0", device.target)
    device.overlay.download()
    assert device.overlay.odma0.read(0x00) == IDLE
    assert device.pynq.MMIO(device.overlay.ip_dict["odma0"]["phys_addr"]) is device.overlay.odma0


def test_a_package_without_a_standin(package: Path) -> None:
    (package / "standin" / "design.json").unlink()
    with pytest.raises(PackageError, match="the package has no stand-in; build it with --verify"):
        StandIn(package, "rtlsim").Overlay("accelerator.bit")
