# SPDX-License-Identifier: Apache-2.0
"""Which device runs the accelerator: the board through pynq, or a stand-in with pynq's surface."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .errors import DeviceError, PackageError
from .settings import BITFILE_RECORD, Settings, check_files

VARIABLE = "IR2NET_DEVICE"
DEVICES = ("board", "rtlsim", "cppsim")


def open_overlay(settings: Settings, device: str | None, target: Any, download: bool) -> Any:
    """The overlay and pynq's functions for the device of a name; default: what IR2NET_DEVICE names, or the board.

    Returns:
        (pynq or its stand-in, overlay).

    Raises:
        DeviceError: no such device, or no pynq on this machine.
        PackageError: no bitfile, or one of another build.
    """
    name = device or os.environ.get(VARIABLE) or "board"
    if name not in DEVICES:
        raise DeviceError("{}={} is no device: use {}".format(VARIABLE, name, ", ".join(DEVICES)))
    if name != "board":
        from .standin import StandIn

        pynq: Any = StandIn(settings.folder, name)
        overlay = pynq.Overlay(str(settings.bitfile), download=download, device=target)
        settings.check_build_id(overlay.build_id, "the stand-in's design")
        return pynq, overlay
    pynq = _pynq()
    _check_bitfile(settings)
    return pynq, pynq.Overlay(str(settings.bitfile), download=download, device=target)


def _pynq() -> Any:
    try:
        import pynq
    except ImportError as error:
        raise DeviceError(
            "pynq is not installed on this machine: run this on the board, or use the stand-in: set "
            f"{VARIABLE}=cppsim (fast) or {VARIABLE}=rtlsim (cycle by cycle)"
        ) from error
    return pynq


def _check_bitfile(settings: Settings) -> None:
    """The bitfile is there, has its .hwh, and was made from this build."""
    for path in settings.bitfiles:
        if not path.is_file():
            raise PackageError(
                f"{path} is not there: make it with Vivado (vivado/README) and add it with "
                "`python -m driver --add-bitfile FOLDER`"
            )
    record = read_record(settings.folder)
    settings.check_build_id(record["build_id"], settings.bitfile.name)
    check_files(settings.folder, record["files"])


def read_record(folder: Path) -> Any:
    """What is known about the bitfile in a folder: the build it was made from, and the sha256 of its files."""
    try:
        record = json.loads((folder / BITFILE_RECORD).read_text())
        return {"build_id": str(record["build_id"]), "files": dict(record["files"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackageError(
            f"{folder / BITFILE_RECORD} is missing or damaged, so that nothing says which build the bitfile is of: the "
            "build leaves it beside the bitfile, and `python -m driver --add-bitfile FOLDER` takes in both"
        ) from error
