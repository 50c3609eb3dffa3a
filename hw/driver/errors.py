# SPDX-License-Identifier: Apache-2.0
"""What can go wrong; every message says what happened, where, and what to do."""


class DriverError(Exception):
    """Base of all errors of the driver."""


class PackageError(DriverError):
    """The package is incomplete, changed, or does not belong to the bitfile."""


class DeviceError(DriverError):
    """There is no device, or it does not behave as the driver expects."""


class DmaTimeoutError(DeviceError):
    """A DMA has not finished in time. `stuck` holds the names of those that have not."""

    def __init__(self, message: str, stuck: "tuple[str, ...]") -> None:
        super().__init__(message)
        self.stuck = stuck


class BusyError(DriverError):
    """The accelerator is running already: for another thread, or because nobody waited for the last run."""


class InputError(DriverError, ValueError):
    """Images or buffers of a wrong shape, type or size."""
