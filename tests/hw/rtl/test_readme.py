# SPDX-License-Identifier: Apache-2.0
"""The table of cells names every module, and no other."""

import re

from tests.hw.rtl.streams import RTL


def test_every_cell_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (RTL / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in RTL.glob("*.sv"))
