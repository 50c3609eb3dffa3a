# SPDX-License-Identifier: Apache-2.0
"""The one-time set-up that FINN needs before any of its transformations run outside its own command line."""

from __future__ import annotations

import os
from pathlib import Path

from finn.util.settings import get_settings, initialize_dummy_settings

from hw.ops.registry import register


def setup(build_dir: Path) -> None:
    """Point FINN at ``build_dir`` and register this project's operators. May be called again at any time.

    FINN keeps its settings in a global object built from environment variables; worker processes rebuild it
    from the same variables. Its RTL library is found inside the installed package, so nothing else is needed.

    Args:
        build_dir: where FINN puts generated files; created when missing.

    Raises:
        OSError: the folder cannot be created.
    """
    build_dir = build_dir.resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    os.environ["FINN_BUILD_DIR"] = str(build_dir)
    # Without a path of its own FINN creates a settings folder in the home directory; the file need not exist.
    os.environ["FINN_SETTINGS"] = str(build_dir / "finn-settings.yaml")
    os.environ.setdefault("NUM_DEFAULT_WORKERS", str(os.cpu_count() or 1))
    initialize_dummy_settings()
    library = Path(get_settings().finn_rtllib)
    os.environ["FINN_RTLLIB"] = str(library)  # both are read by its scripts for Vivado
    os.environ["FINN_CUSTOM_HLS"] = str(library.with_name("custom_hls"))
    register()
