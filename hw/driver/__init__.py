# SPDX-License-Identifier: Apache-2.0
"""The accelerator from Python, on the board or on a PC through a stand-in: numpy and pynq, Python 3.8 and later."""

from .accelerator import Accelerator
from .errors import BusyError, DeviceError, DmaTimeoutError, DriverError, InputError, PackageError

__all__ = ["Accelerator", "BusyError", "DeviceError", "DmaTimeoutError", "DriverError", "InputError", "PackageError"]
