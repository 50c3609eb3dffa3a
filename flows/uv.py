# SPDX-License-Identifier: Apache-2.0
"""Runs uv with pip's settings, which uv itself does not read: python flows/uv.py pip install ...

Whoever has told pip of a mirror (in the environment or in pip.conf) has it used here too. What uv has been told wins.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
SECTIONS = ("global", "install", ":env:")
"""Where pip's settings stand, the last the strongest."""


def variables(listing: str) -> dict[str, str]:
    """Return uv's variables for what `pip config list` prints."""
    found: dict[str, str] = {}
    rows = [line.partition("=") for line in listing.splitlines()]
    for section in SECTIONS:
        for key, _, value in rows:
            name = key.removeprefix(f"{section}.")
            if name != key and name in VARIABLES:
                separator = "," if name == "find-links" else " "
                found[VARIABLES[name]] = separator.join(str(ast.literal_eval(value)).split())
    if "UV_INDEX" in found:  # the best version of all indices, as pip takes it
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def main() -> None:
    """Become uv."""
    python = Path(sys.executable)
    listing = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    uv = str(python.with_name("uv"))
    os.execve(uv, [uv, *sys.argv[1:]], variables(listing) | os.environ)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
