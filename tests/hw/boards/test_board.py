# SPDX-License-Identifier: Apache-2.0
"""The boards' files and how they are found."""

from pathlib import Path

import pytest
import yaml
from finn.util.basic import alveo_default_platform, alveo_part_map, pynq_native_port_width, pynq_part_map
from finn.util.platforms import platforms

from flows.config import BuildConfig
from hw.boards import board as boards
from model.networks.registry import NETWORKS

GOOD = {
    "name": "some-board",
    "aliases": ["other"],
    "part": "xc7z020clg400-1",
    "family": "xc7",
    "platform": "Pynq-Z2",
    "shell": "zynq-iodma",
    "memory": "512 MB DDR3",
    "clock_mhz": 100,
    "target_fps": 10000,
    "axi_width_bits": 64,
    "resources": {"lut": 10, "ff": 20, "bram36": 1, "dsp": 1, "uram": 0},
}


def write(folder: Path, file: str = "board.yaml", /, **changes: object) -> Path:
    path = folder / file
    path.write_text(yaml.safe_dump(GOOD | changes))
    return path


ALVEO = [board.name for board in boards.available() if board.shell == "alveo"]
SAME_DEVICE = {"Ultra96-V2": "Ultra96", "RFSoC2x2": "ZCU111"}
"""Boards that FINN plans for under the name of another with their device."""
UNPLANNED = {"kv260"}
"""FINN plans for no K26."""


def test_the_boards() -> None:
    names = [board.name for board in boards.available()]
    assert names == sorted(set(names)) and {"pynq-z2", "zcu104", "u250"} <= set(names)


@pytest.mark.parametrize("name", ["pynq-z2", "PYNQ-Z2", " Pynq-Z2 ", "z2", "pynqz2"])
def test_aliases_and_case(name: str) -> None:
    board = boards.load(name)
    assert (board.part, board.resources.lut, board.clock_ns) == ("xc7z020clg400-1", 53200, 10.0)


@pytest.mark.parametrize("board", boards.available(), ids=lambda board: board.name)
def test_parts_and_port_widths_are_those_that_finn_builds_for(board: boards.Board) -> None:
    parts = pynq_part_map | alveo_part_map
    assert parts[board.platform] == board.part
    assert pynq_native_port_width.get(board.platform, 512) == board.axi_width_bits
    assert board.vitis_platform == alveo_default_platform.get(board.platform)
    assert board.resources.ff == 2 * board.resources.lut


@pytest.mark.parametrize(
    "board", [board for board in boards.available() if board.name not in UNPLANNED], ids=lambda board: board.name
)
def test_resources_are_about_those_that_finn_plans_with(board: boards.Board) -> None:
    """FINN rounds those of Zynq devices, and leaves out what the shell takes of a card."""
    planned = platforms[SAME_DEVICE.get(board.platform, board.platform)]().compute_resources
    lut, ff, bram18, uram, dsp = (sum(column) for column in zip(*planned, strict=True))
    resources = board.resources
    own = (resources.lut, resources.ff, 2 * resources.bram36, resources.uram, resources.dsp)
    for ours, finn in zip(own, (lut, ff, bram18, uram, dsp), strict=True):
        assert 0.99 * finn <= ours <= (1.25 if board.shell == "alveo" else 1.05) * finn


@pytest.mark.parametrize("board", boards.available(), ids=lambda board: board.name)
def test_shell_and_dmas_and_the_default_share_of_the_rest_are_85_percent_of_the_luts_at_most(
    board: boards.Board,
) -> None:
    assert board.allowance.lut > 6000 and board.allowance.ff > 8000 and board.allowance.bram36 >= 2
    assert board.left["lut"] + board.allowance.lut == board.resources.lut
    share = BuildConfig.model_fields["share"].default
    assert board.allowance.lut + share * board.left["lut"] <= 0.85 * board.resources.lut


@pytest.mark.parametrize("name", ALVEO)
def test_the_allowance_of_a_card_is_what_finn_leaves_out_and_two_dmas(name: str) -> None:
    board = boards.load(name)
    lut, ff, bram18, _, dsp = (
        sum(column) for column in zip(*platforms[board.platform]().compute_resources, strict=True)
    )
    left = board.left
    assert (lut - left["lut"], ff - left["ff"], bram18 // 2 - left["bram36"], dsp - left["dsp"]) == (
        10000,
        15000,
        16,
        0,
    )


def test_unknown_board_offers_close_names() -> None:
    with pytest.raises(boards.UnknownBoard, match=r"unknown board 'pynq-z3': did you mean pynq-z.* or .*\?") as error:
        boards.load("pynq-z3")
    assert {"pynq-z1", "pynq-z2"} <= set(str(error.value).strip("?").split())


def test_unknown_board_without_close_names_lists_all() -> None:
    with pytest.raises(boards.UnknownBoard, match=r"known boards: aup-zu3, kv260, pynq-z1"):
        boards.load("???")


def test_a_target_belongs_to_network_and_board(tmp_path: Path) -> None:
    board = boards.read(write(tmp_path, targets={"tiny": 7}))
    assert (board.target("tiny"), board.target("resnet20")) == (7, 10000)


@pytest.mark.parametrize("board", boards.available(), ids=lambda board: board.name)
def test_targets_are_of_networks_that_there_are(board: boards.Board) -> None:
    assert set(board.targets) <= set(NETWORKS)


def test_good_file(tmp_path: Path) -> None:
    assert boards.read(write(tmp_path)).name == "some-board"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"colour": "red"}, "colour"),
        ({"clock_mhz": 0}, "clock_mhz"),
        ({"clock_mhz": 137}, "file"),
        ({"family": "xc6"}, "family"),
        ({"shell": "alveo"}, "file"),
        ({"vitis_platform": "xilinx_u250"}, "file"),
        ({"targets": {"tiny": 0}}, "targets.tiny"),
        ({"allowance": {"lut": 11}}, "file"),
        ({"allowance": {"lut": -1}}, "allowance.lut"),
        ({"allowance": {"uram": 1}}, "allowance.uram"),
        ({"axi_width_bits": 48}, "axi_width_bits"),
        ({"resources": {"lut": 10, "ff": 20, "bram36": 1, "dsp": 1}}, "resources.uram"),
        (
            {"resources": {"lut": 10, "ff": 20, "bram36": 1, "dsp": 1, "uram": 0, "slices": 5}},
            "resources.slices",
        ),
    ],
)
def test_bad_file_names_its_key(tmp_path: Path, changes: dict[str, object], key: str) -> None:
    with pytest.raises(boards.BoardFileError, match=rf"board\.yaml: {key}:"):
        boards.read(write(tmp_path, **changes))


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text("name: [")
    with pytest.raises(boards.BoardFileError, match="not YAML"):
        boards.read(path)


def test_one_name_for_two_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.yaml")
    write(tmp_path, "b.yaml", name="another", aliases=["OTHER"])
    monkeypatch.setattr(boards, "_FOLDER", tmp_path)
    with pytest.raises(boards.BoardFileError, match=r"the name 'other' is taken by some-board"):
        boards.available()


def test_a_board_of_ones_own_is_named_by_its_file(tmp_path: Path) -> None:
    assert boards.load(str(write(tmp_path))).name == "some-board"
    shipped = Path(boards.__file__).with_name("pynq-z2.yaml")
    assert boards.load(str(shipped)) == boards.load("pynq-z2")
    with pytest.raises(boards.BoardFileError, match="the name 'pynq-z2' is taken"):
        boards.load(str(write(tmp_path, name="pynq-z2")))
    with pytest.raises(boards.BoardFileError, match="cannot be read: No such file"):
        boards.load(str(tmp_path / "none.yaml"))
