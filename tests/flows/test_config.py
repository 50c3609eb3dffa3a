# SPDX-License-Identifier: Apache-2.0
"""BuildConfig: file < flags, and one clear line for what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from flows.config import load_config
from flows.errors import UserError


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IR2NET_DATA", raising=False)


def write(folder: Path, text: str) -> Path:
    file = folder / "build.yaml"
    file.write_text(text)
    return file


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, "board: u250\ntarget_fps: 100\nverify: [python]\n")
    config = load_config(file, {"target_fps": 200.0, "network": None})
    assert (config.board, config.target_fps, config.network) == ("u250", 200.0, "resnet20")
    assert config.verify == ("python",)


def test_rungs_are_given_as_a_comma_list() -> None:
    assert load_config(None, {"verify": "python,rtlsim"}).verify == ("python", "rtlsim")


def test_lists_may_have_spaces(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "verify: python, rtlsim\n"), {}).verify == ("python", "rtlsim")


def test_a_folding_of_finn_is_taken(tmp_path: Path) -> None:
    """Also as the JSON that FINN writes, which is YAML too."""
    file = write(tmp_path, '{"folding": {"Defaults": {}, "MVAU_rtl_0": {"PE": 2, "SIMD": 9, "ram_style": "block"}}}')
    assert load_config(file, {}).folding == {"MVAU_rtl_0": {"PE": 2, "SIMD": 9, "ram_style": "block"}}


def test_the_command_asks_for_the_same(tmp_path: Path) -> None:
    config = load_config(
        None, {"network": "tiny", "verify": "python,rtlsim", "target_fps": "max", "label_select": True}
    )
    assert config.command() == (
        "ir2net build --network tiny --board pynq-z2 --target-fps max --label-select --verify python,rtlsim"
    )
    folded = load_config(None, {"folding": {"a": {"PE": 2}}, "output_dir": tmp_path / "a b"})
    assert f"--config '{tmp_path}/a b/report/folding.yaml'" in folded.command()


@pytest.mark.parametrize(("given", "taken"), [("max", "max"), ("250", 250.0), (1e4, 1e4), (None, None)])
def test_a_rate_is_a_number_or_max(given: object, taken: object) -> None:
    assert load_config(None, {"target_fps": given}).target_fps == taken


def test_data_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IR2NET_DATA", str(tmp_path))
    assert load_config(None, {}).data_dir == tmp_path


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"target_fps": 0.0}, "target_fps"),
        ({"target_fps": -5.0}, "target_fps"),
        ({"target_fps": "most"}, "target_fps' = 'most': it must be a number above 0, or max"),
        ({"images": 0}, "images"),
        ({"verify": "guess"}, "verify"),
        ({"nonsense": 1}, "unknown option 'nonsense'; known options: network, "),
        ({"borad": "u250"}, r"unknown option 'borad'; did you mean board\?"),
        ({"folding": {"MVAU_0": {"PE": 0}}}, r"folding\.MVAU_0\.PE = 0 must be a number above 0"),
        ({"folding": {"MVAU_0": {"PE": "many"}}}, r"folding\.MVAU_0\.PE = 'many' must be a number above 0"),
        ({"folding": {"MVAU_0": {"inFIFODepths": [2, 2]}}}, "simulation finds the depths"),
        ({"folding": {"Defaults": {"PE": [4, ["MVAU"]]}}}, "the Defaults of FINN are not understood"),
        ({"folding": {"MVAU_0": 3}}, r"folding\.MVAU_0"),
        ({3: 4}, "keys should be strings"),
        ({"MVAU_0": {"PE": 2}}, "unknown option 'MVAU_0'; foldings of nodes stand under 'folding:'"),
    ],
)
def test_bad_values_are_named_in_one_line(flags: dict[Any, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_config(None, flags)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "board: [unclosed", "boards: pynq-z2\n", "board: u250\nboard: u250\n"])
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError):
        load_config(write(tmp_path, text), {})


def test_a_key_that_stands_twice_is_named_with_its_line(tmp_path: Path) -> None:
    text = "network: tiny\nfolding:\n  MVAU_0: {PE: 2}\n  MVAU_0: {SIMD: 2}\n"
    with pytest.raises(UserError, match=r"'MVAU_0' stands twice .*line 4"):
        load_config(write(tmp_path, text), {})


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml", {})


def test_home_is_home_in_a_file_and_in_a_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write(tmp_path, "output_dir: ~/x\ndata_dir: ./~y\n")
    config = load_config(file, {"checkpoint": Path("~/w.safetensors")})
    assert config.output == tmp_path / "x"
    assert config.data_dir == Path("~y")
    assert config.checkpoint == tmp_path / "w.safetensors"


def test_a_network_and_a_board_of_ones_own_are_called_like_their_files(tmp_path: Path) -> None:
    config = load_config(None, {"network": f"{tmp_path}/net.yaml", "board": f"{tmp_path}/card.yaml"})
    assert (config.network, config.network_file) == ("net", tmp_path / "net.yaml")
    assert config.output == Path("build/net-card").resolve()


def test_weights_have_one_source() -> None:
    with pytest.raises(UserError, match="--checkpoint and --weights random exclude each other"):
        load_config(None, {"checkpoint": Path("a.safetensors"), "weights": "random"})
    with pytest.raises(UserError, match="leave --checkpoint and --weights out"):
        load_config(None, {"model": Path("a.onnx"), "inputs": Path("a.npy"), "weights": "random"})
    with pytest.raises(UserError, match="weights"):
        load_config(None, {"weights": "zeros"})
