# SPDX-License-Identifier: Apache-2.0
"""Takes a bitfile that was made on another machine into the package, if it was made from this build."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .device import read_record
from .errors import PackageError
from .settings import BITFILE_RECORD, Settings, check_files


def add_bitfile(package: Path, source: Path) -> Path:
    """Copy accelerator.bit and .hwh, or .xclbin, and the record that the Vivado script writes beside them.

    Returns:
        The bitfile in the package.

    Raises:
        PackageError: a file is missing or damaged, or the bitfile is of another build.
    """
    settings = Settings.load(package)
    record = read_record(source)
    settings.check_build_id(record["build_id"], str(source / settings.bitfile.name))
    names = [path.name for path in settings.bitfiles]
    if sorted(record["files"]) != sorted(names):
        raise PackageError("{} lists {}, not {}".format(source / BITFILE_RECORD, sorted(record["files"]), names))
    check_files(source, record["files"])
    for name in names:
        shutil.copyfile(str(source / name), str(package / name))
    (package / BITFILE_RECORD).write_text(json.dumps(record, indent=1))
    return settings.bitfile
